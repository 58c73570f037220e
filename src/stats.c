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
 * sum over its targets and maps that are no more. They are in it from the moment
 * on at which they are listed no longer, by reference while they may still count,
 * and then by their counters' last values. So each is in it or listed, and to be in
 * both or neither a reader must have asked before and after that moment, which the
 * number of them tells: see rmap_stats_gone_leave().
 */
#include <linux/bpf.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "stats.h"
#include "trace.h"

/**
 * struct stats_gone - what was counted for things that are no more
 * @refs: one for each that may come to be one of them
 * @reading: held by the one reader that there is at a time
 * @lock: protects the rest; held for one leaver at a time, whose counters are read
 * @kept: counters of those that count no more, and the number of all
 * @leavers: those that may still count, in the order in which they have left; while
 *	there is a reader without those that it has read
 * @told: those that the reader has read
 * @reader: what the reader has added up, or NULL
 * @round: changes with each reader; leavers of an older one are still to be read
 */
struct stats_gone {
	refcount_t refs;
	struct mutex reading; /* one reader at a time */
	spinlock_t lock; /* protects the rest */
	struct stats_kept kept;
	struct list_head leavers;
	struct list_head told;
	struct stats_kept *reader;
	u64 round;
};

/* The present time, which does not wrap around. */
static u64 stats_now(void)
{
	return jiffies / STATS_STAMP_JIFFIES;
}

/**
 * rmap_stats_time() - when a stamp was made
 * @stamp: of stats_stamp(), at most some years old
 *
 * Context: any.
 * Return: a time that can be compared, and is not 0.
 */
u64 rmap_stats_time(u32 stamp)
{
	u64 now = stats_now();
	u32 age = (u32)now - stamp;

	/* Another CPU may have read a later one. */
	return age < U32_MAX - 0xffff ? now - age : now;
}

/**
 * rmap_stats_age() - how long ago a time is
 * @time: of rmap_stats_time()
 *
 * Context: any.
 * Return: milliseconds, to a stamp.
 */
u64 rmap_stats_age(u64 time)
{
	u64 now = stats_now();

	return time < now ?
	       jiffies64_to_msecs((now - time) * STATS_STAMP_JIFFIES) : 0;
}

/**
 * rmap_stats_drop() - count frames that a device has not got
 * @stats: this CPU's counters of the device's port
 * @dev: the device, for the tracepoint
 * @reason: why
 * @packets: how many, not 0
 *
 * Context: bottom halves off.
 */
void rmap_stats_drop(struct stats_cpu *stats, const struct net_device *dev,
		     enum redirmap_drop reason, u32 packets)
{
	WRITE_ONCE(stats->last[reason], stats_stamp());
	u64_stats_add(&stats->drops[reason], packets);
	trace_redirmap_drop(dev, 0, reason, packets);
}

/**
 * rmap_stats_unsegmented() - note that packets are taken for not segmented yet
 * @stats: this CPU's counters of a port, which counts them as too large, too
 * @packets: how many
 *
 * Context: bottom halves off.
 */
void rmap_stats_unsegmented(struct stats_cpu *stats, u32 packets)
{
	u32 most = U32_MAX - stats->unsegmented;

	WRITE_ONCE(stats->unsegmented,
		   stats->unsegmented + min(packets, most));
}

/**
 * rmap_stats_map_missed() - count a look-up that found no entry
 * @stats: the map's counters, one for each possible CPU
 * @map: the map, for the tracepoint
 * @action: what bpf_redirect_map() returns, an enum xdp_action up to XDP_TX
 *
 * Context: NAPI, bottom halves off; per packet where a program leaves most of
 * its packets to the stack.
 */
void rmap_stats_map_missed(struct stats_map *stats, const struct bpf_map *map,
			   u32 action)
{
	stats += smp_processor_id();
	/* Not for what a program leaves to the stack, which may be most of it. */
	if (action < STATS_LOSSES)
		WRITE_ONCE(stats->last_missed[action], stats_stamp());
	u64_stats_inc(&stats->missed[action]);
	trace_redirmap_miss(map->id, action);
}

/**
 * rmap_stats_map_drop() - count frames of broadcasts that a map had no device
 * for
 * @stats: the map's counters, one for each possible CPU
 * @map: the map, for the tracepoint
 * @reason: REDIRMAP_DROP_NO_MEMBER or REDIRMAP_DROP_NO_HEADROOM
 * @packets: how many, not 0
 *
 * Context: bottom halves off.
 */
void rmap_stats_map_drop(struct stats_map *stats, const struct bpf_map *map,
			 enum redirmap_drop reason, u32 packets)
{
	u32 now = stats_stamp();

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

/* Frames that were lost for a reason, the last one at some time. */
static void stats_add_drops(struct stats_sum *sum, enum redirmap_drop reason,
			    u64 packets, u32 last)
{
	if (!packets)
		return;
	sum->stats.drops[reason] += packets;
	sum->last[reason] = max(sum->last[reason], rmap_stats_time(last));
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
				    rmap_stats_time(READ_ONCE(one->last_missed[i])));
	}
}

