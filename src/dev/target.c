// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: the slots of claimed maps point to targets, and each target names a
 * device to redirect to.
 *
 * All entries with the same device and egress program share one target, as far
 * as their maps agree whether frames may leave as packets (enum
 * redirmap_packets; comments call it the packets mode). So a target is found by
 * namespace, ifindex, program and packets mode. This file owns the targets,
 * from the first reference until a grace period after the last one.
 * target_table.c finds targets, target_device.c applies the events of devices
 * to them, and holder.c records which maps use them.
 *
 * rmap_target_find() and rmap_target_get() run in bpf(2), inside an RCU read
 * section that lasts until the target is published, so they do not sleep.
 * Readers find targets in slots, in NAPI or in bpf(2), under RCU. The reference
 * count changes from and to 0 under rmap_target_lock only. A work item frees
 * targets.
 *
 * The states of a target follow. "Table": the target is in its namespace's
 * tables. "Shown": netlink finds the target by its number. States change under
 * rmap_target_lock.
 *
 *  table  live  refs  shown
 *  no     yes    1    no     new: rmap_target_get() makes the target inside the
 *			      RCU read section in which it has found the device,
 *			      and adds it to the table or frees it at once
 *  yes    yes   > 0   yes    in use: holders have the references, and the last
 *			      rmap_target_put() makes it unused
 *  yes    yes    0    yes    unused: target_free_work() is queued, and retires
 *			      the target unless rmap_target_hold() comes first
 *  no     no    > 0   no     dead: the device has left; target_died(), then the
 *			      sweep, has a reference, and so have holders that
 *			      the sweep has not visited yet
 *  no     no     0    no     dead or retired: target_free_work() frees it
 *
 * So a live target is either published and in the table, or only the task that
 * makes it knows it. The notifier takes targets out of the table and marks them
 * dead when their device unregisters, moves to another namespace (so before its
 * former namespace can die), or when rmmod unregisters the notifier. Hence,
 * while a target is live under rmap_target_lock, its device is in @net, and
 * @net and @tn exist. No other test shows this: a reference to the device does
 * not keep the device in its namespace. A new device may get the ifindex of a
 * former one as soon as core has unlisted that, so devices are compared by
 * address.
 */
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <net/net_namespace.h>

#include "bulkq.h"
#include "gone.h"
#include "kind.h"
#include "stats.h"
#include "target.h"
#include "target_table.h"

static struct workqueue_struct *target_wq;

struct target rmap_target_none = {
	.entry.idx = TARGET_DEAD,
};

/* Targets that are not freed yet; rmmod waits until the count is 0. */
static atomic_t targets_alive = ATOMIC_INIT(0);

/* Work that empties the slots of dead targets: see rmap_target_set_sweep(). */
static struct work_struct *target_sweep;

/* Add a target's counters to the namespace's sums, which outlive the target. */
static void target_add_stats(const struct gone_leaver *leaver, void *kept)
{
	const struct target *target = container_of(leaver, struct target,
						   leaver);
	struct stats_gone_device removed = {
		.ifindex = target->entry.val.ifindex,
	};

	strscpy(removed.ifname, target->port.dev.name, sizeof(removed.ifname));
	rmap_port_stats(&target->port, &removed.sum);
	rmap_stats_keep(kept, &removed);
}

/*
 * Disconnect an unused target from its namespace. As soon as the lock is
 * dropped, the device may move and the namespace may die, and the notifier does
 * not find the target to mark it dead. Returns true when the target still has a
 * reference to its device; target_free() drops that reference.
 */
static bool target_retire(struct target *target)
{
	struct port *port = &target->port;

	lockdep_assert_held(&rmap_target_lock);

	rmap_gone_put(target->gone);
	if (!target_is_live(target))
		return false;
	if (target->spare) {
		rmap_bulkq_spare_return(&target->tn->spares, port->real,
					port->dev.xdp_bulkq);
		port->dev.xdp_bulkq = NULL;
	}
	WRITE_ONCE(target->entry.idx, TARGET_DEAD);
	return true;
}

/* Free a retired target. */
static void target_free(struct target *target, bool attached)
{
	rmap_target_table_put_id(target);
	if (attached)
		rmap_port_detach(&target->port);
	rmap_port_destroy(&target->port);
	kfree(target->shown);
	/* An RCU reader may have found the target: see rmap_target_find(). */
	kfree_rcu(target, death);
	if (atomic_dec_and_test(&targets_alive))
		wake_up_var(&targets_alive);
}

/* Free a target, a grace period after it has lost its last reference. */
static void target_free_work(struct work_struct *work)
{
	struct target *target = container_of(to_rcu_work(work), struct target,
					     free_work);
	enum target_free_state free_state;
	bool attached;

	spin_lock(&rmap_target_lock);
	free_state = target->free_state;
	if (refcount_read(&target->refs)) {
		/* A map has taken a reference since this work was queued. */
		target->free_state = TARGET_USED;
		spin_unlock(&rmap_target_lock);
		return;
	}
	if (free_state == TARGET_UNUSED_AGAIN) {
		/* It has dropped the reference, so wait for readers again. */
		target->free_state = TARGET_UNUSED;
		queue_rcu_work(target_wq, &target->free_work);
		spin_unlock(&rmap_target_lock);
		return;
	}
	rmap_target_table_remove(target);
	/* Not in target_retire(): a target never added has no counts. */
	rmap_gone_keep(target->gone, &target->leaver);
	attached = target_retire(target);
	spin_unlock(&rmap_target_lock);

	target_free(target, attached);
}

