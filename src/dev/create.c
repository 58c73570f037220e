// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creation: the module, not the kernel, makes device maps that the policy
 * claims. It hooks two functions:
 *
 *  dev_map_alloc	replaced by create_map(), if the map is claimed:
 *			create_map() makes a pending map (see map.c).
 *  dev_map_alloc_check	observed, on kernels that have it. The kernel calls it
 *			before dev_map_alloc(), and it would refuse values with
 *			counters. So the handler puts a size that the kernel
 *			knows into the attributes, and a mark for create_map().
 *
 * This file owns the hooks. Their handlers run in bpf(2), with preemption off.
 * The handler of dev_map_alloc takes a reference to the module for
 * create_map().
 */
#include <linux/bpf.h>
#include <linux/module.h>

#include "compat.h"
#include "create.h"
#include "hook.h"
#include "kind.h"
#include "policy.h"
#include "value.h"

/* The mark, at the end of bpf_attr: the map is to have values with counters. */
#define CREATE_COUNTS 0x7265646972766c73ULL

/*
 * The mark is behind the attributes of BPF_MAP_CREATE. map_create() has tested
 * before that there are only zeroes, and nothing reads these bytes later. So a
 * mark that stays because the module was unloaded meanwhile does no harm.
 */
static u64 *create_mark(union bpf_attr *attr)
{
	BUILD_BUG_ON(offsetofend(union bpf_attr, COMPAT_MAP_CREATE_LAST_FIELD) >
		     sizeof(*attr) - sizeof(u64));
	BUILD_BUG_ON(sizeof(*attr) % sizeof(u64));

	return (u64 *)(attr + 1) - 1;
}

/*
 * If the module is unloaded between the two functions, the kernel makes a stock
 * map, with values of the size that it has checked.
 */
static void *create_check_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];

	if (value_counts(attr->value_size) &&
	    rmap_policy_matches_new(&rmap_policy_claim, attr)) {
		attr->value_size = sizeof(struct bpf_devmap_val);
		*create_mark(attr) = CREATE_COUNTS;
	}
	return NULL;
}

/*
 * Runs instead of dev_map_alloc(). The handler has taken a reference to the
 * module.
 */
static struct bpf_map *create_map(union bpf_attr *attr)
{
	struct bpf_map *map;

	if (*create_mark(attr) == CREATE_COUNTS) {
		*create_mark(attr) = 0;
		attr->value_size = sizeof(struct redirmap_val);
	}
	map = rmap_kind_find(attr->map_type)->alloc(attr);

	/* rmmod waits for tasks in the module's text: see main_wait(). */
	module_put(THIS_MODULE);
	return map;
}

static void *create_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];
	const struct kind *kind = rmap_kind_find(attr->map_type);

	if (!kind || !kind->alloc)
		return NULL;

	/* A map with a mark is claimed even if the policy has changed since. */
	if ((*create_mark(attr) != CREATE_COUNTS &&
	     !rmap_policy_matches_new(&rmap_policy_claim, attr)) ||
	    !try_module_get(THIS_MODULE))
		return NULL;
	return create_map;
}

struct hook rmap_create_hooks[CREATE_HOOKS] = {
	{ .func = "dev_map_alloc", .entry = create_entered, .replaces = true },
	{ .func = "dev_map_alloc_check", .entry = create_check_entered,
	  .optional = true },
};
