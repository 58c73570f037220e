// SPDX-License-Identifier: GPL-2.0-only
/* Sockets. Each one is in the anchor, before any map with programs takes it. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "testlib.h"

static int keep_sock(struct player *p, __u32 slot, int fd)
{
	__u32 key = __atomic_fetch_add(&p->s->anchored, 1, __ATOMIC_RELAXED);
	__u64 value = fd;

	if (fd >= 0)
		bpf_map_update_elem(p->s->anchor, &key, &value, BPF_ANY);
	return keep(p, SOCKS, slot, fd);
}

static int any_port(int type)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (void *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int connect_to(int fd, int other)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	return getsockname(other, (void *)&addr, &len) ?: connect(fd, (void *)&addr, sizeof(addr));
}

static int tcp_pair(int *fds)
{
	int listener = any_port(SOCK_STREAM);

	fds[0] = any_port(SOCK_STREAM);
	if (listener < 0 || listen(listener, 4) ||
	    (connect_to(fds[0], listener) && errno != EINPROGRESS))
		fds[1] = -1;
	else
		fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(listener);
	return 0;
}

static void udp_pair(int *fds)
{
	fds[0] = any_port(SOCK_DGRAM);
	fds[1] = any_port(SOCK_DGRAM);
	connect_to(fds[0], fds[1]);
	connect_to(fds[1], fds[0]);
}

/* Two connected sockets. */
int connect_socks(struct player *p, const __u32 *a)
{
	int fds[2] = { -1, -1 }, err;

	say(p, " kind=%u", a[1] % 8);
	switch (a[1] % 8) {
	case 0:
		udp_pair(fds);
		break;
	case 1:
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
		break;
	case 2:
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
		break;
	default:
		tcp_pair(fds);
	}
	err = keep_sock(p, a[0], fds[0]);
	return keep_sock(p, a[0] + 1, fds[1]) ?: err;
}

/* A socket that listens, or one in another state that maps refuse. */
int listen_sock(struct player *p, const __u32 *a)
{
	int fd = any_port(a[1] % 4 ? SOCK_STREAM : SOCK_RAW);

	if (fd >= 0 && a[1] % 2)
		listen(fd, 4);
	return keep_sock(p, a[0], fd);
}

int send_data(struct player *p, const __u32 *a)
{
	static char data[70000];
	int len = a[1] % 8 ? a[1] % 3000 : a[1] % sizeof(data);

	say(p, " len=%d", len);
	return result(send(fd_of(p, SOCKS, a[0]), data, len,
			   MSG_DONTWAIT | MSG_NOSIGNAL | (a[2] % 4 ? 0 : MSG_MORE)));
}

int recv_data(struct player *p, const __u32 *a)
{
	char data[8192];

	return result(recv(fd_of(p, SOCKS, a[0]), data, 1 + a[1] % sizeof(data),
			   MSG_DONTWAIT | (a[2] % 4 ? 0 : MSG_PEEK)));
}

int shut_sock(struct player *p, const __u32 *a)
{
	return result(shutdown(fd_of(p, SOCKS, a[0]), a[1] % 3));
}

int close_sock(struct player *p, const __u32 *a)
{
	struct linger reset = { .l_onoff = 1 };
	int slot = slot_of(p, SOCKS, a[0]), fd;

	if (slot < 0)
		return -ENOENT;
	say(p, " slot=%d", slot);
	fd = __atomic_exchange_n(&p->s->fds[SOCKS][slot], -1, __ATOMIC_RELAXED);
	if (a[1] % 4 == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return result(close(fd));
}
