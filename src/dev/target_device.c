// SPDX-License-Identifier: GPL-2.0-only
/*
 * Applies the events of devices (they register, change and leave) to targets.
 *
 * This file owns the list of dead targets that wait for the sweep. The netdev
 * notifier calls the file under RTNL; the sweep (a work item of holder_sweep.c)
 * and updates in bpf(2) ask for dead targets.
 *
 * A device leaves (unregisters, or moves to another namespace):
 *
 *  1. Core unlists the device, waits for a grace period, then notifies.
 *  2. rmap_target_device_left(), under RTNL, takes the device's targets out of
 *     the table and marks them dead. Every lookup tests the mark, so from then
 *     on no lookup finds the target in a map. Nothing else is done under RTNL,
 *     so the time under RTNL does not depend on the number of maps and slots,
 *     except for entries with counters, which have targets of their own.
 *  3. A grace period later no poll uses the device through the port, and no
 *     update that has found the target live can still publish it. target_died()
 *     drops the reference to the device and queues the sweep.
 *  4. The sweep (holder_sweep.c) visits the maps that hold dead targets,
 *     empties their slots and so drops the references.
 *  5. A grace period after the last reference was dropped, target.c frees the
 *     target.
 *
 * Locks: rmap_target_lock and dead_lock are never taken together. The ports'
 * mirror_lock and the locks of the tables and of the namespaces' sums nest
 * inside rmap_target_lock; dead_lock is innermost.
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

/* Dead targets that wait for the sweep. */
static LIST_HEAD(dead_targets);
/* Guards dead_targets; also taken in softirq, by RCU callbacks. */
static DEFINE_SPINLOCK(dead_lock);

/* Number of targets that have ever died; written under rmap_target_lock. */
static unsigned int target_death_count;

/**
 * rmap_target_device_came() - prepare a new device's bulk queues
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
	/* Do not charge insmod for devices that existed before. */
	if (THIS_MODULE->state == MODULE_STATE_LIVE)
		gfp |= __GFP_ACCOUNT;
	rmap_bulkq_spare_bring(&tn->spares, dev, gfp);
}

/*
 * Copy a device's state to its ports. Maps with counters may have a million
 * entries for a device, so these are visited without the lock. A target that is
 * not in the list yet is mirrored later, by rmap_target_get(). One that has
 * just left the list is mirrored in vain, and RCU keeps it meanwhile.
 */
static int target_device_mirror(struct net_device *dev,
				struct netdev_nested_priv *unused)
{
	struct target_net *tn = rmap_target_table_net(dev_net(dev));
	struct target *target;

	/*
	 * A target in the table is not freed, and the lock keeps it there. With
	 * bottom halves on, softirqs would run after each port, while other
	 * CPUs wait for the lock.
	 */
	spin_lock_bh(&rmap_target_lock);
	for (target = rmap_target_table_first(tn, dev); target;
	     target = rmap_target_table_next(target))
		rmap_port_mirror(&target->port);
	spin_unlock_bh(&rmap_target_lock);

	smp_mb(); /* pairs with rmap_target_get(): list, then device */
	rcu_read_lock();
	hlist_for_each_entry_rcu(target, target_table_own(tn, dev->ifindex),
				 own_node)
		if (target->port.real == dev)
			rmap_port_mirror(&target->port);
	rcu_read_unlock();
	return 0;
}

/**
 * rmap_target_device_changed() - copy a device's new state to its ports
 * @dev: the device, in its new state
 *
 * Devices above it (VLANs, ipvlans, HSR rings, bonds) follow some of its
 * changes without an event of their own, so their ports are updated as well:
 * see "Changes of devices" in design.rst.
 *
 * Context: netdev notifier, under RTNL, behind all other notifiers.
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

/* Mark a target dead, because its device has left: see step 2 above. */
static void target_die(struct target *target, bool moved)
{
	lockdep_assert_held(&rmap_target_lock);

	target->moved = moved;
	WRITE_ONCE(target->entry.idx, TARGET_DEAD);
	rmap_target_table_changed();
	rmap_gone_leave(target->gone, &target->leaver);
	rmap_port_leave(&target->port);
	/* A reader that sees the new count also sees the mark. */
	smp_store_release(&target_death_count, target_death_count + 1);
	rmap_target_hold(target);	/* the sweep's reference */
	call_rcu(&target->death, target_died);
}

/**
 * rmap_target_device_left() - take a device out of all maps
 * @dev: a device that core has unlisted, a grace period ago
 *
 * The time grows with the number of egress programs that maps name for the
 * device, and with the number of entries with counters for the device.
 *
 * Context: netdev notifier, under RTNL.
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
		hlist_del_init_rcu(&target->own_node);
		target_die(target, moved);
	}
	spin_unlock(&rmap_target_lock);

	rmap_bulkq_spare_drop(&tn->spares, dev);
}

/**
 * rmap_target_take_dead() - hand the dead targets over to the sweep
 * @dead: list that gets them, linked by dead_node, each with a reference
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
 * rmap_target_deaths() - number of targets that have died since insmod
 *
 * While the number stays the same, a swept map contains no dead target.
 *
 * Context: inside the RCU read section in which the caller looks for dead
 * targets.
 * Return: a count that only grows, and wraps around.
 */
unsigned int rmap_target_deaths(void)
{
	/* Pairs with rmap_target_device_left(). */
	return smp_load_acquire(&target_death_count);
}
