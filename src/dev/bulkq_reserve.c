// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reserves: bulk queues that a map has ready for the ports that updates make.
 *
 * Each claimed map owns a reserve, charged to the map's memory cgroup. The
 * reserve "wants" the number of sets that the map will probably take soon:
 *
 *  - one for each of its groups, as long as the map has no groups;
 *  - for targets, as many as the map has taken lately, at most BULKQ_AHEAD_MAX
 *    and at most max_entries.
 *
 * A reserve from which no set was taken for a second wants none, and neither
 * does that of a closed map.
 *
 * A reserve is in one of three places:
 *
 *  no list	 The reserve has no set, and gets none before its map is
 *		 updated.
 *  bulkq_due	 The reserve may have fewer sets than it wants. Low reserves are
 *		 in front. Behind them are the empty reserves of new maps, which
 *		 have not been updated yet.
 *  bulkq_filled The reserve was settled, or is about to be. A settled reserve
 *		 has the sets that it wants, stock.count == wants; until it
 *		 becomes low it has at least half of them, unless there was no
 *		 memory. After a second a work item visits it again.
 *
 * Only rmap_bulkq_settle() in bulkq_settle.c establishes stock.count == wants.
 * A batch calls it before each of its chunks. An update that finds its map's
 * reserve low queues a work item that calls it. The work item begins with that
 * map, and goes on with new maps in the order of their claims, because a task
 * that fills one map often fills others next. A run settles at most
 * BULKQ_AT_ONCE reserves. So the reserve of a map that is never filled has no
 * sets, except for a second after another map's reserve became low. After that
 * second it is again at the end of the list, like the reserve of a new map.
 *
 * If the reserve is empty, an update allocates without sleeping. If that fails,
 * the update takes from the pool, if the map's memory cgroup has paid for that:
 * see bulkq_stock.c.
 *
 * Updates take sets in bpf(2), inside an RCU read section; maps are claimed
 * with preemption off; everything else runs in process context. rmap_bulkq_lock
 * guards all reserves, and bulkq_settle_mutex keeps the reserve that is being
 * settled from being freed.
 */
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "bulkq.h"
#include "compat.h"

/* The most sets that a reserve has for targets. */
#define BULKQ_AHEAD_MAX 64U

/* Time that they are kept after the last take or first filling, in jiffies. */
#define BULKQ_AHEAD_TIME ((unsigned long)HZ)

/* The most reserves that a run settles, or visits under the lock. */
#define BULKQ_AT_ONCE 64

/* A map gets its memory cgroup within this time after its id, in jiffies. */
#define BULKQ_MEMCG_TIME 2

/* The lists of the head comment, under rmap_bulkq_lock. */
static LIST_HEAD(bulkq_due);
static LIST_HEAD(bulkq_filled);

/*
 * The mutex is held while a reserve from a list is settled; bulkq_settled_now
 * is that reserve. So rmap_bulkq_reserve_exit() can wait for the end.
 */
static DEFINE_MUTEX(bulkq_settle_mutex);
static struct bulkq_reserve *bulkq_settled_now;

/* A reserve has become low since bulkq_settle_due() ran last. */
static bool bulkq_some_low;

/*
 * Work items for the two lists. They run on system_highpri_wq, because tasks
 * that take bulk queues keep a CPU busy.
 */
static void bulkq_settle_due(struct work_struct *work);
static void bulkq_look_at_filled(struct work_struct *work);
static DECLARE_DELAYED_WORK(bulkq_due_work, bulkq_settle_due);
static DECLARE_DELAYED_WORK(bulkq_filled_work, bulkq_look_at_filled);

/*
 * May a reserve be filled? A map gets its id after it was claimed, and right
 * after that its memory cgroup, if it gets one. A map that is closed loses its
 * id first. @again is set when the map may get its memory cgroup soon.
 */
