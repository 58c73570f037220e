/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_LOOK_H
#define REDIRMAP_SOCK_LOOK_H

#include <linux/types.h>
#include <linux/un.h>

struct bpf_map;
struct net;

/* The programs of a socket. */
enum sock_look_program {
	SOCK_LOOK_MSG_VERDICT,
	SOCK_LOOK_STREAM_PARSER,
	SOCK_LOOK_STREAM_VERDICT,
	SOCK_LOOK_SKB_VERDICT,
	SOCK_LOOK_PROGRAMS,
};

/**
 * struct sock_look_address - an address of a socket
 * @len: length of @data in bytes, 0 for none
 * @port: the port of an IP address, in the byte order of the host
 * @data: an IP address of 4 or 16 bytes, or sun_path
 */
struct sock_look_address {
	unsigned int len;
	u16 port;
	u8 data[sizeof_field(struct sockaddr_un, sun_path)];
};

/**
 * struct sock_look - what a look at a socket has found
 * @cookie: the socket's cookie
 * @inode: the socket's inode, or 0
 * @net: the socket's network namespace, only to compare it: the socket may be
 *	gone
 * @netns_ino: inode of @net
 * @family: the address family, as AF_INET
 * @type: the type, as SOCK_STREAM
 * @protocol: the protocol, as IPPROTO_TCP
 * @state: the state, as TCP_ESTABLISHED, in all families
 * @shutdown: RCV_SHUTDOWN and SEND_SHUTDOWN
 * @local: the own address
 * @remote: the peer's address
 * @runs: whether the socket runs a program
 * @prog_ids: the programs' ids, 0 for a program that is being freed
 * @ingress: bytes in the psock's ingress queue
 * @ingress_more: the queue has more messages than were counted
 * @backlog: packets in the psock's backlog
 * @backlog_waits: the first packet of the backlog has found no room
 * @cork: corked bytes
 * @cork_known: @cork was read
 * @apply: bytes for which the last verdict holds
 * @drops: dropped packets
 * @error: the pending errno, positive, or 0
 * @stopped: transmit is disabled
 */
struct sock_look {
	u64 cookie;
	u64 inode;
	const struct net *net;
	unsigned int netns_ino;
	u16 family;
	u16 type;
	u16 protocol;
	u8 state;
	u8 shutdown;
	struct sock_look_address local;
	struct sock_look_address remote;
	bool runs[SOCK_LOOK_PROGRAMS];
	u32 prog_ids[SOCK_LOOK_PROGRAMS];
	u64 ingress;
	bool ingress_more;
	u32 backlog;
	bool backlog_waits;
	u32 cork;
	bool cork_known;
	u32 apply;
	u32 drops;
	u32 error;
	bool stopped;
};

bool rmap_sock_look(struct bpf_map *map, void *key, struct sock_look *look);

#endif /* REDIRMAP_SOCK_LOOK_H */
