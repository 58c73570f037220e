// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random SENDs: see gensend.h. Most of them name a socket that is in a map, and
 * keys of this map, so that programs run, and find targets.
 */
#include <sys/socket.h>

#include "draw.h"
#include "gensend.h"
#include "peek.h"

static __u64 draw_act(bool msg)
{
	/* After a drop, a socket refuses all messages. */
	static const __u64 msgs[] = {
		ACT_PASS, ACT_OR_PASS, ACT_OR_PASS, ACT_OR_PASS, ACT_OR_PASS, ACT_OR_PASS,
	};
	static const __u64 packets[] = { ACT_PASS, ACT_REDIRECT, ACT_REDIRECT, ACT_OR_PASS };

	if (one_in(msg ? 30 : 8))
		return below(NR_ACTS);
	return msg ? PICK(msgs) : PICK(packets);
}

static __u64 draw_redirect_flags(void)
{
	static const __u64 odd[] = { 2, 3, 4, 1ULL << 32, ~0ULL };

	return one_in(40) ? PICK(odd) : below(2) * BPF_F_INGRESS;
}

/* A socket map; mostly one that has sockets. */
static const struct pair *draw_sock_pair(void)
{
	const struct pair *pair = NULL;
	__u32 tries, key;

	for (tries = 0; tries < 20; tries++) {
		pair = &state.pairs[below(NR_PAIRS)];
		if (pair->made && is_sock(pair) && !peek_next(pair, STOCK, NULL, &key))
			break;
	}
	return pair;
}

/* Mostly one that has a socket: its number is stored, or -1. */
static __u64 draw_sock_key(const struct pair *pair, __u64 *sock)
{
	__u64 key = 0, tries;

	*sock = -1;
	for (tries = 0; tries < 12; tries++) {
		key = draw_key(pair);
		if (pair->made && is_sock(pair) && !peek(pair, STOCK, key, sock))
			break;
		*sock = -1;
	}
	return key;
}

void draw_send(struct op *op)
{
	static const __u64 flags[] = { MSG_OOB, MSG_DONTROUTE, MSG_EOR, MSG_MORE };
	static const __u64 bytes[] = { 16, 100, 100, 1000, 5000, 20000 };
	const struct pair *pair = draw_sock_pair();
	__u64 sock, ignored;

	/* A socket that may have a program, or its peer. */
	draw_sock_key(pair, &sock);
	if (sock > SOCK_UDP || one_in(10))
		sock = draw_sock();
	op->sock = sock <= SOCK_UNIX_PEER && one_in(2) ? sock ^ 1 : sock;
	op->sock2 = op->sock <= SOCK_UNIX_PEER ? op->sock ^ 1 : SOCK_UDP;
	if (one_in(6))
		op->sock2 = below(SOCK_UNIX_PEER + 1);
	op->count = below(one_in(3) ? 20 : one_in(4) ? 8001 : 600);
	if (one_in(20))
		op->send_flags = PICK(flags);
	op->msg = draw_act(true);
	op->key = draw_sock_key(pair, &ignored);
	op->msg_flags = draw_redirect_flags();
	if (one_in(8))
		op->apply = PICK(bytes);
	if (one_in(16))
		op->cork = PICK(bytes);
	op->skb = draw_act(false);
	op->key2 = draw_sock_key(pair, &ignored);
	op->skb_flags = draw_redirect_flags();
}
