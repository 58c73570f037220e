// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second family, only for tests: cpumaps. The kernel allocates these maps,
 * and this family counts their redirects.
 *
 * This family lets the tests show that the core of the module does not depend
 * on any family: a build with REDIRMAP_TEST_SECOND=y adds this file and step.c,
 * and changes no other file. The counters of the family have another type than
 * those of device maps, and netlink reports them by attributes of the family,
 * whose numbers are far behind those of redirmap.h. See core_second_family.py.
 *
 * Parameters change the family, so that insmod has to refuse it.
 *
 * Redirects run in NAPI, bottom halves off; counters are read in process
 * context.
 */
#include <linux/bpf.h>
#include <linux/cache.h>
#include <linux/filter.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/u64_stats_sync.h>
#include <net/genetlink.h>
#include <net/netlink.h>

#include "compat.h"
#include "hook.h"
#include "kind.h"
#include "part.h"
#include "record.h"
#include "stamp.h"

/* Nest of SECOND_A_STATS_*, in answers about maps and about the state. */
#define SECOND_A_STATS 1000

/* Filler in the state: more than NL_STATE_SIZE bytes. */
#define SECOND_A_FILL 1001
#define SECOND_FILL 40000

enum {
	SECOND_A_STATS_FOUND = 1,	/* u64 */
	SECOND_A_STATS_MISSED,		/* u64 */
	SECOND_A_STATS_AGE,		/* u64, ms since the last miss */
	SECOND_A_STATS_PAD,
};

/**
 * struct second_cpu - one CPU's counters of a cpumap
 * @found: redirects that found an entry
 * @missed: redirects that found no entry
 * @last_missed: stamp of the last redirect of @missed: see stamp_now()
 */
struct second_cpu {
	u64_stats_t found;
	u64_stats_t missed;
	u32 last_missed;
} ____cacheline_aligned;

/**
 * struct second_sum - counters of cpumaps, added up
 * @found: redirects that found an entry
 * @missed: redirects that found no entry
 * @last_missed: time of the last redirect of @missed: see stamp_time(); 0 for
 *	none
 */
struct second_sum {
	u64 found;
	u64 missed;
	u64 last_missed;
};

static struct kind second_kinds[1];

/* Runs in NAPI, bottom halves off, per packet. */
static compat_map_ret_t second_redirect(struct bpf_map *map,
					compat_redirect_key_t key, u64 flags)
{
	compat_map_ret_t verdict = second_kinds[0].stock->map_redirect(map, key,
								       flags);
	struct record *record = record_find(map);
	struct second_cpu *counters;

	/* The record is not made yet, or there was no memory for it. */
	if (!record)
		return verdict;
	counters = record->counters;
	counters += smp_processor_id();
	if (verdict == XDP_REDIRECT) {
		u64_stats_inc(&counters->found);
	} else {
		WRITE_ONCE(counters->last_missed, stamp_now());
		u64_stats_inc(&counters->missed);
	}
	return verdict;
}

/* Parameters for tests: insmod has to refuse the values that they set. */

module_param_named(type, second_kinds[0].type, uint, 0444);
MODULE_PARM_DESC(type, "map type; the types of device maps are in use already");

/* More requests than netlink.c has room for, and the empty row. */
static struct genl_ops second_requests[9];
static unsigned int second_n_requests;
module_param_named(requests, second_n_requests, uint, 0444);
MODULE_PARM_DESC(requests, "number of netlink requests, up to 8");

static char *second_func = "cpu_map_alloc";
module_param_named(hook, second_func, charp, 0444);
MODULE_PARM_DESC(hook, "function of the kernel to hook");

static void *second_entered(const unsigned long *args)
{
	return NULL;
}

static struct hook second_hooks[] = {
	{ .entry = second_entered },
};

static int __init second_init(void)
{
	unsigned int i;

	for (i = 0; i < second_n_requests &&
	     i < ARRAY_SIZE(second_requests) - 1; i++)
		second_requests[i].cmd = U8_MAX;
	second_hooks[0].func = second_func;
	return 0;
}

static void second_set_ops(struct bpf_map_ops *ops)
{
	ops->map_redirect = second_redirect;
}

static u64 second_memory(const struct bpf_map *map)
{
	return map->max_entries * sizeof(void *);
}

static void second_add(const struct record *record, void *to)
{
	const struct second_cpu *counters = record->counters;
	struct second_sum *sum = to;
	unsigned int cpu;
	u64 missed;

	for_each_possible_cpu(cpu) {
		sum->found += u64_stats_read(&counters[cpu].found);
		missed = u64_stats_read(&counters[cpu].missed);
		if (!missed)
			continue;
		sum->missed += missed;
		sum->last_missed =
			max(sum->last_missed,
			    stamp_time(READ_ONCE(counters[cpu].last_missed)));
	}
}

static int second_put_sum(struct sk_buff *skb, const struct second_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, SECOND_A_STATS);

	if (!nest ||
	    nla_put_u64_64bit(skb, SECOND_A_STATS_FOUND, sum->found,
			      SECOND_A_STATS_PAD) ||
	    nla_put_u64_64bit(skb, SECOND_A_STATS_MISSED, sum->missed,
			      SECOND_A_STATS_PAD) ||
	    (sum->missed &&
	     nla_put_u64_64bit(skb, SECOND_A_STATS_AGE,
			       stamp_age(sum->last_missed),
			       SECOND_A_STATS_PAD)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int second_report_map(struct sk_buff *skb, const struct record *record)
{
	struct second_sum sum = {};

	second_add(record, &sum);
	return second_put_sum(skb, &sum);
}

static struct kind second_kinds[] = {
	{
		.type = BPF_MAP_TYPE_CPUMAP,
		.set_ops = second_set_ops,
		.memory = second_memory,
		.counters = sizeof(struct second_cpu),
		.add = second_add,
		.report = second_report_map,
	},
};

static int second_report(struct sk_buff *skb, struct net *net, const void *sum)
{
	struct nlattr *fill = nla_reserve(skb, SECOND_A_FILL, SECOND_FILL);

	if (!fill)
		return -EMSGSIZE;
	memset(nla_data(fill), 0, SECOND_FILL);
	return second_put_sum(skb, sum);
}

static const struct part second_parts[] __refconst = {
	{ second_init, NULL },
};

const struct family rmap_second_family = {
	.parts = second_parts,
	.n_parts = ARRAY_SIZE(second_parts),
	.kinds = second_kinds,
	.n_kinds = ARRAY_SIZE(second_kinds),
	.hooks = second_hooks,
	.n_hooks = ARRAY_SIZE(second_hooks),
	.requests = second_requests,
	.sum_size = sizeof(struct second_sum),
	.report = second_report,
};
