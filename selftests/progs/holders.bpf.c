// SPDX-License-Identifier: GPL-2.0-only
/*
 * For cmd_holders.py: programs that use a map, and that something else than an
 * ingress device holds: a filter of tc, an entry of a device map. A map each,
 * for device maps are for programs of one type.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct devmap {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
};

struct devmap rm_tc SEC(".maps");
struct devmap rm_egress SEC(".maps");

SEC("tc")
int classifies(struct __sk_buff *skb)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&rm_tc, &key) ? TC_ACT_OK : TC_ACT_UNSPEC;
}

SEC("xdp/devmap")
int leaves(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&rm_egress, &key) ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
