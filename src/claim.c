// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: a hook gives the module's ops to new maps.
 *
 * The hook observes security_bpf_map_create() (security_bpf_map_alloc() before
 * 6.9). The kernel's map_create() calls it after it has set the map's ops, and
 * before any other task can find the map.
 *
 * Families may have further hooks to allocate maps themselves; the handler
 * recognises such a map by kind.is_pending(). For a map that the kernel has
 * allocated, the policy decides.
 *
 * This file owns the hook. Its handler runs in bpf(2), with preemption off.
 */
#include <linux/bpf.h>

#include "claim.h"
#include "compat.h"
#include "hook.h"
#include "kind.h"
#include "policy.h"

static void *claim_map_created(const unsigned long *args)
{
	struct bpf_map *map = (struct bpf_map *)args[0];
	struct kind *kind = rmap_kind_find(map->map_type);

	if (!kind || map->ops == &kind->ops)
		return NULL;
	if (kind->is_pending ?
	    kind->is_pending(map) : rmap_policy_matches(&rmap_policy_claim, map->name))
		rmap_kind_claim(kind, map);
	return NULL;
}

static struct hook claim_hook = {
	.func = COMPAT_SECURITY_MAP_CREATE,
	.entry = claim_map_created,
};

/* Remove the hooks of the first @n families, the last first, and claim_hook. */
static void claim_remove_hooks(unsigned int n)
{
	const struct family *family;

	while (n--) {
		family = rmap_kind_family(n);
		rmap_hook_remove_all(family->hooks, family->n_hooks);
	}
	rmap_hook_remove(&claim_hook);
}

/**
 * rmap_claim_init() - set the hooks; handlers are not called yet
 *
 * Context: insmod, sleeps, before rmap_hook_arm().
 * Return: 0, or the error of the hook that failed, with a line in the log; no
 * hook stays set then.
 */
int __init rmap_claim_init(void)
{
	const struct family *family;
	unsigned int i;
	int err;

	err = rmap_hook_add(&claim_hook);
	if (err)
		return err;
	for (i = 0; (family = rmap_kind_family(i)); i++) {
		err = rmap_hook_add_all(family->hooks, family->n_hooks);
		if (err)
			goto remove_hooks;
	}
	return 0;

remove_hooks:
	claim_remove_hooks(i);
	return err;
}

/**
 * rmap_claim_exit() - remove the hooks
 *
 * No claimed map is left, and none can be made, because try_module_get() fails
 * during rmmod. Functions that have replaced hooked ones may still run when
 * this function returns: see main_wait().
 *
 * Context: rmmod, sleeps.
 */
void rmap_claim_exit(void)
{
	claim_remove_hooks(rmap_kind_families());
}
