// SPDX-License-Identifier: GPL-2.0-only
/* A switch: host 10.9.0.N is behind the device of the map's key N. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} rm_array SEC(".maps"), st_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} rm_hash SEC(".maps"), st_hash SEC(".maps");

struct arp_ipv4 {
	__u8 fixed[24];
	__be32 target;
};

/* The host that a frame is addressed to; 0 for none. */
static __always_inline __u32 host_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct arp_ipv4 *arp;
	struct iphdr *ip;

	if ((void *)(eth + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		ip = (void *)(eth + 1);
		return (void *)(ip + 1) > end ? 0 : bpf_ntohl(ip->daddr) & 0xff;
	}
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		arp = (void *)(eth + 1);
		return (void *)(arp + 1) > end ? 0 : bpf_ntohl(arp->target) & 0xff;
	}
	return 0;
}

#define SWITCH(map)							\
SEC("xdp")								\
int to_##map(struct xdp_md *ctx)					\
{									\
	return bpf_redirect_map(&map, host_of(ctx), XDP_DROP);		\
}

SWITCH(rm_array)
SWITCH(st_array)
SWITCH(rm_hash)
SWITCH(st_hash)

/* For the hosts' devices, so that their peers accept redirected frames. */
SEC("xdp")
int at_host(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
