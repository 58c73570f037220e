// SPDX-License-Identifier: GPL-2.0-only
/*
 * What outlives maps and targets: the sums over those that are no more.
 *
 * What has been counted outlives what it was counted for: a namespace keeps, for
 * each family, the sum over its targets and maps that are no more. They are in it
 * from the moment on at which they are listed no longer, by reference while they
 * may still count, and then by their counters' last values. So each is in it or
 * listed, and to be in both or neither a reader must have asked before and after
 * that moment, which the number of them tells: see rmap_gone_leave().
 *
 * What is counted, and how a sum of it looks, the family alone knows: here a sum
 * is so many bytes, zeroed at first, which a map or target adds to.
 *
 * Maps and targets go in work items and under RTNL; sums are read in process
 * context, by netlink. A spinlock in each protects it.
 */
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "gone.h"

/**
 * struct gone - what was counted for things that are no more
 * @refs: one for each that may come to be one of them
 * @reading: held by the one reader that there is at a time
 * @lock: protects the rest; held for one leaver at a time, whose counters are read
 * @count: how many are no more
 * @leavers: those that may still count, in the order in which they have left; while
 *	there is a reader without those that it has read
 * @told: those that the reader has read
 * @reader: what the reader has added up, or NULL
 * @round: changes with each reader; leavers of an older one are still to be read
 * @size: bytes of a sum
 * @kept: the sum over those that count no more
 */
struct gone {
	refcount_t refs;
	struct mutex reading; /* one reader at a time */
	spinlock_t lock; /* protects the rest */
	u64 count;
	struct list_head leavers;
	struct list_head told;
	void *reader;
	u64 round;
	size_t size;
	u8 kept[] __aligned(__alignof__(u64));
};

/**
 * rmap_gone_alloc() - make sums that begin with nothing
 * @size: bytes of a sum; 0 where nothing is counted
 * @gfp: how to allocate; may sleep
 *
 * Context: process context, sleeps.
 * Return: the sums with one reference, or NULL without memory.
 */
struct gone *rmap_gone_alloc(size_t size, gfp_t gfp)
{
	struct gone *gone = kzalloc(struct_size(gone, kept, size), gfp);

	if (!gone)
		return NULL;
	refcount_set(&gone->refs, 1);
	mutex_init(&gone->reading);
	spin_lock_init(&gone->lock);
	INIT_LIST_HEAD(&gone->leavers);
	INIT_LIST_HEAD(&gone->told);
	gone->size = size;
	return gone;
}

/**
 * rmap_gone_get() - take a reference
 * @gone: the sums
 *
 * Context: any; the caller knows of a reference that stays meanwhile.
 * Return: @gone
 */
struct gone *rmap_gone_get(struct gone *gone)
{
	refcount_inc(&gone->refs);
	return gone;
}

/**
 * rmap_gone_put() - drop a reference
 * @gone: the sums
 *
 * Context: any.
 */
void rmap_gone_put(struct gone *gone)
{
	if (refcount_dec_and_test(&gone->refs))
		kfree(gone);
}

/**
 * rmap_gone_leaver_init() - get ready for that a map or target is no more
 * @leaver: its part in that
 * @add: see there; called under a spinlock, and twice in a row where counters
 *	that count no more go to the sums and to their reader
 *
 * Context: any; nobody else can reach it yet.
 */
void rmap_gone_leaver_init(struct gone_leaver *leaver,
			   void (*add)(const struct gone_leaver *leaver,
				       void *sum))
{
	INIT_LIST_HEAD(&leaver->node);
	leaver->add = add;
}

/**
 * rmap_gone_leave() - a map or target is listed no longer
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
void rmap_gone_leave(struct gone *gone, struct gone_leaver *leaver)
{
	spin_lock(&gone->lock);
	if (list_empty(&leaver->node)) {
		leaver->round = gone->round;
		list_add_tail(&leaver->node, &gone->leavers);
		gone->count++;
	}
	spin_unlock(&gone->lock);
}

/**
 * rmap_gone_keep() - keep what was counted for something that is about to be
 * freed
 * @gone: the sums
 * @leaver: its part in that; nobody counts in it any more. If it has not left yet,
 *	it does now: see rmap_gone_leave()
 *
 * Context: process context.
 */
void rmap_gone_keep(struct gone *gone, struct gone_leaver *leaver)
{
	spin_lock(&gone->lock);
	leaver->add(leaver, gone->kept);
	if (list_empty(&leaver->node))
		gone->count++;
	else if (gone->reader && leaver->round != gone->round)
		/* The reader, who counts it, will not come by it any more. */
		leaver->add(leaver, gone->reader);
	list_del_init(&leaver->node);
	spin_unlock(&gone->lock);
}

/* Read one of those that had left when the reader began; false without one. */
static bool gone_read_next(struct gone *gone)
{
	struct gone_leaver *leaver;
	bool any;

	spin_lock(&gone->lock);
	leaver = list_first_entry_or_null(&gone->leavers, struct gone_leaver,
					  node);
	any = leaver && leaver->round != gone->round;
	if (any) {
		leaver->add(leaver, gone->reader);
		leaver->round = gone->round;
		list_move_tail(&leaver->node, &gone->told);
	}
	spin_unlock(&gone->lock);
	return any;
}

/**
 * rmap_gone_read() - read what was counted for things that are no more
 * @gone: the sums
 * @sum: written, as many bytes as rmap_gone_alloc() was told
 *
 * Those are counted that had left when it began, each once: who goes through them
 * reads one at a time, and rmap_gone_keep() adds those that go before it has come
 * to them. So nobody else waits for longer than for one of them to be read, and a
 * sum never shrinks from one call to the next.
 *
 * Context: process context, sleeps. The time follows the number of those that have
 * just left, most of all a device's entries with counters of their own, times the
 * number of CPUs; and other readers of the same sums wait for that.
 * Return: how many are no more, of the moment when it began.
 */
u64 rmap_gone_read(struct gone *gone, void *sum)
{
	u64 count;

	mutex_lock(&gone->reading);
	spin_lock(&gone->lock);
	memcpy(sum, gone->kept, gone->size);
	count = gone->count;
	gone->reader = sum;
	gone->round++;
	spin_unlock(&gone->lock);

	while (gone_read_next(gone))
		cond_resched();

	spin_lock(&gone->lock);
	list_splice_init(&gone->told, &gone->leavers);
	gone->reader = NULL;
	spin_unlock(&gone->lock);
	mutex_unlock(&gone->reading);
	return count;
}
