// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: what the slots of claimed maps point to.
 *
 * All entries for one device and egress program are alike, so they are one
 * object: a target is interned by namespace, ifindex and program, and a slot is
 * a pointer to it. Owns the targets, from the first reference to a grace period
 * after the last one. They are found by target_table.c; what their devices do to
 * them is target_device.c's; which map holds which of them is holder.c's.
 *
 * rmap_target_find() and rmap_target_get() run in bpf(2), inside an RCU read
 * section that lasts until the target is published, so nothing there sleeps.
 * Readers find targets in slots, in NAPI or in bpf(2), under RCU. References
 * are counted under rmap_target_lock where they come from, or get to, none.
 * Targets are freed by a work item.
 *
 * The states of a target. "Table" means its namespace's tables, "shown" that
 * netlink finds it by its number. All of it changes under rmap_target_lock.
 *
 *  table  live  refs  shown
 *  no     yes    1    no     being made by rmap_target_get(), inside the RCU
 *			      read section in which it has found the device; it
 *			      is added, or freed at once
 *  yes    yes   > 0   yes    in use: holders have the references, and the last
 *			      rmap_target_put() makes it unused
 *  yes    yes    0    yes    unused: target_free_work() is on its way, which
 *			      retires it, unless rmap_target_hold() came first
 *  no     no    > 0   no     died with its device: target_died(), then the sweep,
 *			      and holders until that has come by
 *  no     no     0    no     of that one, or retired: target_free_work() frees it
 *
 * So what is live has been published and is in the table, or else nobody has
 * seen it. What is in the table is found by the notifier, which takes it out
 * and marks it dead, when the device unregisters, moves to another namespace
 * (and so before the one that it was in can die), or redirmap's notifier goes by
 * rmmod. Hence the device is in @net, and @net and @tn are there, for whoever
 * sees under rmap_target_lock that a target is live, and for nobody else. A
 * reference to the device says nothing of its namespace. An ifindex is another
 * device's as soon as core has unlisted the one, so devices are compared by
 * their address.
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

/* Targets that are not freed yet; unloading waits for none. */
static atomic_t targets_alive = ATOMIC_INIT(0);

/* Holders' part of a device's leaving: see rmap_target_set_sweep(). */
static struct work_struct *target_sweep;

/* What is counted outlives the target. */
static void target_add_stats(const struct gone_leaver *leaver, void *kept)
{
	const struct target *target = container_of(leaver, struct target,
						   leaver);
	struct stats_gone_device told = {
		.ifindex = target->entry.val.ifindex,
	};

	strscpy(told.ifname, target->port.dev.name, sizeof(told.ifname));
	rmap_port_stats(&target->port, &told.sum);
	rmap_stats_keep(kept, &told);
}

/*
 * Let a target that nobody uses have nothing to do with its namespace any more.
 * The device may move, and the namespace die, as soon as the lock is dropped:
 * the notifier finds no target then that it would mark. True when the target
 * still has a reference to its device, which is dropped by target_free().
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

/* Free a target that was retired. Its memory readers may have just found. */
static void target_free(struct target *target, bool attached)
{
	rmap_target_table_put_id(target);
	if (attached)
		rmap_port_detach(&target->port);
	rmap_port_destroy(&target->port);
	kfree(target->shown);
	/* It was in the table until now: see rmap_target_find(). */
	kfree_rcu(target, death);
	if (atomic_dec_and_test(&targets_alive))
		wake_up_var(&targets_alive);
}

/* A grace period after a target has lost its last reference. */
static void target_free_work(struct work_struct *work)
{
	struct target *target = container_of(to_rcu_work(work), struct target,
					     free_work);
	enum target_free_state free_state;
	bool attached;

	spin_lock(&rmap_target_lock);
	free_state = target->free_state;
	if (refcount_read(&target->refs)) {
		/* Somebody has found a use for it meanwhile... */
		target->free_state = TARGET_USED;
		spin_unlock(&rmap_target_lock);
		return;
	}
	if (free_state == TARGET_UNUSED_AGAIN) {
		/* ...and no more, so readers may still be about. */
		target->free_state = TARGET_UNUSED;
		queue_rcu_work(target_wq, &target->free_work);
		spin_unlock(&rmap_target_lock);
		return;
	}
	rmap_target_table_remove(target);
	/* One that was never added has counted nothing, and is not counted. */
	rmap_gone_keep(target->gone, &target->leaver);
	attached = target_retire(target);
	spin_unlock(&rmap_target_lock);

	target_free(target, attached);
}

/**
 * rmap_target_hold() - take a reference to a target that perhaps has none
 * @target: a target that is in the table, or was until now
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
 * A target without references stays in the table until it is freed, and may
 * be used again: an entry that comes and goes does not make a new one each
 * time, nor need memory for those that wait to be freed.
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

/* What an entry's own target shows at first. */
static struct redirmap_val *target_alloc_shown(const struct target *target,
					       gfp_t gfp)
{
	struct redirmap_val *shown = kzalloc(sizeof(*shown), gfp);

	if (shown)
		shown->entry = target->entry.val;
	return shown;
}

