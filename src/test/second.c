// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second family, for the suite alone: cpumaps, which the kernel allocates, and
 * whose redirects that find no entry are counted.
 *
 * Shows that the core knows no family: it is in a build of the module with
 * REDIRMAP_TEST_SECOND=y, and nothing else is another one. See
 * core_second_family.py.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kernel.h>

#include "compat.h"
#include "kind.h"
#include "netlink_answer.h"
#include "record.h"
#include "stats.h"

static struct kind second_kinds[1];

/* Runs in NAPI, bottom halves off, per packet. */
static map_ret_t second_redirect(struct bpf_map *map, redirect_key_t key,
				 u64 flags)
{
	map_ret_t verdict = second_kinds[0].stock->map_redirect(map, key, flags);

	if (verdict != XDP_REDIRECT)
		rmap_stats_map_missed(rmap_record_find(map)->counters, map,
				      verdict);
	return verdict;
}

static void second_set_ops(struct bpf_map_ops *ops)
{
	ops->map_redirect = second_redirect;
}

static u64 second_memory(const struct bpf_map *map)
{
	return map->max_entries * sizeof(void *);
}

static struct kind second_kinds[] = {
	{
		.type = BPF_MAP_TYPE_CPUMAP,
		.set_ops = second_set_ops,
		.memory = second_memory,
	},
};

/* What device maps have counted is told before, by the same attribute. */
static int second_report(struct sk_buff *skb, struct net *net, const void *sum)
{
	const struct stats_kept *kept = sum;

	return rmap_nl_put_sum(skb, REDIRMAP_A_STATE_GONE, &kept->sum);
}

const struct family rmap_second_family = {
	.kinds = second_kinds,
	.n_kinds = ARRAY_SIZE(second_kinds),
	.sum_size = sizeof(struct stats_kept),
	.report = second_report,
};
