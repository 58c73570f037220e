/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STATS_NET_H
#define REDIRMAP_STATS_NET_H

#include <linux/types.h>

struct net;
struct net_device;
struct stats_gone;
struct stats_kept;
struct stats_sum;

struct stats_gone *stats_net_gone_get(const struct net *net);
void stats_net_gone(const struct net *net, struct stats_kept *kept);
void stats_net_no_target(const struct net_device *dev);
void stats_net_lost(const struct net *net, struct stats_sum *sum);

int stats_net_init(void);
void stats_net_exit(void);

#endif /* REDIRMAP_STATS_NET_H */
