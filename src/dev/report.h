/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_REPORT_H
#define REDIRMAP_REPORT_H

#include <net/genetlink.h>

#define REPORT_REQUESTS 1

struct net;
struct record;

extern const struct genl_ops report_requests[REPORT_REQUESTS];

int report_map(struct sk_buff *skb, const struct record *record);
int report_state(struct sk_buff *skb, struct net *net);

#endif /* REDIRMAP_REPORT_H */
