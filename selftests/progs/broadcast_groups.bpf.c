// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_broadcast_groups.c: groups are devmaps in an outer map.
 */
#include "netlib.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 4);
} groups SEC(".maps");

/* Frames that have found no group. */
__u64 without_group;

SEC("xdp")
int to_group(struct xdp_md *ctx)
{
	__u32 key = first_key;
	void *group;

	if (!is_ours(ctx))
		return XDP_PASS;
	group = bpf_map_lookup_elem(&groups, &key);
	if (!group) {
		__sync_fetch_and_add(&without_group, 1);
		return XDP_DROP;
	}
	return bpf_redirect_map(group, 0, BPF_F_BROADCAST);
}
