// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: ports that stand for all devices of a map.
 *
 * A broadcast is a redirect to the map's group. The kernel puts frames on the
 * group's bulk queue like on any port's, and its flush hands them to the members:
 * see group_xmit.c. A map has two groups, for BPF_F_BROADCAST alone and with
 * BPF_F_EXCLUDE_INGRESS, since which of the two a redirect has asked for can be
 * seen from nothing else there.
 *
 * Owns what the kernel takes for a device, from a map's first entry, made in
 * bpf(2) inside an RCU read section, until the map is freed, a grace period
 * after the last lookup; and the group of those maps that have never had an
 * entry.
 *
 * A group is in the network namespace of the task that has made the map's first
 * entry, for those who look at what a frame goes to. Members may be in others, and
 * maps outlive namespaces: when that one is about to die, which is when no task and
 * no file keeps it any more, the group moves to the initial one. That is before the
 * namespace's devices leave, so what these get of the group's frames is for that
 * short time in another namespace than the group. Each namespace lists its groups
 * for that; groups_lock protects all the lists, and where a group is.
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
#include "group.h"
#include "port.h"

/*
 * Where broadcasts of maps go that have never had an entry. Not __ro_after_init,
 * where kmemleak does not look.
 */
static LIST_HEAD(no_members);
static struct kern_dtab_netdev *group_empty __read_mostly;

/**
 * struct group_net - a namespace's part
 * @groups: the groups that are there
 */
struct group_net {
	struct list_head groups;
};

static unsigned int group_net_id __ro_after_init;
static DEFINE_SPINLOCK(groups_lock);

static struct list_head *group_list(struct net *net)
{
	struct group_net *here = net_generic(net, group_net_id);

	return &here->groups;
}

static const struct net_device_ops group_ops = {
	.ndo_xdp_xmit = rmap_group_xdp_xmit,
	.ndo_start_xmit = rmap_group_start_xmit,
	.ndo_select_queue = rmap_group_select_queue,
};

/**
 * rmap_group_port_alloc() - make a port that stands for all of a map's devices
 * @net: the namespace that it is to be in; the caller keeps it meanwhile
 * @map: the map, for the tracepoint; NULL when it counts frames for nobody
 * @counters: the map's, one for each possible CPU
 * @members: list of struct group_member, at least as long-lived
 * @exclude_ingress: do not send where frames have come from
 * @bulkq: idle bulk queues, which become the port's if it is made
 * @gfp: how to allocate; may forbid to sleep
 *
 * Context: process context.
 * Return: what a redirect leads to that is to reach all of them, or NULL
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
	init_dummy_netdev(dev);
	dev_net_set(dev, net);
	rmap_bulkq_bind(bulkq, dev);
	dev->xdp_bulkq = bulkq;
	dev->netdev_ops = &group_ops;
	dev->flags = IFF_UP;
	/* No frame is too long; what is added to it must not wrap around. */
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
 * rmap_group_port_free() - free such a port
 * @entry: a port's entry, which no lookup has returned for a grace period
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
	/* Core may have hung statistics on it. */
	free_percpu(group->dev.core_stats);
	kfree(group);
}

/**
 * rmap_group_want_ingress() - let members' programs see where packets come from
 * @entry: a group's entry, which is going to have a member with a program
 *
 * Context: process context.
 */
void rmap_group_want_ingress(struct kern_dtab_netdev *entry)
{
	rmap_ingress_want(&container_of(entry, struct group_port,
					entry)->watch);
}

/**
 * rmap_group_has_dev() - is a device a group's?
 * @dev: any device
 *
 * Context: inside an RCU read section that covers finding @dev.
 * Return: true when it is a pseudo device that stands for a map's members.
 */
bool rmap_group_has_dev(const struct net_device *dev)
{
	return READ_ONCE(dev->netdev_ops) == &group_ops;
}

/**
 * rmap_group_empty_entry() - where broadcasts of maps lead that have had no
 * entry yet
 *
 * Context: any.
 * Return: what a redirect leads to that is to reach nobody.
 */
struct kern_dtab_netdev *rmap_group_empty_entry(void)
{
	return group_empty;
}

/**
 * rmap_group_port_memory() - what a group takes
 *
 * Context: any.
 * Return: bytes, those of all possible CPUs included.
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
 * A namespace is about to die: nobody is in it any more, who could make a group
 * there. A grace period follows, for those who have seen where a group is.
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
 * rmap_group_module_init() - get ready for broadcasts
 *
 * Context: insmod.
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
 * Context: rmmod, a grace period after the last map was freed.
 */
void rmap_group_module_exit(void)
{
	rmap_group_port_free(group_empty);
	unregister_pernet_subsys(&group_net_ops);
}
