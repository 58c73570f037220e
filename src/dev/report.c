// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink reports about device maps: their targets, the attributes that only
 * this family of maps has, and the sums over a namespace's removed maps and
 * targets. report_sum.c writes counters.
 *
 * This file owns the requests about targets. A requester sees the targets of
 * its own network namespace, or, with all-netns, of all namespaces. A dump
 * resumes at a target's id.
 *
 * All of this runs in the process context of the requester, in parallel for
 * several requesters: see netlink_answer.c.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#include "copy_ring.h"
#include "holder.h"
#include "map.h"
#include "netlink_answer.h"
#include "record.h"
#include "report.h"
#include "stats.h"
#include "stats_net.h"
#include "target_table.h"

/* The attributes that a request may have; others are refused. */
static const struct nla_policy target_policy[REDIRMAP_A_TARGET_ALL_NETNS + 1] = {
	[REDIRMAP_A_TARGET_ID] = { .type = NLA_U32 },
	[REDIRMAP_A_TARGET_ALL_NETNS] =
		NLA_POLICY_VALIDATE_FN(NLA_FLAG, rmap_nl_check_all_netns),
};

static bool report_sees_target(const struct net *net, bool all,
			       const struct target_info *target)
{
	return all || target->net == net;
}

static int report_put_target(struct sk_buff *skb, const struct target_info *target)
{
	if (nla_put_u32(skb, REDIRMAP_A_TARGET_ID, target->id) ||
	    nla_put_u32(skb, REDIRMAP_A_TARGET_IFINDEX, target->ifindex) ||
	    nla_put_string(skb, REDIRMAP_A_TARGET_IFNAME, target->ifname) ||
	    (target->prog_id &&
	     nla_put_u32(skb, REDIRMAP_A_TARGET_PROG_ID, target->prog_id)) ||
	    nla_put_u32(skb, REDIRMAP_A_TARGET_REFS, target->refs) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_TARGET_NETNS, target->netns_ino,
			      REDIRMAP_A_TARGET_PAD) ||
	    (target->own && nla_put_flag(skb, REDIRMAP_A_TARGET_ENTRY)) ||
	    nla_put_u32(skb, REDIRMAP_A_TARGET_PACKETS, target->packets))
		return -EMSGSIZE;
	return rmap_report_sum(skb, REDIRMAP_A_TARGET_STATS, &target->sum);
}

/* Find the target with an id, if the requester may see it. */
static bool report_find_target(const struct net *net, bool all, u32 id,
			       struct target_info *target)
{
	unsigned long at = id;

	return rmap_target_next_info(&at, target) && target->id == id &&
	       report_sees_target(net, all, target);
}

static int report_target_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *id = info->attrs[REDIRMAP_A_TARGET_ID];
	struct target_info target;
	struct sk_buff *msg;
	void *hdr;
	bool all;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, REDIRMAP_A_TARGET_ID)) {
		GENL_SET_ERR_MSG(info, "A request for one target needs its id");
		return -EINVAL;
	}
	msg = rmap_nl_answer_scoped(skb, info, REDIRMAP_A_TARGET_ALL_NETNS,
				    &all, &hdr);
	if (IS_ERR(msg))
		return PTR_ERR(msg);

	err = -ENOENT;
	if (report_find_target(genl_info_net(info), all, nla_get_u32(id), &target))
		err = report_put_target(msg, &target);
	else
		NL_SET_ERR_MSG_ATTR(info->extack, id,
				    "No target has this id, or its network namespace is another one");
	return rmap_nl_reply(msg, info, hdr, err);
}

static int report_target_start(struct netlink_callback *cb)
{
	return rmap_nl_dump_start(cb, REDIRMAP_A_TARGET_ID,
				  REDIRMAP_A_TARGET_ALL_NETNS);
}

static bool report_dump_target(struct sk_buff *skb, struct netlink_callback *cb,
			       const struct target_info *target)
{
	void *hdr = rmap_nl_dump_put(skb, cb, REDIRMAP_CMD_TARGET_GET);

	return hdr && rmap_nl_dump_end(skb, cb, hdr,
				       report_put_target(skb, target));
}

