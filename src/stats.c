// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters: how many frames have left, and why the others have not.
 *
 * Each CPU has its own of a port, beside the port's bulk queue (see bulkq.c),
 * and of a map, in the map's memory. It writes them with bottom halves off,
 * where frames are redirected, flushed, copied, refused. They
 * are read at any time, from netlink, bpf(2) and XDP programs: each counter is
 * right, but they are not all of the same moment.
 *
 * What has been counted outlives what it was counted for: a namespace keeps the
 * sum over its targets and maps that are no more.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "stats.h"
#include "trace.h"

/**
 * struct stats_gone - what was counted for things that are no more
 * @refs: one for each that may come to be one of them
 * @lock: protects the rest
 * @sum: over all of them
 * @devices: the part in it of devices whose targets have lost frames, the latest
 * @next: where the next device goes, over the oldest one
 */
struct stats_gone {
	refcount_t refs;
	spinlock_t lock; /* protects the rest */
	struct stats_sum sum;
	struct stats_gone_device devices[STATS_GONE_DEVICES];
	unsigned int next;
};

/**
 * stats_drop() - count frames that a device has not got
 * @stats: this CPU's counters of the device's port
 * @dev: the device, for the tracepoint
 * @reason: why
 * @packets: how many, not 0
 *
 * Context: bottom halves off.
 */
void stats_drop(struct stats_cpu *stats, const struct net_device *dev,
		enum redirmap_drop reason, u32 packets)
{
	u64_stats_add(&stats->drops[reason], packets);
	trace_redirmap_drop(dev, 0, reason, packets);
}

/**
 * stats_map_missed() - count a look-up that found no entry
 * @stats: the map's counters, one for each possible CPU
 * @map: the map, for the tracepoint
 * @action: what bpf_redirect_map() returns, an enum xdp_action up to XDP_TX
 *
 * Context: NAPI, bottom halves off; per packet where a program leaves most of
 * its packets to the stack.
 */
void stats_map_missed(struct stats_map *stats, const struct bpf_map *map,
		      u32 action)
{
	u64_stats_inc(&stats[smp_processor_id()].missed[action]);
	trace_redirmap_miss(map->id, action);
}

/**
 * stats_map_drop() - count frames of broadcasts that a map had no device for
 * @stats: the map's counters, one for each possible CPU
 * @map: the map, for the tracepoint
 * @reason: REDIRMAP_DROP_NO_MEMBER or REDIRMAP_DROP_NO_HEADROOM
 * @packets: how many, not 0
 *
 * Context: bottom halves off.
 */
void stats_map_drop(struct stats_map *stats, const struct bpf_map *map,
		    enum redirmap_drop reason, u32 packets)
{
	stats += smp_processor_id();
	u64_stats_add(reason == REDIRMAP_DROP_NO_HEADROOM ? &stats->no_headroom :
							     &stats->no_member,
		      packets);
	trace_redirmap_drop(NULL, map->id, reason, packets);
}

/**
 * stats_map_add() - add up all CPUs' counters of a map
 * @stats: the map's counters, one for each possible CPU
 * @sum: what they are added to
 *
 * Context: any; the map must not be freed meanwhile.
 */
void stats_map_add(const struct stats_map *stats, struct stats_sum *sum)
{
	u64 *drops = sum->stats.drops;
	unsigned int cpu;
	int i;

	for_each_possible_cpu(cpu) {
		for (i = 0; i < STATS_ACTIONS; i++)
			sum->missed[i] += u64_stats_read(&stats[cpu].missed[i]);
		drops[REDIRMAP_DROP_NO_MEMBER] +=
			u64_stats_read(&stats[cpu].no_member);
		drops[REDIRMAP_DROP_NO_HEADROOM] +=
			u64_stats_read(&stats[cpu].no_headroom);
	}
}

/* Counters, and an error if there was one. */
static void stats_add_one(const struct stats_cpu *stats,
			  struct redirmap_stats *sum)
{
	int i;

	sum->packets += u64_stats_read(&stats->packets);
	sum->bytes += u64_stats_read(&stats->bytes);
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		sum->drops[i] += u64_stats_read(&stats->drops[i]);
	sum->error = READ_ONCE(stats->error) ?: sum->error;
}

/**
 * stats_read() - read one CPU's counters
 * @stats: the counters
 * @out: written
 *
 * Context: any.
 */
void stats_read(const struct stats_cpu *stats, struct redirmap_stats *out)
{
	memset(out, 0, sizeof(*out));
	stats_add_one(stats, out);
}

/**
 * stats_add() - add up all CPUs' counters
 * @stats: the counters
 * @sum: what they are added to
 *
 * Context: any.
 */
void stats_add(const struct stats_cpu __percpu *stats,
	       struct redirmap_stats *sum)
{
	unsigned int cpu;

	/* A 64-bit counter is read at once: nothing to synchronize. */
	BUILD_BUG_ON(BITS_PER_LONG != 64);
	BUILD_BUG_ON(REDIRMAP_DROP_COUNT > REDIRMAP_DROP_ROOM);

