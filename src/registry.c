// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which claimed maps there are.
 *
 * A list in the order of their births, which a serial number tells. Maps are
 * added in bpf(2), with preemption off, and removed in the kernel's map freeing
 * work; both under a raw lock. Read under RCU, by netlink.
 */
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>

#include "map.h"
#include "registry.h"

static LIST_HEAD(registry);
static DEFINE_RAW_SPINLOCK(registry_lock);
static u64 registry_serial;
static unsigned int registry_generation_count = 1;

static void registry_changed(void)
{
	lockdep_assert_held(&registry_lock);

	WRITE_ONCE(registry_generation_count, registry_generation_count + 1);
}

/**
 * registry_add() - list a map
 * @rmap: a map that is born
 *
 * Context: any; preemption may be off.
 */
void registry_add(struct redir_map *rmap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&registry_lock, flags);
	rmap->serial = ++registry_serial;
	list_add_tail_rcu(&rmap->registered, &registry);
	registry_changed();
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/**
 * registry_remove() - list a map no more
 * @rmap: a map that is to be freed, after a grace period
 *
 * Context: process context.
 */
void registry_remove(struct redir_map *rmap)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&registry_lock, flags);
	list_del_rcu(&rmap->registered);
	registry_changed();
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/**
 * registry_generation() - what changes when a map comes or goes
 *
 * Context: any.
 * Return: a number other than that before the change.
 */
unsigned int registry_generation(void)
{
	return READ_ONCE(registry_generation_count);
}

/**
 * registry_find_closed() - look for maps that are closed, but not freed yet
 * @net: the namespace that they were created in
 *
 * What they have counted is that of maps that are gone.
 *
 * Context: process context.
 */
void registry_find_closed(const struct net *net)
{
	struct redir_map *rmap;

	rcu_read_lock();
	list_for_each_entry_rcu(rmap, &registry, registered)
		if (rmap->netns_cookie == net->net_cookie)
			map_leave_if_closed(rmap);
	rcu_read_unlock();
}

/**
 * registry_next() - walk over all maps
 * @at: a map that was found in the same RCU read section, or NULL
 * @serial: where to begin without one: behind this serial number
 *
 * Maps that are still being created are passed over: they have no id yet.
 *
 * Context: inside an RCU read section, which keeps the map's memory.
 * Return: the next map, or NULL.
 */
struct redir_map *registry_next(struct redir_map *at, u64 serial)
{
	struct redir_map *rmap;

	rmap = at ?: list_entry(&registry, struct redir_map, registered);
	list_for_each_entry_continue_rcu(rmap, &registry, registered)
		if ((at || rmap->serial > serial) &&
		    READ_ONCE(rmap->dtab.map.id))
			return rmap;
	return NULL;
}
