/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_REPORT_H
#define REDIRMAP_SOCK_REPORT_H

struct net;
struct record;
struct sk_buff;

int rmap_sock_report_map(struct sk_buff *skb, const struct record *record);
int rmap_sock_report_state(struct sk_buff *skb, struct net *net,
			   const void *sum);

#endif /* REDIRMAP_SOCK_REPORT_H */