/*
 * A new target for a device, with one reference; rmap_target_lock is not held.
 */
static struct target *target_alloc(struct target_net *tn,
				   struct net_device *dev,
				   struct bpf_prog *prog, bool own,
				   struct bulkq_reserve *bulkqs, gfp_t gfp)
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

	err = rmap_port_init(&target->port, dev, prog, &target->entry.xdp_prog,
			     bulkq, gfp);
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
 * rmap_target_want_dev() - the device that an entry asks for
 * @want: what is asked for
 *
 * Context: inside one RCU read section, from the first call until the target is
 * published.
 * Return: the device; NULL if there is none.
 */
struct net_device *rmap_target_want_dev(struct target_want *want)
{
	if (!want->dev)
		want->dev = dev_get_by_index_rcu(want->net, want->ifindex);
	return want->dev;
}

/**
 * rmap_target_find() - the target that is asked for, if there is one
 * @want: what is asked for
 *
 * Context: inside an RCU read section, which keeps the target.
 * Return: the target, without a reference; NULL without one, and for an entry
 * that asks for one of its own.
 */
struct target *rmap_target_find(const struct target_want *want)
{
	if (unlikely(want->own))
		return NULL;
	return rmap_target_table_find(rmap_target_table_net(want->net),
				      want->ifindex, want->prog);
}

/* A reference to a target that was found; false if it has died since. */
static bool target_hold_live(struct target *target)
{
	bool live;

	spin_lock(&rmap_target_lock);
	/* Until it dies it is in the table. */
	live = target_is_live(target);
	if (live)
		rmap_target_hold(target);
	spin_unlock(&rmap_target_lock);
	return live;
}

/*
 * Publish a new target, or else retire it: @other is the one that somebody has
 * published meanwhile, with a reference.
 */
static int target_publish(struct target *target, bool own, gfp_t gfp,
			  struct target **other)
{
	struct target_net *tn = target->tn;
	int err = 0;

	spin_lock(&rmap_target_lock);
	*other = own ? NULL : rmap_target_table_find(tn,
						     target->entry.val.ifindex,
						     target->port.prog);
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
 * rmap_target_get() - the target that is asked for, made if there is none
 * @want: what is asked for
 * @found: what rmap_target_find() has found in the same RCU read section
 * @bulkqs: of the map, for a target that cannot have the device's spare ones
 *
 * Core unlists a device, waits for a grace period and then notifies, so a
 * device that is found here is notified about after the target is published.
 *
 * Context: process context, inside an RCU read section that lasts until the
 * target is published.
 * Return: the target, with a reference; an error pointer: -EINVAL when there
 * is no such device, -ENOMEM, -EOPNOTSUPP from rmap_port_init().
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

	target = target_alloc(rmap_target_table_net(want->net), dev, want->prog,
			      want->own, bulkqs, want->gfp);
	if (IS_ERR(target))
		return target;

	err = target_publish(target, want->own, want->gfp & ~__GFP_ACCOUNT,
			     &other);
	if (other || err) {
		/* Nobody has seen it, so nothing has to be waited for. */
		target_free(target, true);
		return other ?: ERR_PTR(err);
	}

	/* The notifier sees the port from here on; catch up with before. */
	rmap_port_mirror(&target->port);
	return target;
}

/**
 * rmap_target_own_memory() - what a target takes that is one entry's own
 *
 * Context: any.
 * Return: bytes, those of all possible CPUs included.
 */
size_t rmap_target_own_memory(void)
{
	return sizeof(struct target) + sizeof(struct redirmap_val) +
	       bulkq_memory();
}

/**
 * rmap_target_queue_sweep() - let holders let go of what is dead, soon
 *
 * Context: any.
 */
void rmap_target_queue_sweep(void)
{
	queue_work(target_wq, target_sweep);
}

/**
 * rmap_target_set_sweep() - say how holders let go of what is dead
 * @sweep: work that calls rmap_target_take_dead(), lets all holders let go of
 *	what it gets, and puts it; queued a grace period after targets have died
 *
 * Context: insmod, before there are targets.
 */
void __init rmap_target_set_sweep(struct work_struct *sweep)
{
	target_sweep = sweep;
}

/**
 * rmap_target_module_init() - get ready for maps and for the notifier
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
 * rmap_target_module_exit() - wait until the last target is gone
 *
 * Context: rmmod, with no map left and the notifier unregistered.
 */
void rmap_target_module_exit(void)
{
	wait_var_event(&targets_alive, !atomic_read(&targets_alive));
	destroy_workqueue(target_wq);
}
