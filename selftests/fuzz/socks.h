/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets, in values of socket maps. Each has a twin: one is for the stock map,
 * and one for the claimed map, because a socket in both would have the programs
 * of one of them.
 */
#ifndef REDIRMAP_FUZZ_SOCKS_H
#define REDIRMAP_FUZZ_SOCKS_H

#include "state.h"

bool socks_init(void);
/* New sockets at the beginning of an episode; false without. */
bool socks_reset(void);
/* SOCK_RENEW closes a socket and opens another one, SOCK_SHUT shuts it down. */
void sock_step(const struct op *op);
/* The value that inserts a socket. */
__u64 sock_value(__u64 sock, enum side side);
/* The descriptor of an open socket. */
int sock_fd(unsigned int sock, enum side side);
/* Is it one end of a connection? The other end has the number sock ^ 1. */
bool is_end(unsigned int sock);
bool is_tcp(unsigned int sock);
/* The kernel's number of an open socket, which differs for both twins. */
__u64 sock_cookie(unsigned int sock, enum side side);
/* The number of the socket with a cookie, which is the same for both twins. */
__u64 sock_number(__u64 cookie, enum side side);

#endif /* REDIRMAP_FUZZ_SOCKS_H */
