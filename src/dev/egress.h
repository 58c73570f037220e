/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_EGRESS_H
#define REDIRMAP_EGRESS_H

#include <linux/netdevice.h>

struct bpf_prog;
struct sk_buff;
struct stats_cpu;
struct xdp_frame;
struct xdp_rxq_info;

int rmap_egress_run(const struct bpf_prog *prog, struct xdp_frame **frames,
		    int n, struct xdp_frame **passed,
		    struct xdp_frame **dropped, struct net_device *tx,
		    struct net_device *rx, struct stats_cpu *stats);
bool rmap_egress_run_skb(const struct bpf_prog *prog, struct sk_buff *skb,
			 struct net_device *tx, struct xdp_rxq_info *rxq,
			 struct stats_cpu *stats);

#endif /* REDIRMAP_EGRESS_H */
