// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for dev_preempt.c and dev_preempt_driver.c: redirect to one target,
 * and to all.
 */
#include "netlib.bpf.h"

struct devmap targets SEC(".maps");

SEC("xdp")
int unicast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, next_key(), 0);
}

SEC("xdp")
int broadcast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int to_first(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, 0);
}

SEC("xdp")
int to_second(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 1, 0);
}

SEC("xdp/devmap")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
