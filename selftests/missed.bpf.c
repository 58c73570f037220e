// SPDX-License-Identifier: GPL-2.0-only
/* XDP programs for test_missed.py: look-ups that find no entry, and redirects to
 * nothing.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 8);
} rm_array SEC(".maps"), st_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 8);
} rm_hash SEC(".maps");

#define MISS(map, name, action)						\
	SEC("xdp")							\
	int name(struct xdp_md *ctx)					\
	{								\
		return bpf_redirect_map(&map, 5, action);		\
	}

MISS(rm_array, aborted_array, XDP_ABORTED)
MISS(rm_array, drop_array, XDP_DROP)
MISS(rm_array, pass_array, XDP_PASS)
MISS(rm_array, tx_array, XDP_TX)
MISS(rm_array, unknown_array, 0x100)
MISS(rm_array, nobody_array, BPF_F_BROADCAST)
MISS(rm_hash, aborted_hash, XDP_ABORTED)
MISS(rm_hash, drop_hash, XDP_DROP)
MISS(rm_hash, pass_hash, XDP_PASS)
MISS(rm_hash, tx_hash, XDP_TX)
MISS(rm_hash, unknown_hash, 0x100)
MISS(rm_hash, nobody_hash, BPF_F_BROADCAST)

/* The program does something else than it has asked for. */
SEC("xdp")
int tests_array(struct xdp_md *ctx)
{
	if (bpf_redirect_map(&rm_array, 5, 0) == XDP_REDIRECT)
		return XDP_REDIRECT;
	return XDP_DROP;
}

/* One map, then the other: the first one misses, the second one sends. */
SEC("xdp")
int in_turn(struct xdp_md *ctx)
{
	if (bpf_redirect_map(&rm_hash, 5, 0) == XDP_REDIRECT)
		return XDP_REDIRECT;
	return bpf_redirect_map(&rm_array, 1, 0);
}

SEC("xdp")
int no_helper(struct xdp_md *ctx)
{
	return XDP_REDIRECT;
}

SEC("xdp")
int no_device(struct xdp_md *ctx)
{
	return bpf_redirect(1 << 30, 0);
}

/* A map of the kernel's own: nothing of ours counts what it has not. */
MISS(st_array, aborted_stock, XDP_ABORTED)

char LICENSE[] SEC("license") = "GPL";
