// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers of programs that load a claimed socket map: redirects of messages
 * (sk_msg) and packets (sk_skb), and updates by programs of type sock_ops. Each
 * helper calls the kernel's helper, returns its result, and counts it. Such a
 * program may use stock maps as well, which are not counted.
 *
 * The reason for a refusal is determined after the call, by tests in the
 * kernel's order. So it costs accepted redirects nothing, and neither do the
 * tracepoints, which are in functions for refusals and closing sockets.
 *
 * This file owns only the pointers to the kernel's helpers, which sock_helper.c
 * sets before it gives a helper of this file to a program. Helpers run in BPF
 * programs, inside an RCU read section, without migration, in process context
 * or with bottom halves off. A program has a reference to each map that it
 * loads, or to the outer map that it finds the map in, and so to the module.
 */
#include <linux/bpf.h>
#include <linux/compiler.h>
#include <linux/skmsg.h>
#include <linux/smp.h>
#include <net/inet_sock.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "compat.h"
#include "record.h"
#include "sock_map.h"
#include "sock_redirect.h"
#include "sock_stats.h"
#include "sock_trace.h"

sock_helper_fn rmap_sock_redirect_stock[SOCK_HELPERS] __read_mostly;

/* Does the kernel redirect to a socket in this state? */
static bool sock_is_connected(const struct sock *sk)
{
	if (sk_is_tcp(sk))
		return sk->sk_state != TCP_LISTEN;
	return sk->sk_state == TCP_ESTABLISHED;
}

/* Does the kernel support this direction for the family of a socket? */
static bool sock_takes(const struct sock *sk, enum sock_data data, u64 flags)
{
	if (sk->sk_family == AF_VSOCK)
		return data == SOCK_SKB && !(flags & BPF_F_INGRESS);
	return data == SOCK_SKB || flags & BPF_F_INGRESS || sk_is_tcp(sk);
}

/*
 * The reason for a refusal. @key points to the key. If the socket at the key
 * was looked up, it is stored in @target; with @counted, the caller releases
 * it.
 */
static enum redirmap_sock_refusal
sock_refusal(struct bpf_map *map, void *key, u64 flags, enum sock_data data,
	     struct sock **target, bool *counted)
{
	struct sock *sk;

	if (flags & ~BPF_F_INGRESS)
		return REDIRMAP_SOCK_REFUSAL_FLAGS;
	if (map->map_type == BPF_MAP_TYPE_SOCKMAP &&
	    *(u32 *)key >= map->max_entries)
		return REDIRMAP_SOCK_REFUSAL_KEY;
	sk = sock_map_lookup(map, key, counted);
	*target = sk;
	if (!sk)
		return REDIRMAP_SOCK_REFUSAL_NO_SOCKET;
	if (!sock_is_connected(sk))
		return REDIRMAP_SOCK_REFUSAL_STATE;
	if (!sock_takes(sk, data, flags))
		return REDIRMAP_SOCK_REFUSAL_DIRECTION;
	return REDIRMAP_SOCK_REFUSAL_OTHER;
}

/*
 * The socket that sends a message, or the socket of a packet, for tracepoints.
 */
static const struct sock *sock_source(const void *ctx, enum sock_data data)
{
	return data == SOCK_MSG ? ((const struct sk_msg *)ctx)->sk :
				  ((const struct sk_buff *)ctx)->sk;
}

/*
 * Count a redirect that the kernel has refused. @key is the helper's: the slot
 * of an array, or a pointer to the key of a hash. Runs as sock_redirect().
 * Returns the verdict.
 */
static noinline u64 sock_refused(struct bpf_map *map, u64 key, u64 flags,
				 u64 verdict, const void *ctx,
				 enum sock_data data)
{
	struct record *record = record_find(map);
	enum redirmap_sock_refusal reason;
	struct sock *target = NULL;
	struct sock_stats *stats;
	bool counted = false;
	u32 slot = key;

	/* A stock map, or one without a record. */
	if (!record)
		return verdict;
	reason = sock_refusal(map, map->map_type == BPF_MAP_TYPE_SOCKMAP ?
			      &slot : (void *)key, flags, data, &target,
			      &counted);
	stats = record->counters;
	stats += smp_processor_id();
	rmap_sock_stats_refused(stats, reason);
	trace_redirmap_sock_refused(map, data == SOCK_SKB, flags,
				    sock_source(ctx, data), target, reason);
	if (counted)
		sock_put(target);
	return verdict;
}

/*
 * The flags of an accepted redirect, as the kernel has stored them. So the
 * callers need not keep them.
 */
static u64 sock_flags_of(const void *ctx, enum sock_data data)
{
	if (data == SOCK_MSG)
		return ((const struct sk_msg *)ctx)->flags;
	return skb_bpf_ingress(ctx) ? BPF_F_INGRESS : 0;
}

/*
 * Does the kernel pass on what a program redirects to a socket, in either
 * direction? If this quick test says no, sock_not_open() decides. The kernel
 * tests later: sk_psock_skb_redirect() a packet, tcp_bpf_sendmsg_redir() and
 * sk_psock_queue_msg() a message.
 */
static __always_inline bool sock_is_open(const struct sock *sk,
					 enum sock_data data)
{
	const struct sk_psock *psock = sk_psock(sk);

