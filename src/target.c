// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: what the slots of claimed maps point to.
 *
 * All entries for one device and egress program are alike, so they are one
 * object: a target is interned by namespace, ifindex and program, and a slot is
 * a pointer to it. Owns the targets, and what happens to them when their device
 * goes away. Which map holds which of them is holder.c's.
 *
 * target_find() and target_get() run in bpf(2), inside an RCU read section
 * that lasts until the target is published, so nothing there sleeps. Readers
 * find targets in slots, in NAPI or in bpf(2), under RCU.
 *
 * A device leaves (unregisters, or moves to another namespace):
 *
 *  1. Core unlists it and waits for a grace period, then notifies.
 *  2. target_device_left(), under RTNL, takes its targets out of the table and
 *     marks them dead. Every lookup looks at the mark: from here on the target
 *     is in no map. This is all that is done under RTNL, and it does not
 *     depend on how many maps and slots there are.
 *  3. A grace period later no poll uses the device through the port, and no
 *     update that had found the target alive is still about to publish it:
 *     the reference to the device is dropped, and the sweep queued.
 *  4. The sweep (holder.c) visits the maps that hold dead targets, empties
 *     their slots and so drops the references.
 *  5. A grace period after the last reference has gone the target is freed.
 *
 * The last step is that of a target that no map uses any more, as well.
 *
 * Locks: target_lock and dead_lock are innermost, and never taken together.
 */
#include <linux/hash.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "bulkq.h"
#include "compat.h"
#include "stats.h"
#include "target.h"
#include "target_table.h"

#define TARGET_OWN_BITS 6
#define TARGET_OWN_BUCKETS BIT(TARGET_OWN_BITS)

/**
 * struct target_net - the targets of a network namespace
 * @gone: what was counted for targets and maps that are no more
 * @targets: by ifindex, the first of a device's targets, which are linked by
 *	sibling: see target_table.c
 * @own: targets that are one entry's own, by a hash of their ifindex; changed
 *	under target_lock
 * @spares: by ifindex, bulk queues for devices without a target
 */
struct target_net {
	struct stats_gone *gone;
	struct xarray targets;
	struct hlist_head own[TARGET_OWN_BUCKETS];
	struct xarray spares;
};

static unsigned int target_net_id;

/* All targets, by their id; what is in it is not freed under target_lock. */
static DEFINE_XARRAY_ALLOC(targets_by_id);

static struct workqueue_struct *target_wq;

struct target target_nowhere = {
	.entry.idx = TARGET_DEAD,
};

/* Targets that are not freed yet; unloading waits for none. */
static atomic_t targets_alive = ATOMIC_INIT(0);

/* Dead targets that wait for the sweep. Taken in softirq (RCU callbacks). */
static LIST_HEAD(dead_targets);
static DEFINE_SPINLOCK(dead_lock);

/* How many targets have ever died; written under target_lock. */
static unsigned int target_death_count;

/* Changes with what target_next_info() finds; written under target_lock. */
static unsigned int target_generation_count = 1;

/* Holders' part of a device's leaving: see target_module_init(). */
static struct work_struct *target_sweep;

static struct hlist_head *target_own_bucket(struct target_net *tn, u32 ifindex)
{
	return &tn->own[hash_32(ifindex, TARGET_OWN_BITS)];
}

/* One more target to be told of, or one less. */
static void target_changed(void)
{
	lockdep_assert_held(&target_lock);

	WRITE_ONCE(target_generation_count, target_generation_count + 1);
}

/* What is counted outlives the target. */
static void target_keep_stats(struct target *target)
{
	struct redirmap_stats stats = {};

	port_stats(&target->port, &stats);
	stats_gone_add(target->gone, &stats);
	stats_gone_put(target->gone);
}

