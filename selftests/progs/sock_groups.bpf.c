// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_groups.c: they select a socket of a group that shares a
 * port, or insert the socket that they were called for. A test gives them its
 * array and its hash.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(socks, SOCKMAP, 8);
SOCK_MAP(hash, SOCKHASH, 8);

/* As in sock_groups.c. */
struct select_vars {
	__u32 key;
	__u32 calls;
	__s64 result;
} vars;

#define DEFINE_PROGRAMS(map)						\
SEC("sk_reuseport")							\
int select_##map(struct sk_reuseport_md *ctx)				\
{									\
	__u32 k = vars.key;						\
									\
	vars.result = bpf_sk_select_reuseport(ctx, &map, &k, 0);	\
	__sync_fetch_and_add(&vars.calls, 1);				\
	return SK_PASS;							\
}									\
									\
SEC("sk_reuseport")							\
int insert_##map(struct sk_reuseport_md *ctx)				\
{									\
	__u32 k = vars.key;						\
									\
	vars.result = bpf_map_update_elem(&map, &k, ctx->sk, BPF_ANY);	\
	__sync_fetch_and_add(&vars.calls, 1);				\
	return SK_PASS;							\
}

DEFINE_PROGRAMS(socks)
DEFINE_PROGRAMS(hash)

char _license[] SEC("license") = "GPL";
