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
 *  bpf_map_meta_equal	replaced by "no" when a map of ours is to go into an
 *			outer map that was made for another kind.
 *  bpf_map_meta_alloc	entry and return observed: an outer map keeps a
 *			pointer to its template's ops, so one that was made
 *			with a claimed map pins the module.
 *  bpf_map_meta_free	observed: it does so no longer.
 *
 * The handlers run in bpf(2), or in the kernel's map freeing work, with
 * preemption off. They do nothing until claim_arm(), the last step of insmod.
 *
 * Who holds the module: claim_alloc() while it runs, its reference taken in
 * the handler; a born map, until map_free(); the description of a claimed
 * inner map, until bpf_map_meta_free(). Where a reference cannot be had, since
 * rmmod has begun, the map stays the kernel's; an unborn one can do that.
 */
#include <linux/bpf.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/sched.h>

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

static bool claim_armed;

static struct bpf_map_ops array_ops, hash_ops;
static bool array_ops_ready, hash_ops_ready;
/* A raw one: the handlers run with preemption off. */
static DEFINE_RAW_SPINLOCK(ops_lock);

static bool claim_is_ours(const struct bpf_map *map)
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

	if (READ_ONCE(claim_armed) && value_counts(attr->value_size) &&
	    claim_wants(attr)) {
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

	if (!READ_ONCE(claim_armed))
		return NULL;
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

	if (!READ_ONCE(claim_armed))
		return NULL;
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

static bool claim_meta_unequal(const struct bpf_map *meta0,
			       const struct bpf_map *meta1)
{
	return false;
}

/* Called for stock outer maps; those of ours compare by map_meta_equal(). */
static void *claim_meta_equal_entered(const unsigned long *args)
{
	const struct bpf_map *meta = (const struct bpf_map *)args[0];
	const struct bpf_map *map = (const struct bpf_map *)args[1];

	if (meta->ops == map->ops || !(claim_is_ours(meta) || claim_is_ours(map)))
		return NULL;
	if (meta->map_type == map->map_type)
		map_report_mixed(map, claim_is_ours(map));
	return claim_meta_unequal;
}

/*
 * Tasks inside bpf_map_meta_alloc(), each with a module reference. The return
 * finds the task and knows that there is one to drop. A return that nobody
 * sees, or a task for which there is no room, keeps the reference for good,
 * which only forbids rmmod.
 */
#define META_TASKS_BITS 8
static struct task_struct *meta_tasks[1 << META_TASKS_BITS];

static void claim_meta_task_add(void)
{
	u32 i, start = hash_ptr(current, META_TASKS_BITS);

	for (i = 0; i < ARRAY_SIZE(meta_tasks); i++)
		if (!cmpxchg(&meta_tasks[(start + i) % ARRAY_SIZE(meta_tasks)],
			     NULL, current))
			return;
}

static bool claim_meta_task_remove(void)
{
	u32 i, start = hash_ptr(current, META_TASKS_BITS);
	struct task_struct **slot;

	for (i = 0; i < ARRAY_SIZE(meta_tasks); i++) {
		slot = &meta_tasks[(start + i) % ARRAY_SIZE(meta_tasks)];
		if (READ_ONCE(*slot) != current)
			continue;
		WRITE_ONCE(*slot, NULL);
		return true;
	}
	return false;
}

static void *claim_meta_alloc_entered(const unsigned long *args)
{
	/*
	 * The inner map may be closed, and the module unloaded, as soon as
	 * the kernel has copied its ops: too late to look at the result only.
	 */
	if (READ_ONCE(claim_armed) && try_module_get(THIS_MODULE))
		claim_meta_task_add();
	return NULL;
}

static void claim_meta_alloc_returned(unsigned long ret)
{
	const struct bpf_map *meta = (const struct bpf_map *)ret;

	if (claim_meta_task_remove() &&
	    (IS_ERR_OR_NULL(meta) || !claim_is_ours(meta)))
		module_put(THIS_MODULE);
}

static void *claim_meta_freed(const unsigned long *args)
{
	const struct bpf_map *meta = (const struct bpf_map *)args[0];

	if (claim_is_ours(meta))
		module_put(THIS_MODULE);
	return NULL;
}

/*
 * In this order: whoever is seen entering bpf_map_meta_alloc() is seen
 * returning from it.
 */
static struct hook_exit meta_alloc_exit = {
	.func = "bpf_map_meta_alloc",
	.exit = claim_meta_alloc_returned,
};

static struct hook claim_hooks[] = {
	{ .func = "bpf_map_meta_alloc", .entry = claim_meta_alloc_entered },
	{ .func = "bpf_map_meta_free", .entry = claim_meta_freed },
	{ .func = "bpf_map_meta_equal", .entry = claim_meta_equal_entered,
	  .replaces = true },
	{ .func = COMPAT_SECURITY_MAP_CREATE, .entry = claim_map_created },
	{ .func = "dev_map_alloc", .entry = claim_alloc_entered,
	  .replaces = true },
	{ .func = "dev_map_alloc_check", .entry = claim_alloc_check_entered,
	  .optional = true },
};

/**
 * claim_init() - set the hooks, still doing nothing
 *
 * Context: insmod.
 * Return: 0, or the error of the hook that failed, with a line in the log;
 * nothing stays hooked then.
 */
int __init claim_init(void)
{
	int err, i;

	err = hook_exit_add(&meta_alloc_exit);
	if (err)
		return err;

	for (i = 0; i < ARRAY_SIZE(claim_hooks); i++) {
		err = hook_add(&claim_hooks[i]);
		if (err)
			goto remove_hooks;
	}
	return 0;

remove_hooks:
	while (i--)
		hook_remove(&claim_hooks[i]);
	hook_exit_remove(&meta_alloc_exit);
	return err;
}

/**
 * claim_arm() - begin to claim maps
 *
 * Context: the last thing that insmod does: from here on there may be maps,
 * and nothing may fail any more.
 */
void __init claim_arm(void)
{
	WRITE_ONCE(claim_armed, true);
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
	int i = ARRAY_SIZE(claim_hooks);

	WRITE_ONCE(claim_armed, false);
	while (i--)
		hook_remove(&claim_hooks[i]);
	hook_exit_remove(&meta_alloc_exit);
}
