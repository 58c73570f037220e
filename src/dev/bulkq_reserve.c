// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reserves: bulk queues that a map has ready for the ports that updates make.
 *
 * Each claimed map owns a reserve, charged to the map's memory cgroup.
 * It wants as many as the map is expected to take soon: those of its groups, as
 * long as it has none; and a map that goes on taking bulk queues for targets wants
 * as many more as it has taken lately, at most BULKQ_AHEAD_MAX, and no more than it
 * may have entries. A reserve of which nothing is taken for a second wants none.
 *
 * A reserve is in one of three places:
 *
 *  none	 it has nothing, and is to have nothing unless its map is updated
 *  bulkq_due	 it may have less than it wants: it has just become low, and is in
 *		 front; or its map has not been updated yet, and it has nothing
 *  bulkq_filled it was settled, or is about to be: then it has what it wants,
 *		 stock.count == wants, and at least half of that until it becomes
 *		 low, unless there was no memory. It is looked at again after a
 *		 second
 *
 * bulkq_settle() makes it so: in a work item that an update queues which finds its
 * map's reserve low, and for a batch before each of its chunks. The work item begins
 * with that map, and goes on with new ones, in the order of their claims, for
 * who fills one map often fills others next: but only with a few, however many
 * there are. So maps that are made and closed again, or never filled, cost
 * nothing unless another map's update has run low meanwhile, and then for a
 * second. After that they are new ones again, behind all others: their first
 * update finds as much as if nobody had guessed wrongly before.
 *
 * What an update does not find in the reserve it allocates without sleeping. Where
 * that fails as well there is a pool: see bulkq_stock.c.
 *
 * Updates take, inside an RCU read section, in bpf(2); maps are claimed with
 * preemption off; all else is in process context. One raw lock protects all
 * reserves, and a mutex the one that is being settled from being freed.
 */
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "bulkq.h"
#include "compat.h"

/* The most that a reserve has ahead. */
#define BULKQ_AHEAD_MAX 64U

/* How long after it was last used, or first filled, it has that, in jiffies. */
#define BULKQ_AHEAD_TIME ((unsigned long)HZ)

/* The most reserves that a work item settles, or looks at with the lock held. */
#define BULKQ_AT_ONCE 64

/* How long the memory cgroup of a map that has an id may take to come; in jiffies. */
#define BULKQ_MEMCG_TIME 2

/* Of all reserves. A raw one: maps are claimed with preemption off. */
static DEFINE_RAW_SPINLOCK(bulkq_lock);

/* See above. Who settles a reserve of a list holds the mutex, and says which. */
static LIST_HEAD(bulkq_due);
static LIST_HEAD(bulkq_filled);
static DEFINE_MUTEX(bulkq_settle_mutex);
static struct bulkq_reserve *bulkq_settled_now;

/* A reserve has become low since the work item has last looked. */
static bool bulkq_some_low;

/*
 * Settle what is due, and look at what is filled. On system_highpri_wq: those who
 * take bulk queues keep a CPU busy.
 */
static void bulkq_settle_due(struct work_struct *work);
static void bulkq_look_at_filled(struct work_struct *work);
static DECLARE_DELAYED_WORK(bulkq_due_work, bulkq_settle_due);
static DECLARE_DELAYED_WORK(bulkq_filled_work, bulkq_look_at_filled);

static unsigned int bulkq_wants(const struct bulkq_reserve *reserve)
{
	lockdep_assert_held(&bulkq_lock);

	return reserve->idle ? 0 : reserve->ahead + reserve->groups;
}

/* How many a reserve lacks; negative: has too many. */
static int bulkq_lacks(const struct bulkq_reserve *reserve)
{
	return bulkq_wants(reserve) - reserve->stock.count;
}

/* One of what a reserve has too many of, or NULL. */
static struct xdp_dev_bulk_queue __percpu *
bulkq_surplus(struct bulkq_reserve *reserve)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;

	raw_spin_lock(&bulkq_lock);
	if (bulkq_lacks(reserve) < 0)
		bulkq = rmap_bulkq_stock_pop(&reserve->stock);
	raw_spin_unlock(&bulkq_lock);
	return bulkq;
}

