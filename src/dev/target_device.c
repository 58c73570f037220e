// SPDX-License-Identifier: GPL-2.0-only
/*
 * What devices do, to their targets: they come, change, and leave.
 *
 * Owns what happens to targets when their device goes away, until they are
 * swept. Called by the netdev notifier, under RTNL; what is dead is asked for by
 * holder.c's sweep, a work item, and in bpf(2).
 *
 * A device leaves (unregisters, or moves to another namespace):
 *
 *  1. Core unlists it and waits for a grace period, then notifies.
 *  2. rmap_target_device_left(), under RTNL, takes its targets out of the table
 *     and marks them dead. Every lookup looks at the mark: from here on the
 *     target is in no map. This is all that is done under RTNL, and it does not
 *     depend on how many maps and slots there are.
 *  3. A grace period later no poll uses the device through the port, and no
 *     update that had found the target alive is still about to publish it:
 *     the reference to the device is dropped, and the sweep queued.
 *  4. The sweep (holder.c) visits the maps that hold dead targets, empties
 *     their slots and so drops the references.
 *  5. A grace period after the last reference has gone the target is freed: see
 *     target.c.
 *
 * Locks: rmap_target_lock and dead_lock are never taken together. Inside
 * rmap_target_lock are the ports' mirror_lock and the locks of the tables and
 * of the namespaces' sums; dead_lock is innermost.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/spinlock.h>

#include "bulkq.h"
#include "gone.h"
#include "target.h"
#include "target_device.h"
#include "target_table.h"

/* Dead targets that wait for the sweep. Taken in softirq (RCU callbacks). */
static LIST_HEAD(dead_targets);
static DEFINE_SPINLOCK(dead_lock);

/* How many targets have ever died; written under rmap_target_lock. */
static unsigned int target_death_count;

/**
 * rmap_target_device_came() - get ready for a device to become a target
 * @dev: a device that registers, or has come from another namespace
 *
 * Context: netdev notifier, under RTNL, sleeps.
 */
void rmap_target_device_came(struct net_device *dev)
{
	struct target_net *tn = rmap_target_table_net(dev_net(dev));
	gfp_t gfp = GFP_KERNEL;

	ASSERT_RTNL();

	rmap_bulkq_look_at(dev);
	/* Who loads the module has made none of the devices that are there. */
	if (THIS_MODULE->state == MODULE_STATE_LIVE)
		gfp |= __GFP_ACCOUNT;
	rmap_bulkq_spare_bring(&tn->spares, dev, gfp);
}

/* Let the ports of a device show its present state. */
static int target_device_mirror(struct net_device *dev,
				struct netdev_nested_priv *unused)
{
	struct target_net *tn = rmap_target_table_net(dev_net(dev));
	struct target *target;

	/* The lock keeps the target in the table, and so from being freed. */
	spin_lock(&rmap_target_lock);
	for (target = rmap_target_table_first(tn, dev); target;
	     target = rmap_target_table_next(target))
		rmap_port_mirror(&target->port);
	hlist_for_each_entry(target, target_table_own(tn, dev->ifindex), own_node)
		if (target->port.real == dev)
			rmap_port_mirror(&target->port);
	spin_unlock(&rmap_target_lock);
	return 0;
}

/**
 * rmap_target_device_changed() - pass on a change of a device
 * @dev: the device, in its new state
 *
 * Drivers of devices above it (VLANs, ipvlans, HSR rings, bonds) follow some of
 * its changes without a word: see "Changes of devices" in design.rst.
 *
 * Context: netdev notifier, under RTNL, behind all others.
 */
void rmap_target_device_changed(struct net_device *dev)
{
	struct netdev_nested_priv unused = {};

	ASSERT_RTNL();

	target_device_mirror(dev, NULL);
	rcu_read_lock();
	netdev_walk_all_upper_dev_rcu(dev, target_device_mirror, &unused);
	rcu_read_unlock();
}

/* RCU callback, in softirq: step 3 of the head comment. */
static void target_died(struct rcu_head *rcu)
{
	struct target *target = container_of(rcu, struct target, death);

	rmap_port_detach(&target->port);
	spin_lock_bh(&dead_lock);
	list_add_tail(&target->dead_node, &dead_targets);
	spin_unlock_bh(&dead_lock);
	rmap_target_queue_sweep();
}

/* A device has left, and so one of its targets has died. */
static void target_die(struct target *target, bool moved)
{
	lockdep_assert_held(&rmap_target_lock);

	target->moved = moved;
	WRITE_ONCE(target->entry.idx, TARGET_DEAD);
	rmap_target_table_changed();
	rmap_gone_leave(target->gone, &target->leaver);
	rmap_port_leave(&target->port);
	/* Who sees the count sees the mark. */
	smp_store_release(&target_death_count, target_death_count + 1);
	rmap_target_hold(target);	/* the sweep's */
	call_rcu(&target->death, target_died);
}

/**
 * rmap_target_device_left() - take a device out of all maps
 * @dev: a device that core has unlisted, a grace period ago
 *
 * Context: netdev notifier, under RTNL. The time follows the number of programs
 * that maps name for the device, and of entries with counters of their own.
 */
void rmap_target_device_left(struct net_device *dev)
{
	struct target_net *tn = rmap_target_table_net(dev_net(dev));
	bool moved = dev->reg_state == NETREG_REGISTERED;
	struct hlist_node *next;
	struct target *target;

	ASSERT_RTNL();

	spin_lock(&rmap_target_lock);
	for (target = rmap_target_table_take(tn, dev); target;
	     target = rmap_target_table_next(target))
		target_die(target, moved);
	hlist_for_each_entry_safe(target, next,
				  target_table_own(tn, dev->ifindex), own_node) {
		if (target->port.real != dev)
			continue;
		hlist_del_init(&target->own_node);
		target_die(target, moved);
	}
	spin_unlock(&rmap_target_lock);

	rmap_bulkq_spare_drop(&tn->spares, dev);
}

/**
 * rmap_target_take_dead() - the targets that are to be swept
 * @dead: gets them, each with a reference, linked by dead_node
 *
 * Context: process context.
 */
void rmap_target_take_dead(struct list_head *dead)
{
	spin_lock_bh(&dead_lock);
	list_splice_tail_init(&dead_targets, dead);
	spin_unlock_bh(&dead_lock);
}

/**
 * rmap_target_deaths() - how many targets have died since the module was loaded
 *
 * While it stays the same, a map that was swept has nothing dead in it.
 *
 * Context: inside the RCU read section in which dead targets are looked for.
 * Return: a count that only grows (and wraps around).
 */
unsigned int rmap_target_deaths(void)
{
	/* Pairs with rmap_target_device_left(). */
	return smp_load_acquire(&target_death_count);
}
