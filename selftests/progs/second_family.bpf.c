// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for core_second_family.py: redirects to a CPU that is in the
 * map, and to one that is not.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 4);
} rm_cpu SEC(".maps"), st_cpu SEC(".maps");

SEC("xdp")
int claimed(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_cpu, 1, XDP_PASS);
}

SEC("xdp")
int found(struct xdp_md *ctx)
{
	return bpf_redirect_map(&rm_cpu, 0, XDP_PASS);
}

SEC("xdp")
int stock(struct xdp_md *ctx)
{
	return bpf_redirect_map(&st_cpu, 1, XDP_PASS);
}

char _license[] SEC("license") = "GPL";
