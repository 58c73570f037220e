// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stocks of idle bulk queues, and the pool, which is one of them.
 *
 * Each map's reserve has a stock: see bulkq_reserve.c. Where that has nothing, and
 * nothing can be allocated without sleeping either, for a task that makes maps and
 * fills them where the reserves' work item gets no CPU, there is the pool, for one
 * map's groups. Whoever makes a map fills it up, and pays. It is all that creations
 * can leave behind which fail.
 *
 * A stock is protected by its owner's lock, the pool by one of its own, which is
 * innermost.
 */
#include <linux/spinlock.h>

#include "bulkq.h"
#include "compat.h"

/* What the pool has: enough for the groups of one map. */
#define BULKQ_POOL 2

static DEFINE_RAW_SPINLOCK(bulkq_pool_lock);

static struct bulkq_stock bulkq_pool;

/**
 * rmap_bulkq_stock_push() - put bulk queues into a stock
 * @stock: the stock
 * @bulkq: idle queues
 *
 * The next one is in q[0] of the first CPU's queue. By addresses as the allocator
 * gives them, or kmemleak takes them for lost.
 *
 * Context: under the lock of the stock's owner.
 */
void rmap_bulkq_stock_push(struct bulkq_stock *stock,
			   struct xdp_dev_bulk_queue __percpu *bulkq)
{
	bulkq_first(bulkq)->q[0] = (__force void *)stock->first;
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
	stock->first = (__force void __percpu *)first->q[0];
	first->q[0] = NULL;
	WRITE_ONCE(stock->count, stock->count - 1);
	return bulkq;
}

/**
 * rmap_bulkq_pool_fill() - see that one map's groups can be made
 *
 * Context: bpf(2) of who makes a map, and pays; sleeps. Where there is no memory,
 * there may be none when it is needed either.
 */
void rmap_bulkq_pool_fill(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	bool full;

	while (READ_ONCE(bulkq_pool.count) < BULKQ_POOL) {
		bulkq = rmap_bulkq_alloc(compat_memcg_flags(GFP_KERNEL |
							    __GFP_NORETRY |
							    __GFP_NOWARN));
		if (!bulkq)
			return;
		raw_spin_lock(&bulkq_pool_lock);
		full = bulkq_pool.count >= BULKQ_POOL;
		if (!full)
			rmap_bulkq_stock_push(&bulkq_pool, bulkq);
		raw_spin_unlock(&bulkq_pool_lock);
		if (full)
			rmap_bulkq_free(bulkq);
	}
}

/**
 * rmap_bulkq_pool_take() - bulk queues for a port, when there are no others
 *
 * Context: any.
 * Return: an idle queue for each possible CPU, or NULL.
 */
struct xdp_dev_bulk_queue __percpu *rmap_bulkq_pool_take(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	raw_spin_lock(&bulkq_pool_lock);
	bulkq = rmap_bulkq_stock_pop(&bulkq_pool);
	raw_spin_unlock(&bulkq_pool_lock);
	return bulkq;
}

/**
 * rmap_bulkq_pool_exit() - free the pool
 *
 * Context: rmmod, with no map left.
 */
void rmap_bulkq_pool_exit(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	while ((bulkq = rmap_bulkq_pool_take()))
		rmap_bulkq_free(bulkq);
}
