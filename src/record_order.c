// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of maps that the kernel allocates, with the maps' counters.
 *
 * A map is claimed with preemption off, where large allocations often fail, and
 * where none is possible on PREEMPT_RT. So the claim orders the record, and the
 * task that creates the map makes the record on its way back to user space:
 * there the task may sleep, and its memory cgroup is charged.
 *
 * Such maps are freed in a work item of the kernel, or in bpf(2) when creation
 * fails after the claim, perhaps before the record has been made. This file
 * owns the orders. While a record is made, record_order_mutex delays the
 * freeing of its map.
 */
#include <linux/bitmap.h>
#include <linux/bpf.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "compat.h"
#include "log.h"
#include "record.h"

/*
 * The most orders at a time, and the most orders of one task. A task has more
 * than one order while it runs a program of type syscall, which may create many
 * maps, and may sleep in between to read the memory of another process.
 */
#define RECORD_ORDERS 128
#define RECORD_ORDERS_TASK 32

/* Offset of the counters, behind the record; each CPU has own cache lines. */
#define RECORD_COUNTERS ALIGN(sizeof(struct record), SMP_CACHE_BYTES)

/* The largest kind.counters of all kinds. Set by insmod. */
static size_t record_counters __ro_after_init;

/**
 * rmap_record_memory() - memory of a record that its map does not include
 *
 * Context: any.
 * Return: bytes, for all CPUs.
 */
size_t rmap_record_memory(void)
{
	return RECORD_COUNTERS + nr_cpu_ids * record_counters;
}

/**
 * struct record_order - a map whose record is to be made
 * @work: the work of the task that creates the map
 * @task: that task, to count its orders; NULL for an unused order
 * @map: the map; NULL if it was freed meanwhile. Changed under
 *	record_order_mutex, except for its first value
 * @kind: its kind
 * @open: begins the record
 */
struct record_order {
	struct callback_head work;
	struct task_struct *task;
	struct bpf_map *map;
	const struct kind *kind;
	void (*open)(struct record *record, struct bpf_map *map,
		     const struct kind *kind);
};

/* The task that has set a bit owns the order with the bit's number. */
static struct record_order record_orders[RECORD_ORDERS];
static DECLARE_BITMAP(record_orders_taken, RECORD_ORDERS);
/* Guards record_order.map. */
static DEFINE_MUTEX(record_order_mutex);

/* Preemption may be off. */
static struct record_order *record_order_take(void)
{
	unsigned int i, own = 0;

	for (i = 0; i < RECORD_ORDERS; i++)
		if (READ_ONCE(record_orders[i].task) == current)
			own++;
	if (own >= RECORD_ORDERS_TASK)
		return NULL;

	for (i = 0; i < RECORD_ORDERS; i++)
		if (!test_and_set_bit(i, record_orders_taken)) {
			WRITE_ONCE(record_orders[i].task, current);
			return &record_orders[i];
		}
	return NULL;
}

static void record_order_give(struct record_order *order)
{
	WRITE_ONCE(order->task, NULL);
	clear_bit_unlock(order - record_orders, record_orders_taken);
}

/* The caller's memory cgroup is charged. */
static struct record *record_alloc(void)
{
	gfp_t gfp = compat_memcg_flags(GFP_KERNEL | __GFP_RETRY_MAYFAIL |
				       __GFP_NOWARN);
	struct record *record = kvzalloc(rmap_record_memory(), gfp);

	if (record)
		record->counters = (void *)record + RECORD_COUNTERS;
	return record;
}

/*
 * Runs in the task that has created the map. The task is about to return from
 * bpf(2) to user space, or it is exiting and has left its namespaces.
 */
static void record_make(struct callback_head *work)
{
	struct record_order *order = container_of(work, struct record_order,
						  work);
	struct record *record;

	record = current->flags & PF_EXITING ? NULL : record_alloc();

	mutex_lock(&record_order_mutex);
	if (order->map && record) {
		order->open(record, order->map, order->kind);
		record = NULL;
	} else if (order->map) {
		pr_notice_ratelimited("a map (%s) is neither listed nor counted: no memory\n",
				      order->map->name);
	}
	WRITE_ONCE(order->map, NULL);
	mutex_unlock(&record_order_mutex);

	kvfree(record);
	record_order_give(order);
	/* rmmod waits for tasks in the module's text: see main_wait(). */
	module_put(THIS_MODULE);
}

/**
 * rmap_record_order() - order a record for a map that the kernel has allocated
 * @map: the map, which is being claimed and has a reference to the module
 * @kind: its kind
 * @open: begins the record: see rmap_record_open(); called in the task that
 *	creates the map
 *
 * When bpf(2) returns to user space, the map has its record, and
 * record_find() finds it. If there is no memory at that moment, the map
 * never gets a record.
 *
 * Context: bpf(2), in the task that creates the map; preemption may be off.
 * Return: false when the map cannot get a record: too many maps wait for their
 * records, or the task never returns to user space.
 */
bool rmap_record_order(struct bpf_map *map, const struct kind *kind,
		       void (*open)(struct record *record, struct bpf_map *map,
				    const struct kind *kind))
{
	struct record_order *order;

	/* A kernel thread does not return to user space. */
	if (current->flags & PF_KTHREAD)
		return false;
	order = record_order_take();
	if (!order)
		return false;

	init_task_work(&order->work, record_make);
	order->kind = kind;
	order->open = open;
	WRITE_ONCE(order->map, map);
	if (task_work_add(current, &order->work, TWA_RESUME)) {
		WRITE_ONCE(order->map, NULL);
		record_order_give(order);
		return false;
	}
	__module_get(THIS_MODULE);
	return true;
}

static void record_order_cancel(const struct bpf_map *map)
{
	unsigned int i;

	lockdep_assert_held(&record_order_mutex);

	for (i = 0; i < RECORD_ORDERS; i++)
		if (READ_ONCE(record_orders[i].map) == map)
			WRITE_ONCE(record_orders[i].map, NULL);
}

/**
 * rmap_record_return() - get the record of a map that is about to be freed, or
 * cancel its order
 * @map: a map for which rmap_record_order() was called
 *
 * Context: process context, sleeps.
 * Return: the record; or NULL, if the order was cancelled or has failed.
 */
struct record *rmap_record_return(const struct bpf_map *map)
{
	struct record *record;

	mutex_lock(&record_order_mutex);
	rcu_read_lock();
	record = record_find(map);
	rcu_read_unlock();
	if (!record)
		record_order_cancel(map);
	mutex_unlock(&record_order_mutex);
	return record;
}

/**
 * rmap_record_free() - free a record that its map does not include
 * @record: the record, a grace period after rmap_record_close()
 *
 * Context: process context.
 */
void rmap_record_free(struct record *record)
{
	kvfree(record);
}

/**
 * rmap_record_order_init() - set the size of separate records
 * @counters: bytes for one CPU's counters of a map
 *
 * Context: insmod.
 */
void __init rmap_record_order_init(size_t counters)
{
	record_counters = counters;
}