static void target_free(struct target *target, gfp_t gfp)
{
	spin_lock(&target_lock);
	xa_erase(&targets_by_id, target->id);
	if (target_is_live(target))
		target_changed();
	spin_unlock(&target_lock);

	target_keep_stats(target);
	if (target_is_live(target)) {
		/* The device is still held, and so is its namespace. */
		bulkq_put_spare(&target->tn->spares, target->entry.val.ifindex,
				target->port.dev.xdp_bulkq, gfp);
		target->port.dev.xdp_bulkq = NULL;
		port_detach(&target->port);
	}
	port_destroy(&target->port);
	kfree(target->shown);
	/* It was in the table until now: target_find() may just have found it. */
	kfree_rcu(target, death);
	if (atomic_dec_and_test(&targets_alive))
		wake_up_var(&targets_alive);
}

/* A grace period after a target has lost its last reference. */
static void target_free_work(struct work_struct *work)
{
	struct target *target = container_of(to_rcu_work(work), struct target,
					     free_work);
	enum target_fate fate;

	spin_lock(&target_lock);
	fate = target->fate;
	if (refcount_read(&target->refs)) {
		/* Somebody has found a use for it meanwhile... */
		target->fate = TARGET_USED;
		spin_unlock(&target_lock);
		return;
	}
	if (fate == TARGET_UNUSED_AGAIN) {
		/* ...and no more, so readers may still be about. */
		target->fate = TARGET_UNUSED;
		queue_rcu_work(target_wq, &target->free_work);
		spin_unlock(&target_lock);
		return;
	}
	if (target->shown)
		hlist_del_init(&target->own_node);
	else if (target_is_live(target))
		target_table_remove(&target->tn->targets, target);
	spin_unlock(&target_lock);

	target_free(target, GFP_KERNEL);
}

/* A reference to a target that is in the table, perhaps without any. */
static void target_hold(struct target *target)
{
	lockdep_assert_held(&target_lock);

	if (!refcount_inc_not_zero(&target->refs))
		refcount_set(&target->refs, 1);
}

/**
 * target_put() - drop a reference
 * @target: the target; readers may use it until a grace period has passed
 *
 * A target without references stays in the table until it is freed, and may
 * be used again: an entry that comes and goes does not make a new one each
 * time, nor need memory for those that wait to be freed.
 *
 * Context: process context.
 */
void target_put(struct target *target)
{
	if (refcount_dec_not_one(&target->refs))
		return;
	spin_lock(&target_lock);
	if (!refcount_dec_and_test(&target->refs)) {
		spin_unlock(&target_lock);
		return;
	}
	if (target->fate == TARGET_USED) {
		target->fate = TARGET_UNUSED;
		queue_rcu_work(target_wq, &target->free_work);
	} else {
		target->fate = TARGET_UNUSED_AGAIN;
	}
	spin_unlock(&target_lock);
}

/* What an entry's own target shows at first. */
static struct redirmap_val *target_alloc_shown(const struct target *target,
					       gfp_t gfp)
{
	struct redirmap_val *shown = kzalloc(sizeof(*shown), gfp);

	if (shown)
		shown->entry = target->entry.val;
	return shown;
}

/* A new target for a device, with one reference; target_lock is not held. */
static struct target *target_alloc(struct target_net *tn,
				   struct net_device *dev,
				   struct bpf_prog *prog, bool own, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	struct target *target;
	int err;

	target = kzalloc(sizeof(*target), gfp);
	if (!target)
		return ERR_PTR(-ENOMEM);

	target->entry.val.ifindex = dev->ifindex;
	if (prog)
		target->entry.val.bpf_prog.id = prog->aux->id;
	if (own) {
		target->shown = target_alloc_shown(target, gfp);
		if (!target->shown) {
			err = -ENOMEM;
			goto free_target;
		}
	}

	/* A number without a target, until there is one to be found by it. */
	if (xa_alloc(&targets_by_id, &target->id, NULL, xa_limit_31b,
		     gfp & ~__GFP_ACCOUNT)) {
		err = -ENOMEM;
		goto free_shown;
	}

	bulkq = bulkq_take_spare(&tn->spares, dev->ifindex) ?: bulkq_alloc(gfp);
	if (!bulkq) {
		err = -ENOMEM;
		goto free_id;
	}

	err = port_init(&target->port, dev, prog, bulkq, gfp);
	if (err)
		goto free_bulkq;

	target->entry.dev = &target->port.dev;
	target->entry.idx = TARGET_LIVE;
	refcount_set(&target->refs, 1);
	target->fate = TARGET_USED;
	target->tn = tn;
	target->net = dev_net(dev);
	target->gone = stats_gone_get(tn->gone);
	INIT_RCU_WORK(&target->free_work, target_free_work);
	INIT_LIST_HEAD(&target->dead_node);
	atomic_inc(&targets_alive);
	return target;

free_bulkq:
	bulkq_free(bulkq);
free_id:
	xa_erase(&targets_by_id, target->id);
free_shown:
	kfree(target->shown);
free_target:
	kfree(target);
	return ERR_PTR(err);
}

