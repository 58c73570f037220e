/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_NETLINK_ANSWER_H
#define REDIRMAP_NETLINK_ANSWER_H

#include <net/genetlink.h>

struct net;
struct record;

/* The error text of a request for a map that the requester cannot see. */
#define NL_NO_MAP \
	"No claimed map has this id, or its network namespace is another one"

/**
 * struct nl_walk - progress of a dump, in netlink_callback.ctx
 * @next: a dump of maps continues after this serial number, a dump of targets
 *	at this id
 * @all: dump the objects of all network namespaces
 */
struct nl_walk {
	u64 next;
	bool all;
};

extern struct genl_family rmap_nl_family;

int rmap_nl_check_all_netns(const struct nlattr *attr,
			    struct netlink_ext_ack *extack);
int rmap_nl_scope(struct sk_buff *skb, const struct nlattr *all_netns,
		  bool *all, struct netlink_ext_ack *extack);

bool rmap_nl_sees_map(const struct net *net, bool all,
		      const struct record *record);
struct record *rmap_nl_find_map(const struct net *net, bool all, u32 id);

struct sk_buff *rmap_nl_answer(struct genl_info *info, size_t size, void **hdr);
struct sk_buff *rmap_nl_answer_scoped(struct sk_buff *skb,
				      struct genl_info *info,
				      int all_netns, bool *all, void **hdr);
int rmap_nl_reply(struct sk_buff *msg, struct genl_info *info, void *hdr,
		  int err);

int rmap_nl_dump_start(struct netlink_callback *cb, int id, int all_netns);
void *rmap_nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb,
		       u8 cmd);
bool rmap_nl_dump_end(struct sk_buff *skb, struct netlink_callback *cb,
		      void *hdr, int err);
int rmap_nl_dump_result(const struct sk_buff *skb, bool full);

#endif /* REDIRMAP_NETLINK_ANSWER_H */