/* One more, if there is memory, in a reserve that lacks one. */
static bool bulkq_add(struct bulkq_reserve *reserve, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;
	bool lacks;

	raw_spin_lock(&bulkq_lock);
	lacks = bulkq_lacks(reserve) > 0;
	raw_spin_unlock(&bulkq_lock);
	if (lacks)
		bulkq = rmap_bulkq_alloc(gfp);

	raw_spin_lock(&bulkq_lock);
	if (bulkq)
		rmap_bulkq_stock_push(&reserve->stock, bulkq);
	reserve->starved = lacks && !bulkq;
	raw_spin_unlock(&bulkq_lock);
	return bulkq;
}

/*
 * Let a reserve have what it wants: the one function that makes it so. Process
 * context, sleeps; the map stays meanwhile. Two may do it beside each other.
 */
static void bulkq_settle(struct bulkq_reserve *reserve)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	struct mem_cgroup *memcg, *old_memcg = NULL;
	struct xdp_dev_bulk_queue __percpu *bulkq;

	memcg = compat_map_memcg_get(reserve->map);
	if (memcg) {
		old_memcg = set_active_memcg(memcg);
		gfp |= __GFP_ACCOUNT;
	}
	while (bulkq_add(reserve, gfp))
		;
	if (memcg) {
		set_active_memcg(old_memcg);
		mem_cgroup_put(memcg);
	}
	while ((bulkq = bulkq_surplus(reserve)))
		rmap_bulkq_free(bulkq);
}

/*
 * May a reserve be filled? A map gets its id after it was claimed, and right
 * after that the memory cgroup that pays, if it gets one. When it is closed it
 * loses the id first. @again: in a moment it may.
 */
