// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-CPU bulk queues of a port: allocated here, filled by the kernel. With
 * each goes the CPU's part of the port's counters, which are as scarce.
 *
 * dev_map_enqueue() puts a frame on the queue that net_device.xdp_bulkq names,
 * lists the queue for this CPU's next flush with its first frame, and calls
 * the port's ndo_xdp_xmit when 16 frames are there or the NAPI poll ends. What
 * makes that safe without a lock, from the enqueue to the flush, is that
 * bottom halves are off: a CPU's queue is touched by the poll that runs there
 * and by nobody else (on PREEMPT_RT because local_bh_disable() is a per-CPU
 * lock). A listed queue always holds a frame, so the flush always empties and
 * unlists it, in the poll that listed it. Hence a queue that no lookup can
 * reach is idle one grace period later, and may be freed then.
 *
 * Ports are made in bpf(2) inside an RCU read section, where nothing may sleep,
 * and per-CPU memory is scarce for those who may not. So bulk queues are made
 * beforehand, each time for an owner that there is already:
 *
 *  - Each device brings a set, its spare, with NETDEV_REGISTER, as it brings the
 *    kernel's. One of its targets has it, or else it lies in the namespace's
 *    table, until the device leaves. Charged to the task that makes the device.
 *  - Each map that has been born has a reserve, charged to the map's memory
 *    cgroup: for its groups until they are made, and, while it goes on taking
 *    bulk queues for targets, for as many more as it has taken lately, at most
 *    BULKQ_AHEAD_MAX, and no more than it may have entries.
 *
 *    The invariant: a reserve that is not due has what it wants, no less and no
 *    more: stock.count == keep + ahead. bulkq_settle() makes it so, for all that
 *    are due, in a work item that an update queues which finds its map's reserve
 *    low; and for a batch before each of its chunks.
 *  - What an update does not find in the reserve it allocates without sleeping.
 *    Where that fails as well, for a task that makes maps and fills them where the
 *    work item gets no CPU, there is a pool for one map's groups. Whoever makes
 *    a map fills it up, and pays. It is all that creations can leave behind which
 *    fail.
 *
 * Freed from work items.
 */
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "bulkq.h"
#include "compat.h"
#include "log.h"

/* What the pool has: enough for the groups of one map. */
#define BULKQ_POOL 2

/* The most that a reserve has ahead. */
#define BULKQ_AHEAD_MAX 64U

/* How long after the last use it still has that, in jiffies. */
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

/* The kernel's bulk queues are not as we know them. Written under RTNL. */
static bool bulkq_layout_differs;

static struct kern_bulkq *bulkq_cpu(struct xdp_dev_bulk_queue __percpu *bulkq,
				    unsigned int cpu)
{
	struct bulkq_cpu __percpu *all = (struct bulkq_cpu __percpu *)bulkq;

	return &per_cpu_ptr(all, cpu)->queue;
}

static struct kern_bulkq *bulkq_first(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return bulkq_cpu(bulkq, cpumask_first(cpu_possible_mask));
}

/**
 * bulkq_alloc() - make bulk queues
 * @gfp: how to allocate; without sleeping it fails easily
 *
 * Context: as @gfp says.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *bulkq_alloc(gfp_t gfp)
{
	/* The kernel takes the whole for its own part. */
	BUILD_BUG_ON(offsetof(struct bulkq_cpu, queue));

	return (struct xdp_dev_bulk_queue __percpu *)
		__alloc_percpu_gfp(sizeof(struct bulkq_cpu),
				   __alignof__(struct bulkq_cpu), gfp);
}

/**
 * bulkq_bind() - let bulk queues be a port's, with counters that begin anew
 * @bulkq: idle queues
 * @port: the pseudo device whose ndo_xdp_xmit flushes them
 *
 * Context: process context; nobody else can reach the queues yet.
 */
void bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		struct net_device *port)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct kern_bulkq *queue = bulkq_cpu(bulkq, cpu);

		queue->dev = port;
		memset(&container_of(queue, struct bulkq_cpu, queue)->stats, 0,
		       sizeof(struct stats_cpu));
	}
}

/**
 * bulkq_free() - free bulk queues
 * @bulkq: queues that nobody has been able to reach for a grace period, or NULL
 *
 * Context: process context.
 */
void bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	unsigned int cpu;

	if (!bulkq)
		return;
	for_each_possible_cpu(cpu)
		WARN_ONCE(bulkq_cpu(bulkq, cpu)->count ||
			  per_cpu_ptr((struct bulkq_cpu __percpu *)bulkq, cpu)->kept,
			  "redirmap: a bulk queue is freed with frames in it\n");
	free_percpu(bulkq);
}

/* --- the running kernel's --------------------------------------------------- */

/**
 * bulkq_look_at() - are a device's bulk queues, the kernel's, as ours?
 * @real: a device that registers, after the kernel's own notifier
 *
 * A last look before the kernel fills a queue that we laid out: in its own
 * queues, the device's address must be found where we would write it. BTF has
 * said so already; BTF can be of another build. An update cannot look, for it
 * may see a device whose queues are still being filled in.
 *
 * Context: netdev notifier, under RTNL.
 */
void bulkq_look_at(const struct net_device *real)
{
	struct kern_bulkq __percpu *queue;
	unsigned int cpu;

	ASSERT_RTNL();

	if (!real->xdp_bulkq)
		return;

	queue = (struct kern_bulkq __percpu *)real->xdp_bulkq;
	for_each_possible_cpu(cpu) {
		if (per_cpu_ptr(queue, cpu)->dev == real)
			continue;
		pr_err_once("the bulk queues of this kernel are laid out in another way\n");
		WRITE_ONCE(bulkq_layout_differs, true);
		return;
	}
}

/**
 * bulkq_layout_is_known() - is the running kernel's bulk queue ours?
 *
 * Context: any.
 * Return: false when a device's was found to be another one.
 */
bool bulkq_layout_is_known(void)
{
	return !READ_ONCE(bulkq_layout_differs);
}

/* --- stocks ----------------------------------------------------------------- */

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

	return reserve->keep + reserve->ahead - reserve->stock.count;
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

/* When it has taken none for a while, it has none ahead. */
static void bulkq_forget(struct bulkq_reserve *reserve)
{
	raw_spin_lock(&bulkq_lock);
	if (reserve->ahead &&
	    time_after_eq(jiffies, reserve->taken + BULKQ_AHEAD_TIME))
		reserve->ahead = 0;
	raw_spin_unlock(&bulkq_lock);
}

/*
 * Settle the next one of some that were due. True: there was one; @again, in
 * jiffies, becomes less if it has to be looked at again.
 */