/**
 * rmap_stats_map_add() - add up all CPUs' counters of a map
 * @stats: the map's counters, one for each possible CPU
 * @sum: what they are added to
 *
 * Context: any; the map must not be freed meanwhile.
 */
void rmap_stats_map_add(const struct stats_map *stats, struct stats_sum *sum)
{
	const struct stats_map *one;
	unsigned int cpu;
	u64 packets;

	for_each_possible_cpu(cpu) {
		one = &stats[cpu];
		stats_add_misses(one, sum);
		/* The time after the number, for it is written before. */
		packets = u64_stats_read(&one->no_member);
		stats_add_drops(sum, REDIRMAP_DROP_NO_MEMBER, packets,
				READ_ONCE(one->last_no_member));
		packets = u64_stats_read(&one->no_headroom);
		stats_add_drops(sum, REDIRMAP_DROP_NO_HEADROOM, packets,
				READ_ONCE(one->last_no_headroom));
	}
}

/* An error, and when it was: the later one stays. Before drops are added. */
static void stats_add_error(struct stats_sum *sum, u32 error, u64 time)
{
	if (error && time >= sum->last[REDIRMAP_DROP_DRIVER_ERROR])
		sum->stats.error = error;
}

static void stats_add_one(const struct stats_cpu *stats, struct stats_sum *sum)
{
	u32 last = READ_ONCE(stats->last[REDIRMAP_DROP_DRIVER_ERROR]);
	u64 packets;
	int i;

	sum->stats.packets += u64_stats_read(&stats->packets);
	sum->stats.bytes += u64_stats_read(&stats->bytes);
	stats_add_error(sum, READ_ONCE(stats->error), rmap_stats_time(last));
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++) {
		packets = u64_stats_read(&stats->drops[i]);
		stats_add_drops(sum, i, packets, READ_ONCE(stats->last[i]));
	}
	sum->unsegmented += READ_ONCE(stats->unsegmented);
}

/**
 * rmap_stats_read() - read one CPU's counters
 * @stats: the counters
 * @out: written, but for the error
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
		out->drops[i] = u64_stats_read(&stats->drops[i]);
}

/**
 * rmap_stats_add() - add up all CPUs' counters
 * @stats: the counters
 * @sum: what they are added to
 *
 * Context: any.
 */
void rmap_stats_add(const struct stats_cpu __percpu *stats,
		    struct stats_sum *sum)
{
	unsigned int cpu;

	/* A 64-bit counter is read at once: nothing to synchronize. */
	BUILD_BUG_ON(BITS_PER_LONG != 64);
	BUILD_BUG_ON(REDIRMAP_DROP_COUNT > REDIRMAP_DROP_ROOM);

	for_each_possible_cpu(cpu)
		stats_add_one(per_cpu_ptr(stats, cpu), sum);
}

/**
 * rmap_stats_gone_alloc() - make sums that begin with nothing
 * @gfp: how to allocate; may sleep
 *
 * Context: process context, sleeps.
 * Return: the sums with one reference, or NULL without memory.
 */
struct stats_gone *rmap_stats_gone_alloc(gfp_t gfp)
{
	struct stats_gone *gone = kzalloc(sizeof(*gone), gfp);

	if (!gone)
		return NULL;
	refcount_set(&gone->refs, 1);
	mutex_init(&gone->reading);
	spin_lock_init(&gone->lock);
	INIT_LIST_HEAD(&gone->leavers);
	INIT_LIST_HEAD(&gone->told);
	return gone;
}

/**
 * rmap_stats_gone_get() - take a reference
 * @gone: the sums
 *
 * Context: any; the caller knows of a reference that stays meanwhile.
 * Return: @gone
 */
struct stats_gone *rmap_stats_gone_get(struct stats_gone *gone)
{
	refcount_inc(&gone->refs);
	return gone;
}

/**
 * rmap_stats_gone_put() - drop a reference
 * @gone: the sums
 *
 * Context: any.
 */
void rmap_stats_gone_put(struct stats_gone *gone)
{
	if (refcount_dec_and_test(&gone->refs))
		kfree(gone);
}

static void stats_accumulate(struct stats_sum *to, const struct stats_sum *from)
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
}

static bool stats_lost_any(const struct redirmap_stats *stats)
{
	return memchr_inv(stats->drops, 0, sizeof(stats->drops));
}

static bool stats_is_same_device(const struct stats_gone_device *one,
				 const struct stats_gone_device *other)
{
	return one->ifindex == other->ifindex &&
	       !strcmp(one->ifname, other->ifname);
}

