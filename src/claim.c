// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claiming: how a map that user space creates becomes one of ours.
 *
 * Owns the hooks' handlers, our two sets of map operations, and the module
 * references that claimed maps hold. Knows nothing of ftrace.
 *
 *  dev_map_alloc()	replaced, when the policy claims the map's name:
 *			ours makes the map, unborn (see map.c).
 *  dev_map_alloc_check() where there is such a thing: it comes before, and would
 *			refuse values with counters. It gets to see a size that
 *			it knows, and dev_map_alloc() a mark.
 *  security_bpf_map_*	observed: the first point after map_create() has set
 *			the map's ops, and before anybody else can have the
 *			map. An unborn map gets our ops and is born.
 *
 * The handlers run in bpf(2), with preemption off.
 *
 * Who holds the module: claim_alloc() while it runs, its reference taken in
 * the handler; a born map, until map_free(). Where a reference cannot be had,
 * since rmmod has begun, the map stays the kernel's; an unborn one can do that.
 */
#include <linux/bpf.h>
#include <linux/module.h>

#include "array.h"
#include "claim.h"
#include "compat.h"
#include "hash.h"
#include "hook.h"
#include "log.h"
#include "map.h"
#include "policy.h"

/* At the end of bpf_attr: the map is to have values with counters. */
#define CLAIM_COUNTS 0x7265646972766c73ULL

static struct bpf_map_ops array_ops, hash_ops;
static bool array_ops_ready, hash_ops_ready;
/* A raw one: the handlers run with preemption off. */
static DEFINE_RAW_SPINLOCK(ops_lock);

/**
 * claim_is_ours() - has a map our ops?
 * @map: any map, or the description of an inner one
 *
 * Context: any.
 * Return: true for a claimed map that is born, and what describes one.
 */
bool claim_is_ours(const struct bpf_map *map)
{
	return map->ops == &array_ops || map->ops == &hash_ops;
}

/*
 * Our ops of a type: the kernel's own, copied when they are first seen, with
 * ours put over. What we do not know keeps working.
 */
static const struct bpf_map_ops *claim_ops(const struct bpf_map *map)
{
	bool is_array = map->map_type == BPF_MAP_TYPE_DEVMAP;
	struct bpf_map_ops *ops = is_array ? &array_ops : &hash_ops;
	bool *ready = is_array ? &array_ops_ready : &hash_ops_ready;
	unsigned long flags;

	/* Pairs with the release below: ready means written. */
	if (smp_load_acquire(ready))
		return ops;

	raw_spin_lock_irqsave(&ops_lock, flags);
	if (!*ready) {
		*ops = *map->ops;
		if (is_array)
			array_set_ops(ops);
		else
			hash_set_ops(ops);
		/* Pairs with the acquire above. */
		smp_store_release(ready, true);
	}
	raw_spin_unlock_irqrestore(&ops_lock, flags);
	return ops;
}

/* Nobody has looked at the name yet, not even for its end. */
static bool claim_wants(const union bpf_attr *attr)
{
	char name[BPF_OBJ_NAME_LEN + 1];

	memcpy(name, attr->map_name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN] = '\0';
	return policy_claims(name);
}

/*
 * Where the mark is: behind the attributes of BPF_MAP_CREATE. map_create() begins
 * with a look whether there is anything but zeroes, and nobody looks again. So a
 * mark that stays, since the module has gone, means nothing.
 */
static u64 *claim_mark(union bpf_attr *attr)
{
	BUILD_BUG_ON(offsetofend(union bpf_attr, COMPAT_MAP_CREATE_LAST_FIELD) >
		     sizeof(*attr) - sizeof(u64));
	BUILD_BUG_ON(sizeof(*attr) % sizeof(u64));

	return (u64 *)(attr + 1) - 1;
}

/*
 * Should the module go between the two functions, the kernel makes a map of its
 * own, whose values are those that it has checked.
 */
static void *claim_alloc_check_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];

	if (value_counts(attr->value_size) && claim_wants(attr)) {
		attr->value_size = sizeof(struct bpf_devmap_val);
		*claim_mark(attr) = CLAIM_COUNTS;
	}
	return NULL;
}

/* In the place of dev_map_alloc(); the handler has taken a reference. */
static struct bpf_map *claim_alloc(union bpf_attr *attr)
{
	struct bpf_map *map;

	if (*claim_mark(attr) == CLAIM_COUNTS) {
		*claim_mark(attr) = 0;
		attr->value_size = sizeof(struct redirmap_val);
	}
	if (attr->map_type == BPF_MAP_TYPE_DEVMAP)
		map = array_alloc(attr);
	else
		map = hash_alloc(attr);

	/* rmmod waits for tasks to leave our text: see main.c. */
	module_put(THIS_MODULE);
	return map;
}

static void *claim_alloc_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];

	if (attr->map_type != BPF_MAP_TYPE_DEVMAP &&
	    attr->map_type != BPF_MAP_TYPE_DEVMAP_HASH)
		return NULL;

	/* What has a mark is claimed, though the policy may have changed since. */
	if ((*claim_mark(attr) != CLAIM_COUNTS && !claim_wants(attr)) ||
	    !try_module_get(THIS_MODULE))
		return NULL;
	return claim_alloc;
}

static void *claim_map_created(const unsigned long *args)
{
	struct bpf_map *map = (struct bpf_map *)args[0];

	if (map->map_type != BPF_MAP_TYPE_DEVMAP &&
	    map->map_type != BPF_MAP_TYPE_DEVMAP_HASH)
		return NULL;
	if (!map_is_unborn(map) || claim_is_ours(map) ||
	    !try_module_get(THIS_MODULE))
		return NULL;

	map->ops = claim_ops(map);
	map_born(to_redir_map(map));
	return NULL;
}

static struct hook claim_hooks[] = {
	{ .func = COMPAT_SECURITY_MAP_CREATE, .entry = claim_map_created },
	{ .func = "dev_map_alloc", .entry = claim_alloc_entered,
	  .replaces = true },
	{ .func = "dev_map_alloc_check", .entry = claim_alloc_check_entered,
	  .optional = true },
};

/**
 * claim_init() - set the hooks, still doing nothing
 *
 * Context: insmod, before hook_arm().
 * Return: 0, or the error of the hook that failed, with a line in the log;
 * nothing stays hooked then.
 */
int __init claim_init(void)
{
	return hook_add_all(claim_hooks, ARRAY_SIZE(claim_hooks));
}

/**
 * claim_exit() - give creation back to the kernel
 *
 * Context: rmmod, so no map of ours is left, and none can come: references to
 * the module are refused. Functions that the hooks have put in the place of
 * others may still be about to return when this has.
 */
void claim_exit(void)
{
	hook_remove_all(claim_hooks, ARRAY_SIZE(claim_hooks));
}
