// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink attributes for counters: of maps, targets, namespaces, and of removed
 * maps and targets.
 *
 * This file owns no data. report.c calls it, in any context. All functions
 * return 0, or -EMSGSIZE, on which the caller cancels the message.
 */
#include <net/netlink.h>
#include <uapi/linux/redirmap.h>

#include "report.h"
#include "stamp.h"
#include "stats.h"

static int report_put_drop(struct sk_buff *skb, u32 reason,
			   const struct stats_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATS_DROP);
	u64 packets = sum->stats.drops[reason], unsegmented = 0;

	/* A CPU may count a packet between the reading of both counters. */
	if (reason == REDIRMAP_DROP_TOO_LARGE)
		unsegmented = min(sum->unsegmented, packets);
	if (!nest || nla_put_u32(skb, REDIRMAP_A_DROP_REASON, reason) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_PACKETS,
			      packets, REDIRMAP_A_DROP_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_AGE,
			      stamp_age(sum->last[reason]),
			      REDIRMAP_A_DROP_PAD))
		return -EMSGSIZE;
	if (unsegmented &&
	    nla_put_u64_64bit(skb, REDIRMAP_A_DROP_UNSEGMENTED, unsegmented,
			      REDIRMAP_A_DROP_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int report_put_miss(struct sk_buff *skb, u32 action,
			   const struct stats_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATS_MISSED);

	if (!nest || nla_put_u32(skb, REDIRMAP_A_MISS_ACTION, action) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MISS_LOOKUPS,
			      sum->missed[action], REDIRMAP_A_MISS_PAD))
		return -EMSGSIZE;
	if (action < STATS_LOSSES &&
	    nla_put_u64_64bit(skb, REDIRMAP_A_MISS_AGE,
			      stamp_age(sum->last_missed[action]),
			      REDIRMAP_A_MISS_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * rmap_report_sum() - put counters into a message
 * @skb: a message that has been begun
 * @attr: number of the attribute that the counters are nested in
 * @sum: the counters
 *
 * Context: any.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_report_sum(struct sk_buff *skb, int attr, const struct stats_sum *sum)
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
	if (sum->as_packets &&
	    nla_put_u64_64bit(skb, REDIRMAP_A_STATS_AS_PACKETS, sum->as_packets,
			      REDIRMAP_A_STATS_PAD))
		return -EMSGSIZE;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		if (stats->drops[i] && report_put_drop(skb, i, sum))
			return -EMSGSIZE;
	if (stats->error &&
	    nla_put_u32(skb, REDIRMAP_A_STATS_ERROR, stats->error))
		return -EMSGSIZE;
	for (i = 0; i < STATS_ACTIONS; i++)
		if (sum->missed[i] && report_put_miss(skb, i, sum))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}
