/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets of all families and states, and what a claimed socket map counts when
 * a test inserts them.
 */
#ifndef REDIRMAP_SOCKMAKE_H
#define REDIRMAP_SOCKMAKE_H

#include <linux/netlink.h>

#include "genlib.h"
#include "socklib.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* What a claimed map has to count. */
struct tally {
	__u64 inserts;
	__u64 failed_by[GENL_ERRNOS];
};

static inline void tally_add(struct tally *tally, int err, __u64 n)
{
	if (err)
		tally->failed_by[-err] += n;
	else
		tally->inserts += n;
}

/* Has the map counted that? True for a stock map. */
static inline bool tallied(int map, const struct tally *want)
{
	struct sock_counts has;
	int i;

	if (!is_claimed(map))
		return true;
	if (sock_counts(sock_map_id(map), &has) || has.inserts != want->inserts)
		return false;
	for (i = 0; i < GENL_ERRNOS; i++)
		if (has.failed_by[i] != want->failed_by[i])
			return false;
	return true;
}

static inline bool tally_check(int map, const struct tally *want)
{
	struct sock_counts has = {};
	int i;

	if (tallied(map, want))
		return true;
	sock_counts(sock_map_id(map), &has);
	printf("# inserts %llu, not %llu\n", has.inserts, want->inserts);
	for (i = 0; i < GENL_ERRNOS; i++)
		if (has.failed_by[i] != want->failed_by[i])
			printf("# errno %d: %llu, not %llu\n", i, has.failed_by[i],
			       want->failed_by[i]);
	return false;
}

/*
 * The functions below make sockets. They return the socket, or -errno; a second
 * socket, if there is one, is in @other.
 */

static inline int bound_to(int fd, int family)
{
	struct sockaddr_storage at;
	socklen_t len = sock_loopback(family, &at);

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&at, len))
		return fd;
	if (fd >= 0)
		close(fd);
	return -errno;
}

static inline int new_socket(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	return fd < 0 ? -errno : fd;
}

static inline int bound(int family, int type, int protocol)
{
	int fd = new_socket(family, type, protocol);

	return fd < 0 ? fd : bound_to(fd, family);
}

static inline int listening(int fd)
{
	return fd < 0 || !listen(fd, 8) ? fd : -errno;
}

static inline int tcp_bound(int *other)
{
	return bound(AF_INET, SOCK_STREAM, 0);
}

static inline int tcp_listener(int *other)
{
	return listening(bound(AF_INET, SOCK_STREAM, 0));
}

static inline int tcp6_listener(int *other)
{
	return listening(bound(AF_INET6, SOCK_STREAM, 0));
}

static inline int tcp_of(int family, int *other)
{
	int pair[2], err = tcp_pair(family, pair);

	if (err)
		return err;
	*other = pair[1];
	return pair[0];
}

static inline int tcp(int *other)
{
	return tcp_of(AF_INET, other);
}

static inline int tcp6(int *other)
{
	return tcp_of(AF_INET6, other);
}

static inline int tcp_half_closed(int *other)
{
	int fd = tcp(other);

	return fd < 0 || !shutdown(fd, SHUT_WR) ? fd : -errno;
}

static inline int tcp_peer_half_closed(int *other)
{
	int fd = tcp_half_closed(other), peer = *other;
	char byte;

	if (fd < 0)
		return fd;
	*other = fd;
	return recv(peer, &byte, 1, 0) ? -EIO : peer;
}

static inline int tcp_ulp(int *other)
{
	int fd = tcp(other), err;

	if (fd < 0 || !setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static inline int udp_unbound(int *other)
{
	return new_socket(AF_INET, SOCK_DGRAM, 0);
}

static inline int udp_bound(int *other)
{
	return bound(AF_INET, SOCK_DGRAM, 0);
}

static inline int udp6_bound(int *other)
{
	return bound(AF_INET6, SOCK_DGRAM, 0);
}

static inline int udp_connected(int *other)
{
	int pair[2], err = udp_pair(AF_INET, pair);

	if (err)
		return err;
	*other = pair[1];
	return pair[0];
}

static inline int udplite(int *other)
{
	return bound(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
}

static inline int mptcp_closed(int *other)
{
	return new_socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

static inline int mptcp_listener(int *other)
{
	return listening(bound(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
}

/* Connects a socket of a protocol to a listener. Returns the accepted one. */
static inline int accepted_from(int protocol, int listener, int *other)
{
	int fd = listener < 0 ? -1 : socket(AF_INET, SOCK_STREAM, protocol), accepted;

	if (fd < 0)
		return listener < 0 ? listener : -errno;
	accepted = sock_connect(fd, listener) ? -1 : accept(listener, NULL, NULL);
	if (accepted < 0)
		accepted = -errno;
	close(listener);
	*other = fd;
	return accepted;
}

static inline int mptcp_accepted(int *other)
{
	return accepted_from(IPPROTO_MPTCP, mptcp_listener(NULL), other);
}

static inline int mptcp(int *other)
{
	int fd = -1, accepted = mptcp_accepted(&fd);

	if (accepted < 0)
		return accepted;
	*other = accepted;
	return fd;
}

/* The listener speaks MPTCP, and its peer does not, so this is a TCP socket. */
static inline int mptcp_fallback(int *other)
{
	return accepted_from(0, mptcp_listener(NULL), other);
}

static inline int unix_of(int type, int *other)
{
	int pair[2];

	if (socketpair(AF_UNIX, type, 0, pair))
		return -errno;
	*other = pair[1];
	return pair[0];
}

static inline int unix_stream(int *other)
{
	return unix_of(SOCK_STREAM, other);
}

static inline int unix_dgram(int *other)
{
	return unix_of(SOCK_DGRAM, other);
}

static inline int unix_seqpacket(int *other)
{
	return unix_of(SOCK_SEQPACKET, other);
}

static inline int unix_stream_closed(int *other)
{
	return new_socket(AF_UNIX, SOCK_STREAM, 0);
}

static inline int unix_dgram_closed(int *other)
{
	return new_socket(AF_UNIX, SOCK_DGRAM, 0);
}

/* With an address that the kernel chooses. */
static inline int unix_listener(int *other)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = new_socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at.sun_family)))
		return -errno;
	return listening(fd);
}

static inline int icmp(int *other)
{
	return new_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static inline int netlink(int *other)
{
	return new_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static inline int vsock_closed(int *other)
{
	return new_socket(AF_VSOCK, SOCK_STREAM, 0);
}

static inline int grouped(int fd)
{
	int one = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ? -errno : fd;
}

static inline int tcp_grouped(int *other)
{
	return listening(bound_to(grouped(socket(AF_INET, SOCK_STREAM, 0)), AF_INET));
}

static inline int udp_grouped(int *other)
{
	return bound_to(grouped(socket(AF_INET, SOCK_DGRAM, 0)), AF_INET);
}

/* Does the kernel lack such sockets? */
static inline bool protocol_lacks(int fd)
{
	return fd == -EPROTONOSUPPORT || fd == -EAFNOSUPPORT || fd == -ESOCKTNOSUPPORT ||
	       fd == -ENOENT || fd == -ENOPROTOOPT;
}

#endif /* REDIRMAP_SOCKMAKE_H */
