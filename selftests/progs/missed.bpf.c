// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_missed.py: lookups that find no entry, and redirects
 * without a target.
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

SEC("xdp")
int aborted_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, XDP_ABORTED);
}

SEC("xdp")
int drop_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, XDP_DROP);
}

SEC("xdp")
int pass_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, XDP_PASS);
}

SEC("xdp")
int tx_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, XDP_TX);
}

SEC("xdp")
int unknown_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, 0x100);
}

SEC("xdp")
int nobody_array(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_array, 5, BPF_F_BROADCAST);
}

SEC("xdp")
int aborted_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, XDP_ABORTED);
}

SEC("xdp")
int drop_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, XDP_DROP);
}

SEC("xdp")
int pass_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, XDP_PASS);
}

SEC("xdp")
int tx_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, XDP_TX);
}

SEC("xdp")
int unknown_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, 0x100);
}

SEC("xdp")
int nobody_hash(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_hash, 5, BPF_F_BROADCAST);
}

/* The program returns another action than the one in the flags. */
SEC("xdp")
int tests_array(struct xdp_md *ctx)
{
	if (bpf_redirect_map(&rm_array, 5, 0) == XDP_REDIRECT)
		return XDP_REDIRECT;
	return XDP_DROP;
}

/* Two maps in turn: the first lookup misses, the second one sends. */
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

/* A stock map: the module does not count its misses. */
SEC("xdp")
int aborted_stock(struct xdp_md *ctx)
{
	return bpf_redirect_map(&st_array, 5, XDP_ABORTED);
}

char LICENSE[] SEC("license") = "GPL";
