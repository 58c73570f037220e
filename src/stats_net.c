// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of network namespaces: of what is no map's and no target's.
 *
 * Owns, for each namespace, the sums over its maps and targets that are gone,
 * and the number of frames whose program returned XDP_REDIRECT with nothing to
 * redirect to. The former are kept by reference, since a map may outlive the
 * namespace that it was created in.
 *
 * Frames are counted in NAPI, bottom halves off; sums are added to in work items
 * and read in process context, under their own lock.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "gone.h"
#include "stamp.h"
#include "stats.h"
#include "stats_net.h"
#include "trace.h"

/**
 * struct stats_net - the counters of a network namespace
 * @gone: of its maps and targets that are gone
 * @no_target: frames that were redirected to nothing; a program's fault, so one
 *	counter for all CPUs
 * @last_no_target: when the last one was: see stamp_now()
 */
struct stats_net {
	struct gone *gone;
	atomic64_t no_target;
	u32 last_no_target;
};

static unsigned int stats_net_id;

static struct stats_net *stats_net_of(const struct net *net)
{
	return net_generic(net, stats_net_id);
}

/**
 * rmap_stats_net_gone_get() - the sums that keep counters of a namespace
 * @net: the namespace
 *
 * Context: any; the namespace must not go meanwhile.
 * Return: the sums, with a reference.
 */
struct gone *rmap_stats_net_gone_get(const struct net *net)
{
	return rmap_gone_get(stats_net_of(net)->gone);
}

/**
 * rmap_stats_net_gone() - read the sums over maps and targets that are gone
 * @net: the namespace
 * @kept: written
 *
 * Context: process context; the namespace must not go meanwhile.
 * Return: how many maps and targets are gone.
 */
u64 rmap_stats_net_gone(const struct net *net, struct stats_kept *kept)
{
	return rmap_gone_read(stats_net_of(net)->gone, kept);
}

/**
 * rmap_stats_net_no_target() - count a frame that was redirected to nothing
 * @dev: the device that it came from
 *
 * Context: NAPI, bottom halves off.
 */
void rmap_stats_net_no_target(const struct net_device *dev)
{
	struct stats_net *counters = stats_net_of(dev_net(dev));

	WRITE_ONCE(counters->last_no_target, stamp_now());
	atomic64_inc(&counters->no_target);
	trace_redirmap_drop(dev, 0, REDIRMAP_DROP_NO_TARGET, 1);
}

/**
 * rmap_stats_net_lost() - read what a namespace lost that no map or target
 * counts
 * @net: the namespace
 * @sum: zeroed; gets the counters
 *
 * Context: any; the namespace must not go meanwhile.
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

static int __net_init stats_net_enter(struct net *net)
{
	struct stats_net *counters = stats_net_of(net);
	gfp_t gfp = GFP_KERNEL;

	/* Who loads the module has made none of the namespaces that are there. */
	if (THIS_MODULE->state == MODULE_STATE_LIVE)
		gfp |= __GFP_ACCOUNT;
	counters->gone = rmap_gone_alloc(sizeof(struct stats_kept), gfp);
	return counters->gone ? 0 : -ENOMEM;
}

static void __net_exit stats_net_leave(struct net *net)
{
	rmap_gone_put(stats_net_of(net)->gone);
}

static struct pernet_operations stats_net_ops = {
	.init = stats_net_enter,
	.exit = stats_net_leave,
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
 * rmap_stats_net_exit() - free them
 *
 * Context: rmmod, sleeps, with no map, no target and no probe left.
 */
void rmap_stats_net_exit(void)
{
	unregister_pernet_subsys(&stats_net_ops);
}
