// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reserves: bulk queues that a map has ready for the ports that updates make.
 *
 * Each map that has been born owns a reserve, charged to the map's memory cgroup,
 * of as many as it is expected to take soon, which are ahead: a new map those of
 * its groups, and a map that goes on taking bulk queues for targets as many more as
 * it has taken lately, at most BULKQ_AHEAD_MAX, and no more than it may have
 * entries. A reserve of which nothing is taken for a second is empty again.
 *
 * The invariant: a reserve that is not due has nothing ahead and nothing in stock;
 * one that has been settled has what it wants, no less and no more: stock.count ==
 * ahead. bulkq_settle() makes it so, for all that are due, in a work item that an
 * update queues which finds its map's reserve low; and for a batch before each of
 * its chunks. So maps that are made and closed again, or never filled, cost
 * nothing unless another map's update has run low meanwhile, and then for a second.
 *
 * What an update does not find in the reserve it allocates without sleeping. Where
 * that fails as well, for a task that makes maps and fills them where the work item
 * gets no CPU, there is a pool for one map's groups. Whoever makes a map fills it
 * up, and pays. It is all that creations can leave behind which fail.
 *
 * Updates take, inside an RCU read section, in bpf(2); maps are born with
 * preemption off; all else is in process context. One raw lock protects all
 * reserves and the pool, and a mutex those that are due from being freed.
 */
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "bulkq.h"
#include "compat.h"

/* What the pool has: enough for the groups of one map. */
#define BULKQ_POOL 2

/* The most that a reserve has ahead. */
#define BULKQ_AHEAD_MAX 64U

/* How long after it was last used, or first filled, it has that, in jiffies. */
#define BULKQ_AHEAD_TIME ((unsigned long)HZ)

/* Of all reserves and the pool. A raw one: maps are born with preemption off. */
static DEFINE_RAW_SPINLOCK(bulkq_lock);

static struct bulkq_stock bulkq_pool;

/* Reserves that are to be settled; who is at it holds the mutex. */
static LIST_HEAD(bulkq_due);
static DEFINE_MUTEX(bulkq_due_mutex);

/*
 * Settle what is due: now, and when it may have more than it needs. On
 * system_highpri_wq: those who take bulk queues keep a CPU busy.
 */
static void bulkq_settle_due(struct work_struct *work);
static DECLARE_DELAYED_WORK(bulkq_work, bulkq_settle_due);
static DECLARE_DELAYED_WORK(bulkq_idle_work, bulkq_settle_due);

/*
 * The next one is in q[0] of the first CPU's queue. By addresses as the allocator
 * gives them, or kmemleak takes them for lost.
 */
static void bulkq_stock_push(struct bulkq_stock *stock,
			     struct xdp_dev_bulk_queue __percpu *bulkq)
{
	lockdep_assert_held(&bulkq_lock);

	bulkq_first(bulkq)->q[0] = (__force void *)stock->first;
	stock->first = bulkq;
	WRITE_ONCE(stock->count, stock->count + 1);
}

static struct xdp_dev_bulk_queue __percpu *
bulkq_stock_pop(struct bulkq_stock *stock)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = stock->first;
	struct kern_bulkq *first;

	lockdep_assert_held(&bulkq_lock);

	if (!bulkq)
		return NULL;
	first = bulkq_first(bulkq);
	stock->first = (__force void __percpu *)first->q[0];
	first->q[0] = NULL;
	WRITE_ONCE(stock->count, stock->count - 1);
	return bulkq;
}

/**
 * bulkq_pool_fill() - see that one map's groups can be made
 *
 * Context: bpf(2) of who makes a map, and pays; sleeps. Where there is no memory,
 * there may be none when it is needed either.
 */
void bulkq_pool_fill(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	bool full;

	while (READ_ONCE(bulkq_pool.count) < BULKQ_POOL) {
		bulkq = bulkq_alloc(compat_memcg_flags(GFP_KERNEL |
						       __GFP_NORETRY |
						       __GFP_NOWARN));
		if (!bulkq)
			return;
		raw_spin_lock(&bulkq_lock);
		full = bulkq_pool.count >= BULKQ_POOL;
		if (!full)
			bulkq_stock_push(&bulkq_pool, bulkq);
		raw_spin_unlock(&bulkq_lock);
		if (full)
			bulkq_free(bulkq);
	}
}

/* --- reserves --------------------------------------------------------------- */

