// SPDX-License-Identifier: GPL-2.0-only
/* Programs for dev_stress.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

SEC("xdp")
int scatter(struct xdp_md *ctx)
{
	__u32 n = bpf_get_prandom_u32();
	__u32 key = n & 15;

	/* Sometimes: a lookup that is not used, or an entry that is read. */
	if (!(n & 0xf00))
		bpf_redirect_map(&targets, key, XDP_DROP);
	if (!(n & 0xf000) && bpf_map_lookup_elem(&targets, &key))
		return XDP_DROP;
	return bpf_redirect_map(&targets, (n >> 16) & 15, XDP_DROP);
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