static bool bulkq_settle_next(struct list_head *list, unsigned long *again)
{
	struct bulkq_reserve *reserve;
	bool born;

	/* Keeps it from being freed. */
	mutex_lock(&bulkq_due_mutex);
	raw_spin_lock(&bulkq_lock);
	reserve = list_first_entry_or_null(list, struct bulkq_reserve, due);
	raw_spin_unlock(&bulkq_lock);
	if (!reserve) {
		mutex_unlock(&bulkq_due_mutex);
		return false;
	}

	/* It has no id, nor a memory cgroup that pays, until it is complete. */
	born = READ_ONCE(reserve->map->id);
	if (born) {
		bulkq_forget(reserve);
		bulkq_settle(reserve);
	}

	raw_spin_lock(&bulkq_lock);
	if (born && !reserve->ahead && !bulkq_lacks(reserve)) {
		list_del_init(&reserve->due);
	} else {
		list_move_tail(&reserve->due, &bulkq_due);
		*again = min(*again, born ? BULKQ_AHEAD_TIME : 1UL);
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
	reserve->keep = 0;
	reserve->ahead = 0;
	reserve->starved = false;
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

	reserve->keep = 0;
	reserve->ahead = 0;
	while (reserve->stock.count)
		bulkq_free(bulkq_surplus(reserve));
}

/**
 * bulkq_reserve_keep() - say how many sets a reserve is to have for good
 * @reserve: of a map that is born
 * @count: sets
 *
 * They are made when an update of any map needs some: of the maps that are made,
 * some are only closed again.
 *
 * Context: any; preemption may be off.
 */
void bulkq_reserve_keep(struct bulkq_reserve *reserve, unsigned int count)
{
	raw_spin_lock(&bulkq_lock);
	reserve->keep = count;
	if (bulkq_lacks(reserve))
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
 * @more: there may be many more of the kind
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

/* --- spares ----------------------------------------------------------------- */

/*
 * In a namespace's table, by ifindex: the device's set, in whose first queue the
 * device is named; or, while one of the device's targets has it, a mark with the
 * device's address. So whose it is can be told: core repeats NETDEV_UNREGISTER
 * while somebody holds a device, and by then another one may have its ifindex.
 * Storing one over the other allocates nothing.
 */
static void *bulkq_spare_mark(const struct net_device *real)
{
	return xa_tag_pointer((void *)real, 1);
}

static bool bulkq_spare_is_of(void *spare, const struct net_device *real)
{
	return spare && !xa_pointer_tag(spare) &&
	       bulkq_first((__force void __percpu *)spare)->dev == real;
}

/**
 * bulkq_spare_bring() - make a device's spare bulk queues
 * @spares: of the device's namespace
 * @real: a device that registers, or has come from another namespace
 * @gfp: how to allocate; may sleep
 *
 * Without memory there is none, and its targets do without.
 *
 * Context: netdev notifier, under RTNL, sleeps.
 */
void bulkq_spare_bring(struct xarray *spares, const struct net_device *real,
		       gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = bulkq_alloc(gfp);

	ASSERT_RTNL();

	if (!bulkq)
		return;
	bulkq_first(bulkq)->dev = (struct net_device *)real;
	if (xa_insert(spares, real->ifindex, (__force void *)bulkq, GFP_KERNEL))
		bulkq_free(bulkq);
}

/**
 * bulkq_spare_take() - the bulk queues that a device has brought
 * @spares: of the device's namespace
 * @real: the device
 *
 * Context: process context, inside an RCU read section that covers finding @real
 * Return: idle bulk queues, to be returned; or NULL when a target has them.
 */
struct xdp_dev_bulk_queue __percpu *
bulkq_spare_take(struct xarray *spares, const struct net_device *real)
{
	void *spare;

	xa_lock(spares);
	spare = xa_load(spares, real->ifindex);
	if (bulkq_spare_is_of(spare, real))
		__xa_store(spares, real->ifindex, bulkq_spare_mark(real), 0);
	else
		spare = NULL;
	xa_unlock(spares);
	return (__force void __percpu *)spare;
}

/**
 * bulkq_spare_return() - give a device's spare back to it
 * @spares: of the device's namespace
 * @real: a device that has not left
 * @bulkq: idle bulk queues, from bulkq_spare_take()
 *
 * Context: process context, and the device does not leave meanwhile.
 */
void bulkq_spare_return(struct xarray *spares, const struct net_device *real,
			struct xdp_dev_bulk_queue __percpu *bulkq)
{
	bulkq_first(bulkq)->dev = (struct net_device *)real;
	WARN_ON_ONCE(xa_store(spares, real->ifindex, (__force void *)bulkq, 0) !=
		     bulkq_spare_mark(real));
}

/**
 * bulkq_spare_drop() - free a device's spare
 * @spares: of the device's namespace
 * @real: a device that has left, so none of its targets will return it
 *
 * Context: netdev notifier, under RTNL.
 */
void bulkq_spare_drop(struct xarray *spares, const struct net_device *real)
{
	void *spare;

	ASSERT_RTNL();

	spare = xa_load(spares, real->ifindex);
	if (bulkq_spare_is_of(spare, real)) {
		xa_erase(spares, real->ifindex);
		bulkq_free((__force void __percpu *)spare);
	} else if (spare && spare == bulkq_spare_mark(real)) {
		xa_erase(spares, real->ifindex);
	}
}

/**
 * bulkq_module_exit() - free the pool
 *
 * Context: rmmod, with no map left, so nothing is due.
 */
void bulkq_module_exit(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	cancel_delayed_work_sync(&bulkq_idle_work);
	cancel_delayed_work_sync(&bulkq_work);
	do {
		raw_spin_lock(&bulkq_lock);
		bulkq = bulkq_stock_pop(&bulkq_pool);
		raw_spin_unlock(&bulkq_lock);
		bulkq_free(bulkq);
	} while (bulkq);
}
