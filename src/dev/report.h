/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_REPORT_H
#define REDIRMAP_REPORT_H

#include <net/genetlink.h>

struct net;
struct record;
struct stats_sum;

extern const struct genl_ops rmap_report_requests[];

int rmap_report_sum(struct sk_buff *skb, int attr, const struct stats_sum *sum);
int rmap_report_map(struct sk_buff *skb, const struct record *record);
int rmap_report_state(struct sk_buff *skb, struct net *net, const void *sum);

#endif /* REDIRMAP_REPORT_H */
