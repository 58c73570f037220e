// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sweeps: how maps let go of targets that are dead.
 *
 * Owns the list of all holders that have ever held anything, and the work item that a
 * device's leaving queues: one pass over the maps that hold dead targets, for all that
 * have died meanwhile. (Maps know their targets; targets do not know their maps.)
 *
 * Holders are listed by updates, inside an RCU read section, and unlisted in process
 * context when their map is freed.
 *
 * Locks, from the outside in: holders_mutex, holder->lock, holders_lock.
 * Targets' locks are taken inside holders_mutex only.
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

/* More dead targets in a map than that are swept together: see holder_sweep() */
#define HOLDER_SINGLE_SWEEPS 3

/*
 * Every holder that has held anything. Added under holders_lock; removed under
 * holders_mutex as well, which the sweep holds while it walks.
 */
static LIST_HEAD(holders);
static DEFINE_SPINLOCK(holders_lock);
static DEFINE_MUTEX(holders_mutex);

/**
 * rmap_holder_list() - a holder that holds something is known to the sweep from
 * then on
 * @holder: the map's part; nothing is done when it is known already
 *
 * Context: process context, with the holder's lock held.
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
 * rmap_holder_unlist() - no sweep comes by a holder from here on
 * @holder: of a map that is being freed; it is listed
 *
 * Context: process context, sleeps: it waits for a sweep under way.
 */
void rmap_holder_unlist(struct holder *holder)
{
	mutex_lock(&holders_mutex);
	spin_lock(&holders_lock);
	list_del_rcu(&holder->node);
	spin_unlock(&holders_lock);
	mutex_unlock(&holders_mutex);
}

/* Let a map let go of dead targets: in a pass for each, or in one for many. */
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

/* Work item, a grace period after the targets were marked. */
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
 * rmap_holder_module_init() - get ready for maps
 *
 * Context: insmod.
 * Return: 0
 */
int __init rmap_holder_module_init(void)
{
	rmap_target_set_sweep(&sweep_work);
	return 0;
}