/**
 * rmap_target_hold() - take a reference to a target that may have none
 * @target: a target that is in the table, or was when the lock was taken
 *
 * Context: under rmap_target_lock.
 */
void rmap_target_hold(struct target *target)
{
	lockdep_assert_held(&rmap_target_lock);

	if (!refcount_inc_not_zero(&target->refs))
		refcount_set(&target->refs, 1);
}

/**
 * rmap_target_put() - drop a reference
 * @target: the target; readers may use it until a grace period has passed
 *
 * A target without references stays in the table until it is freed, and may be
 * used again: so an entry that is deleted and inserted repeatedly does not make
 * a new target each time, and no memory is lost to targets that wait to be
 * freed.
 *
 * Context: process context.
 */
void rmap_target_put(struct target *target)
{
	if (refcount_dec_not_one(&target->refs))
		return;
	spin_lock(&rmap_target_lock);
	if (!refcount_dec_and_test(&target->refs)) {
		spin_unlock(&rmap_target_lock);
		return;
	}
	if (target->free_state == TARGET_USED) {
		target->free_state = TARGET_UNUSED;
		queue_rcu_work(target_wq, &target->free_work);
	} else {
		target->free_state = TARGET_UNUSED_AGAIN;
	}
	spin_unlock(&rmap_target_lock);
}

/* Allocate the value that lookups return, for an entry with counters. */
static struct redirmap_val *target_alloc_shown(const struct target *target,
					       gfp_t gfp)
{
	struct redirmap_val *shown = kzalloc(sizeof(*shown), gfp);

	if (shown)
		shown->entry = target->entry.val;
	return shown;
}

/* A new target for a device, with one reference; rmap_target_lock not held. */
static struct target *target_alloc(struct target_net *tn,
				   struct net_device *dev,
				   const struct target_want *want,
				   struct bulkq_reserve *bulkqs)
{
	struct bpf_prog *prog = want->prog;
	gfp_t gfp = want->gfp;
	struct xdp_dev_bulk_queue __percpu *bulkq;
	struct target *target;
	int err;

	target = kzalloc(sizeof(*target), gfp);
	if (!target)
		return ERR_PTR(-ENOMEM);

	target->entry.val.ifindex = dev->ifindex;
	if (prog)
		target->entry.val.bpf_prog.id = prog->aux->id;
	if (want->own) {
		target->shown = target_alloc_shown(target, gfp);
		if (!target->shown) {
			err = -ENOMEM;
			goto free_target;
		}
	}

	err = rmap_target_table_get_id(target, gfp & ~__GFP_ACCOUNT);
	if (err)
		goto free_shown;

	bulkq = rmap_bulkq_spare_take(&tn->spares, dev);
	target->spare = bulkq;
	if (!bulkq)
		bulkq = rmap_bulkq_reserve_take(bulkqs, true, gfp);
	if (!bulkq) {
		err = -ENOMEM;
		goto put_id;
	}

	err = rmap_port_init(&target->port, dev, prog, want->packets,
			     &target->entry.xdp_prog, bulkq, gfp);
	if (err)
		goto free_bulkq;

	target->entry.dev = &target->port.dev;
	target->entry.idx = prog ? TARGET_LIVE_PROG : TARGET_LIVE;
	refcount_set(&target->refs, 1);
	target->free_state = TARGET_USED;
	target->tn = tn;
	target->net = dev_net(dev);
	target->gone = rmap_gone_get(rmap_kind_gone(&KIND_FAMILY(dev),
						    target->net));
	rmap_gone_leaver_init(&target->leaver, target_add_stats);
	INIT_RCU_WORK(&target->free_work, target_free_work);
	INIT_LIST_HEAD(&target->dead_node);
	atomic_inc(&targets_alive);
	return target;

free_bulkq:
	if (target->spare)
		rmap_bulkq_spare_return(&tn->spares, dev, bulkq);
	else
		rmap_bulkq_free(bulkq);
put_id:
	rmap_target_table_put_id(target);
free_shown:
	kfree(target->shown);
free_target:
	kfree(target);
	return ERR_PTR(err);
}

/**
 * rmap_target_want_dev() - look up the device that a request names, once
 * @want: the request
 *
 * Context: inside one RCU read section, from the first call until the target is
 * published.
 * Return: the device, without a reference; NULL if there is none.
 */
struct net_device *rmap_target_want_dev(struct target_want *want)
{
	if (!want->dev)
		want->dev = dev_get_by_index_rcu(want->net, want->ifindex);
	return want->dev;
}