static bool report_next_target(struct netlink_callback *cb, unsigned long *id,
			       struct target_info *target)
{
	cb->seq = rmap_target_generation();
	return rmap_target_next_info(id, target);
}

static int report_target_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nl_walk *walk = (void *)cb->ctx;
	const struct net *net = sock_net(skb->sk);
	unsigned long id = walk->next;
	struct target_info target;
	bool full = false;

	while (!full && report_next_target(cb, &id, &target)) {
		full = report_sees_target(net, walk->all, &target) &&
		       !report_dump_target(skb, cb, &target);
		if (!full)
			walk->next = ++id;
		/* Targets of other namespaces do not fill the buffer. */
		cond_resched();
	}
	return rmap_nl_dump_result(skb, full);
}

const struct genl_ops rmap_report_requests[] = {
	{
		.cmd = REDIRMAP_CMD_TARGET_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = target_policy,
		.maxattr = ARRAY_SIZE(target_policy) - 1,
		.doit = report_target_get,
		.start = report_target_start,
		.dumpit = report_target_dump,
	},
	{}
};

/**
 * rmap_report_map() - put the attributes of a device map into a message
 * @skb: a message that has been begun
 * @record: the map's record
 *
 * Context: inside an RCU read section, which keeps the map.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_report_map(struct sk_buff *skb, const struct record *record)
{
	struct redir_map *rmap = to_redir_map(record->map);
	struct stats_sum sum = {};
	u32 used, elsewhere;

	rmap_stats_map_add(record->counters, &sum);
	/* A running update counts an entry twice, so limit the number. */
	used = min_t(u64,
		     rmap_holder_count_uses(&rmap->holder, record->netns_cookie,
					    &elsewhere),
		     record->map->max_entries);
	if (nla_put_u32(skb, REDIRMAP_A_MAP_USED, used) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_MEMBERS,
			READ_ONCE(rmap->holder.count)) ||
	    (elsewhere &&
	     nla_put_u32(skb, REDIRMAP_A_MAP_ELSEWHERE, elsewhere)) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_PACKETS, rmap->packets))
		return -EMSGSIZE;
	return rmap_report_sum(skb, REDIRMAP_A_MAP_STATS, &sum);
}

static int report_put_gone_device(struct sk_buff *skb,
				  const struct stats_gone_device *device)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_GONE_DEVICE);

	if (!nest ||
	    nla_put_u32(skb, REDIRMAP_A_GONE_IFINDEX, device->ifindex) ||
	    nla_put_string(skb, REDIRMAP_A_GONE_IFNAME, device->ifname) ||
	    rmap_report_sum(skb, REDIRMAP_A_GONE_STATS, &device->sum))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int report_put_kept(struct sk_buff *skb, const struct stats_kept *kept)
{
	unsigned int i;

	if (rmap_report_sum(skb, REDIRMAP_A_STATE_GONE, &kept->sum))
		return -EMSGSIZE;
	for (i = 0; i < STATS_GONE_DEVICES && kept->devices[i].ifindex; i++)
		if (report_put_gone_device(skb, &kept->devices[i]))
			return -EMSGSIZE;
	return 0;
}

/**
 * rmap_report_state() - put the state of the device maps' family into a message
 * @skb: a message that has been begun
 * @net: the requester's network namespace
 * @sum: the namespace's sums over removed maps and targets, a struct stats_kept
 *
 * Context: process context.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_report_state(struct sk_buff *skb, struct net *net, const void *sum)
{
	struct stats_sum lost = {};

	rmap_stats_net_lost(net, &lost);
	if (report_put_kept(skb, sum) ||
	    rmap_report_sum(skb, REDIRMAP_A_STATE_LOST, &lost) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_STATE_COPY_MEMORY,
			      rmap_copy_ring_memory(), REDIRMAP_A_STATE_PAD))
		return -EMSGSIZE;
	return 0;
}
