// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep: empties the slots that point to dead targets.
 *
 * This file owns the list of all holders that have ever held a target, and the
 * sweep, a work item, which is queued when a device has left. One sweep visits
 * all maps that hold dead targets, for all targets that have died meanwhile.
 * (It has to test each map: a target does not list the maps that hold it.)
 *
 * Updates list holders, inside an RCU read section; freeing a map unlists its
 * holder, in process context.
 *
 * Locks, from the outside in: holders_mutex, holder->lock, holders_lock. Of
 * these, only holders_mutex may be held when a lock of targets is taken.
 */
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "holder.h"
#include "target.h"
#include "target_device.h"

/* A map with more dead targets is swept once for all of them, not for each. */
#define HOLDER_SINGLE_SWEEPS 3

/*
 * All holders that have ever held a target. holders_lock guards changes of the
 * list; removals are made under holders_mutex as well, which the sweep holds
 * while it walks the list.
 */
static LIST_HEAD(holders);
static DEFINE_SPINLOCK(holders_lock);
static DEFINE_MUTEX(holders_mutex);

/**
 * rmap_holder_list() - list a holder for the sweep
 * @holder: a holder that has got a target; nothing is done when it is listed
 *
 * Context: process context, under holder.lock.
 */
void rmap_holder_list(struct holder *holder)
{
	lockdep_assert_held(&holder->lock);

	if (!list_empty(&holder->node))
		return;
	spin_lock(&holders_lock);
	list_add_tail_rcu(&holder->node, &holders);
	spin_unlock(&holders_lock);
}

/**
 * rmap_holder_unlist() - unlist a holder, so that no sweep visits it
 * @holder: the listed holder of a map that is being freed
 *
 * Context: process context, sleeps until a running sweep is done.
 */
void rmap_holder_unlist(struct holder *holder)
{
	mutex_lock(&holders_mutex);
	spin_lock(&holders_lock);
	list_del_rcu(&holder->node);
	spin_unlock(&holders_lock);
	mutex_unlock(&holders_mutex);
}

/* Sweep a map: once for each dead target, or once for all if they are many. */
static void holder_sweep(struct holder *holder, const struct list_head *dead)
{
	struct target *target;
	unsigned int held = 0;

	list_for_each_entry(target, dead, dead_node) {
		if (rmap_holder_has_uses(holder, target) &&
		    ++held > HOLDER_SINGLE_SWEEPS) {
			holder->sweep(holder, NULL);
			return;
		}
	}
	if (!held)
		return;
	list_for_each_entry(target, dead, dead_node)
		if (rmap_holder_has_uses(holder, target))
			holder->sweep(holder, target);
}

/* The sweep. Work item, a grace period after the targets were marked dead. */
static void holder_sweep_all(struct work_struct *work)
{
	struct holder *holder;
	struct target *target, *next;
	LIST_HEAD(dead);

	rmap_target_take_dead(&dead);

	mutex_lock(&holders_mutex);
	list_for_each_entry_rcu(holder, &holders, node,
				lockdep_is_held(&holders_mutex)) {
		holder_sweep(holder, &dead);
		cond_resched();
	}
	mutex_unlock(&holders_mutex);

	list_for_each_entry_safe(target, next, &dead, dead_node) {
		list_del_init(&target->dead_node);
		rmap_target_put(target);
	}
}

static DECLARE_WORK(sweep_work, holder_sweep_all);

/**
 * rmap_holder_module_init() - register the sweep
 *
 * Context: insmod.
 * Return: 0.
 */
int __init rmap_holder_module_init(void)
{
	rmap_target_set_sweep(&sweep_work);
	return 0;
}
