// SPDX-License-Identifier: GPL-2.0-only
/*
 * What messages of the generic netlink family consist of.
 *
 * Owns the way from what the module knows to attributes; what is told of, the
 * parts are asked for that own it. Who asks, and what of, is netlink.c's.
 *
 * All nl_put_*() return 0, or an error, mostly -EMSGSIZE: then who calls cancels the
 * message.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <uapi/linux/redirmap.h>

#include "copy.h"
#include "hook.h"
#include "layout.h"
#include "map.h"
#include "netlink_msg.h"
#include "policy.h"
#include "registry.h"
#include "stats.h"
#include "stats_net.h"
#include "target.h"

static int nl_put_drop(struct sk_buff *skb, u32 reason,
		       const struct stats_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATS_DROP);
	u64 packets = sum->stats.drops[reason], unsegmented = 0;

	/* A CPU may have counted one more as the latter after the former was read. */
	if (reason == REDIRMAP_DROP_TOO_LARGE)
		unsegmented = min(sum->unsegmented, packets);
	if (!nest || nla_put_u32(skb, REDIRMAP_A_DROP_REASON, reason) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_PACKETS,
			      packets, REDIRMAP_A_DROP_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_AGE,
			      stats_age(sum->last[reason]),
			      REDIRMAP_A_DROP_PAD))
		return -EMSGSIZE;
	if (unsegmented &&
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_UNSEGMENTED, unsegmented,
			      REDIRMAP_A_DROP_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_miss(struct sk_buff *skb, u32 action,
		       const struct stats_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATS_MISSED);

	if (!nest || nla_put_u32(skb, REDIRMAP_A_MISS_ACTION, action) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MISS_LOOKUPS,
			      sum->missed[action], REDIRMAP_A_MISS_PAD))
		return -EMSGSIZE;
	if (action < STATS_LOSSES &&
	    nla_put_u64_64bit(skb, REDIRMAP_A_MISS_AGE,
			      stats_age(sum->last_missed[action]),
			      REDIRMAP_A_MISS_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_sum(struct sk_buff *skb, int attr,
		      const struct stats_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, attr);
	const struct redirmap_stats *stats = &sum->stats;
	int i;

	if (!nest ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_STATS_PACKETS, stats->packets,
			      REDIRMAP_A_STATS_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_STATS_BYTES, stats->bytes,
			      REDIRMAP_A_STATS_PAD))
		return -EMSGSIZE;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		if (stats->drops[i] && nl_put_drop(skb, i, sum))
			return -EMSGSIZE;
	if (stats->error &&
	    nla_put_u32(skb, REDIRMAP_A_STATS_ERROR, stats->error))
		return -EMSGSIZE;
	for (i = 0; i < STATS_ACTIONS; i++)
		if (sum->missed[i] && nl_put_miss(skb, i, sum))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * nl_put_map() - tell of a map
 * @skb: a message that has been begun
 * @rmap: the map
 * @id: its id, which the map loses when it is closed
 *
 * Context: inside an RCU read section, which keeps the map.
 * Return: 0 or -EMSGSIZE.
 */
int nl_put_map(struct sk_buff *skb, struct redir_map *rmap, u32 id)
{
	const struct bpf_map *map = &rmap->dtab.map;
	struct stats_sum sum = {};
	u32 used, elsewhere;

	/* Updates under way are counted twice, but no map has more than it can. */
	used = min_t(u64, holder_used(&rmap->holder, rmap->netns_cookie,
				      &elsewhere),
		     map->max_entries);
	map_stats(rmap, &sum);
	if (nla_put_u32(skb, REDIRMAP_A_MAP_ID, id) ||
	    nla_put_string(skb, REDIRMAP_A_MAP_NAME, map->name) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_TYPE, map->map_type) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_VALUE_SIZE, map->value_size) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_CAPACITY, map->max_entries) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_USED, used) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_MEMBERS,
			READ_ONCE(rmap->holder.count)) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MAP_NETNS, rmap->netns_ino,
			      REDIRMAP_A_MAP_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MAP_MEMORY, rmap->memory(map),
			      REDIRMAP_A_MAP_PAD) ||
	    (elsewhere &&
	     nla_put_u32(skb, REDIRMAP_A_MAP_ELSEWHERE, elsewhere)))
		return -EMSGSIZE;
	return nl_put_sum(skb, REDIRMAP_A_MAP_STATS, &sum);
}

/**
 * nl_put_target() - tell of a target
 * @skb: a message that has been begun
 * @target: what is known of it
 *
 * Context: process context.
 * Return: 0 or -EMSGSIZE.
 */
