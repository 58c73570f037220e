// SPDX-License-Identifier: GPL-2.0-only
/*
 * For cmd_holders.py: programs that use a map, and that are held by a filter of
 * tc or by an entry of a device map instead of an ingress device. Each has a
 * map of its own, because programs of different types cannot share a device
 * map.
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
