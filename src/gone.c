// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums over removed maps and targets.
 *
 * Counters outlive the maps and targets that they belong to: for each family a
 * network namespace keeps the sum over its removed maps and targets. When a map
 * or target leaves the lists that user space reads, it joins the sum: by
 * reference as long as it may still count, and afterwards by the last values of
 * its counters. So each map and target is either listed or in the sum. A reader
 * that reads the lists before that moment and the sum after it, or the other
 * way round, sees the map or target twice or not at all, and detects that by
 * the number of removed maps and targets: see rmap_gone_leave().
 *
 * This file does not know the counters of a family: a sum is a number of bytes,
 * zeroed at first, and each map or target adds its counters to the sum by a
 * function of its family.
 *
 * This file owns struct gone. Maps and targets leave in work items and under
 * RTNL; netlink reads sums in process context. The spinlock of a struct gone
 * guards it.
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
 * struct gone - sum over removed maps and targets
 * @refs: one for each map and target that will join the sum, one for the
 *	namespace
 * @reading: admits one reader at a time
 * @lock: guards the rest; held while the counters of one leaver are read
 * @count: number of removed maps and targets
 * @leavers: leavers that may still count, in the order in which they have left,
 *	except those that the present reader has read
 * @read: leavers that the present reader has read
 * @reader: the sum of the present reader, or NULL
 * @round: number of the last reader, which has still to read the leavers with
 *	another number
 * @size: bytes of a sum
 * @kept: the sum over removed maps and targets that have been freed
 */
struct gone {
	refcount_t refs;
	struct mutex reading; /* one reader at a time */
	spinlock_t lock; /* all below */
	u64 count;
	struct list_head leavers;
	struct list_head read;
	void *reader;
	u64 round;
	size_t size;
	u8 kept[] __aligned(__alignof__(u64));
};

/**
 * rmap_gone_alloc() - make an empty sum
 * @size: bytes of the sum; 0 for a family without counters
 * @gfp: allocation flags; may sleep
 *
 * Context: process context, sleeps.
 * Return: the sum with one reference, or NULL without memory.
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
	INIT_LIST_HEAD(&gone->read);
	gone->size = size;
	return gone;
}

/**
 * rmap_gone_get() - take a reference
 * @gone: the sum
 *
 * Context: any; another reference exists meanwhile.
 * Return: @gone.
 */
struct gone *rmap_gone_get(struct gone *gone)
{
	refcount_inc(&gone->refs);
	return gone;
}

/**
 * rmap_gone_put() - drop a reference
 * @gone: the sum
 *
 * Context: any.
 */
void rmap_gone_put(struct gone *gone)
{
	if (refcount_dec_and_test(&gone->refs))
		kfree(gone);
}

/**
 * rmap_gone_leaver_init() - initialise the leaver of a map or target
 * @leaver: the leaver
 * @add: see struct gone_leaver; called under a spinlock, and twice in a row
 *	when the counters are added to the sum and to a reader's copy
 *
 * Context: any; the leaver is not published yet.
 */
void rmap_gone_leaver_init(struct gone_leaver *leaver,
			   void (*add)(const struct gone_leaver *leaver,
				       void *sum))
{
	INIT_LIST_HEAD(&leaver->node);
	leaver->add = add;
}

/**
 * rmap_gone_leave() - add a map or target to the removed ones
 * @gone: the sum, which includes its counters from here on
 * @leaver: the leaver of the map or target; nothing is done if it has left
 *	already
 *
 * A reader that reads the sum, then the lists, then the sum again must find
 * another number of removed ones if a map or target has left meanwhile. So this
 * function is called after readers of the lists can no longer find the map or
 * target; or under a lock that these readers take as well, if the map or target
 * leaves the lists under the same lock.
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
 * rmap_gone_keep() - keep the counters of a map or target that is being freed
 * @gone: the sum
 * @leaver: the leaver of the map or target, whose counters no longer change. If
 *	it has not left yet, it leaves now: see rmap_gone_leave()
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
		/* The reader has not read the leaver yet, and would miss it. */
		leaver->add(leaver, gone->reader);
	list_del_init(&leaver->node);
	spin_unlock(&gone->lock);
}

/* Read one leaver that had left before the reader began; false without one. */
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
		list_move_tail(&leaver->node, &gone->read);
	}
	spin_unlock(&gone->lock);
	return any;
}

/**
 * rmap_gone_read() - read the sum over removed maps and targets
 * @gone: the sum
 * @sum: gets a copy, of the size that rmap_gone_alloc() was called with
 *
 * The copy includes, once, each map and target that had left when the read
 * began. The reader reads one leaver at a time under the lock, and
 * rmap_gone_keep() adds leavers that are freed before the reader has found
 * them. So other tasks wait for the reading of one leaver at most, and the sum
 * never shrinks from one call to the next.
 *
 * The time grows with the number of leavers that have not been freed yet
 * (mostly entries with counters), times the number of CPUs. Other readers of
 * the same sum wait during this time.
 *
 * Context: process context, sleeps.
 * Return: number of removed maps and targets when the read began.
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
	list_splice_init(&gone->read, &gone->leavers);
	gone->reader = NULL;
	spin_unlock(&gone->lock);
	mutex_unlock(&gone->reading);
	return count;
}