	for_each_possible_cpu(cpu)
		stats_add_one(per_cpu_ptr(stats, cpu), sum);
}

/**
 * stats_gone_alloc() - make sums that begin with nothing
 *
 * Context: process context, sleeps.
 * Return: the sums with one reference, or NULL without memory.
 */
struct stats_gone *stats_gone_alloc(void)
{
	struct stats_gone *gone = kzalloc(sizeof(*gone), GFP_KERNEL);

	if (!gone)
		return NULL;
	refcount_set(&gone->refs, 1);
	spin_lock_init(&gone->lock);
	return gone;
}

/**
 * stats_gone_get() - take a reference
 * @gone: the sums
 *
 * Context: any; the caller knows of a reference that stays meanwhile.
 * Return: @gone
 */
struct stats_gone *stats_gone_get(struct stats_gone *gone)
{
	refcount_inc(&gone->refs);
	return gone;
}

/**
 * stats_gone_put() - drop a reference
 * @gone: the sums
 *
 * Context: any.
 */
void stats_gone_put(struct stats_gone *gone)
{
	if (refcount_dec_and_test(&gone->refs))
		kfree(gone);
}

/* Counters, and which error was the last one. */
static void stats_accumulate(struct redirmap_stats *sum,
			     const struct redirmap_stats *stats)
{
	int i;

	sum->packets += stats->packets;
	sum->bytes += stats->bytes;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		sum->drops[i] += stats->drops[i];
	sum->error = stats->error ?: sum->error;
}

static void stats_accumulate_sum(struct stats_sum *to,
				 const struct stats_sum *from)
{
	int i;

	stats_accumulate(&to->stats, &from->stats);
	for (i = 0; i < STATS_ACTIONS; i++)
		to->missed[i] += from->missed[i];
}

/**
 * stats_gone_add() - keep what was counted for something that goes
 * @gone: the sums
 * @sum: its counters, in which nobody counts any more
 *
 * Context: process context.
 */
void stats_gone_add(struct stats_gone *gone, const struct stats_sum *sum)
{
	spin_lock(&gone->lock);
	stats_accumulate_sum(&gone->sum, sum);
	spin_unlock(&gone->lock);
}

static bool stats_lost_any(const struct redirmap_stats *stats)
{
	return memchr_inv(stats->drops, 0, sizeof(stats->drops));
}

/* The record of a device, if need be in the place of the oldest one. */
static struct stats_gone_device *stats_gone_device(struct stats_gone *gone,
						   u32 ifindex,
						   const char *ifname)
{
	struct stats_gone_device *device;
	int i;

	lockdep_assert_held(&gone->lock);

	for (i = 0; i < STATS_GONE_DEVICES; i++) {
		device = &gone->devices[i];
		if (device->ifindex == ifindex &&
		    !strcmp(device->ifname, ifname))
			return device;
	}
	device = &gone->devices[gone->next++ % STATS_GONE_DEVICES];
	memset(device, 0, sizeof(*device));
	device->ifindex = ifindex;
	strscpy(device->ifname, ifname, sizeof(device->ifname));
	return device;
}

/**
 * stats_gone_add_target() - keep what was counted for a target that goes
 * @gone: the sums
 * @stats: its counters, in which nobody counts any more
 * @ifindex: of its device
 * @ifname: of its device, as it was last called
 *
 * If it has lost frames, under the name of its device, too: so user space can
 * name a device that is no more.
 *
 * Context: process context.
 */
void stats_gone_add_target(struct stats_gone *gone,
			   const struct redirmap_stats *stats, u32 ifindex,
			   const char *ifname)
{
	struct stats_gone_device *device;

	spin_lock(&gone->lock);
	stats_accumulate(&gone->sum.stats, stats);
	if (stats_lost_any(stats)) {
		device = stats_gone_device(gone, ifindex, ifname);
		stats_accumulate(&device->stats, stats);
	}
	spin_unlock(&gone->lock);
}

/**
 * stats_gone_read_device() - read what was counted for a device's former targets
 * @gone: the sums
 * @i: from 0 on
 * @device: written
 *
 * Context: process context.
 * Return: false when there is no more of them.
 */
bool stats_gone_read_device(struct stats_gone *gone, unsigned int i,
			    struct stats_gone_device *device)
{
	if (i >= STATS_GONE_DEVICES)
		return false;
	spin_lock(&gone->lock);
	*device = gone->devices[i];
	spin_unlock(&gone->lock);
	return device->ifindex;
}

/**
 * stats_gone_read() - read what was counted for things that are no more
 * @gone: the sums
 * @sum: what they are added to
 *
 * Context: process context.
 */
void stats_gone_read(struct stats_gone *gone, struct stats_sum *sum)
{
	spin_lock(&gone->lock);
	stats_accumulate_sum(sum, &gone->sum);
	spin_unlock(&gone->lock);
}
