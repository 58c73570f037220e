// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables of targets: by device, egress program and packets mode, and by number.
 *
 * This file owns the tables, struct target_net, and the lock that guards both.
 * For each namespace, an xarray has the first target of each ifindex; the
 * device's other targets are linked behind that. Targets that only one entry
 * uses are in a list, so that the notifier finds them. One table for all
 * namespaces has the targets by number, for netlink.
 *
 * bpf(2) looks targets up, inside an RCU read section or under
 * rmap_target_lock. bpf(2), the work item that frees targets, and the netdev
 * notifier change the tables under rmap_target_lock; netlink reads them under
 * it.
 */
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "stats.h"
#include "target_table.h"

/*
 * Guards the tables, the states of targets, and their reference counts where
 * these change from or to 0. One lock serves all namespaces, because a dead
 * target may outlive its namespace.
 */
DEFINE_SPINLOCK(rmap_target_lock);

static unsigned int target_net_id;

/* All targets, by id. A listed one is not freed under rmap_target_lock. */
static DEFINE_XARRAY_ALLOC(targets_by_id);

/*
 * Changes whenever the set of targets that rmap_target_next_info() walks
 * changes; written under rmap_target_lock.
 */
static unsigned int target_generation_count = 1;

/**
 * rmap_target_table_net() - the targets of a network namespace
 * @net: the namespace
 *
 * Context: any; the caller keeps the namespace.
 * Return: the namespace's tables.
 */
struct target_net *rmap_target_table_net(const struct net *net)
{
	return net_generic(net, target_net_id);
}

/**
 * rmap_target_table_find() - find the shared target of a device
 * @tn: the namespace's targets
 * @ifindex: the device
 * @prog: the egress program, or NULL
 * @packets: whether frames may leave as packets
 *
 * Context: under rmap_target_lock, or inside an RCU read section.
 * Return: the target, without a reference, or NULL.
 */
struct target *rmap_target_table_find(struct target_net *tn, u32 ifindex,
				      const struct bpf_prog *prog,
				      enum redirmap_packets packets)
{
	struct target *target = xa_load(&tn->targets, ifindex);

	while (target && (target->port.prog != prog ||
			  target->port.packets != packets))
		target = rcu_dereference_check(target->sibling,
					       lockdep_is_held(&rmap_target_lock));
	return target;
}

/**
 * rmap_target_table_first() - the first target of a device
 * @tn: the namespace's targets
 * @dev: the device; compared by address, because core repeats NETDEV_UNREGISTER
 *	while the device is referenced, and another device may have its ifindex
 *	by then
 *
 * Context: under rmap_target_lock.
 * Return: the target, or NULL.
 */
struct target *rmap_target_table_first(struct target_net *tn,
				       const struct net_device *dev)
{
	struct target *target;

	lockdep_assert_held(&rmap_target_lock);

	target = xa_load(&tn->targets, dev->ifindex);
	return target && target->port.real == dev ? target : NULL;
}

/**
 * rmap_target_table_next() - the next target of the same device
 * @target: one target of the device
 *
 * Context: under rmap_target_lock.
 * Return: the target, or NULL.
 */
struct target *rmap_target_table_next(const struct target *target)
{
	return rcu_dereference_protected(target->sibling,
					 lockdep_is_held(&rmap_target_lock));
}

/**
 * rmap_target_table_take() - remove a device's shared targets from the table
 * @tn: the namespace's targets
 * @dev: the device
 *
 * Targets that only one entry uses stay in their list. RCU readers may still
 * reach the removed targets.
 *
 * Context: under rmap_target_lock.
 * Return: the first removed target, for rmap_target_table_next(), or NULL.
 */
struct target *rmap_target_table_take(struct target_net *tn,
				      const struct net_device *dev)
{
	struct target *target = rmap_target_table_first(tn, dev);

	if (target)
		xa_erase(&tn->targets, dev->ifindex);
	return target;
}

/**
 * rmap_target_table_changed() - record that a target was added or removed
 *
 * Context: under rmap_target_lock.
 */
void rmap_target_table_changed(void)
{
	lockdep_assert_held(&rmap_target_lock);

	WRITE_ONCE(target_generation_count, target_generation_count + 1);
}

/* Link a target in front of the device's others. */
static int target_table_link(struct target_net *tn, struct target *target,
			     gfp_t gfp)
{
	u32 ifindex = target->entry.val.ifindex;

	RCU_INIT_POINTER(target->sibling, xa_load(&tn->targets, ifindex));
	return xa_err(xa_store(&tn->targets, ifindex, target, gfp));
}

/**
 * rmap_target_table_add() - publish a target
 * @tn: the namespace's targets; no shared one has the same device, program and
 *	packets mode
 * @target: the target; its id is from rmap_target_table_get_id()
 * @gfp: allocation flags; they must forbid sleeping
 *
 * Context: under rmap_target_lock.
 * Return: 0 or -ENOMEM.
 */