static bool bulkq_may_settle(struct bulkq_reserve *reserve, bool *again)
{
	lockdep_assert_held(&bulkq_lock);

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
 * Is a reserve's map closed? One that is being created has no id either, but a
 * reference. Nobody updates it any more, so its reserve is of no use.
 */
static bool bulkq_is_closed(const struct bulkq_reserve *reserve)
{
	return !READ_ONCE(reserve->map->id) &&
	       !atomic64_read(&reserve->map->refcnt);
}

/* One of those in front that may be settled, and has to be; or NULL. */
static struct bulkq_reserve *bulkq_pick_due(bool *again)
{
	unsigned int looks = BULKQ_AT_ONCE;
	struct bulkq_reserve *reserve, *next;

	lockdep_assert_held(&bulkq_settle_mutex);

	raw_spin_lock(&bulkq_lock);
	list_for_each_entry_safe(reserve, next, &bulkq_due, place) {
		if (!looks--)
			break;
		if (bulkq_is_closed(reserve)) {
			/* Out of the way of others; what it has goes with it. */
			reserve->low = false;
			list_del_init(&reserve->place);
			continue;
		}
		if (!bulkq_may_settle(reserve, again))
			continue;
		/* A new one's time begins when there is something to take. */
		reserve->taken = jiffies;
		reserve->idle = false;
		reserve->low = false;
		bulkq_settled_now = reserve;
		break;
	}
	reserve = bulkq_settled_now;
	raw_spin_unlock(&bulkq_lock);
	return reserve;
}

/* The next one of some that were filled, or NULL. */
static struct bulkq_reserve *bulkq_pick_filled(struct list_head *list)
{
	struct bulkq_reserve *reserve;

	lockdep_assert_held(&bulkq_settle_mutex);

	raw_spin_lock(&bulkq_lock);
	reserve = list_first_entry_or_null(list, struct bulkq_reserve, place);
	if (reserve &&
	    time_after_eq(jiffies, reserve->taken + BULKQ_AHEAD_TIME)) {
		reserve->idle = true;
		reserve->ahead = 0;
	}
	bulkq_settled_now = reserve;
	raw_spin_unlock(&bulkq_lock);
	return reserve;
}

/* Settle a reserve that was picked, and put it where it belongs then. */
static void bulkq_settle_picked(struct bulkq_reserve *reserve)
{
	bool filled;

	lockdep_assert_held(&bulkq_settle_mutex);

	bulkq_settle(reserve);

	raw_spin_lock(&bulkq_lock);
	bulkq_settled_now = NULL;
	filled = bulkq_wants(reserve) || reserve->stock.count;
	/* One that has become low meanwhile is due again, in front. */
	if (!reserve->low && filled)
		list_move_tail(&reserve->place, &bulkq_filled);
	else if (!reserve->low && reserve->groups && !reserve->made)
		list_move_tail(&reserve->place, &bulkq_due);
	else if (!reserve->low)
		list_del_init(&reserve->place);
	raw_spin_unlock(&bulkq_lock);
	if (filled)
		queue_delayed_work(system_highpri_wq, &bulkq_filled_work,
				   BULKQ_AHEAD_TIME);
}

/* Is one still low? Such are in front of those of new maps. */
static bool bulkq_still_low(void)
{
	const struct bulkq_reserve *first;
	bool low;

	raw_spin_lock(&bulkq_lock);
	first = list_first_entry_or_null(&bulkq_due, struct bulkq_reserve,
					 place);
	low = first && first->low;
	bulkq_some_low |= low;
	raw_spin_unlock(&bulkq_lock);
	return low;
}

/* Work item: updates have found little, or nothing. */
static void bulkq_settle_due(struct work_struct *work)
{
	struct bulkq_reserve *reserve;
	bool some_low, again = false;
	unsigned int n = 0;

	raw_spin_lock(&bulkq_lock);
	some_low = bulkq_some_low;
	bulkq_some_low = false;
	raw_spin_unlock(&bulkq_lock);

	do {
		/* Keeps it from being freed. */
		mutex_lock(&bulkq_settle_mutex);
		reserve = bulkq_pick_due(&again);
		if (reserve)
			bulkq_settle_picked(reserve);
		mutex_unlock(&bulkq_settle_mutex);
		cond_resched();
	} while (reserve && ++n < BULKQ_AT_ONCE);
	/* Those that are low are all settled, in as many goes as it takes. */
	if (bulkq_still_low())
		queue_delayed_work(system_highpri_wq, &bulkq_due_work, 0);
	/* Once, or else there would always be some to wait for. */
	if (again && some_low)
		queue_delayed_work(system_highpri_wq, &bulkq_due_work,
				   BULKQ_MEMCG_TIME);
}

/* Work item: some of what was filled may be idle, or lack a few. */
static void bulkq_look_at_filled(struct work_struct *work)
{
	struct bulkq_reserve *reserve;
	LIST_HEAD(list);

	raw_spin_lock(&bulkq_lock);
	list_splice_init(&bulkq_filled, &list);
	raw_spin_unlock(&bulkq_lock);

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
 * rmap_bulkq_reserve_init() - make a map's reserve, which wants nothing
 * @reserve: zeroed memory for it; needs no undoing while it wants nothing
 * @map: the map
 *
 * Context: process context; nobody else can reach the map yet.
 */
void rmap_bulkq_reserve_init(struct bulkq_reserve *reserve,
			     const struct bpf_map *map)
{
	INIT_LIST_HEAD(&reserve->place);
	reserve->map = map;
}

/**
 * rmap_bulkq_reserve_exit() - free what a reserve has
 * @reserve: of a map that nobody updates any more
 *
 * Context: process context, sleeps.
 */
void rmap_bulkq_reserve_exit(struct bulkq_reserve *reserve)
{
	raw_spin_lock(&bulkq_lock);
	while (bulkq_settled_now == reserve) {
		/* Wait until who settles it is done with it. */
		raw_spin_unlock(&bulkq_lock);
		mutex_lock(&bulkq_settle_mutex);
		mutex_unlock(&bulkq_settle_mutex);
		raw_spin_lock(&bulkq_lock);
	}
	list_del_init(&reserve->place);
	reserve->idle = true;
	raw_spin_unlock(&bulkq_lock);

	while (reserve->stock.count)
		rmap_bulkq_free(bulkq_surplus(reserve));
}

/**
 * rmap_bulkq_reserve_start() - say how many sets a new map is going to take
 * first
 * @reserve: of a map that is being claimed
 * @groups: sets, for its groups
 *
 * They are made when an update of a map runs low.
 *
 * Context: any; preemption may be off.
 */
void rmap_bulkq_reserve_start(struct bulkq_reserve *reserve,
			      unsigned int groups)
{
	raw_spin_lock(&bulkq_lock);
	reserve->groups = groups;
	list_add_tail(&reserve->place, &bulkq_due);
	raw_spin_unlock(&bulkq_lock);
}

/**
 * rmap_bulkq_reserve_want_groups() - say how many sets a map's groups are going
 * to take
 * @reserve: of a map for whose groups some were taken
 * @groups: sets; 0 when it has its groups
 *
 * Context: process context.
 */
void rmap_bulkq_reserve_want_groups(struct bulkq_reserve *reserve,
				    unsigned int groups)
{
	raw_spin_lock(&bulkq_lock);
	reserve->groups = groups;
	raw_spin_unlock(&bulkq_lock);
}

/* Of a map that has taken so many for targets, or is about to. */
static void bulkq_look_ahead(struct bulkq_reserve *reserve, unsigned int count)
{
	lockdep_assert_held(&bulkq_lock);

	reserve->ahead = min3(count, BULKQ_AHEAD_MAX,
			      reserve->map->max_entries);
	reserve->idle = false;
	reserve->taken = jiffies;
}

/**
 * rmap_bulkq_reserve_fill() - let there be bulk queues, now
 * @reserve: of a claimed map, by a task that updates it
 * @count: how many targets may be made before there is another chance; besides,
 *	there are those of the map's groups
 *
 * Context: process context, sleeps. There may be less, without memory.
 */
void rmap_bulkq_reserve_fill(struct bulkq_reserve *reserve, unsigned int count)
{
	raw_spin_lock(&bulkq_lock);
	bulkq_look_ahead(reserve, max(count, reserve->ahead));
	reserve->made = true;
	reserve->low = false;
	list_move_tail(&reserve->place, &bulkq_filled);
	raw_spin_unlock(&bulkq_lock);

	bulkq_settle(reserve);
	queue_delayed_work(system_highpri_wq, &bulkq_filled_work,
			   BULKQ_AHEAD_TIME);
}

/**
 * rmap_bulkq_reserve_take() - bulk queues for a port of a map
 * @reserve: of the map
 * @more: for a target, and there may be many more; else for one of the groups
 * @gfp: how to allocate when the reserve has none; must forbid to sleep
 *
 * Context: process context.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_reserve_take(struct bulkq_reserve *reserve, bool more, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	bool low;

	raw_spin_lock(&bulkq_lock);
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
	raw_spin_unlock(&bulkq_lock);

	if (low)
		mod_delayed_work(system_highpri_wq, &bulkq_due_work, 0);
	if (!bulkq)
		bulkq = rmap_bulkq_alloc(gfp);
	return bulkq ?: rmap_bulkq_pool_take();
}

/**
 * rmap_bulkq_reserve_memory() - what is in a reserve
 * @reserve: of a map
 *
 * Context: any; the map must not be freed meanwhile.
 * Return: bytes, those of all possible CPUs included.
 */
size_t rmap_bulkq_reserve_memory(const struct bulkq_reserve *reserve)
{
	return READ_ONCE(reserve->stock.count) * bulkq_memory();
}

/**
 * rmap_bulkq_module_exit() - stop the work items, and free the pool
 *
 * Context: rmmod, with no map left, so no reserve either.
 */
void rmap_bulkq_module_exit(void)
{
	/* The first one may queue the second one, and itself. */
	cancel_delayed_work_sync(&bulkq_due_work);
	cancel_delayed_work_sync(&bulkq_filled_work);
	rmap_bulkq_pool_exit();
}