/* The target that is interned, with a reference, or NULL. */
static struct target *target_find_get(struct target_net *tn, u32 ifindex,
				      const struct bpf_prog *prog)
{
	struct target *target;

	spin_lock(&target_lock);
	target = target_table_find(&tn->targets, ifindex, prog);
	if (target)
		target_hold(target);
	spin_unlock(&target_lock);
	return target;
}

/**
 * target_find() - the target of a device and a program, if there is one
 * @net: the namespace that @ifindex is of
 * @ifindex: the device
 * @prog: the egress program, or NULL
 *
 * Context: inside an RCU read section, which keeps the target.
 * Return: the target, without a reference, or NULL.
 */
struct target *target_find(struct net *net, u32 ifindex,
			   const struct bpf_prog *prog)
{
	struct target_net *tn = net_generic(net, target_net_id);

	return target_table_find(&tn->targets, ifindex, prog);
}

/**
 * target_get() - the target of a device and a program, made if there is none
 * @net: the namespace that @ifindex is of
 * @ifindex: the device
 * @prog: the egress program, referenced by the caller, or NULL
 * @own: make one for a single entry, with counters of its own
 * @gfp: how to allocate; must forbid to sleep
 *
 * Core unlists a device, waits for a grace period and then notifies, so a
 * device that is found here is notified about after the target is published.
 *
 * Context: process context, inside an RCU read section that lasts until the
 * target is published.
 * Return: the target, with a reference; an error pointer: -EINVAL when there
 * is no such device, -ENOMEM, -EOPNOTSUPP from port_init().
 */
struct target *target_get(struct net *net, u32 ifindex, struct bpf_prog *prog,
			  bool own, gfp_t gfp)
{
	struct target_net *tn = net_generic(net, target_net_id);
	struct target *target, *other = NULL;
	struct net_device *dev;
	int err = 0;

	target = own ? NULL : target_find_get(tn, ifindex, prog);
	if (target)
		return target;

	dev = dev_get_by_index_rcu(net, ifindex);
	if (!dev)
		return ERR_PTR(-EINVAL);

	target = target_alloc(tn, dev, prog, own, gfp);
	if (IS_ERR(target))
		return target;

	spin_lock(&target_lock);
	if (own)
		hlist_add_head(&target->own_node,
			       target_own_bucket(tn, ifindex));
	else
		other = target_table_find(&tn->targets, ifindex, prog);
	if (other)
		target_hold(other);
	else if (!own)
		err = target_table_add(&tn->targets, target,
				       gfp & ~__GFP_ACCOUNT);
	/* A number that was reserved is stored at without more memory. */
	if (!other && !err) {
		xa_store(&targets_by_id, target->id, target, 0);
		target_changed();
	}
	spin_unlock(&target_lock);

	if (other || err) {
		/* Nobody has seen it, so nothing has to be waited for. */
		target_free(target, gfp & ~__GFP_ACCOUNT);
		return other ?: ERR_PTR(err);
	}

	/* The notifier sees the port from here on; catch up with before. */
	port_mirror(&target->port);
	return target;
}

/* RCU callback, in softirq: step 3 of the head comment. */
static void target_died(struct rcu_head *rcu)
{
	struct target *target = container_of(rcu, struct target, death);

	port_detach(&target->port);
	spin_lock_bh(&dead_lock);
	list_add_tail(&target->dead_node, &dead_targets);
	spin_unlock_bh(&dead_lock);
	queue_work(target_wq, target_sweep);
}