/* How many a reserve lacks; negative: has too many. */
static int bulkq_lacks(const struct bulkq_reserve *reserve)
{
	lockdep_assert_held(&bulkq_lock);

	return reserve->ahead - reserve->stock.count;
}

static void bulkq_set_due(struct bulkq_reserve *reserve)
{
	lockdep_assert_held(&bulkq_lock);

	if (list_empty(&reserve->due))
		list_add_tail(&reserve->due, &bulkq_due);
}

/* One of what a reserve has too many of, or NULL. */
static struct xdp_dev_bulk_queue __percpu *
bulkq_surplus(struct bulkq_reserve *reserve)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;

	raw_spin_lock(&bulkq_lock);
	if (bulkq_lacks(reserve) < 0)
		bulkq = bulkq_stock_pop(&reserve->stock);
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
		bulkq = bulkq_alloc(gfp);

	raw_spin_lock(&bulkq_lock);
	if (bulkq)
		bulkq_stock_push(&reserve->stock, bulkq);
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
		bulkq_free(bulkq);
}

/* When a map has taken none for a while, it has none ahead. */
static void bulkq_forget(struct bulkq_reserve *reserve)
{
	raw_spin_lock(&bulkq_lock);
	if (reserve->fresh) {
		/* Its time begins when there is something to take. */
		reserve->fresh = false;
		reserve->taken = jiffies;
	} else if (time_after_eq(jiffies, reserve->taken + BULKQ_AHEAD_TIME)) {
		reserve->ahead = 0;
	}
	raw_spin_unlock(&bulkq_lock);
}

/*
 * May a reserve be filled? A map gets its id after it was born, and right after
 * that the memory cgroup that pays, if it gets one. When it is closed it loses the
 * id first.
 */
static bool bulkq_may_settle(const struct bulkq_reserve *reserve)
{
	if (!READ_ONCE(reserve->map->id))
		return false;
	return compat_map_has_memcg(reserve->map) ||
	       time_after(jiffies, reserve->born + 1);
}

/*
 * Settle the next one of some that were due. True: there was one; @again, in
 * jiffies, becomes less if it has to be looked at again.
 */
static bool bulkq_settle_next(struct list_head *list, unsigned long *again)
{
	struct bulkq_reserve *reserve;
	bool may;

	/* Keeps it from being freed. */
	mutex_lock(&bulkq_due_mutex);
	raw_spin_lock(&bulkq_lock);
	reserve = list_first_entry_or_null(list, struct bulkq_reserve, due);
	raw_spin_unlock(&bulkq_lock);
	if (!reserve) {
		mutex_unlock(&bulkq_due_mutex);
		return false;
	}

	may = bulkq_may_settle(reserve);
	if (may) {
		bulkq_forget(reserve);
		bulkq_settle(reserve);
	}

	raw_spin_lock(&bulkq_lock);
	if (may && !reserve->ahead && !reserve->stock.count) {
		list_del_init(&reserve->due);
	} else {
		list_move_tail(&reserve->due, &bulkq_due);
		*again = min(*again, may ? BULKQ_AHEAD_TIME : 1UL);
	}
	raw_spin_unlock(&bulkq_lock);
	mutex_unlock(&bulkq_due_mutex);
	return true;
}

/* Work item. */
static void bulkq_settle_due(struct work_struct *work)
{
	unsigned long again = MAX_JIFFY_OFFSET;
	LIST_HEAD(list);

	raw_spin_lock(&bulkq_lock);
	list_splice_init(&bulkq_due, &list);
	raw_spin_unlock(&bulkq_lock);

	while (bulkq_settle_next(&list, &again))
		cond_resched();

	if (again == 1)
		queue_delayed_work(system_highpri_wq, &bulkq_work, again);
	else if (again != MAX_JIFFY_OFFSET)
		queue_delayed_work(system_highpri_wq, &bulkq_idle_work, again);
}

/**
 * bulkq_reserve_init() - make a map's reserve, which wants nothing
 * @reserve: memory for it; needs no undoing while it wants nothing
 * @map: the map
 *
 * Context: process context; nobody else can reach the map yet.
 */
void bulkq_reserve_init(struct bulkq_reserve *reserve,
			const struct bpf_map *map)
{
	reserve->stock = (struct bulkq_stock){};
	reserve->ahead = 0;
	reserve->starved = false;
	reserve->fresh = false;
	INIT_LIST_HEAD(&reserve->due);
	reserve->map = map;
}

/**
 * bulkq_reserve_exit() - free what a reserve has
 * @reserve: of a map that nobody updates any more
 *
 * Context: process context, sleeps.
 */
