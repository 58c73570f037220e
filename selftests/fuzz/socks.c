// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sockets, and what happens to them: see socks.h. They are in a network
 * namespace of their own, whose lo is up.
 *
 * An event is complete on both sides when its function returns, so the next
 * operation finds the same states.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

#include "fds.h"
#include "outcome.h"
#include "settle.h"
#include "socks.h"

/* Time for a change of state, in milliseconds. */
#define MAX_WAIT 20000

static struct twin {
	bool open, shut;
	__u64 cookie;
} twins[NR_SOCKS][NR_SIDES];

static int home = -1;

int sock_fd(unsigned int sock, enum side side)
{
	return FIRST_SOCK_FD + 2 * sock + side;
}

bool is_tcp(unsigned int sock)
{
	return sock <= SOCK_TCP6_PEER;
}

bool is_end(unsigned int sock)
{
	return sock <= SOCK_UNIX_PEER;
}

bool socks_init(void)
{
	int caller = open("/proc/self/ns/net", O_RDONLY);
	bool ok;

	ok = caller >= 0 && !unshare(CLONE_NEWNET) && sh("ip link set lo up");
	if (ok)
		home = open("/proc/self/ns/net", O_RDONLY);
	ok = ok && home >= 0 && !setns(caller, CLONE_NEWNET);
	if (caller >= 0)
		close(caller);
	return ok;
}

static socklen_t loopback(int family, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	struct sockaddr_in *four = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = family;
	if (family == AF_INET6) {
		six->sin6_addr = in6addr_loopback;
		return sizeof(*six);
	}
	four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*four);
}

static int bound(int family, int type)
{
	struct sockaddr_storage at;
	socklen_t len = loopback(family, &at);
	int fd = socket(family, type, 0);

	if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, len) ||
			(type == SOCK_STREAM && listen(fd, 1)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool connection(int family, int fds[2])
{
	struct linger at_once = { .l_onoff = 1 };
	int server = bound(family, SOCK_STREAM), on = 1, i;
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	fds[0] = socket(family, SOCK_STREAM, 0);
	fds[1] = -1;
	if (server >= 0 && !getsockname(server, (struct sockaddr *)&at, &len) &&
	    !connect(fds[0], (struct sockaddr *)&at, len))
		fds[1] = accept(server, NULL, NULL);
	if (server >= 0)
		close(server);
	/* No socket is left that waits, and no byte waits for more. */
	for (i = 0; i < 2; i++) {
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	return fds[1] >= 0;
}

/* A socket of UDP that receives what it sends. */
static int own_peer(void)
{
	int fd = bound(AF_INET, SOCK_DGRAM);
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	if (fd >= 0 && (getsockname(fd, (struct sockaddr *)&at, &len) ||
			connect(fd, (struct sockaddr *)&at, len))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Opens a socket, or both ends of a connection. */
static bool open_socks(unsigned int sock, int fds[2])
{
	fds[1] = -1;
	switch (sock) {
	case SOCK_TCP:
		return connection(AF_INET, fds);
	case SOCK_TCP6:
		return connection(AF_INET6, fds);
	case SOCK_LISTENER:
		fds[0] = bound(AF_INET, SOCK_STREAM);
		break;
	case SOCK_UDP:
		fds[0] = own_peer();
		break;
	case SOCK_UDP_UNBOUND:
		fds[0] = socket(AF_INET, SOCK_DGRAM, 0);
		break;
	case SOCK_UNIX:
		return !socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	case SOCK_CLOSED:
		fds[0] = socket(AF_INET, SOCK_STREAM, 0);
		break;
	default:
		fds[0] = socket(AF_PACKET, SOCK_RAW, 0);
	}
	return fds[0] >= 0;
}

/* The new socket takes the place of the former one, which is closed. */
static bool put_sock(unsigned int sock, enum side side, int fd)
{
	struct twin *twin = &twins[sock][side];
	socklen_t len = sizeof(twin->cookie);
	bool ok;

	twin->shut = false;
	ok = dup2(fd, sock_fd(sock, side)) >= 0 &&
	     !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &twin->cookie, &len);
	close(fd);
	twin->open = ok;
	return ok;
}

static bool renew(unsigned int sock)
{
	int caller = open("/proc/self/ns/net", O_RDONLY), fds[2], side;
	bool ok;

	/* The first end of the connection. */
	if (is_end(sock))
		sock -= sock % 2;
	ok = caller >= 0 && !setns(home, CLONE_NEWNET);
	for (side = 0; ok && side < NR_SIDES; side++) {
		ok = open_socks(sock, fds) && put_sock(sock, side, fds[0]);
		if (ok && fds[1] >= 0)
			ok = put_sock(sock + 1, side, fds[1]);
	}
	if (caller >= 0) {
		ok = !setns(caller, CLONE_NEWNET) && ok;
		close(caller);
	}
	return ok;
}

bool socks_reset(void)
{
	unsigned int sock;

	for (sock = 0; sock < NR_SOCKS; sock++)
		if (!(is_end(sock) && sock % 2) && !renew(sock))
			return false;
	return true;
}

static int tcp_state(unsigned int sock, enum side side)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	getsockopt(sock_fd(sock, side), IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_state;
}

/*
 * Both ends have noticed: they have closed if both were shut down, otherwise
 * one waits for the other.
 */
static bool is_shut(unsigned int sock, enum side side)
{
	unsigned int peer = sock ^ 1;
	int state = tcp_state(sock, side), other = tcp_state(peer, side);

	if (twins[peer][side].shut)
		return state == TCP_CLOSE && other == TCP_CLOSE;
	return state == TCP_FIN_WAIT2 && other == TCP_CLOSE_WAIT;
}

static void shut(unsigned int sock)
{
	int side, i;

	for (side = 0; side < NR_SIDES; side++) {
		if (twins[sock][side].shut)
			continue;
		shutdown(sock_fd(sock, side), SHUT_WR);
		twins[sock][side].shut = true;
		for (i = 0; i < MAX_WAIT && !is_shut(sock, side); i++)
			usleep(1000);
		if (i == MAX_WAIT)
			failed("shutdown: TCP states %d and %d", tcp_state(sock, side),
			       tcp_state(sock ^ 1, side));
	}
}

void sock_step(const struct op *op)
{
	unsigned int sock = op->sock % NR_SOCKS;

	note_outcome(op->cmd, 0);
	if (op->cmd == SOCK_RENEW) {
		if (!renew(sock))
			failed("cannot open sockets: %s", strerror(errno));
	} else if (is_tcp(sock)) {
		shut(sock);
	}
	/*
	 * Twice, because programs handle the end of a stream: the packet, and
	 * the work item that it leads to.
	 */
	settle();
	settle();
}

__u64 sock_value(__u64 sock, enum side side)
{
	switch (sock) {
	case SOCK_FILE:
		return FILE_FD;
	case SOCK_GARBAGE:
		return GARBAGE_FD;
	case SOCK_MINUS_1:
		return -1;
	case SOCK_LARGE:
		return 1ULL << 31;
	}
	return sock_fd(sock % NR_SOCKS, side);
}

__u64 sock_cookie(unsigned int sock, enum side side)
{
	return twins[sock][side].cookie;
}

__u64 sock_number(__u64 cookie, enum side side)
{
	unsigned int sock;

	for (sock = 0; sock < NR_SOCKS; sock++)
		if (twins[sock][side].open && twins[sock][side].cookie == cookie)
			return sock;
	failed("contents: %s has a socket that was closed", side == STOCK ? "stock" : "claimed");
	return -1;
}
