// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small XDP switch: host 10.0.0.N is behind the device at key N of the map.
 * The program does not depend on redirmap.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} switch_ports SEC(".maps");

struct arp_ipv4 {
	__u8 fixed[24];
	__be32 target;
};

SEC("xdp")
int xdp_switch(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct arp_ipv4 *arp;
	struct iphdr *ip;
	__be32 to;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;

	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		ip = (void *)(eth + 1);
		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		to = ip->daddr;
	} else if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		arp = (void *)(eth + 1);
		if ((void *)(arp + 1) > end)
			return XDP_DROP;
		to = arp->target;
	} else {
		return XDP_DROP;
	}
	return bpf_redirect_map(&switch_ports, bpf_ntohl(to) & 0xff, XDP_DROP);
}

/*
 * For the hosts: a veth takes redirected frames if its peer has an XDP program.
 */
SEC("xdp")
int xdp_host(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
