// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claiming: when a map that user space creates becomes one of ours.
 *
 *  security_bpf_map_*	observed: the first point after map_create() has set
 *			the map's ops, and before anybody else can have the
 *			map. A map that the policy claims gets our ops here.
 *
 * Families hook besides what they need to make maps of their own: such a map is
 * known again here. Of others, which the kernel has made, the policy is asked.
 *
 * The handlers run in bpf(2), with preemption off.
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
	    kind->is_pending(map) : rmap_policy_claims(map->name))
		rmap_kind_claim(kind, map);
	return NULL;
}

static struct hook claim_hook = {
	.func = COMPAT_SECURITY_MAP_CREATE,
	.entry = claim_map_created,
};

/* Of the first families, the last one first, and then ours. */
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
 * rmap_claim_init() - set the hooks, still doing nothing
 *
 * Context: insmod, before rmap_hook_arm().
 * Return: 0, or the error of the hook that failed, with a line in the log;
 * nothing stays hooked then.
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
 * rmap_claim_exit() - give creation back to the kernel
 *
 * Context: rmmod, so no map of ours is left, and none can come: references to
 * the module are refused. Functions that the hooks have put in the place of
 * others may still be about to return when this has.
 */
void rmap_claim_exit(void)
{
	claim_remove_hooks(rmap_kind_families());
}
