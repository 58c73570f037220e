// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for the benchmark. They redirect through the map "targets",
 * which bench replaces: the same object is loaded over a stock and over a
 * claimed map.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bench.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} targets SEC(".maps");

struct bench_vars vars;

/* The device of redirect_ifindex(). */
const volatile __u32 to_ifindex;

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int redirect_ifindex(struct xdp_md *ctx)
{
	return bpf_redirect(to_ifindex, 0);
}

SEC("xdp")
int redirect_one(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, XDP_DROP);
}

SEC("xdp")
int redirect_turn(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, vars.keys[vars.turn++ % NR_KEYS], XDP_DROP);
}

SEC("xdp")
int broadcast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int broadcast_others(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

/* Looks a key up, and redirects nothing. */
SEC("xdp")
int lookup(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&targets, &key) ? XDP_DROP : XDP_ABORTED;
}

/* Egress programs, for entries of the map. */
SEC("xdp/devmap")
int egress_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp/devmap")
int egress_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* As in <net/xdp.h>. */
#define XDP_XMIT_FLUSH 1

/* Counts calls of ndo_xdp_xmit of the targets' driver. */
SEC("fentry/veth_ndo_xdp_xmit")
int BPF_PROG(driver_calls, void *dev, int n, void *frames, __u32 flags)
{
	vars.calls++;
	if (flags & XDP_XMIT_FLUSH)
		vars.flushes++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