void bulkq_reserve_exit(struct bulkq_reserve *reserve)
{
	bool due;

	raw_spin_lock(&bulkq_lock);
	due = !list_empty(&reserve->due);
	raw_spin_unlock(&bulkq_lock);
	if (due) {
		mutex_lock(&bulkq_due_mutex);
		raw_spin_lock(&bulkq_lock);
		list_del_init(&reserve->due);
		raw_spin_unlock(&bulkq_lock);
		mutex_unlock(&bulkq_due_mutex);
	}

	reserve->ahead = 0;
	while (reserve->stock.count)
		bulkq_free(bulkq_surplus(reserve));
}

/**
 * bulkq_reserve_born() - say how many sets a new map is going to take first
 * @reserve: of a map that is being born
 * @count: sets
 *
 * They are made when an update of any map runs low.
 *
 * Context: any; preemption may be off.
 */
void bulkq_reserve_born(struct bulkq_reserve *reserve, unsigned int count)
{
	raw_spin_lock(&bulkq_lock);
	reserve->ahead = count;
	reserve->fresh = true;
	reserve->born = jiffies;
	bulkq_set_due(reserve);
	raw_spin_unlock(&bulkq_lock);
}

/* Of a map that has taken so many, or is about to. */
static void bulkq_look_ahead(struct bulkq_reserve *reserve, unsigned int count)
{
	lockdep_assert_held(&bulkq_lock);

	reserve->ahead = min3(count, BULKQ_AHEAD_MAX,
			      reserve->map->max_entries);
	reserve->taken = jiffies;
	bulkq_set_due(reserve);
}

/**
 * bulkq_reserve_fill() - let there be bulk queues, now
 * @reserve: of a map that is born
 * @count: how many targets may be made before there is another chance
 *
 * Context: process context, sleeps. There may be less, without memory.
 */
void bulkq_reserve_fill(struct bulkq_reserve *reserve, unsigned int count)
{
	raw_spin_lock(&bulkq_lock);
	bulkq_look_ahead(reserve, max(count, reserve->ahead));
	raw_spin_unlock(&bulkq_lock);

	bulkq_settle(reserve);
	queue_delayed_work(system_highpri_wq, &bulkq_idle_work,
			   BULKQ_AHEAD_TIME);
}

/**
 * bulkq_reserve_take() - bulk queues for a port of a map
 * @reserve: of the map
 * @more: there may be many more of the kind; else it was said at the map's birth
 * @gfp: how to allocate when the reserve has none; must forbid to sleep
 *
 * Context: process context.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *
bulkq_reserve_take(struct bulkq_reserve *reserve, bool more, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	bool low;

	raw_spin_lock(&bulkq_lock);
	bulkq = bulkq_stock_pop(&reserve->stock);
	if (more)
		bulkq_look_ahead(reserve, reserve->ahead + 1);
	else if (reserve->ahead)
		reserve->ahead--;
	low = (!bulkq || reserve->stock.count * 2 < reserve->ahead) &&
	      !reserve->starved;
	raw_spin_unlock(&bulkq_lock);

	if (low)
		mod_delayed_work(system_highpri_wq, &bulkq_work, 0);
	if (!bulkq)
		bulkq = bulkq_alloc(gfp);
	if (bulkq)
		return bulkq;

	raw_spin_lock(&bulkq_lock);
	bulkq = bulkq_stock_pop(&bulkq_pool);
	raw_spin_unlock(&bulkq_lock);
	return bulkq;
}

/**
 * bulkq_reserve_memory() - what is in a reserve
 * @reserve: of a map
 *
 * Context: any; the map must not be freed meanwhile.
 * Return: bytes, those of all possible CPUs included.
 */
size_t bulkq_reserve_memory(const struct bulkq_reserve *reserve)
{
	return READ_ONCE(reserve->stock.count) * bulkq_memory();
}

/**
 * bulkq_module_exit() - free the pool
 *
 * Context: rmmod, with no map left, so nothing is due.
 */
void bulkq_module_exit(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	/* Each may queue the other. */
	cancel_delayed_work_sync(&bulkq_work);
	cancel_delayed_work_sync(&bulkq_idle_work);
	cancel_delayed_work_sync(&bulkq_work);
	do {
		raw_spin_lock(&bulkq_lock);
		bulkq = bulkq_stock_pop(&bulkq_pool);
		raw_spin_unlock(&bulkq_lock);
		bulkq_free(bulkq);
	} while (bulkq);
}
