// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_counters.c: senders, egress programs, and readers of
 * entries.
 */
#include <linux/redirmap.h>

#include "netlib.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct redirmap_val));
	__uint(max_entries, 8);
} targets SEC(".maps");

/* The return values of verdicts(), in turn. */
__u64 verdict[4];
__u64 runs;

/* The counters that read_entry() has read. */
struct redirmap_stats read;

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	return bpf_redirect_map(&targets, next_key(), flags);
}

SEC("xdp")
int read_entry(struct xdp_md *ctx)
{
	__u32 key = first_key;
	struct redirmap_val *val = bpf_map_lookup_elem(&targets, &key);

	if (!val)
		return XDP_ABORTED;
	__builtin_memcpy(&read, &val->stats, sizeof(read));
	return val->entry.ifindex ? XDP_PASS : XDP_DROP;
}

SEC("xdp/devmap")
int verdicts(struct xdp_md *ctx)
{
	return verdict[__sync_fetch_and_add(&runs, 1) % 4];
}

SEC("xdp/devmap")
int grow(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -4) ? XDP_ABORTED : XDP_PASS;
}
