// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of network namespaces: of what is no map's and no target's.
 *
 * Owns, for each namespace, the number of frames whose program returned
 * XDP_REDIRECT with nothing to redirect to. They are counted in NAPI, bottom halves
 * off, and read in process context.
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
 * @no_target: frames that were redirected to nothing; a program's fault, so one
 *	counter for all CPUs
 * @last_no_target: when the last one was: see stamp_now()
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

/* The kernel zeroes them for each namespace, and frees them. */
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
 * rmap_stats_net_exit() - free them
 *
 * Context: rmmod, sleeps, with no probe left.
 */
void rmap_stats_net_exit(void)
{
	unregister_pernet_subsys(&stats_net_ops);
}
