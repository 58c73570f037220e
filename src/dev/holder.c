// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holders: which map holds which targets.
 *
 * Owns the holdings: a map has one for each target that any of its slots
 * points to, which counts the slots, and has one reference of the target. So
 * an update touches the holding, and the target's own lines stay untouched;
 * and freeing a map drops holdings, without looking at its slots. The holdings
 * are also the members that the map's broadcasts go to: see group_xmit.c.
 *
 * Most updates name a device that a recent one has named. A few holdings can be
 * found by their ifindex alone, without a look into the tables. Such a short
 * way is set by who has a use of the holding, and removed by who drops the last
 * one; it is followed under RCU.
 *
 * A holding that has lost its last use is idle: kept for a short while, for an
 * entry that comes and goes is often alone with its device. Broadcasts see that it
 * has no uses. A work item lets go of those that still have none.
 *
 * rmap_holder_attach() and rmap_holder_detach() run inside an RCU read section,
 * which bpf(2) has begun: that of rmap_holder_attach() lasts until the slot is
 * published. So nothing there sleeps.
 *
 * Slots that still point to a dead target are emptied by a sweep: see
 * holder_sweep.c.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "group.h"
#include "holder.h"

/**
 * struct holding - a holder's share in a target
 * @member: what broadcasts see; its uses count the holder's slots that point
 *	to @target
 * @target: the target, referenced
 * @netns_cookie: the network namespace that its device is in
 * @held: the holder's tables have it; under the holder's lock
 * @idle_node: while held, place among those that have been idle lately; under
 *	the lock
 * @rcu: afterwards, defers the free, for readers look without the lock
 */
struct holding {
	/* hot: per flush of a broadcast; uses are written by updates */
	struct group_member member;

	/* cold */
	struct target *target;
	u64 netns_cookie;
	bool held;
	union {
		struct list_head idle_node;
		struct rcu_head rcu;
	};
};

/* A holding without uses is kept no longer than that; in jiffies. */
#define HOLDER_IDLE_TIME (HZ / 50 + 1)

static struct holding __rcu **holder_recent(struct holder *holder, u32 ifindex)
{
	return &holder->recent[ifindex % HOLDER_RECENT];
}

/* The holding of a target that the holder has a use of. Under RCU. */
static struct holding *holder_find(struct holder *holder,
				   const struct target *target)
{
	struct holding *holding;

	holding = rcu_dereference(*holder_recent(holder,
						 target->entry.val.ifindex));
	if (likely(holding && holding->target == target))
		return holding;
	return xa_load(&holder->holdings, target->id);
}

/*
 * A use of a holding that is in the tables. Uses cannot overflow: there is one for
 * each slot, which takes the memory of a pointer, and for each update under way. (A
 * refcount_t, of 32 bits, would saturate in an array of 2^31 slots.)
 */
static void holding_inc(struct holder *holder, struct holding *holding)
{
	static_assert(sizeof_field(struct group_member, uses) >=
		      sizeof(struct target *));
	lockdep_assert_held(&holder->lock);

	atomic_long_inc(&holding->member.uses);
}

static noinline bool holding_get_idle(struct holder *holder,
				      struct holding *holding)
{
	bool held;

	spin_lock(&holder->lock);
	held = holding->held;
	if (held)
		holding_inc(holder, holding);
	spin_unlock(&holder->lock);
	return held;
}

/* A use of a holding that was found under RCU; false if it is held no more. */
static bool holding_get(struct holder *holder, struct holding *holding)
{
	return likely(atomic_long_inc_not_zero(&holding->member.uses)) ||
	       holding_get_idle(holder, holding);
}

/* First use of a target in a holder, perhaps of one that was found. */
static noinline struct target *
holder_add(struct holder *holder, struct target_want *want,
	   struct target *found)
{
	struct holding *holding, *new;
	struct target *target;
	int err;

	target = rmap_target_get(want, found, &holder->bulkqs);
	if (IS_ERR(target))
		return target;

	new = kzalloc(sizeof(*new), want->gfp);
	if (!new) {
		err = -ENOMEM;
		goto put_target;
	}
	new->target = target;
	new->netns_cookie = want->net->net_cookie;
	new->held = true;
	INIT_LIST_HEAD(&new->idle_node);
	new->member.port = &target->port;
	atomic_long_set(&new->member.uses, 1);