/**
 * rmap_target_find() - look up the target that a request asks for
 * @want: the request
 *
 * Context: inside an RCU read section, which keeps the target.
 * Return: the target, without a reference; NULL when there is none, or when the
 * request asks for a target of the entry's own.
 */
struct target *rmap_target_find(const struct target_want *want)
{
	if (unlikely(want->own))
		return NULL;
	return rmap_target_table_find(rmap_target_table_net(want->net),
				      want->ifindex, want->prog, want->packets);
}

/* Take a reference to a target that was found; false if it has died since. */
static bool target_hold_live(struct target *target)
{
	bool live;

	spin_lock(&rmap_target_lock);
	/* A live target is in the table, so rmap_target_hold() may take it. */
	live = target_is_live(target);
	if (live)
		rmap_target_hold(target);
	spin_unlock(&rmap_target_lock);
	return live;
}

/*
 * Publish a new target. If another task has published a target for the same
 * device, program and packets mode meanwhile, or if there is no memory, retire
 * the new target; @other is then the other task's target, with a reference, or
 * NULL.
 */
static int target_publish(struct target *target, bool own, gfp_t gfp,
			  struct target **other)
{
	struct target_net *tn = target->tn;
	int err = 0;

	spin_lock(&rmap_target_lock);
	*other = own ? NULL : rmap_target_table_find(tn,
						     target->entry.val.ifindex,
						     target->port.prog,
						     target->port.packets);
	if (*other)
		rmap_target_hold(*other);
	else
		err = rmap_target_table_add(tn, target, gfp);
	if (*other || err)
		target_retire(target);
	spin_unlock(&rmap_target_lock);
	return err;
}

/**
 * rmap_target_get() - get the target that a request asks for, or make it
 * @want: the request
 * @found: the result of rmap_target_find() in the same RCU read section
 * @bulkqs: the map's reserve, for a target that cannot have the device's spare
 *	bulk queues
 *
 * Core unlists a device, waits for a grace period and then calls the notifier.
 * So if the device that is found here leaves, the notifier is called after the
 * target has been published.
 *
 * Context: process context, inside an RCU read section that lasts until the
 * target is published.
 * Return: the target, with a reference; or an error pointer: -EINVAL when there
 * is no such device, -ENOMEM, or -EOPNOTSUPP from rmap_port_init().
 */
struct target *rmap_target_get(struct target_want *want, struct target *found,
			       struct bulkq_reserve *bulkqs)
{
	struct target *target, *other;
	struct net_device *dev;
	int err;

	if (found && target_hold_live(found))
		return found;

	dev = rmap_target_want_dev(want);
	if (!dev)
		return ERR_PTR(-EINVAL);

	target = target_alloc(rmap_target_table_net(want->net), dev, want,
			      bulkqs);
	if (IS_ERR(target))
		return target;

	err = target_publish(target, want->own, want->gfp & ~__GFP_ACCOUNT,
			     &other);
	if (other || err) {
		/* No reader has seen the target: no grace period is needed. */
		target_free(target, true);
		return other ?: ERR_PTR(err);
	}

	/* The notifier has not found the port before: fetch missed changes. */
	smp_mb(); /* pairs with target_device_mirror(): device, then list */
	rmap_port_mirror(&target->port);
	return target;
}

/**
 * rmap_target_own_memory() - memory of a target that only one entry uses
 *
 * Context: any.
 * Return: bytes, for all possible CPUs.
 */
size_t rmap_target_own_memory(void)
{
	return sizeof(struct target) + sizeof(struct redirmap_val) +
	       bulkq_memory();
}

/**
 * rmap_target_queue_sweep() - let holders release dead targets soon
 *
 * Context: any.
 */
void rmap_target_queue_sweep(void)
{
	queue_work(target_wq, target_sweep);
}

/**
 * rmap_target_set_sweep() - register the work that releases dead targets
 * @sweep: work that calls rmap_target_take_dead(), makes all holders release
 *	these targets, and puts the sweep's references; it is queued a grace
 *	period after targets have died
 *
 * Context: insmod, before there are targets.
 */
void __init rmap_target_set_sweep(struct work_struct *sweep)
{
	target_sweep = sweep;
}

/**
 * rmap_target_module_init() - prepare for maps and for the notifier
 *
 * Context: insmod.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_target_module_init(void)
{
	BUILD_BUG_ON(offsetof(struct target, entry));
	BUILD_BUG_ON(offsetof(struct kern_dtab_netdev, dev));
	BUILD_BUG_ON(offsetofend(struct kern_dtab_netdev, idx) > L1_CACHE_BYTES);

	target_wq = alloc_workqueue("redirmap", WQ_UNBOUND, 0);
	return target_wq ? 0 : -ENOMEM;
}

/**
 * rmap_target_module_exit() - wait until the last target is freed
 *
 * Context: rmmod, sleeps; no map is left, and the notifier is unregistered.
 */
void rmap_target_module_exit(void)
{
	wait_var_event(&targets_alive, !atomic_read(&targets_alive));
	destroy_workqueue(target_wq);
}