/**
 * target_take_dead() - the targets that are to be swept
 * @dead: gets them, each with a reference, linked by dead_node
 *
 * Context: process context.
 */
void target_take_dead(struct list_head *dead)
{
	spin_lock_bh(&dead_lock);
	list_splice_tail_init(&dead_targets, dead);
	spin_unlock_bh(&dead_lock);
}

/* A device has left, and so one of its targets has died. Under target_lock. */
static void target_die(struct target *target, bool moved)
{
	target->moved = moved;
	WRITE_ONCE(target->entry.idx, TARGET_DEAD);
	target_changed();
	port_leave(&target->port);
	/* Who sees the count sees the mark. */
	smp_store_release(&target_death_count, target_death_count + 1);
	target_hold(target);	/* the sweep's */
	call_rcu(&target->death, target_died);
}

/**
 * target_device_came() - get ready for a device to become a target
 * @dev: a device that registers, or has come from another namespace
 *
 * Context: netdev notifier, under RTNL, sleeps.
 */
void target_device_came(struct net_device *dev)
{
	struct target_net *tn = net_generic(dev_net(dev), target_net_id);
	struct xdp_dev_bulk_queue __percpu *bulkq = bulkq_alloc(GFP_KERNEL);

	/* Without memory there is still the attempt of target_alloc(). */
	if (bulkq)
		bulkq_put_spare(&tn->spares, dev->ifindex, bulkq, GFP_KERNEL);
}

/**
 * target_device_left() - take a device out of all maps
 * @dev: a device that core has unlisted, a grace period ago
 *
 * Context: netdev notifier, under RTNL. The time follows the number of programs
 * that maps name for the device, and of entries with counters of their own.
 */
void target_device_left(struct net_device *dev)
{
	struct target_net *tn = net_generic(dev_net(dev), target_net_id);
	bool moved = dev->reg_state == NETREG_REGISTERED;
	struct hlist_node *next;
	struct target *target;

	ASSERT_RTNL();

	spin_lock(&target_lock);
	target = target_table_first(&tn->targets, dev);
	if (target)
		xa_erase(&tn->targets, dev->ifindex);
	for (; target; target = target_table_next(target))
		target_die(target, moved);
	hlist_for_each_entry_safe(target, next,
				  target_own_bucket(tn, dev->ifindex), own_node) {
		if (target->port.real != dev)
			continue;
		hlist_del_init(&target->own_node);
		target_die(target, moved);
	}
	spin_unlock(&target_lock);

	/* Nobody has taken them, or the last one has given them back. */
	bulkq_free(bulkq_take_spare(&tn->spares, dev->ifindex));
}

/**
 * target_deaths() - how many targets have died since the module was loaded
 *
 * While it stays the same, a map that was swept has nothing dead in it.
 *
 * Context: inside the RCU read section in which dead targets are looked for.
 * Return: a count that only grows (and wraps around).
 */
unsigned int target_deaths(void)
{
	/* Pairs with target_device_left(). */
	return smp_load_acquire(&target_death_count);
}

/**
 * target_mirror() - pass on a change of a device
 * @dev: the device, in its new state
 *
 * Context: netdev notifier, under RTNL.
 */
void target_mirror(struct net_device *dev)
{
	struct target_net *tn = net_generic(dev_net(dev), target_net_id);
	struct target *target;

	ASSERT_RTNL();

	/* The lock keeps the target in the table, and so from being freed. */
	spin_lock(&target_lock);
	for (target = target_table_first(&tn->targets, dev); target;
	     target = target_table_next(target))
		port_mirror(&target->port);
	hlist_for_each_entry(target, target_own_bucket(tn, dev->ifindex), own_node)
		if (target->port.real == dev)
			port_mirror(&target->port);
	spin_unlock(&target_lock);
}

/**
 * target_next_info() - walk over all live targets of all namespaces
 * @id: the least id to look at, 0 to begin; becomes that of what is found
 * @info: filled
 *
 * Context: process context.
 * Return: false when there is none any more.
 */
