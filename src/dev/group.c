// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: a group represents all devices of a map.
 *
 * A broadcast is a redirect to the map's group. The kernel puts frames on the
 * group's bulk queue as on a port's, and the flush hands them to the members:
 * see group_xmit.c. A map has two groups, one for BPF_F_BROADCAST alone and one
 * with BPF_F_EXCLUDE_INGRESS, because the flush sees the group but not the
 * flags of the redirect.
 *
 * This file owns the groups. A map's groups are made with its first entry, in
 * bpf(2), inside an RCU read section, and freed with the map, a grace period
 * after the last lookup. All maps that have never had an entry share one group
 * without members.
 *
 * A group is in the network namespace of the task that has made the map's first
 * entry, because tracers read the namespace of the device that a frame goes to.
 * Members may be in other namespaces, and a map may outlive a namespace. When
 * no task and no file keeps the namespace, the group moves to the initial
 * namespace, before the devices of the dying namespace leave. So these devices
 * may still get frames from a group in another namespace. Each namespace lists
 * its groups for this move; groups_lock guards all of these lists, and the
 * namespace of each group.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "bulkq.h"
#include "compat.h"
#include "flush.h"
#include "group.h"
#include "port.h"

/*
 * The group of all maps that have never had an entry. Not __ro_after_init:
 * kmemleak does not scan that section.
 */
static LIST_HEAD(no_members);
static struct kern_dtab_netdev *group_empty __read_mostly;

/**
 * struct group_net - the groups of a namespace
 * @groups: list of struct group_port; under groups_lock
 */
struct group_net {
	struct list_head groups;
};

static unsigned int group_net_id __ro_after_init;

/* Guards the lists of all namespaces, and the namespace of each group. */
static DEFINE_SPINLOCK(groups_lock);

static struct list_head *group_list(struct net *net)
{
	struct group_net *here = net_generic(net, group_net_id);

	return &here->groups;
}

static int group_flush(struct net_device *dev, int n, struct xdp_frame **frames,
		       u32 flags)
{
	return flush_locked(dev, n, frames, flags, rmap_group_xdp_xmit);
}

static const struct net_device_ops group_ops = {
	.ndo_xdp_xmit = COMPAT_POLLS_PREEMPT ? group_flush :
					       rmap_group_xdp_xmit,
	.ndo_start_xmit = rmap_group_start_xmit,
	.ndo_select_queue = rmap_group_select_queue,
};

/**
 * rmap_group_port_alloc() - make a group for a map's devices
 * @net: the namespace for the group; the caller keeps it meanwhile
 * @map: the map, for the tracepoint; NULL for the group of maps without entries
 * @counters: the map's counters, for each possible CPU; NULL without @map
 * @members: list of struct group_member; it lives at least as long as the group
 * @exclude_ingress: do not send frames back to their ingress
 * @bulkq: idle bulk queues, which the group owns if it is made
 * @gfp: allocation flags; they may forbid sleeping
 *
 * Context: process context.
 * Return: the group's entry, which broadcasts are redirected to, or NULL
 * without memory.
 */
struct kern_dtab_netdev *
rmap_group_port_alloc(struct net *net,
		      const struct bpf_map *map,
		      struct stats_map *counters,
		      const struct list_head *members,
		      bool exclude_ingress,
		      struct xdp_dev_bulk_queue __percpu *bulkq,
		      gfp_t gfp)
{
	struct group_port *group;
	struct net_device *dev;

	group = kzalloc(sizeof(*group), gfp);
	if (!group)
		return NULL;

	dev = &group->dev;
	compat_init_dummy(dev);
	dev_net_set(dev, net);
	rmap_bulkq_bind(bulkq, dev);
	dev->xdp_bulkq = bulkq;
	dev->netdev_ops = &group_ops;
	dev->flags = IFF_UP;
	/* Allow all frames, but port_frame_limit() must not wrap around. */
	dev->mtu = INT_MAX;
	compat_take_all(dev);
	rmap_port_init_queue(dev, &group->queue);
	strscpy(dev->name, "redirmap", sizeof(dev->name));

	group->entry.dev = dev;
	rmap_ingress_watch_init(&group->watch, &group->entry.xdp_prog);
	if (exclude_ingress)
		rmap_ingress_want(&group->watch);
	group->map = map;
	group->counters = counters;
	group->members = members;
	group->exclude_ingress = exclude_ingress;

	spin_lock(&groups_lock);
	list_add(&group->listed, group_list(net));
	spin_unlock(&groups_lock);
	return &group->entry;
}