int rmap_target_table_add(struct target_net *tn, struct target *target,
			  gfp_t gfp)
{
	int err;

	lockdep_assert_held(&rmap_target_lock);

	if (target->shown) {
		hlist_add_head_rcu(&target->own_node,
				   target_table_own(tn,
						    target->entry.val.ifindex));
	} else {
		err = target_table_link(tn, target, gfp);
		if (err)
			return err;
	}
	/* rmap_target_table_get_id() has allocated the memory for this. */
	xa_store(&targets_by_id, target->id, target, 0);
	rmap_target_table_changed();
	return 0;
}

/* Unlink a target from its device's others; RCU readers may still reach it. */
static void target_table_unlink(struct xarray *targets, struct target *target)
{
	struct target *at, *next = rmap_target_table_next(target);
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
	while (rmap_target_table_next(at) != target)
		at = rmap_target_table_next(at);
	rcu_assign_pointer(at->sibling, next);
}

/**
 * rmap_target_table_remove() - remove a target from the table of its namespace
 * @target: a target that was added; nothing is done for a dead one, because it
 *	was removed when it died, and its namespace may be gone
 *
 * Context: under rmap_target_lock, which is kept until the target is dead.
 */
void rmap_target_table_remove(struct target *target)
{
	lockdep_assert_held(&rmap_target_lock);

	if (!target_is_live(target))
		return;
	if (target->shown)
		hlist_del_init_rcu(&target->own_node);
	else
		target_table_unlink(&target->tn->targets, target);
	rmap_target_table_changed();
}

/**
 * rmap_target_table_get_id() - reserve a number for a target
 * @target: gets the number, but the table does not return it yet
 * @gfp: allocation flags; they may forbid sleeping
 *
 * Context: process context, rmap_target_lock not held.
 * Return: 0 or -ENOMEM.
 */
int rmap_target_table_get_id(struct target *target, gfp_t gfp)
{
	return xa_alloc(&targets_by_id, &target->id, NULL, xa_limit_31b, gfp) ?
	       -ENOMEM : 0;
}

/**
 * rmap_target_table_put_id() - release a target's number
 * @target: the target; the table no longer returns it
 *
 * Context: process context, rmap_target_lock not held.
 */
void rmap_target_table_put_id(struct target *target)
{
	spin_lock(&rmap_target_lock);
	xa_erase(&targets_by_id, target->id);
	spin_unlock(&rmap_target_lock);
}

/**
 * rmap_target_next_info() - walk over all live targets of all namespaces
 * @id: the lowest id to look at, 0 to begin; becomes the id of the target found
 * @info: gets the target's state
 *
 * Context: process context.
 * Return: false when no target is left.
 */
bool rmap_target_next_info(unsigned long *id, struct target_info *info)
{
	struct target *target;

	spin_lock(&rmap_target_lock);
	xa_for_each_start(&targets_by_id, *id, target, *id)
		if (target_is_live(target))
			break;
	if (target) {
		memset(info, 0, sizeof(*info));
		info->id = target->id;
		info->net = target->net;
		/* A live target's namespace is there: see target.c. */
		info->netns_ino = target->net->ns.inum;
		info->ifindex = target->entry.val.ifindex;
		strscpy(info->ifname, target->port.dev.name,
			sizeof(info->ifname));
		info->prog_id = target->entry.val.bpf_prog.id;
		info->refs = refcount_read(&target->refs);
		info->own = target->shown;
		info->packets = target->port.packets;
		rmap_port_stats(&target->port, &info->sum);
	}
	spin_unlock(&rmap_target_lock);
	return target;
}

/**
 * rmap_target_generation() - a number that changes with the set of live targets
 *
 * Context: any.
 * Return: the number.
 */
unsigned int rmap_target_generation(void)
{
	return READ_ONCE(target_generation_count);
}

static int __net_init target_net_init(struct net *net)
{
	struct target_net *tn = rmap_target_table_net(net);
	int i;

	xa_init(&tn->targets);
	xa_init(&tn->spares);
	for (i = 0; i < TARGET_OWN_BUCKETS; i++)
		INIT_HLIST_HEAD(&tn->own[i]);
	return 0;
}

/* All devices have left, so their targets are dead and not in the tables. */
static void __net_exit target_net_exit(struct net *net)
{
	struct target_net *tn = rmap_target_table_net(net);

	WARN_ON_ONCE(!xa_empty(&tn->spares));
	xa_destroy(&tn->spares);
	WARN_ON_ONCE(!xa_empty(&tn->targets));
	xa_destroy(&tn->targets);
}

static struct pernet_operations target_net_ops = {
	.init = target_net_init,
	.exit = target_net_exit,
	.id = &target_net_id,
	.size = sizeof(struct target_net),
};

/**
 * rmap_target_table_init() - make the tables of all namespaces
 *
 * Context: insmod, sleeps.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_target_table_init(void)
{
	return register_pernet_subsys(&target_net_ops);
}

/**
 * rmap_target_table_exit() - free the tables of all namespaces
 *
 * Context: rmmod, sleeps; no target is left.
 */
void rmap_target_table_exit(void)
{
	unregister_pernet_subsys(&target_net_ops);
	xa_destroy(&targets_by_id);
}
