// SPDX-License-Identifier: GPL-2.0-only
/* For dev_packets_frags.py: all frames, with fragments or without, to key 0. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} rm_frags SEC(".maps"), st_frags SEC(".maps");

SEC("xdp.frags")
int to_rm_frags(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_frags, 0, 0);
}

SEC("xdp.frags")
int to_st_frags(struct xdp_md *ctx)
{
	return bpf_redirect_map(&st_frags, 0, 0);
}

char _license[] SEC("license") = "GPL";
