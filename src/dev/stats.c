// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of frames: those that were sent, and those that were lost, by
 * reason.
 *
 * Each CPU has its own counters of a port, beside the port's bulk queue (see
 * bulkq.c), and of a map, in the map's memory. The CPU writes them with bottom
 * halves off, where frames are redirected, flushed, copied or refused, so they
 * need no lock. (Where tasks preempt each other there, no count is lost either,
 * because one instruction of the CPU increments a counter.) netlink, bpf(2) and
 * XDP programs read them at any time: each counter is right, but not all are of
 * the same moment. stats_gone.c adds up the counters of removed maps and
 * targets.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/preempt.h>

#include "dev_trace.h"
#include "stamp.h"
#include "stats.h"

/**
 * rmap_stats_drop() - count frames that a port has lost
 * @stats: this CPU's counters of the port
 * @dev: the real device, for the tracepoint
 * @reason: why
 * @packets: number of frames, not 0
 *
 * Context: bottom halves off.
 */
void rmap_stats_drop(struct stats_cpu *stats, const struct net_device *dev,
		     enum redirmap_drop reason, u32 packets)
{
	unsigned int slot = stats_slot(reason);

	WRITE_ONCE(stats->last[slot], stamp_now());
	u64_stats_add(&stats->drops[slot], packets);
	trace_redirmap_drop(dev, 0, reason, packets);
}

/**
 * rmap_stats_unsegmented() - count packets that are probably not segmented yet
 * @stats: this CPU's counters of a port; the caller also counts the packets as
 *	too large
 * @packets: number of packets
 *
 * Context: bottom halves off.
 */
void rmap_stats_unsegmented(struct stats_cpu *stats, u32 packets)
{
	u32 most;

	/* The sum is more than one instruction. */
	preempt_disable();
	most = U32_MAX - stats->unsegmented;
	WRITE_ONCE(stats->unsegmented,
		   stats->unsegmented + min(packets, most));
	preempt_enable();
}

/**
 * rmap_stats_map_missed() - count a lookup that found no entry
 * @stats: the map's counters, for each possible CPU
 * @map: the map, for the tracepoint
 * @action: the action that bpf_redirect_map() returns, up to XDP_TX
 *
 * Runs in NAPI, bottom halves off, per packet without an entry. A program may
 * pass most of its packets to the stack in this way.
 */
void rmap_stats_map_missed(struct stats_map *stats, const struct bpf_map *map,
			   u32 action)
{
	stats += smp_processor_id();
	/* XDP_PASS may be the action of most packets, so it has no stamp. */
	if (action < STATS_LOSSES)
		WRITE_ONCE(stats->last_missed[action], stamp_now());
	u64_stats_inc(&stats->missed[action]);
	trace_redirmap_miss(map->id, action);
}

/**
 * rmap_stats_map_drop() - count broadcast frames that no target counts
 * @stats: the map's counters, for each possible CPU
 * @map: the map, for the tracepoint
 * @reason: REDIRMAP_DROP_NO_MEMBER or REDIRMAP_DROP_NO_HEADROOM
 * @packets: number of frames, not 0
 *
 * Context: bottom halves off.
 */
void rmap_stats_map_drop(struct stats_map *stats, const struct bpf_map *map,
			 enum redirmap_drop reason, u32 packets)
{
	u32 now = stamp_now();

	stats += smp_processor_id();
	if (reason == REDIRMAP_DROP_NO_HEADROOM) {
		WRITE_ONCE(stats->last_no_headroom, now);
		u64_stats_add(&stats->no_headroom, packets);
	} else {
		WRITE_ONCE(stats->last_no_member, now);
		u64_stats_add(&stats->no_member, packets);
	}
	trace_redirmap_drop(NULL, map->id, reason, packets);
}

/* Add frames that were lost for a reason, and the stamp of the last one. */
static void stats_add_drops(struct stats_sum *sum, enum redirmap_drop reason,
			    u64 packets, u32 last)
{
	if (!packets)
		return;
	sum->stats.drops[reason] += packets;
	sum->last[reason] = max(sum->last[reason], stamp_time(last));
}

static void stats_add_misses(const struct stats_map *one, struct stats_sum *sum)
{
	u64 lookups;
	int i;

	for (i = 0; i < STATS_ACTIONS; i++) {
		lookups = u64_stats_read(&one->missed[i]);
		sum->missed[i] += lookups;
		if (lookups && i < STATS_LOSSES)
			sum->last_missed[i] =
				max(sum->last_missed[i],
				    stamp_time(READ_ONCE(one->last_missed[i])));
	}
}