	spin_lock(&holder->lock);
	holding = xa_load(&holder->holdings, target->id);
	if (holding) {
		/* Somebody was faster. */
		holding_inc(holder, holding);
		spin_unlock(&holder->lock);
		kfree(new);
		rmap_target_put(target);
		return target;
	}
	err = xa_err(xa_store(&holder->holdings, target->id, new, want->gfp));
	if (!err) {
		WRITE_ONCE(holder->count, holder->count + 1);
		list_add_tail_rcu(&new->member.node, &holder->members);
		rmap_holder_list(holder);
	}
	spin_unlock(&holder->lock);
	if (err)
		goto free_holding;
	return target;

free_holding:
	kfree(new);
put_target:
	rmap_target_put(target);
	return ERR_PTR(err);
}

/**
 * rmap_holder_reuse() - use a device that a recent update has used
 * @holder: the map's part
 * @net: the namespace that @ifindex is of
 * @ifindex: the device
 * @prog: the egress program, or NULL
 *
 * Context: as rmap_holder_attach(), and needs no memory.
 * Return: the target, with one use by @holder; NULL without a short way to it.
 */
struct target *rmap_holder_reuse(struct holder *holder, const struct net *net,
				 u32 ifindex, const struct bpf_prog *prog)
{
	struct holding *holding;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "no RCU read section");

	holding = rcu_dereference(*holder_recent(holder, ifindex));
	if (likely(holding && target_is(holding->target, net, ifindex, prog) &&
		   holding_get(holder, holding)))
		return holding->target;
	return NULL;
}

/**
 * rmap_holder_attach() - use a target in a map
 * @holder: the map's part
 * @want: the target that is asked for
 *
 * Context: process context, inside an RCU read section that lasts until the
 * slot points to the target.
 * Return: the target, with one use by @holder; an error pointer: -EINVAL when
 * there is no such device, -ENOMEM, -EOPNOTSUPP from rmap_port_init().
 */
struct target *rmap_holder_attach(struct holder *holder,
				  struct target_want *want)
{
	struct holding __rcu **recent = holder_recent(holder, want->ifindex);
	struct holding *holding;
	struct target *target;

	if (!want->own) {
		target = rmap_holder_reuse(holder, want->net, want->ifindex,
					   want->prog);
		if (target)
			return target;
	}

	target = rmap_target_find(want);
	if (target) {
		holding = xa_load(&holder->holdings, target->id);
		if (holding && holding->target == target &&
		    holding_get(holder, holding)) {
			rcu_assign_pointer(*recent, holding);
			return target;
		}
	}
	return holder_add(holder, want, target);
}

/* Take a holding without uses out of the tables. Readers may still see it. */
static void holding_unlink(struct holder *holder, struct holding *holding)
{
	struct target *target = holding->target;

	lockdep_assert_held(&holder->lock);

	holding->held = false;
	xa_erase(&holder->holdings, target->id);
	cmpxchg(holder_recent(holder, target->entry.val.ifindex),
		RCU_INITIALIZER(holding), NULL);
	list_del_rcu(&holding->member.node);
	WRITE_ONCE(holder->count, holder->count - 1);
}

/* Free a holding that is out of the tables; readers may still see it. */
static void holding_free(struct holding *holding)
{
	struct target *target = holding->target;

	kfree_rcu(holding, rcu);
	rmap_target_put(target);
}

/**
 * rmap_holder_detach() - drop uses of a target in a map
 * @holder: the map's part
 * @target: what slots have pointed to until now
 * @uses: how many slots
 *
 * Context: process context, bottom halves on, inside an RCU read section.
 * Readers may still use the target until a grace period has passed.
 */
void rmap_holder_detach(struct holder *holder, struct target *target, int uses)
{
	struct holding *holding;
	long left;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "no RCU read section");

	holding = holder_find(holder, target);

	/* The uses that are dropped here keep it until then. */
	if (uses == 1 && atomic_long_add_unless(&holding->member.uses, -1, 1))
		return;
	spin_lock(&holder->lock);
	left = atomic_long_sub_return(uses, &holding->member.uses);
	WARN_ON_ONCE(left < 0);
	if (left || !list_empty(&holding->idle_node)) {
		spin_unlock(&holder->lock);
		return;
	}
	if (target->shown) {
		/* Nobody else will use it. */
		holding_unlink(holder, holding);
		spin_unlock(&holder->lock);
		holding_free(holding);
		return;
	}
	if (list_empty(&holder->idle))
		queue_delayed_work(system_unbound_wq, &holder->idle_work,
				   HOLDER_IDLE_TIME);
	list_add_tail(&holding->idle_node, &holder->idle);
	spin_unlock(&holder->lock);
}

