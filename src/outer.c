// SPDX-License-Identifier: GPL-2.0-only
/*
 * Outer maps: what happens when claimed maps are, or are to be, inner ones.
 *
 * Owns the module references of outer maps, and keeps stock and claimed maps
 * apart in them.
 *
 *  bpf_map_meta_equal	replaced by "no" when a map of ours is to go into an
 *			outer map that was made for another kind.
 *  bpf_map_meta_alloc	entry and return observed: an outer map keeps a
 *			pointer to its template's ops, so one that was made
 *			with a claimed map pins the module.
 *  bpf_map_meta_free	observed: it does so no longer.
 *
 * The handlers run in bpf(2), or in the kernel's map freeing work, with
 * preemption off.
 *
 * The description of a claimed inner map holds the module, until
 * bpf_map_meta_free().
 */
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "hook.h"
#include "kind.h"
#include "outer.h"

static bool outer_unequal(const struct bpf_map *meta0,
			  const struct bpf_map *meta1)
{
	return false;
}

/* Called for stock outer maps; those of ours may compare by themselves. */
static void *outer_equal_entered(const unsigned long *args)
{
	const struct bpf_map *meta = (const struct bpf_map *)args[0];
	const struct bpf_map *map = (const struct bpf_map *)args[1];

	if (meta->ops == map->ops ||
	    !(rmap_kind_has(meta) || rmap_kind_has(map)))
		return NULL;
	if (meta->map_type == map->map_type)
		rmap_kind_report_mixed(map, rmap_kind_has(map));
	return outer_unequal;
}

/*
 * Tasks inside bpf_map_meta_alloc(), each with a module reference. The return
 * finds the task and knows that there is one to drop. A return that nobody
 * sees, or a task for which there is no room, keeps the reference for good,
 * which only forbids rmmod.
 */
#define OUTER_TASKS_BITS 8
static struct task_struct *outer_tasks[1 << OUTER_TASKS_BITS];

static void outer_task_add(void)
{
	u32 i, start = hash_ptr(current, OUTER_TASKS_BITS);

	for (i = 0; i < ARRAY_SIZE(outer_tasks); i++)
		if (!cmpxchg(&outer_tasks[(start + i) % ARRAY_SIZE(outer_tasks)],
			     NULL, current))
			return;
}

static bool outer_task_remove(void)
{
	u32 i, start = hash_ptr(current, OUTER_TASKS_BITS);
	struct task_struct **slot;

	for (i = 0; i < ARRAY_SIZE(outer_tasks); i++) {
		slot = &outer_tasks[(start + i) % ARRAY_SIZE(outer_tasks)];
		if (READ_ONCE(*slot) != current)
			continue;
		WRITE_ONCE(*slot, NULL);
		return true;
	}
	return false;
}

static void *outer_alloc_entered(const unsigned long *args)
{
	/*
	 * The inner map may be closed, and the module unloaded, as soon as
	 * the kernel has copied its ops: too late to look at the result only.
	 */
	if (try_module_get(THIS_MODULE))
		outer_task_add();
	return NULL;
}

static void outer_alloc_returned(unsigned long ret)
{
	const struct bpf_map *meta = (const struct bpf_map *)ret;

	if (outer_task_remove() &&
	    (IS_ERR_OR_NULL(meta) || !rmap_kind_has(meta)))
		module_put(THIS_MODULE);
}

static void *outer_freed(const unsigned long *args)
{
	const struct bpf_map *meta = (const struct bpf_map *)args[0];

	if (rmap_kind_has(meta))
		module_put(THIS_MODULE);
	return NULL;
}

/*
 * In this order: whoever is seen entering bpf_map_meta_alloc() is seen
 * returning from it.
 */
static struct hook_exit outer_alloc_exit = {
	.func = "bpf_map_meta_alloc",
	.exit = outer_alloc_returned,
};

static struct hook outer_hooks[] = {
	{ .func = "bpf_map_meta_alloc", .entry = outer_alloc_entered },
	{ .func = "bpf_map_meta_free", .entry = outer_freed },
	{ .func = "bpf_map_meta_equal", .entry = outer_equal_entered,
	  .replaces = true },
};

/**
 * rmap_outer_init() - set the hooks, still doing nothing
 *
 * Context: insmod, before rmap_hook_arm().
 * Return: 0, or the error of the hook that failed, with a line in the log;
 * nothing stays hooked then.
 */
int __init rmap_outer_init(void)
{
	int err = rmap_hook_exit_add(&outer_alloc_exit);

	if (err)
		return err;
	err = rmap_hook_add_all(outer_hooks, ARRAY_SIZE(outer_hooks));
	if (err)
		rmap_hook_exit_remove(&outer_alloc_exit);
	return err;
}

/**
 * rmap_outer_exit() - remove the hooks
 *
 * Context: rmmod, so no description of a claimed map is left.
 */
void rmap_outer_exit(void)
{
	rmap_hook_remove_all(outer_hooks, ARRAY_SIZE(outer_hooks));
	rmap_hook_exit_remove(&outer_alloc_exit);
}