	return likely(psock) &&
	       likely(sk_psock_test_state(psock, SK_PSOCK_TX_ENABLED)) &&
	       (data == SOCK_MSG || likely(!sock_flag(sk, SOCK_DEAD)));
}

/*
 * Runs as sock_redirect(), per accepted redirect to a socket that is not open.
 * A message to the egress of a socket with a psock is not counted: the kernel
 * does not ask whether that socket may transmit, and TCP sends the message, or
 * returns the socket's error. The psock is read again, and may have gone or
 * come since; either answer is right.
 */
static noinline void sock_not_open(const struct bpf_map *map,
				   struct sock_stats *stats,
				   const struct sock *target, const void *ctx,
				   enum sock_data data)
{
	u64 flags = sock_flags_of(ctx, data);

	if (data == SOCK_MSG && !(flags & BPF_F_INGRESS) && sk_psock(target))
		return;
	u64_stats_inc(&stats->closing[data]);
	trace_redirmap_sock_closing(map, data == SOCK_SKB, flags,
				    sock_source(ctx, data), target);
}

/*
 * Count a redirect that the kernel has accepted. The lines of the record, of
 * the counters and of the target's psock are read besides the kernel's. Runs as
 * sock_redirect().
 */
static __always_inline void sock_accepted(const struct bpf_map *map, u64 flags,
					  const void *ctx, enum sock_data data)
{
	const struct record *record = record_find(map);
	struct sock_stats *stats;
	const struct sock *sk;

	/* A stock map, or one without a record. */
	if (!record)
		return;
	stats = record->counters;
	stats += smp_processor_id();
	u64_stats_inc(&stats->accepted[data][flags & BPF_F_INGRESS]);
	sk = data == SOCK_MSG ? ((const struct sk_msg *)ctx)->sk_redir :
				skb_bpf_redirect_fetch(ctx);
	if (unlikely(!sock_is_open(sk, data)))
		sock_not_open(map, stats, sk, ctx, data);
}

/*
 * Call the kernel's helper, and count the redirect. @key is the slot of an
 * array, or a pointer to the key of a hash; a pointer to the slot would cost a
 * stack canary. Runs in programs, in process context or with bottom halves off,
 * inside an RCU read section and without migration, per redirect.
 */
static __always_inline u64 sock_redirect(enum sock_helper helper,
					 enum sock_data data, u64 ctx, u64 map,
					 u64 key, u64 flags, u64 r5)
{
	u64 verdict;

	verdict = rmap_sock_redirect_stock[helper](ctx, map, key, flags, r5);
	if (unlikely(verdict != SK_PASS))
		return sock_refused((struct bpf_map *)map, key, flags, verdict,
				    (const void *)ctx, data);
	sock_accepted((struct bpf_map *)map, flags, (const void *)ctx, data);
	/* The constant need not be kept during the call, unlike the verdict. */
	return SK_PASS;
}

static u64 sock_msg_redirect_map(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	return sock_redirect(SOCK_HELPER_MSG_MAP, SOCK_MSG, ctx, map, key, flags,
			     r5);
}

static u64 sock_msg_redirect_hash(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	return sock_redirect(SOCK_HELPER_MSG_HASH, SOCK_MSG, ctx, map, key, flags,
			     r5);
}

static u64 sock_skb_redirect_map(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	return sock_redirect(SOCK_HELPER_SKB_MAP, SOCK_SKB, ctx, map, key, flags,
			     r5);
}

static u64 sock_skb_redirect_hash(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	return sock_redirect(SOCK_HELPER_SKB_HASH, SOCK_SKB, ctx, map, key, flags,
			     r5);
}

/* These run in programs of type sock_ops, per update. */

static u64 sock_ops_update_map(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	struct sock_stats *stats = rmap_sock_stats_of((struct bpf_map *)map);
	u64 err;

	rmap_sock_stats_begin(stats);
	err = rmap_sock_redirect_stock[SOCK_HELPER_OPS_MAP](ctx, map, key,
							    flags, r5);
	rmap_sock_stats_end(stats, err);
	return err;
}

static u64 sock_ops_update_hash(u64 ctx, u64 map, u64 key, u64 flags, u64 r5)
{
	struct sock_stats *stats = rmap_sock_stats_of((struct bpf_map *)map);
	u64 err;

	rmap_sock_stats_begin(stats);
	err = rmap_sock_redirect_stock[SOCK_HELPER_OPS_HASH](ctx, map, key,
							     flags, r5);
	rmap_sock_stats_end(stats, err);
	return err;
}

const sock_helper_fn rmap_sock_redirect_helpers[SOCK_HELPERS] = {
	[SOCK_HELPER_MSG_MAP] = sock_msg_redirect_map,
	[SOCK_HELPER_MSG_HASH] = sock_msg_redirect_hash,
	[SOCK_HELPER_SKB_MAP] = sock_skb_redirect_map,
	[SOCK_HELPER_SKB_HASH] = sock_skb_redirect_hash,
	[SOCK_HELPER_OPS_MAP] = sock_ops_update_map,
	[SOCK_HELPER_OPS_HASH] = sock_ops_update_hash,
};
