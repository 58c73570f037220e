/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STATS_NET_H
#define REDIRMAP_STATS_NET_H

#include <linux/types.h>

struct gone;
struct net;
struct net_device;
struct stats_kept;
struct stats_sum;

struct gone *rmap_stats_net_gone_get(const struct net *net);
u64 rmap_stats_net_gone(const struct net *net, struct stats_kept *kept);
void rmap_stats_net_no_target(const struct net_device *dev);
void rmap_stats_net_lost(const struct net *net, struct stats_sum *sum);

int rmap_stats_net_init(void);
void rmap_stats_net_exit(void);

#endif /* REDIRMAP_STATS_NET_H */