/**
 * rmap_stats_map_add() - add up all CPUs' counters of a map
 * @stats: the map's counters, for each possible CPU
 * @sum: the sum to add the counters to
 *
 * Context: any; the caller keeps the map.
 */
void rmap_stats_map_add(const struct stats_map *stats, struct stats_sum *sum)
{
	const struct stats_map *one;
	unsigned int cpu;
	u64 packets;

	for_each_possible_cpu(cpu) {
		one = &stats[cpu];
		stats_add_misses(one, sum);
		/* Writers write the stamp before the count. */
		packets = u64_stats_read(&one->no_member);
		stats_add_drops(sum, REDIRMAP_DROP_NO_MEMBER, packets,
				READ_ONCE(one->last_no_member));
		packets = u64_stats_read(&one->no_headroom);
		stats_add_drops(sum, REDIRMAP_DROP_NO_HEADROOM, packets,
				READ_ONCE(one->last_no_headroom));
	}
}

/* Keep the later one of two errors; call this before adding the drops. */
static void stats_add_error(struct stats_sum *sum, u32 error, u64 time)
{
	if (error && time >= sum->last[REDIRMAP_DROP_DRIVER_ERROR])
		sum->stats.error = error;
}

static void stats_add_one(const struct stats_cpu *stats, struct stats_sum *sum)
{
	u32 last = READ_ONCE(stats->last[stats_slot(REDIRMAP_DROP_DRIVER_ERROR)]);
	u64 packets;
	int i;

	sum->stats.packets += u64_stats_read(&stats->packets);
	sum->stats.bytes += u64_stats_read(&stats->bytes);
	sum->as_packets += u64_stats_read(&stats->as_packets);
	stats_add_error(sum, READ_ONCE(stats->error), stamp_time(last));
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++) {
		if (!stats_has_slot(i))
			continue;
		packets = u64_stats_read(&stats->drops[stats_slot(i)]);
		stats_add_drops(sum, i, packets,
				READ_ONCE(stats->last[stats_slot(i)]));
	}
	sum->unsegmented += READ_ONCE(stats->unsegmented);
}

/**
 * rmap_stats_read() - read one CPU's counters
 * @stats: the counters
 * @out: gets the counters; the error becomes 0
 *
 * Context: any.
 */
void rmap_stats_read(const struct stats_cpu *stats, struct redirmap_stats *out)
{
	int i;

	memset(out, 0, sizeof(*out));
	out->packets = u64_stats_read(&stats->packets);
	out->bytes = u64_stats_read(&stats->bytes);
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		if (stats_has_slot(i))
			out->drops[i] =
				u64_stats_read(&stats->drops[stats_slot(i)]);
}

/**
 * rmap_stats_add() - add up all CPUs' counters of a port
 * @stats: the counters
 * @sum: the sum to add the counters to
 *
 * Context: any; the caller keeps the port.
 */
void rmap_stats_add(const struct stats_cpu __percpu *stats,
		    struct stats_sum *sum)
{
	unsigned int cpu;

	/* 64-bit counters are read by one load, without u64_stats_sync. */
	BUILD_BUG_ON(BITS_PER_LONG != 64);
	BUILD_BUG_ON(REDIRMAP_DROP_COUNT > REDIRMAP_DROP_ROOM);
	/* stats_slot() skips both. */
	BUILD_BUG_ON(REDIRMAP_DROP_NO_MEMBER - REDIRMAP_DROP_NO_TARGET != 1);

	for_each_possible_cpu(cpu)
		stats_add_one(per_cpu_ptr(stats, cpu), sum);
}

/**
 * rmap_stats_accumulate() - add a sum to another sum
 * @to: the sum that grows
 * @from: the sum to add
 *
 * Context: any.
 */
void rmap_stats_accumulate(struct stats_sum *to, const struct stats_sum *from)
{
	int i;

	to->stats.packets += from->stats.packets;
	to->stats.bytes += from->stats.bytes;
	stats_add_error(to, from->stats.error,
			from->last[REDIRMAP_DROP_DRIVER_ERROR]);
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++) {
		to->stats.drops[i] += from->stats.drops[i];
		to->last[i] = max(to->last[i], from->last[i]);
	}
	for (i = 0; i < STATS_ACTIONS; i++)
		to->missed[i] += from->missed[i];
	for (i = 0; i < STATS_LOSSES; i++)
		to->last_missed[i] = max(to->last_missed[i],
					 from->last_missed[i]);
	to->unsegmented += from->unsegmented;
	to->as_packets += from->as_packets;
}