static bool bulkq_may_settle(struct bulkq_reserve *reserve, bool *again)
{
	lockdep_assert_held(&rmap_bulkq_lock);

	if (!READ_ONCE(reserve->map->id))
		return false;
	if (reserve->made || compat_map_has_memcg(reserve->map))
		return true;
	if (!reserve->was_seen) {
		reserve->was_seen = true;
		reserve->seen = jiffies;
	}
	if (time_after_eq(jiffies, reserve->seen + BULKQ_MEMCG_TIME))
		return true;
	*again = true;
	return false;
}

/*
 * Is a reserve's map closed? No task can update a closed map, so its reserve is
 * of no use. A map that is still being created has no id either, but has a
 * reference.
 */
static bool bulkq_is_closed(const struct bulkq_reserve *reserve)
{
	return !READ_ONCE(reserve->map->id) &&
	       !atomic64_read(&reserve->map->refcnt);
}

/* Pick the first due reserve that may be settled, or NULL. */
static struct bulkq_reserve *bulkq_pick_due(bool *again)
{
	unsigned int looks = BULKQ_AT_ONCE;
	struct bulkq_reserve *reserve, *next;

	lockdep_assert_held(&bulkq_settle_mutex);

	raw_spin_lock(&rmap_bulkq_lock);
	list_for_each_entry_safe(reserve, next, &bulkq_due, place) {
		if (!looks--)
			break;
		if (bulkq_is_closed(reserve)) {
			/* Closing the map frees the reserve's sets. */
			reserve->low = false;
			list_del_init(&reserve->place);
			continue;
		}
		if (!bulkq_may_settle(reserve, again))
			continue;
		/* A new map's second begins when its reserve is filled. */
		reserve->taken = jiffies;
		reserve->idle = false;
		reserve->low = false;
		bulkq_settled_now = reserve;
		break;
	}
	reserve = bulkq_settled_now;
	raw_spin_unlock(&rmap_bulkq_lock);
	return reserve;
}

/* Pick the first of some filled reserves, or NULL; set whether it is idle. */
static struct bulkq_reserve *bulkq_pick_filled(struct list_head *list)
{
	struct bulkq_reserve *reserve;

	lockdep_assert_held(&bulkq_settle_mutex);

	raw_spin_lock(&rmap_bulkq_lock);
	reserve = list_first_entry_or_null(list, struct bulkq_reserve, place);
	if (reserve &&
	    (bulkq_is_closed(reserve) ||
	     time_after_eq(jiffies, reserve->taken + BULKQ_AHEAD_TIME))) {
		reserve->idle = true;
		reserve->ahead = 0;
	}
	bulkq_settled_now = reserve;
	raw_spin_unlock(&rmap_bulkq_lock);
	return reserve;
}

/* Settle a reserve that was picked, and move it to its list. */
static void bulkq_settle_picked(struct bulkq_reserve *reserve)
{
	bool filled;

	lockdep_assert_held(&bulkq_settle_mutex);

	rmap_bulkq_settle(reserve);

	raw_spin_lock(&rmap_bulkq_lock);
	bulkq_settled_now = NULL;
	filled = bulkq_wants(reserve) || reserve->stock.count;
	/* A reserve that is low again is in front of bulkq_due already. */
	if (!reserve->low && filled)
		list_move_tail(&reserve->place, &bulkq_filled);
	else if (!reserve->low && reserve->groups && !reserve->made)
		list_move_tail(&reserve->place, &bulkq_due);
	else if (!reserve->low)
		list_del_init(&reserve->place);
	raw_spin_unlock(&rmap_bulkq_lock);
	if (filled)
		queue_delayed_work(system_highpri_wq, &bulkq_filled_work,
				   BULKQ_AHEAD_TIME);
}

/* Is a reserve still low? Low reserves are in front of those of new maps. */
static bool bulkq_still_low(void)
{
	const struct bulkq_reserve *first;
	bool low;

	raw_spin_lock(&rmap_bulkq_lock);
	first = list_first_entry_or_null(&bulkq_due, struct bulkq_reserve,
					 place);
	low = first && first->low;
	bulkq_some_low |= low;
	raw_spin_unlock(&rmap_bulkq_lock);
	return low;
}