bool target_next_info(unsigned long *id, struct target_info *info)
{
	struct target *target;

	spin_lock(&target_lock);
	xa_for_each_start(&targets_by_id, *id, target, *id)
		if (target_is_live(target))
			break;
	if (target) {
		memset(info, 0, sizeof(*info));
		info->id = target->id;
		info->net = target->net;
		/* The device is there, and so is its namespace. */
		info->netns_ino = target->net->ns.inum;
		info->ifindex = target->entry.val.ifindex;
		strscpy(info->ifname, target->port.dev.name,
			sizeof(info->ifname));
		info->prog_id = target->entry.val.bpf_prog.id;
		info->refs = refcount_read(&target->refs);
		info->own = target->shown;
		port_stats(&target->port, &info->stats);
	}
	spin_unlock(&target_lock);
	return target;
}

/**
 * target_generation() - what changes when a target comes or goes
 *
 * Context: any.
 * Return: a number other than that before the change.
 */
unsigned int target_generation(void)
{
	return READ_ONCE(target_generation_count);
}

/**
 * target_gone_get() - where counters of a namespace are kept
 * @net: the namespace
 *
 * Return: the sums, with a reference.
 */
struct stats_gone *target_gone_get(const struct net *net)
{
	struct target_net *tn = net_generic(net, target_net_id);

	return stats_gone_get(tn->gone);
}

/**
 * target_gone_stats() - read what was counted for what is no more
 * @net: the namespace
 * @sum: what the counters of its former targets and maps are added to
 *
 * Context: process context.
 */
void target_gone_stats(const struct net *net, struct redirmap_stats *sum)
{
	struct target_net *tn = net_generic(net, target_net_id);

	stats_gone_read(tn->gone, sum);
}

static int __net_init target_net_init(struct net *net)
{
	struct target_net *tn = net_generic(net, target_net_id);

	int i;

	tn->gone = stats_gone_alloc();
	if (!tn->gone)
		return -ENOMEM;
	xa_init(&tn->targets);
	xa_init(&tn->spares);
	for (i = 0; i < TARGET_OWN_BUCKETS; i++)
		INIT_HLIST_HEAD(&tn->own[i]);
	return 0;
}

/* All devices have left; targets that are still being swept are dead. */
static void __net_exit target_net_exit(struct net *net)
{
	struct target_net *tn = net_generic(net, target_net_id);

	/* Left by a device that has gone while its last target was freed. */
	bulkq_free_spares(&tn->spares);
	WARN_ON_ONCE(!xa_empty(&tn->targets));
	xa_destroy(&tn->targets);
	stats_gone_put(tn->gone);
}

static struct pernet_operations target_net_ops = {
	.init = target_net_init,
	.exit = target_net_exit,
	.id = &target_net_id,
	.size = sizeof(struct target_net),
};

/**
 * target_module_init() - get ready for maps and for the notifier
 * @sweep: work that calls target_take_dead(), lets all holders let go of what
 *	it gets, and puts it; queued a grace period after targets have died
 *
 * Context: insmod.
 * Return: 0 or -ENOMEM.
 */
int target_module_init(struct work_struct *sweep)
{
	int err;

	BUILD_BUG_ON(offsetof(struct target, entry));
	BUILD_BUG_ON(offsetof(struct kern_dtab_netdev, dev));
	BUILD_BUG_ON(offsetofend(struct kern_dtab_netdev, idx) > L1_CACHE_BYTES);

	target_sweep = sweep;
	bulkq_module_init();
	target_wq = alloc_workqueue("redirmap", WQ_UNBOUND, 0);
	if (!target_wq) {
		err = -ENOMEM;
		goto exit_bulkq;
	}

	err = register_pernet_subsys(&target_net_ops);
	if (err)
		goto destroy_wq;
	return 0;

destroy_wq:
	destroy_workqueue(target_wq);
exit_bulkq:
	bulkq_module_exit();
	return err;
}

/**
 * target_module_exit() - wait until the last target is gone
 *
 * Context: rmmod, with no map left and the notifier unregistered.
 */
void target_module_exit(void)
{
	wait_var_event(&targets_alive, !atomic_read(&targets_alive));
	unregister_pernet_subsys(&target_net_ops);
	destroy_workqueue(target_wq);
	xa_destroy(&targets_by_id);
	bulkq_module_exit();
}
