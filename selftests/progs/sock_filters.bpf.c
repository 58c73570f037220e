// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_map_filters.c. A socket filter inserts the socket that
 * receives the packet, or deletes an entry; a flow dissector deletes. A test
 * gives them its array and its hash.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(socks, SOCKMAP, 16);
SOCK_MAP(hash, SOCKHASH, 16);

/* As in sock_map_filters.c. */
struct filter_vars {
	__u32 key;
	__u32 deletes;	/* the filter deletes, instead of inserting */
	__u64 flags;	/* of an insert */
	__s64 result;	/* of the last insert or delete */
} vars;

#define DEFINE(map)							\
SEC("socket")								\
int filter_##map(struct __sk_buff *skb)					\
{									\
	struct bpf_sock *sk = skb->sk;					\
	__u32 k = vars.key;						\
									\
	if (vars.deletes)						\
		vars.result = bpf_map_delete_elem(&map, &k);		\
	else if (sk)							\
		vars.result = bpf_map_update_elem(&map, &k, sk, vars.flags); \
	return skb->len;						\
}									\
									\
SEC("flow_dissector")							\
int dissector_##map(struct __sk_buff *skb)				\
{									\
	__u32 k = vars.key;						\
									\
	vars.result = bpf_map_delete_elem(&map, &k);			\
	return BPF_OK;							\
}

DEFINE(socks)
DEFINE(hash)

char _license[] SEC("license") = "GPL";
