// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stocks of idle bulk queues, and the pool, which is a stock for all maps.
 *
 * Each map's reserve has a stock: see bulkq_reserve.c. A task that makes maps
 * and fills them at once may find the stock empty, because the reserves' work
 * item has not run yet, and the allocation that may not sleep may fail as well.
 * The pool, with two sets for the groups of one map, is for that case. Each
 * task that makes a map fills the pool up, and is charged for the sets that it
 * adds. If the creation fails, these sets stay in the pool.
 *
 * All sets of the pool are charged to one memory cgroup, and only maps that are
 * charged to the same one take them: bulkq_pool_payer identifies it. A task of
 * another memory cgroup that makes a map replaces the sets.
 *
 * This file owns the pool. The lock of a stock's owner guards the stock, and
 * bulkq_pool_lock, which is innermost, guards the pool and bulkq_pool_payer.
 */
#include <linux/spinlock.h>

#include "bulkq.h"
#include "compat.h"

/* Sets of a full pool: enough for the groups of one map. */
#define BULKQ_POOL 2

static DEFINE_RAW_SPINLOCK(bulkq_pool_lock);

static struct bulkq_stock bulkq_pool;

/* See compat_task_payer(). */
static u64 bulkq_pool_payer;

/**
 * rmap_bulkq_stock_push() - put bulk queues into a stock
 * @stock: the stock
 * @bulkq: idle queues
 *
 * q[0] of the first CPU's queue links to the next set. The link is the address
 * that the allocator has returned, or kmemleak would report the set as lost.
 *
 * Context: under the lock of the stock's owner.
 */
void rmap_bulkq_stock_push(struct bulkq_stock *stock,
			   struct xdp_dev_bulk_queue __percpu *bulkq)
{
	bulkq_first(bulkq)->q[0] = bulkq_pointer(stock->first);
	stock->first = bulkq;
	WRITE_ONCE(stock->count, stock->count + 1);
}

/**
 * rmap_bulkq_stock_pop() - take bulk queues out of a stock
 * @stock: the stock
 *
 * Context: under the lock of the stock's owner.
 * Return: idle queues, or NULL.
 */
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_stock_pop(struct bulkq_stock *stock)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = stock->first;
	struct kern_bulkq *first;

	if (!bulkq)
		return NULL;
	first = bulkq_first(bulkq);
	stock->first = bulkq_of_pointer(first->q[0]);
	first->q[0] = NULL;
	WRITE_ONCE(stock->count, stock->count - 1);
	return bulkq;
}

static bool bulkq_pool_lacks(u64 payer)
{
	return READ_ONCE(bulkq_pool_payer) != payer ||
	       READ_ONCE(bulkq_pool.count) < BULKQ_POOL;
}

/* Free the sets of a stock that only the caller knows. */
static void bulkq_stock_free(struct bulkq_stock *stock)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	while ((bulkq = rmap_bulkq_stock_pop(stock)))
		rmap_bulkq_free(bulkq);
}

/* Put a set into the pool, in the place of another payer's sets. */
static void bulkq_pool_put(struct xdp_dev_bulk_queue __percpu *bulkq, u64 payer)
{
	struct xdp_dev_bulk_queue __percpu *other;
	struct bulkq_stock surplus = {};

	raw_spin_lock(&bulkq_pool_lock);
	while (bulkq_pool_payer != payer &&
	       (other = rmap_bulkq_stock_pop(&bulkq_pool)))
		rmap_bulkq_stock_push(&surplus, other);
	WRITE_ONCE(bulkq_pool_payer, payer);
	rmap_bulkq_stock_push(bulkq_pool.count < BULKQ_POOL ? &bulkq_pool :
							      &surplus,
			      bulkq);
	raw_spin_unlock(&bulkq_pool_lock);

	bulkq_stock_free(&surplus);
}

/**
 * rmap_bulkq_pool_fill() - fill the pool up, for the groups of one map
 *
 * If there is no memory, the pool does not change, and an update may fail
 * later.
 *
 * Context: bpf(2), in the task that makes a map and is charged; sleeps.
 */
void rmap_bulkq_pool_fill(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	u64 payer = compat_task_payer();
	int i;

	/* Not for ever, if a task of another payer does the same. */
	for (i = 0; i < BULKQ_POOL && bulkq_pool_lacks(payer); i++) {
		bulkq = rmap_bulkq_alloc(compat_memcg_flags(GFP_KERNEL |
							    __GFP_NORETRY |
							    __GFP_NOWARN));
		if (!bulkq)
			return;
		bulkq_pool_put(bulkq, payer);
	}
}

/**
 * rmap_bulkq_pool_take() - take bulk queues for a port out of the pool
 * @map: the map that the port is for
 *
 * Context: any.
 * Return: an idle queue for each possible CPU; NULL when the pool is empty, or
 * charged to another memory cgroup than @map.
 */
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_pool_take(const struct bpf_map *map)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;
	u64 payer = compat_map_payer(map);

	raw_spin_lock(&bulkq_pool_lock);
	if (bulkq_pool_payer == payer)
		bulkq = rmap_bulkq_stock_pop(&bulkq_pool);
	raw_spin_unlock(&bulkq_pool_lock);
	return bulkq;
}

/**
 * rmap_bulkq_pool_exit() - free the pool
 *
 * Context: rmmod; no map is left, and none can be made.
 */
void rmap_bulkq_pool_exit(void)
{
	bulkq_stock_free(&bulkq_pool);
}