int nl_put_target(struct sk_buff *skb, const struct target_info *target)
{
	if (nla_put_u32(skb, REDIRMAP_A_TARGET_ID, target->id) ||
	    nla_put_u32(skb, REDIRMAP_A_TARGET_IFINDEX, target->ifindex) ||
	    nla_put_string(skb, REDIRMAP_A_TARGET_IFNAME, target->ifname) ||
	    (target->prog_id &&
	     nla_put_u32(skb, REDIRMAP_A_TARGET_PROG_ID, target->prog_id)) ||
	    nla_put_u32(skb, REDIRMAP_A_TARGET_REFS, target->refs) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_TARGET_NETNS, target->netns_ino,
			      REDIRMAP_A_TARGET_PAD) ||
	    (target->own && nla_put_flag(skb, REDIRMAP_A_TARGET_ENTRY)))
		return -EMSGSIZE;
	return nl_put_sum(skb, REDIRMAP_A_TARGET_STATS, &target->sum);
}

static int nl_put_hook(struct sk_buff *skb, const struct hook_info *info)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_HOOK);

	if (!nest || nla_put_string(skb, REDIRMAP_A_HOOK_NAME, info->func) ||
	    nla_put_u32(skb, REDIRMAP_A_HOOK_KIND, info->kind))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_layout(struct sk_buff *skb, const struct layout_row *row)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_LAYOUT);

	if (!nest || nla_put_string(skb, REDIRMAP_A_LAYOUT_TYPE, row->type) ||
	    (row->member[0] &&
	     nla_put_string(skb, REDIRMAP_A_LAYOUT_MEMBER, row->member)) ||
	    nla_put_u32(skb, REDIRMAP_A_LAYOUT_WHERE, row->where))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_gone_device(struct sk_buff *skb,
			      const struct stats_gone_device *device)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_GONE_DEVICE);

	if (!nest ||
	    nla_put_u32(skb, REDIRMAP_A_GONE_IFINDEX, device->ifindex) ||
	    nla_put_string(skb, REDIRMAP_A_GONE_IFNAME, device->ifname) ||
	    nl_put_sum(skb, REDIRMAP_A_GONE_STATS, &device->sum))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_kept(struct sk_buff *skb, const struct stats_kept *kept)
{
	unsigned int i;

	if (nl_put_sum(skb, REDIRMAP_A_STATE_GONE, &kept->sum))
		return -EMSGSIZE;
	for (i = 0; i < STATS_GONE_DEVICES && kept->devices[i].ifindex; i++)
		if (nl_put_gone_device(skb, &kept->devices[i]))
			return -EMSGSIZE;
	return nla_put_u64_64bit(skb, REDIRMAP_A_STATE_GONE_COUNT, kept->count,
				 REDIRMAP_A_STATE_PAD);
}

/* All of one moment; it is too much for the stack. */
static int nl_put_gone(struct sk_buff *skb, struct net *net)
{
	struct stats_kept *kept = kmalloc(sizeof(*kept), GFP_KERNEL);
	int err;

	if (!kept)
		return -ENOMEM;
	registry_find_closed(net);
	stats_net_gone(net, kept);
	err = nl_put_kept(skb, kept);
	kfree(kept);
	return err;
}

/**
 * nl_put_state() - tell of the module
 * @skb: a message that has been begun, with room for NL_STATE_SIZE
 * @net: the namespace whose former maps and targets are told of
 *
 * Context: process context, while hooks stand; sleeps.
 * Return: 0, -EMSGSIZE or -ENOMEM.
 */
int nl_put_state(struct sk_buff *skb, struct net *net)
{
	const struct hook_info *info = NULL;
	const struct layout_row *row;
	int err;
	char claim[POLICY_TEXT_SIZE];
	struct stats_sum lost = {};
	unsigned int i = 0;

	policy_text(claim, sizeof(claim));
	if (nla_put_string(skb, REDIRMAP_A_STATE_VERSION, THIS_MODULE->version) ||
	    nla_put_string(skb, REDIRMAP_A_STATE_CLAIM, claim))
		return -EMSGSIZE;
	/* Hooks stand as long as the family does. */
	while ((info = hook_next(info)))
		if (nl_put_hook(skb, info))
			return -EMSGSIZE;
	while ((row = layout_row(i++)))
		if (nl_put_layout(skb, row))
			return -EMSGSIZE;
	err = nl_put_gone(skb, net);
	if (err)
		return err;
	stats_net_lost(net, &lost);
	if (nl_put_sum(skb, REDIRMAP_A_STATE_LOST, &lost))
		return -EMSGSIZE;
	return nla_put_u64_64bit(skb, REDIRMAP_A_STATE_COPY_MEMORY,
				 copy_memory(), REDIRMAP_A_STATE_PAD);
}
