/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_INGRESS_H
#define REDIRMAP_INGRESS_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

struct xdp_frame;

struct net_device *ingress_of_queue(struct xdp_frame **frames, int n);
struct net_device *ingress_of_skb(const struct sk_buff *skb,
				  const struct net_device *near);
bool ingress_is_below(struct net_device *ingress, struct net_device *dev);

void ingress_module_init(void);

/* What ingress_of_skb() returns when the kernel has left no trace. */
extern struct net_device ingress_unknown;

#endif /* REDIRMAP_INGRESS_H */
