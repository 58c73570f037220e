// SPDX-License-Identifier: GPL-2.0-only
/*
 * Outer maps (ARRAY_OF_MAPS, HASH_OF_MAPS) with claimed inner maps.
 *
 * This file owns the module references of outer maps, and does not let stock
 * and claimed maps be mixed in one outer map. It hooks three functions:
 *
 *  bpf_map_meta_equal	replaced by a function that returns false, if a claimed
 *			map is put into an outer map that was made with a stock
 *			map, or the other way round.
 *  bpf_map_meta_alloc	entry and return observed. An outer map keeps a
 *			description of its first inner map, with a pointer to
 *			the ops. For a claimed inner map the description takes a
 *			reference to the module.
 *  bpf_map_meta_free	observed: drops the reference.
 *
 * The handlers run in bpf(2), or in the kernel's work item that frees maps,
 * with preemption off. A task takes a slot of outer_tasks by cmpxchg(), and
 * only this task empties the slot.
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

/*
 * The kernel calls bpf_map_meta_equal() for descriptions of stock maps. Claimed
 * maps of some kinds have a map_meta_equal of their own.
 */
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
 * Tasks inside bpf_map_meta_alloc(), each with a reference to the module. At
 * the return the handler finds the task here and may drop the reference. If the
 * kretprobe misses a return, or a task finds no free slot, the reference is
 * never dropped; the only effect is that rmmod fails.
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
	 * As soon as the kernel has copied the ops, the inner map may be
	 * closed, and the module unloaded. So the return would be too late to
	 * take the reference.
	 */
	if (try_module_get(THIS_MODULE))
		outer_task_add();
	return NULL;
}

static unsigned long outer_alloc_returned(unsigned long ret, unsigned long note)
{
	const struct bpf_map *meta = (const struct bpf_map *)ret;

	if (outer_task_remove() &&
	    (IS_ERR_OR_NULL(meta) || !rmap_kind_has(meta)))
		module_put(THIS_MODULE);
	return ret;
}

static void *outer_freed(const unsigned long *args)
{
	const struct bpf_map *meta = (const struct bpf_map *)args[0];

	if (rmap_kind_has(meta))
		module_put(THIS_MODULE);
	return NULL;
}

/*
 * insmod sets the hook on the return first, and rmmod removes it last, so that
 * each observed entry has an observed return.
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
 * rmap_outer_init() - set the hooks; handlers are not called yet
 *
 * Context: insmod, sleeps, before rmap_hook_arm().
 * Return: 0, or the error of the hook that failed, with a line in the log; no
 * hook stays set then.
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
 * Context: rmmod, sleeps; no description of a claimed map is left.
 */
void rmap_outer_exit(void)
{
	rmap_hook_remove_all(outer_hooks, ARRAY_SIZE(outer_hooks));
	rmap_hook_exit_remove(&outer_alloc_exit);
}
