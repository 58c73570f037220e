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

#include "map.h"
#include "registry.h"

static LIST_HEAD(registry);
static DEFINE_RAW_SPINLOCK(registry_lock);
static u64 registry_serial;

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
	raw_spin_unlock_irqrestore(&registry_lock, flags);
}

/**
 * registry_next() - walk over all maps
 * @serial: of the last one, 0 to begin; becomes that of the next one
 *
 * Maps that are still being created are passed over: they have no id yet.
 *
 * Context: inside an RCU read section, which keeps the map's memory.
 * Return: the next map, or NULL.
 */
struct redir_map *registry_next(u64 *serial)
{
	struct redir_map *rmap;

	list_for_each_entry_rcu(rmap, &registry, registered) {
		if (rmap->serial <= *serial || !READ_ONCE(rmap->dtab.map.id))
			continue;
		*serial = rmap->serial;
		return rmap;
	}
	return NULL;
}
