// SPDX-License-Identifier: GPL-2.0-only
/*
 * What network namespaces keep of maps and targets that are no more.
 *
 * Owns, for each namespace and each family, the sums that gone.c keeps; they are
 * as large as the family says. Maps and targets have references to them, since
 * a map may outlive the namespace that it was created in.
 *
 * Made and dropped as namespaces come and go, and by insmod and rmmod; what they
 * are found through does not change meanwhile.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "gone.h"
#include "kind.h"

/**
 * struct kind_net - what a network namespace keeps
 * @gone: the families' sums, in the order of the table of families
 */
struct kind_net {
	struct gone *gone[KIND_N_FAMILIES];
};

static unsigned int kind_net_id;

/**
 * rmap_kind_gone() - the sums that keep a family's counters in a namespace
 * @family: the family
 * @net: the namespace
 *
 * Context: any; the namespace must not go meanwhile.
 * Return: the sums; who keeps them takes a reference.
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

	/* Who loads the module has made none of the namespaces that are there. */
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
 * rmap_kind_gone_exit() - let go of them
 *
 * Context: rmmod, sleeps, with no map and no target left.
 */
void rmap_kind_gone_exit(void)
{
	unregister_pernet_subsys(&kind_net_ops);
}
