// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creation: how device maps are made, in the place of the kernel's.
 *
 *  dev_map_alloc()	replaced, when the policy claims the map's name:
 *			ours makes the map, pending (see map.c).
 *  dev_map_alloc_check() where there is such a thing: it comes before, and would
 *			refuse values with counters. It gets to see a size that
 *			it knows, and dev_map_alloc() a mark.
 *
 * The handlers run in bpf(2), with preemption off. create_map() holds the module
 * while it runs; its reference is taken in the handler.
 */
#include <linux/bpf.h>
#include <linux/module.h>

#include "compat.h"
#include "create.h"
#include "hook.h"
#include "kind.h"
#include "policy.h"
#include "value.h"

/* At the end of bpf_attr: the map is to have values with counters. */
#define CREATE_COUNTS 0x7265646972766c73ULL

/*
 * Where the mark is: behind the attributes of BPF_MAP_CREATE. map_create() begins
 * with a look whether there is anything but zeroes, and nobody looks again. So a
 * mark that stays, since the module has gone, means nothing.
 */
static u64 *create_mark(union bpf_attr *attr)
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
static void *create_check_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];

	if (value_counts(attr->value_size) && rmap_policy_claims_new(attr)) {
		attr->value_size = sizeof(struct bpf_devmap_val);
		*create_mark(attr) = CREATE_COUNTS;
	}
	return NULL;
}

/* In the place of dev_map_alloc(); the handler has taken a reference. */
static struct bpf_map *create_map(union bpf_attr *attr)
{
	struct bpf_map *map;

	if (*create_mark(attr) == CREATE_COUNTS) {
		*create_mark(attr) = 0;
		attr->value_size = sizeof(struct redirmap_val);
	}
	map = rmap_kind_find(attr->map_type)->alloc(attr);

	/* rmmod waits for tasks to leave our text: see main.c. */
	module_put(THIS_MODULE);
	return map;
}

static void *create_entered(const unsigned long *args)
{
	union bpf_attr *attr = (union bpf_attr *)args[0];
	const struct kind *kind = rmap_kind_find(attr->map_type);

	if (!kind || !kind->alloc)
		return NULL;

	/* What has a mark is claimed, though the policy may have changed since. */
	if ((*create_mark(attr) != CREATE_COUNTS &&
	     !rmap_policy_claims_new(attr)) ||
	    !try_module_get(THIS_MODULE))
		return NULL;
	return create_map;
}

struct hook rmap_create_hooks[CREATE_HOOKS] = {
	{ .func = "dev_map_alloc", .entry = create_entered, .replaces = true },
	{ .func = "dev_map_alloc_check", .entry = create_check_entered,
	  .optional = true },
};