/**
 * rmap_group_port_free() - free a group
 * @entry: the group's entry, which no lookup has returned for a grace period
 *
 * Context: process context.
 */
void rmap_group_port_free(struct kern_dtab_netdev *entry)
{
	struct group_port *group = container_of(entry, struct group_port, entry);

	spin_lock(&groups_lock);
	list_del(&group->listed);
	spin_unlock(&groups_lock);

	rmap_bulkq_free(group->dev.xdp_bulkq);
	/* Not NULL if core has counted a drop on the group. */
	free_percpu(group->dev.core_stats);
	kfree(group);
}

/**
 * rmap_group_want_ingress() - let egress programs see the ingress of packets
 * @entry: the entry of a group that is about to get a member with a program
 *
 * Context: process context.
 */
void rmap_group_want_ingress(struct kern_dtab_netdev *entry)
{
	rmap_ingress_want(&container_of(entry, struct group_port,
					entry)->watch);
}

/**
 * rmap_group_has_dev() - is a device the pseudo device of a group?
 * @dev: any device
 *
 * Context: inside the RCU read section in which the caller has found @dev.
 * Return: true when it is.
 */
bool rmap_group_has_dev(const struct net_device *dev)
{
	return READ_ONCE(dev->netdev_ops) == &group_ops;
}

/**
 * rmap_group_empty_entry() - the group of maps that have never had an entry
 *
 * Context: any.
 * Return: the group's entry.
 */
struct kern_dtab_netdev *rmap_group_empty_entry(void)
{
	return group_empty;
}

/**
 * rmap_group_port_memory() - memory of a group
 *
 * Context: any.
 * Return: bytes, for all possible CPUs.
 */
size_t rmap_group_port_memory(void)
{
	return sizeof(struct group_port) + bulkq_memory();
}

static int __net_init group_net_init(struct net *net)
{
	INIT_LIST_HEAD(group_list(net));
	return 0;
}

/*
 * A namespace is about to die: no task is left in it that could make a group
 * there. Core waits for a grace period after this, so readers may still use the
 * former namespace of a group.
 */
static void __net_exit group_net_pre_exit(struct net *net)
{
	struct group_port *group;

	spin_lock(&groups_lock);
	list_for_each_entry(group, group_list(net), listed)
		dev_net_set(&group->dev, &init_net);
	list_splice_init(group_list(net), group_list(&init_net));
	spin_unlock(&groups_lock);
}

static struct pernet_operations group_net_ops = {
	.init = group_net_init,
	.pre_exit = group_net_pre_exit,
	.id = &group_net_id,
	.size = sizeof(struct group_net),
};

/**
 * rmap_group_module_init() - make the group of maps without entries
 *
 * Context: insmod, sleeps.
 * Return: 0 or a negative errno.
 */
int __init rmap_group_module_init(void)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	int err;

	err = register_pernet_subsys(&group_net_ops);
	if (err)
		return err;
	bulkq = rmap_bulkq_alloc(GFP_KERNEL);
	if (!bulkq) {
		err = -ENOMEM;
		goto unregister;
	}
	group_empty = rmap_group_port_alloc(&init_net, NULL, NULL, &no_members,
					    false, bulkq, GFP_KERNEL);
	if (!group_empty) {
		rmap_bulkq_free(bulkq);
		err = -ENOMEM;
		goto unregister;
	}
	return 0;

unregister:
	unregister_pernet_subsys(&group_net_ops);
	return err;
}

/**
 * rmap_group_module_exit() - undo rmap_group_module_init()
 *
 * Context: rmmod, sleeps, a grace period after the last map was freed.
 */
void rmap_group_module_exit(void)
{
	rmap_group_port_free(group_empty);
	unregister_pernet_subsys(&group_net_ops);
}
