/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_NETLINK_MSG_H
#define REDIRMAP_NETLINK_MSG_H

#include <linux/sizes.h>
#include <linux/types.h>

struct net;
struct record;
struct sk_buff;

/*
 * First size of a message with the state: the policies, the hooks, a row for
 * each member of the private layouts, and the former devices. The size is
 * doubled until the families' reports fit, up to the size of readers' buffers.
 */
#define NL_STATE_SIZE SZ_16K
#define NL_STATE_MAX SZ_64K

int rmap_nl_put_map(struct sk_buff *skb, const struct record *record, u32 id);
int rmap_nl_put_state(struct sk_buff *skb, struct net *net);

#endif /* REDIRMAP_NETLINK_MSG_H */
