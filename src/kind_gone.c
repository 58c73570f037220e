// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sums of network namespaces over removed maps and targets.
 *
 * This file owns a struct gone for each namespace and family, with a sum of the
 * family's size. Maps and targets have references to it, because a map may
 * outlive the namespace that it was created in.
 *
 * The sums are made and dropped with namespaces, and by insmod and rmmod. The
 * pointers to them do not change in between, so they need no lock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "gone.h"
#include "kind.h"

/**
 * struct kind_net - the sums of a network namespace
 * @gone: one for each family, in the order of the table of families
 */
struct kind_net {
	struct gone *gone[KIND_N_FAMILIES];
};

static unsigned int kind_net_id;

/**
 * rmap_kind_gone() - the sum of a family in a namespace
 * @family: the family
 * @net: the namespace
 *
 * Context: any; the caller keeps the namespace.
 * Return: the sum, without a reference.
 */
struct gone *rmap_kind_gone(const struct family *family, const struct net *net)
{
	struct kind_net *kept = net_generic(net, kind_net_id);
	unsigned int i = 0;

	while (rmap_kind_family(i) != family)
		i++;
	return kept->gone[i];
}

static void kind_net_leave(struct net *net)
{
	struct kind_net *kept = net_generic(net, kind_net_id);
	unsigned int i;

	for (i = 0; i < KIND_N_FAMILIES && kept->gone[i]; i++)
		rmap_gone_put(kept->gone[i]);
}

static int __net_init kind_net_enter(struct net *net)
{
	struct kind_net *kept = net_generic(net, kind_net_id);
	const struct family *family;
	gfp_t gfp = GFP_KERNEL;
	unsigned int i;

	/* Do not charge insmod for namespaces that existed before. */
	if (THIS_MODULE->state == MODULE_STATE_LIVE)
		gfp |= __GFP_ACCOUNT;
	for (i = 0; (family = rmap_kind_family(i)); i++) {
		kept->gone[i] = rmap_gone_alloc(family->sum_size, gfp);
		if (!kept->gone[i]) {
			kind_net_leave(net);
			return -ENOMEM;
		}
	}
	return 0;
}

static struct pernet_operations kind_net_ops = {
	.init = kind_net_enter,
	.exit = kind_net_leave,
	.id = &kind_net_id,
	.size = sizeof(struct kind_net),
};

/**
 * rmap_kind_gone_init() - make the sums of all namespaces
 *
 * Context: insmod, sleeps.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_kind_gone_init(void)
{
	return register_pernet_subsys(&kind_net_ops);
}

/**
 * rmap_kind_gone_exit() - drop the sums of all namespaces
 *
 * Context: rmmod, sleeps; no map and no target is left.
 */
void rmap_kind_gone_exit(void)
{
	unregister_pernet_subsys(&kind_net_ops);
}
