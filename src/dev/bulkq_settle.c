// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills a reserve to the number of sets that it wants, or shrinks it.
 *
 * bulkq_reserve.c decides when that happens. A new set is charged to the memory
 * cgroup of the reserve's map. A closed map has none, so it gets no new sets.
 *
 * This file owns rmap_bulkq_lock, which guards all reserves. Sets are allocated
 * and freed in process context, without the lock.
 */
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>

#include "bulkq.h"
#include "compat.h"

DEFINE_RAW_SPINLOCK(rmap_bulkq_lock);

/* The number of sets that a reserve lacks; negative if it has too many. */
static int bulkq_lacks(const struct bulkq_reserve *reserve)
{
	return bulkq_wants(reserve) - reserve->stock.count;
}

/* Take one set out of a reserve that has too many; otherwise NULL. */
static struct xdp_dev_bulk_queue __percpu *
bulkq_surplus(struct bulkq_reserve *reserve)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;

	raw_spin_lock(&rmap_bulkq_lock);
	if (bulkq_lacks(reserve) < 0)
		bulkq = rmap_bulkq_stock_pop(&reserve->stock);
	raw_spin_unlock(&rmap_bulkq_lock);
	return bulkq;
}

/* Add one set to a reserve that lacks one; false if none is added. */
static bool bulkq_add(struct bulkq_reserve *reserve, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = NULL;
	bool lacks;

	raw_spin_lock(&rmap_bulkq_lock);
	lacks = bulkq_lacks(reserve) > 0;
	raw_spin_unlock(&rmap_bulkq_lock);
	if (lacks)
		bulkq = rmap_bulkq_alloc(gfp);

	raw_spin_lock(&rmap_bulkq_lock);
	if (bulkq)
		rmap_bulkq_stock_push(&reserve->stock, bulkq);
	reserve->starved = lacks && !bulkq;
	raw_spin_unlock(&rmap_bulkq_lock);
	return bulkq;
}

/**
 * rmap_bulkq_shrink() - free the surplus sets of a reserve
 * @reserve: the reserve
 *
 * Context: process context, sleeps; the caller keeps the map.
 */
void rmap_bulkq_shrink(struct bulkq_reserve *reserve)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;

	while ((bulkq = bulkq_surplus(reserve)))
		rmap_bulkq_free(bulkq);
}

/**
 * rmap_bulkq_settle() - fill or shrink a reserve to the sets that it wants
 * @reserve: the reserve
 *
 * No other function establishes stock.count == wants. Two tasks may settle the
 * same reserve at the same time. A closed map's reserve is not filled.
 *
 * Context: process context, sleeps; the caller keeps the map.
 */
void rmap_bulkq_settle(struct bulkq_reserve *reserve)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN;
	struct mem_cgroup *memcg, *old_memcg = NULL;

	memcg = compat_map_memcg_get(reserve->map);
	if (memcg) {
		old_memcg = set_active_memcg(memcg);
		gfp |= __GFP_ACCOUNT;
	}
	/* Read after the memory cgroup, which is not found without an id. */
	if (READ_ONCE(reserve->map->id))
		while (bulkq_add(reserve, gfp))
			;
	if (memcg) {
		set_active_memcg(old_memcg);
		mem_cgroup_put(memcg);
	}
	rmap_bulkq_shrink(reserve);
}
