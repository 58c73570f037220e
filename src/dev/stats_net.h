/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STATS_NET_H
#define REDIRMAP_STATS_NET_H

struct net;
struct net_device;
struct stats_sum;

void rmap_stats_net_no_target(const struct net_device *dev);
void rmap_stats_net_lost(const struct net *net, struct stats_sum *sum);

int rmap_stats_net_init(void);
void rmap_stats_net_exit(void);

#endif /* REDIRMAP_STATS_NET_H */