/* Work item: settle reserves that updates have found low, and new ones. */
static void bulkq_settle_due(struct work_struct *work)
{
	struct bulkq_reserve *reserve;
	bool some_low, again = false;
	unsigned int n = 0;

	raw_spin_lock(&rmap_bulkq_lock);
	some_low = bulkq_some_low;
	bulkq_some_low = false;
	raw_spin_unlock(&rmap_bulkq_lock);

	do {
		/* Keeps the picked reserve from being freed. */
		mutex_lock(&bulkq_settle_mutex);
		reserve = bulkq_pick_due(&again);
		if (reserve)
			bulkq_settle_picked(reserve);
		mutex_unlock(&bulkq_settle_mutex);
		cond_resched();
	} while (reserve && ++n < BULKQ_AT_ONCE);
	/* Run again until no reserve is low. */
	if (bulkq_still_low())
		queue_delayed_work(system_highpri_wq, &bulkq_due_work, 0);
	/* Only after an update, or new maps would queue the work for ever. */
	if (again && some_low)
		queue_delayed_work(system_highpri_wq, &bulkq_due_work,
				   BULKQ_MEMCG_TIME);
}

/* Work item: settle filled reserves that may be idle, or lack a few sets. */
static void bulkq_look_at_filled(struct work_struct *work)
{
	struct bulkq_reserve *reserve;
	LIST_HEAD(list);

	raw_spin_lock(&rmap_bulkq_lock);
	list_splice_init(&bulkq_filled, &list);
	raw_spin_unlock(&rmap_bulkq_lock);

	do {
		mutex_lock(&bulkq_settle_mutex);
		reserve = bulkq_pick_filled(&list);
		if (reserve)
			bulkq_settle_picked(reserve);
		mutex_unlock(&bulkq_settle_mutex);
		cond_resched();
	} while (reserve);
}

/**
 * rmap_bulkq_reserve_init() - initialise a map's reserve, which wants no set
 * @reserve: zeroed memory; needs no rmap_bulkq_reserve_exit() before
 *	rmap_bulkq_reserve_start()
 * @map: the map
 *
 * Context: process context; no other task can reach the map yet.
 */
void rmap_bulkq_reserve_init(struct bulkq_reserve *reserve,
			     const struct bpf_map *map)
{
	INIT_LIST_HEAD(&reserve->place);
	reserve->map = map;
}

/**
 * rmap_bulkq_reserve_exit() - free the sets of a reserve
 * @reserve: the reserve of a map that no task can update
 *
 * Context: process context, sleeps.
 */
void rmap_bulkq_reserve_exit(struct bulkq_reserve *reserve)
{
	raw_spin_lock(&rmap_bulkq_lock);
	while (bulkq_settled_now == reserve) {
		/* Wait until the work item is done with this reserve. */
		raw_spin_unlock(&rmap_bulkq_lock);
		mutex_lock(&bulkq_settle_mutex);
		mutex_unlock(&bulkq_settle_mutex);
		raw_spin_lock(&rmap_bulkq_lock);
	}
	list_del_init(&reserve->place);
	reserve->idle = true;
	raw_spin_unlock(&rmap_bulkq_lock);

	rmap_bulkq_shrink(reserve);
}

/**
 * rmap_bulkq_reserve_start() - make a new map's reserve want sets for groups
 * @reserve: the reserve of a map that is being claimed
 * @groups: number of sets
 *
 * The sets are made after an update of any map has found its reserve low.
 *
 * Context: any; preemption may be off.
 */
void rmap_bulkq_reserve_start(struct bulkq_reserve *reserve,
			      unsigned int groups)
{
	raw_spin_lock(&rmap_bulkq_lock);
	reserve->groups = groups;
	list_add_tail(&reserve->place, &bulkq_due);
	raw_spin_unlock(&rmap_bulkq_lock);
}

