// SPDX-License-Identifier: GPL-2.0-only
/*
 * The targets of a network namespace, by ifindex and egress program.
 *
 * An xarray leads to the first target of a device; its others, for other
 * programs, are linked behind it. Looked up in bpf(2), inside an RCU read
 * section or under target_lock; changed, under target_lock, there, in the work
 * item that frees targets, and in the netdev notifier.
 */
#include <linux/rcupdate.h>

#include "target.h"
#include "target_table.h"

/*
 * Protects the tables, and that targets get and lose their last reference. One
 * for all namespaces, because a dead target may outlive its namespace.
 */
DEFINE_SPINLOCK(target_lock);

/**
 * target_table_find() - the target of a device and a program
 * @targets: the table
 * @ifindex: the device
 * @prog: the egress program, or NULL
 *
 * Context: under target_lock, or inside an RCU read section.
 * Return: the target, without a reference, or NULL.
 */
struct target *target_table_find(struct xarray *targets, u32 ifindex,
				 const struct bpf_prog *prog)
{
	struct target *target = xa_load(targets, ifindex);

	while (target && target->port.prog != prog)
		target = rcu_dereference_check(target->sibling,
					       lockdep_is_held(&target_lock));
	return target;
}

/**
 * target_table_first() - the first target of a device
 * @targets: the table
 * @dev: the device. Core repeats NETDEV_UNREGISTER while somebody holds it, and
 *	by then another one may have got its ifindex
 *
 * Context: under target_lock.
 * Return: the target, or NULL.
 */
struct target *target_table_first(struct xarray *targets,
				  const struct net_device *dev)
{
	struct target *target;

	lockdep_assert_held(&target_lock);

	target = xa_load(targets, dev->ifindex);
	return target && target->port.real == dev ? target : NULL;
}

/**
 * target_table_next() - the next target of the same device
 * @target: one target of the device
 *
 * Context: under target_lock.
 * Return: the target, or NULL.
 */
struct target *target_table_next(const struct target *target)
{
	return rcu_dereference_protected(target->sibling,
					 lockdep_is_held(&target_lock));
}

/**
 * target_table_add() - publish a target
 * @targets: the table, in which there is none like it
 * @target: the target, before the device's other ones
 * @gfp: how to allocate; must forbid to sleep
 *
 * Context: under target_lock.
 * Return: 0 or -ENOMEM.
 */
int target_table_add(struct xarray *targets, struct target *target, gfp_t gfp)
{
	u32 ifindex = target->entry.val.ifindex;

	lockdep_assert_held(&target_lock);

	RCU_INIT_POINTER(target->sibling, xa_load(targets, ifindex));
	return xa_err(xa_store(targets, ifindex, target, gfp));
}

/**
 * target_table_remove() - take a target out; readers may still come by it
 * @targets: the table
 * @target: a target that is in it
 *
 * Context: under target_lock.
 */
void target_table_remove(struct xarray *targets, struct target *target)
{
	struct target *at, *next = target_table_next(target);
	u32 ifindex = target->entry.val.ifindex;

	at = xa_load(targets, ifindex);
	if (at == target) {
		/* Storing over an entry allocates nothing. */
		if (next)
			xa_store(targets, ifindex, next, GFP_ATOMIC);
		else
			xa_erase(targets, ifindex);
		return;
	}
	while (target_table_next(at) != target)
		at = target_table_next(at);
	rcu_assign_pointer(at->sibling, next);
}