/* Work item: let go of what is still idle. Whoever is idle next queues it. */
static void holder_free_idle(struct work_struct *work)
{
	struct holder *holder = container_of(to_delayed_work(work),
					     struct holder, idle_work);
	struct holding *holding;
	LIST_HEAD(idle);

	spin_lock(&holder->lock);
	list_splice_init(&holder->idle, &idle);
	while (!list_empty(&idle)) {
		holding = list_first_entry(&idle, struct holding, idle_node);
		list_del_init(&holding->idle_node);
		if (atomic_long_read(&holding->member.uses))
			continue;
		holding_unlink(holder, holding);
		spin_unlock(&holder->lock);

		holding_free(holding);
		cond_resched();
		spin_lock(&holder->lock);
	}
	spin_unlock(&holder->lock);
}

/**
 * rmap_holder_init() - make the part of a map that holds targets
 * @holder: memory for it; needs no other undoing while it holds nothing
 * @sweep: see struct holder
 *
 * Context: process context; nobody else can reach the map yet.
 */
void rmap_holder_init(struct holder *holder,
		      void (*sweep)(struct holder *holder, struct target *dead))
{
	INIT_LIST_HEAD(&holder->node);
	xa_init(&holder->holdings);
	INIT_LIST_HEAD(&holder->members);
	INIT_LIST_HEAD(&holder->idle);
	INIT_DELAYED_WORK(&holder->idle_work, holder_free_idle);
	spin_lock_init(&holder->lock);
	holder->count = 0;
	holder->sweep = sweep;
}

/**
 * rmap_holder_exit() - let go of everything
 * @holder: the part of a map that no update and no lookup can reach any more
 *
 * What the map's slots point to is not looked at: the holdings know it.
 *
 * Context: process context, sleeps.
 */
void rmap_holder_exit(struct holder *holder)
{
	struct holding *holding;
	unsigned long id;

	if (!list_empty(&holder->node)) {
		rmap_holder_unlist(holder);
		/* No sweep, no update: it is not queued again. */
		cancel_delayed_work_sync(&holder->idle_work);
	}

	xa_for_each(&holder->holdings, id, holding) {
		rmap_target_put(holding->target);
		kfree(holding);
	}
	xa_destroy(&holder->holdings);
}

/**
 * rmap_holder_memory() - memory that a map needs for holding what it holds
 * @holder: the map's part
 *
 * Context: any.
 * Return: bytes, without the targets, which maps share.
 */
size_t rmap_holder_memory(const struct holder *holder)
{
	return READ_ONCE(holder->count) * sizeof(struct holding);
}

/**
 * rmap_holder_count_uses() - how many slots of a map lead somewhere
 * @holder: the map's part
 * @netns_cookie: a network namespace
 * @elsewhere: set to the number of targets whose device is in another one
 *
 * Context: process context; the time follows the number of targets.
 * Return: slots, including those that the sweep has still to empty; and one
 * more for each update under way, which has a use of its target before the slot
 * has it.
 */
u64 rmap_holder_count_uses(struct holder *holder, u64 netns_cookie,
			   u32 *elsewhere)
{
	struct holding *holding;
	unsigned long id, uses;
	u64 used = 0;

	*elsewhere = 0;
	rcu_read_lock();
	xa_for_each(&holder->holdings, id, holding) {
		uses = atomic_long_read(&holding->member.uses);
		used += uses;
		*elsewhere += uses && holding->netns_cookie != netns_cookie;
	}
	rcu_read_unlock();
	return used;
}

/**
 * rmap_holder_has_uses() - do slots of a map lead to a target that is dead?
 * @holder: the map's part
 * @target: a target that has been dead for a grace period; updates that had found it
 *	alive have used the holding since
 *
 * Context: process context.
 * Return: true as well while an update is under way that has a use of the target.
 */
bool rmap_holder_has_uses(struct holder *holder, const struct target *target)
{
	const struct holding *holding;
	bool holds;

	rcu_read_lock();
	holding = xa_load(&holder->holdings, target->id);
	holds = holding && READ_ONCE(holding->target) == target &&
		atomic_long_read(&holding->member.uses);
	rcu_read_unlock();
	return holds;
}
