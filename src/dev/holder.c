// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holders: the targets that each map uses.
 *
 * This file owns the holdings. A map has one holding for each target that any
 * of its slots points to. The holding counts these slots, its uses, and has one
 * reference to the target. So an update writes to the holding and not to the
 * target's cache lines, and freeing a map drops its holdings without reading
 * its slots. The holdings are also the members that the map's broadcasts go to:
 * see group_xmit.c.
 *
 * Most updates name a device that a recent update has named. holder.recent has
 * a few holdings by their ifindex, so that an update need not look in the
 * tables. A task that has a use of a holding may put it there, and the task
 * that unlinks the holding removes it; readers follow the pointer under RCU.
 *
 * A holding that has lost its last use is idle. It is kept for a short time,
 * because an entry that is often deleted and inserted again may be the only one
 * for its device. Broadcasts skip holdings without uses. A work item frees
 * holdings that are still idle.
 *
 * rmap_holder_attach() and rmap_holder_detach() run inside an RCU read section,
 * which bpf(2) has begun, and which lasts for rmap_holder_attach() until the
 * slot is published. So these functions do not sleep.
 *
 * holder_sweep.c empties the slots that still point to a dead target.
 */
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "group.h"
#include "holder.h"

/**
 * struct holding - the uses that a map has of a target
 * @member: the member for broadcasts; its uses count the map's slots that point
 *	to @target
 * @target: the target, referenced
 * @netns_cookie: the network namespace of the target's device
 * @held: the holder's tables have the holding; under holder.lock
 * @idle_node: node in holder.idle, while @held; under holder.lock
 * @rcu: delays the free after @held was cleared, because readers take no lock
 */
struct holding {
	/* hot: read per flush of a broadcast; updates write the uses */
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

/* Time that a holding without uses is kept, in jiffies. */
#define HOLDER_IDLE_TIME (HZ / 50 + 1)

static struct holding __rcu **holder_recent(struct holder *holder, u32 ifindex)
{
	return &holder->recent[ifindex % HOLDER_RECENT];
}

/* Find the holding of a target that the map has a use of. Under RCU. */
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
 * Add a use to a holding in the tables. Uses cannot overflow: there is one for
 * each slot, which takes the memory of a pointer, and one for each running
 * update. (A refcount_t, of 32 bits, would saturate in an array of 2^31 slots.)
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

/* Add a use to a holding found under RCU; false if the tables lack it. */
static bool holding_get(struct holder *holder, struct holding *holding)
{
	return likely(atomic_long_inc_not_zero(&holding->member.uses)) ||
	       holding_get_idle(holder, holding);
}

/* Make a holding, for the first use of a target; @found may be its target. */
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
		/* Another update has made the holding meanwhile. */
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
 * @holder: the map's holder
 * @net: the namespace of @ifindex
 * @ifindex: the device
 * @prog: the egress program, or NULL
 * @packets: whether frames may leave as packets
 *
 * Context: process context, inside an RCU read section that lasts until the
 * slot points to the target; allocates no memory.
 * Return: the target, with one use by @holder; NULL when holder.recent does not
 * have it.
 */
struct target *rmap_holder_reuse(struct holder *holder, const struct net *net,
				 u32 ifindex, const struct bpf_prog *prog,
				 enum redirmap_packets packets)
{
	struct holding *holding;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "no RCU read section");

	holding = rcu_dereference(*holder_recent(holder, ifindex));
	if (likely(holding &&
		   target_is(holding->target, net, ifindex, prog, packets) &&
		   holding_get(holder, holding)))
		return holding->target;
	return NULL;
}

/**
 * rmap_holder_attach() - use a target in a map
 * @holder: the map's holder
 * @want: the request for the target
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
					   want->prog, want->packets);
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

/* Remove a holding without uses from the tables; readers may still see it. */
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

/* Free a holding that was removed from the tables; readers may still see it. */
static void holding_free(struct holding *holding)
{
	struct target *target = holding->target;

	kfree_rcu(holding, rcu);
	rmap_target_put(target);
}

/**
 * rmap_holder_detach() - drop uses of a target in a map
 * @holder: the map's holder
 * @target: the target that slots have pointed to until now
 * @uses: number of these slots
 *
 * Context: process context, inside an RCU read section. Readers may still use
 * the target until a grace period has passed.
 */
void rmap_holder_detach(struct holder *holder, struct target *target, int uses)
{
	struct holding *holding;
	long left;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "no RCU read section");

	holding = holder_find(holder, target);

	/* The uses that are dropped below keep the holding until then. */
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
		/* Only this entry has used the target: it is not used again. */
		holding_unlink(holder, holding);
		spin_unlock(&holder->lock);
		holding_free(holding);
		return;
	}
	if (list_empty(&holder->idle))
		queue_delayed_work(system_dfl_wq, &holder->idle_work,
				   HOLDER_IDLE_TIME);
	list_add_tail(&holding->idle_node, &holder->idle);
	spin_unlock(&holder->lock);
}

/* Work item, queued with the first idle holding: free those still idle. */
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
 * rmap_holder_init() - initialise a map's holder
 * @holder: memory; needs no rmap_holder_exit() until it holds a target
 * @sweep: see struct holder
 *
 * Context: process context; the map is not published yet.
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
 * rmap_holder_exit() - drop all holdings of a map
 * @holder: the holder of a map that updates and lookups can no longer reach
 *
 * The slots of the map are not read, because the holdings name all targets.
 *
 * Context: process context, sleeps.
 */
void rmap_holder_exit(struct holder *holder)
{
	struct holding *holding;
	unsigned long id;

	if (!list_empty(&holder->node)) {
		rmap_holder_unlist(holder);
		/* Without sweeps and updates the work is not queued again. */
		cancel_delayed_work_sync(&holder->idle_work);
	}

	xa_for_each(&holder->holdings, id, holding) {
		rmap_target_put(holding->target);
		kfree(holding);
	}
	xa_destroy(&holder->holdings);
}

/**
 * rmap_holder_memory() - memory of a map's holdings
 * @holder: the map's holder
 *
 * Context: any.
 * Return: bytes, without the targets, which maps share.
 */
size_t rmap_holder_memory(const struct holder *holder)
{
	return READ_ONCE(holder->count) * sizeof(struct holding);
}

/**
 * rmap_holder_count_uses() - number of slots of a map that have a target
 * @holder: the map's holder
 * @netns_cookie: a network namespace
 * @elsewhere: set to the number of targets whose device is in another namespace
 *
 * The time grows with the number of targets.
 *
 * Context: process context.
 * Return: number of slots. Slots that the sweep has still to empty are counted,
 * and each running update adds one, because it has a use of its target before
 * it replaces the slot.
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
 * rmap_holder_has_uses() - do slots of a map point to a dead target?
 * @holder: the map's holder
 * @target: a target that has been dead for a grace period, so that updates
 *	which have found it live have taken their use of the holding
 *
 * Context: process context.
 * Return: true when slots point to it, or while an update has a use of it.
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
