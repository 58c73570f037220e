// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_map_updates.c: they insert sockets, in each callback of
 * type sock_ops, and in programs that look a socket up by its addresses. A test
 * gives them its array and its hash.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(socks, SOCKMAP, 16);
SOCK_MAP(hash, SOCKHASH, 16);

/* As in sock_map_updates.c. */
#define OPS 16

enum look { LOOK_TCP, LOOK_TCP6, LOOK_UDP, LOOK_ANY_TCP };

struct put_vars {
	__u32 key;	/* sock_ops: added to the number of the callback */
	__u32 look;	/* how to look the socket up */
	__u64 flags;
	struct bpf_sock_tuple tuple;
	__u32 calls[OPS];	/* of each callback of type sock_ops */
	__u32 unlike[OPS];	/* results of a callback that differ from @result */
	__s64 result[OPS];	/* of its first update; of other programs: [0] */
} vars;

/* The result of nothing, which the test sets before. */
#define UNSEEN 1

#define DEFINE_OPS(map, helper)						\
SEC("sockops")								\
int ops_##map(struct bpf_sock_ops *ops)					\
{									\
	__u32 op = ops->op, k = vars.key + op;				\
	__s64 result;							\
									\
	if (op >= OPS)							\
		return 0;						\
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)				\
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG | \
					  BPF_SOCK_OPS_RTT_CB_FLAG |	\
					  BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG); \
	result = helper(ops, &map, &k, vars.flags);			\
	__sync_fetch_and_add(&vars.calls[op], 1);			\
	if (vars.result[op] == UNSEEN)					\
		vars.result[op] = result;				\
	else if (vars.result[op] != result)				\
		__sync_fetch_and_add(&vars.unlike[op], 1);		\
	return 0;							\
}

DEFINE_OPS(socks, bpf_sock_map_update)
DEFINE_OPS(hash, bpf_sock_hash_update)

/* Without a socket the result stays UNSEEN. */
#define DEFINE_PUT(section, name, map, returned)			\
SEC(section)								\
int name##_##map(void *ctx)						\
{									\
	__u32 k = vars.key, four = sizeof(vars.tuple.ipv4);		\
	struct bpf_sock_tuple tuple = vars.tuple;			\
	struct bpf_sock *sk;						\
									\
	switch (vars.look) {						\
	case LOOK_TCP:							\
		sk = bpf_sk_lookup_tcp(ctx, &tuple, four, BPF_F_CURRENT_NETNS, 0); \
		break;							\
	case LOOK_TCP6:							\
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6),	\
				       BPF_F_CURRENT_NETNS, 0);		\
		break;							\
	case LOOK_UDP:							\
		sk = bpf_sk_lookup_udp(ctx, &tuple, four, BPF_F_CURRENT_NETNS, 0); \
		break;							\
	default:							\
		goto any;						\
	}								\
	if (sk) {							\
		vars.result[0] = bpf_map_update_elem(&map, &k, sk, vars.flags); \
		bpf_sk_release(sk);					\
	}								\
	return returned;						\
any:									\
	/* Also finds sockets that are no full ones: TIME_WAIT. */	\
	sk = bpf_skc_lookup_tcp(ctx, &tuple, four, BPF_F_CURRENT_NETNS, 0); \
	if (sk) {							\
		vars.result[0] = bpf_map_update_elem(&map, &k, sk, vars.flags); \
		bpf_sk_release(sk);					\
	}								\
	return returned;						\
}

DEFINE_PUT("tc", tc, socks, TC_ACT_OK)
DEFINE_PUT("tc", tc, hash, TC_ACT_OK)
DEFINE_PUT("action", action, socks, TC_ACT_OK)
DEFINE_PUT("action", action, hash, TC_ACT_OK)
DEFINE_PUT("xdp", xdp, socks, XDP_PASS)
DEFINE_PUT("xdp", xdp, hash, XDP_PASS)

char _license[] SEC("license") = "GPL";
