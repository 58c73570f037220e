// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of network namespaces, for frames that had no map and no target.
 *
 * This file owns, for each namespace, the number of frames whose program
 * returned XDP_REDIRECT with nothing to redirect to. The counter is written in
 * NAPI, bottom halves off, and read in process context; it is atomic, so it
 * needs no lock.
 */
#include <linux/netdevice.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "dev_trace.h"
#include "stamp.h"
#include "stats.h"
#include "stats_net.h"

/**
 * struct stats_net - the counters of a network namespace
 * @no_target: frames that were redirected to nothing; one counter for all CPUs,
 *	because only a faulty program causes them
 * @last_no_target: stamp of the last one: see stamp_now()
 */
struct stats_net {
	atomic64_t no_target;
	u32 last_no_target;
};

static unsigned int stats_net_id;

static struct stats_net *stats_net_of(const struct net *net)
{
	return net_generic(net, stats_net_id);
}

/**
 * rmap_stats_net_no_target() - count a frame that was redirected to nothing
 * @dev: the ingress
 *
 * Runs in NAPI, bottom halves off, per such frame.
 */
void rmap_stats_net_no_target(const struct net_device *dev)
{
	struct stats_net *counters = stats_net_of(dev_net(dev));

	WRITE_ONCE(counters->last_no_target, stamp_now());
	atomic64_inc(&counters->no_target);
	trace_redirmap_drop(dev, 0, REDIRMAP_DROP_NO_TARGET, 1);
}

/**
 * rmap_stats_net_lost() - read the counters of a namespace
 * @net: the namespace
 * @sum: a zeroed sum, which gets the counters
 *
 * Context: any; the caller keeps the namespace.
 */
void rmap_stats_net_lost(const struct net *net, struct stats_sum *sum)
{
	struct stats_net *counters = stats_net_of(net);
	u64 lost = atomic64_read(&counters->no_target);

	if (!lost)
		return;
	sum->stats.drops[REDIRMAP_DROP_NO_TARGET] = lost;
	sum->last[REDIRMAP_DROP_NO_TARGET] =
		stamp_time(READ_ONCE(counters->last_no_target));
}

/* The kernel allocates, zeroes and frees a struct stats_net per namespace. */
static struct pernet_operations stats_net_ops = {
	.id = &stats_net_id,
	.size = sizeof(struct stats_net),
};

/**
 * rmap_stats_net_init() - make the counters of all namespaces
 *
 * Context: insmod, sleeps.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_stats_net_init(void)
{
	return register_pernet_subsys(&stats_net_ops);
}

/**
 * rmap_stats_net_exit() - free the counters of all namespaces
 *
 * Context: rmmod, sleeps; no probe is left.
 */
void rmap_stats_net_exit(void)
{
	unregister_pernet_subsys(&stats_net_ops);
}