/**
 * rmap_bulkq_reserve_want_groups() - set the number of sets that a map's groups
 * still need
 * @reserve: the reserve of a map that has taken sets for its groups
 * @groups: number of sets; 0 when the map has its groups
 *
 * Context: process context.
 */
void rmap_bulkq_reserve_want_groups(struct bulkq_reserve *reserve,
				    unsigned int groups)
{
	raw_spin_lock(&rmap_bulkq_lock);
	reserve->groups = groups;
	raw_spin_unlock(&rmap_bulkq_lock);
}

/* Make a reserve want @count sets for targets, within the limits. */
static void bulkq_look_ahead(struct bulkq_reserve *reserve, unsigned int count)
{
	lockdep_assert_held(&rmap_bulkq_lock);

	reserve->ahead = min3(count, BULKQ_AHEAD_MAX,
			      reserve->map->max_entries);
	reserve->idle = false;
	reserve->taken = jiffies;
}

/**
 * rmap_bulkq_reserve_fill() - fill a reserve at once
 * @reserve: the reserve of a claimed map that the caller is about to update
 * @count: number of targets that the caller may make before its next call; the
 *	map's groups are not among them
 *
 * If there is no memory, the reserve gets fewer sets.
 *
 * Context: process context, sleeps.
 */
void rmap_bulkq_reserve_fill(struct bulkq_reserve *reserve, unsigned int count)
{
	raw_spin_lock(&rmap_bulkq_lock);
	bulkq_look_ahead(reserve, max(count, reserve->ahead));
	reserve->made = true;
	reserve->low = false;
	list_move_tail(&reserve->place, &bulkq_filled);
	raw_spin_unlock(&rmap_bulkq_lock);

	rmap_bulkq_settle(reserve);
	queue_delayed_work(system_highpri_wq, &bulkq_filled_work,
			   BULKQ_AHEAD_TIME);
}

/**
 * rmap_bulkq_reserve_take() - take bulk queues for a port of a map
 * @reserve: the map's reserve
 * @more: true for a target, after which more may follow; false for a group
 * @gfp: allocation flags, when the reserve is empty; they must forbid sleeping
 *
 * Context: process context.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_reserve_take(struct bulkq_reserve *reserve, bool more, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	bool low;

	raw_spin_lock(&rmap_bulkq_lock);
	bulkq = rmap_bulkq_stock_pop(&reserve->stock);
	if (more)
		bulkq_look_ahead(reserve, reserve->ahead + 1);
	else if (reserve->groups)
		reserve->groups--;
	low = (!bulkq || reserve->stock.count * 2 < bulkq_wants(reserve)) &&
	      !reserve->starved;
	if (low) {
		reserve->made = true;
		reserve->low = true;
		bulkq_some_low = true;
		list_move(&reserve->place, &bulkq_due);
	}
	raw_spin_unlock(&rmap_bulkq_lock);

	if (low)
		mod_delayed_work(system_highpri_wq, &bulkq_due_work, 0);
	if (!bulkq)
		bulkq = rmap_bulkq_alloc(gfp);
	return bulkq ?: rmap_bulkq_pool_take(reserve->map);
}

/**
 * rmap_bulkq_reserve_memory() - memory of the sets in a reserve
 * @reserve: a map's reserve
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, for all possible CPUs.
 */
size_t rmap_bulkq_reserve_memory(const struct bulkq_reserve *reserve)
{
	return READ_ONCE(reserve->stock.count) * bulkq_memory();
}

/**
 * rmap_bulkq_module_exit() - stop the work items
 *
 * Context: rmmod, sleeps; no map is left, and so no reserve.
 */
void rmap_bulkq_module_exit(void)
{
	/* bulkq_due_work may queue itself and bulkq_filled_work. */
	cancel_delayed_work_sync(&bulkq_due_work);
	cancel_delayed_work_sync(&bulkq_filled_work);
}