/* Add to the record of a device, which comes first then; the last one may go. */
static void stats_keep_device(struct stats_gone_device *devices,
			      const struct stats_gone_device *told)
{
	struct stats_gone_device device = *told;
	int i;

	for (i = 0; i < STATS_GONE_DEVICES - 1; i++)
		if (stats_is_same_device(&devices[i], told))
			break;
	if (stats_is_same_device(&devices[i], told)) {
		device = devices[i];
		stats_accumulate(&device.sum, &told->sum);
	}
	memmove(&devices[1], &devices[0], i * sizeof(*devices));
	devices[0] = device;
}

/*
 * Of a target that has lost frames under the name of its device, too: so user space
 * can name a device that is no more.
 */
static void stats_keep(struct stats_kept *kept,
		       const struct stats_gone_device *told)
{
	stats_accumulate(&kept->sum, &told->sum);
	if (told->ifindex && stats_lost_any(&told->sum.stats))
		stats_keep_device(kept->devices, told);
}

/**
 * rmap_stats_leaver_init() - get ready for that a map or target is no more
 * @leaver: its part in that
 * @read: see there; called under a spinlock
 *
 * Context: any; nobody else can reach it yet.
 */
void rmap_stats_leaver_init(struct stats_leaver *leaver,
			    void (*read)(const struct stats_leaver *leaver,
					 struct stats_gone_device *told))
{
	INIT_LIST_HEAD(&leaver->node);
	leaver->read = read;
}

/**
 * rmap_stats_gone_leave() - a map or target is listed no longer
 * @gone: the sums, in which what it counts is from here on
 * @leaver: its part in that; nothing is done when it has left already
 *
 * Who reads the sums, then the lists, and then the sums again finds their number
 * changed if it has left meanwhile. For that it is called after the lists have
 * ceased to tell of it; or, if they cease to do so afterwards, under a lock that
 * both the lists' reader and who calls this take.
 *
 * Context: process context.
 */
void rmap_stats_gone_leave(struct stats_gone *gone, struct stats_leaver *leaver)
{
	spin_lock(&gone->lock);
	if (list_empty(&leaver->node)) {
		leaver->round = gone->round;
		list_add_tail(&leaver->node, &gone->leavers);
		gone->kept.count++;
	}
	spin_unlock(&gone->lock);
}

/**
 * rmap_stats_gone_keep() - keep what was counted for something that is about to
 * be freed
 * @gone: the sums
 * @leaver: its part in that; nobody counts in it any more. If it has not left yet,
 *	it does now: see rmap_stats_gone_leave()
 *
 * Context: process context.
 */
void rmap_stats_gone_keep(struct stats_gone *gone, struct stats_leaver *leaver)
{
	struct stats_gone_device told = {};

	spin_lock(&gone->lock);
	leaver->read(leaver, &told);
	stats_keep(&gone->kept, &told);
	if (list_empty(&leaver->node))
		gone->kept.count++;
	else if (gone->reader && leaver->round != gone->round)
		/* The reader, who counts it, will not come by it any more. */
		stats_keep(gone->reader, &told);
	list_del_init(&leaver->node);
	spin_unlock(&gone->lock);
}

/* Read one of those that had left when the reader began; false without one. */
static bool stats_gone_read_next(struct stats_gone *gone)
{
	struct stats_gone_device told = {};
	struct stats_leaver *leaver;
	bool any;

	spin_lock(&gone->lock);
	leaver = list_first_entry_or_null(&gone->leavers, struct stats_leaver,
					  node);
	any = leaver && leaver->round != gone->round;
	if (any) {
		leaver->read(leaver, &told);
		stats_keep(gone->reader, &told);
		leaver->round = gone->round;
		list_move_tail(&leaver->node, &gone->told);
	}
	spin_unlock(&gone->lock);
	return any;
}

/**
 * rmap_stats_gone_read() - read what was counted for things that are no more
 * @gone: the sums
 * @kept: written
 *
 * Those are counted that had left when it began, each once: who goes through them
 * reads one at a time, and rmap_stats_gone_keep() adds those that go before it
 * has come to them. So nobody else waits for longer than for one of them to be
 * read, and a sum never shrinks from one call to the next.
 *
 * Context: process context, sleeps. The time follows the number of those that have
 * just left, most of all a device's entries with counters of their own, times the
 * number of CPUs; and other readers of the same namespace wait for that.
 */
void rmap_stats_gone_read(struct stats_gone *gone, struct stats_kept *kept)
{
	mutex_lock(&gone->reading);
	spin_lock(&gone->lock);
	*kept = gone->kept;
	gone->reader = kept;
	gone->round++;
	spin_unlock(&gone->lock);

	while (stats_gone_read_next(gone))
		cond_resched();

	spin_lock(&gone->lock);
	list_splice_init(&gone->told, &gone->leavers);
	gone->reader = NULL;
	spin_unlock(&gone->lock);
	mutex_unlock(&gone->reading);
}
