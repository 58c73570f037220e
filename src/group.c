// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: ports that stand for all devices of a map.
 *
 * A broadcast is a redirect to the map's group. The kernel puts frames on the
 * group's bulk queue like on any port's, and its flush comes here with up to 16
 * of them, which are handed on member by member: each gets copies, in a batch,
 * and the last one the originals. A map has two groups, for BPF_F_BROADCAST
 * alone and with BPF_F_EXCLUDE_INGRESS, since which of the two a redirect has
 * asked for can be seen from nothing else here.
 *
 * The members are a list that holder.c keeps: changed under its lock, read here
 * under RCU. There is one for each target that keys lead to, with the number
 * of the keys, so that the cost of a broadcast follows the members, not the
 * map's capacity. A member that is down, too small, or that cannot transmit
 * such frames is passed over; one whose driver fails, or that there is no
 * memory for, loses its copies. Neither concerns the others.
 *
 * In generic XDP it is the same, packet by packet.
 *
 * Groups are made in bpf(2), inside an RCU read section, with a map's first
 * entry, and freed with the map, a grace period after the last lookup. All else
 * runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, which is also what protects the bulk queue (see bulkq.c).
 */
#include <linux/bitops.h>
#include <linux/bpf.h>
#include <linux/lockdep.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/xdp.h>

#include "bulkq.h"
#include "compat.h"
#include "copy.h"
#include "group.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"
#include "trace.h"

/**
 * struct group_port - a pseudo device that stands for a map's members
 * @entry: what redirects lead to
 * @members: list of struct group_member
 * @exclude_ingress: frames do not go where they have come from
 * @map: the map; to be named only; NULL for the group of those without entries
 * @queue: transmit queue, for generic XDP
 * @dev: what the kernel enqueues to; takes everything, ifindex 0
 */
struct group_port {
	/* hot, read only */
	struct kern_dtab_netdev entry ____cacheline_aligned;
	const struct list_head *members;
	bool exclude_ingress;

	/* cold */
	const struct bpf_map *map;
	struct netdev_queue queue;

	/* hot: per packet; last, for it may end in a flexible array */
	struct net_device dev;
};

/*
 * Where broadcasts of maps go that have never had an entry. Not __ro_after_init,
 * where kmemleak does not look.
 */
static LIST_HEAD(no_members);
static struct kern_dtab_netdev *group_empty __read_mostly;

/**
 * struct group_batch - the frames of a flush
 * @frame: the frames; each is dropped that is not handed on
 * @count: how many there are
 * @all: a bit for each
 * @wanted: a bit for each that there was a member for
 * @longest: bytes of the longest one
 * @frags: one of them has fragments
 * @exclude_ingress: see struct group_port
 * @rx: where they have come from; NULL when each frame tells
 */
struct group_batch {
	struct xdp_frame **frame;
	int count;
	u32 all;
	u32 wanted;
	u32 longest;
	bool frags;
	bool exclude_ingress;
	struct net_device *rx;
};

static struct group_port *group_of(const struct net_device *dev)
{
	return container_of(dev, struct group_port, dev);
}

/* Why a member cannot have such frames, or REDIRMAP_DROP_COUNT. */
static enum redirmap_drop group_refusal(const struct net_device *dev, u32 len,
					bool frags)
{
	if (!(READ_ONCE(dev->flags) & IFF_UP))
		return REDIRMAP_DROP_DEV_DOWN;
	if (!compat_takes_frames(dev) || (frags && !compat_takes_frags(dev)))
		return REDIRMAP_DROP_NO_XMIT;
	if (len > port_frame_limit(dev))
		return REDIRMAP_DROP_TOO_LARGE;
	return REDIRMAP_DROP_COUNT;
}

/* Look at each frame's own length, fragments and ingress. */
static noinline u32 group_fitting_frames(struct group_batch *batch,
					 const struct port *port,
					 unsigned int uses)
{
	bool ask_each = batch->exclude_ingress && !batch->rx;
	enum redirmap_drop reason;
	struct xdp_frame *frame;
	u32 fitting = 0;
	int i;

	for (i = 0; i < batch->count; i++) {
		frame = batch->frame[i];
		if (ask_each && ingress_is_below(frame->dev_rx, port->real))
			continue;
		batch->wanted |= BIT(i);
		reason = group_refusal(&port->dev, xdp_get_frame_len(frame),
				       xdp_frame_has_frags(frame));
		if (reason == REDIRMAP_DROP_COUNT)
			fitting |= BIT(i);
		else
			port_drop(port, reason, uses);
	}
	return fitting;
}

/* Which frames are for a member? Runs in NAPI, bottom halves off, per flush. */
static u32 group_fitting(struct group_batch *batch, const struct port *port,
			 unsigned int uses)
{
	if (READ_ONCE(port->gone))
		return 0;
	if (batch->exclude_ingress && batch->rx &&
	    ingress_is_below(batch->rx, port->real))
		return 0;
	if (unlikely((batch->exclude_ingress && !batch->rx) ||
		     group_refusal(&port->dev, batch->longest, batch->frags) !=
		     REDIRMAP_DROP_COUNT))
		return group_fitting_frames(batch, port, uses);
	batch->wanted = batch->all;
	return batch->all;
}

/**
 * group_drop() - count frames of a map that are lost, and are no device's
 * @entry: a group's entry
 * @reason: why
 * @packets: how many, not 0
 *
 * Context: bottom halves off.
 */
void group_drop(const struct kern_dtab_netdev *entry, enum redirmap_drop reason,
		u32 packets)
{
	const struct group_port *group = group_of(entry->dev);

	/* What has no entries yet shares a group, and counts for itself. */
	if (group->map)
		stats_map_drop(bulkq_stats(entry->dev->xdp_bulkq), group->map,
			       reason, packets);
}

/* The device of a flush, for the tracepoint. */
static struct net_device *group_batch_rx(const struct group_batch *batch)
{
	return batch->rx ?: batch->frame[0]->dev_rx;
}

/* Not all frames are for this member. */
static noinline int group_copy_fitting(struct xdp_frame **copy,
				       const struct group_batch *batch,
				       const struct port *port, u32 fitting)
{
	int i, n = 0;

	for (i = 0; i < batch->count; i++)
		if (fitting & BIT(i))
			n += copy_frames(copy + n, batch->frame + i, 1,
					 port->prog);
	return n;
}

/* Runs in NAPI, bottom halves off, per flush and member but one. */
static void group_xmit_copies(const struct group_batch *batch,
			      const struct port *port, u32 fitting)
{
	struct xdp_frame *copy[DEV_MAP_BULK_SIZE];
	int i, n, sent, err = 0;

	if (likely(fitting == batch->all))
		n = copy_frames(copy, batch->frame, batch->count, port->prog);
	else
		n = group_copy_fitting(copy, batch, port, fitting);

	if (unlikely(n < hweight32(fitting)))
		port_drop(port, REDIRMAP_DROP_NO_MEMORY, hweight32(fitting) - n);

	/* The member's next frames may never come, so flush it each time. */
	sent = n ? port_xmit(port, copy, n, batch->rx, XDP_XMIT_FLUSH) : 0;
	if (unlikely(sent < 0)) {
		err = sent;
		sent = 0;
	}
	for (i = sent; unlikely(i < n); i++)
		xdp_return_frame_rx_napi(copy[i]);
	trace_devmap_xmit(group_batch_rx(batch), &port->dev, sent,
			  hweight32(fitting) - sent, err);
}

/* The same for the last member; returns how many frames are gone for good. */
static int group_xmit_originals(const struct group_batch *batch,
				const struct port *port, u32 fitting)
{
	struct net_device *rx = group_batch_rx(batch);
	int i, sent, n = 0, err = 0;

	for (i = 0; i < batch->count; i++) {
		if (!(fitting & BIT(i)))
			continue;
		if (unlikely(n != i))
			swap(batch->frame[n], batch->frame[i]);
		n++;
	}

	sent = port_xmit(port, batch->frame, n, batch->rx, XDP_XMIT_FLUSH);
	if (unlikely(sent < 0)) {
		err = sent;
		sent = 0;
	}
	trace_devmap_xmit(rx, &port->dev, sent, n - sent, err);
	return sent;
}

/*
 * Flush of a group's bulk queue. Runs in NAPI, bottom halves off. Each member
 * is served when the next one is known, so that the last one is known to be it.
 */
static int group_xdp_xmit(struct net_device *dev, int n,
			  struct xdp_frame **frames, u32 flags)
{
	const struct group_port *group = group_of(dev);
	struct group_batch batch = {
		.frame = frames,
		.count = n,
		.all = BIT(n) - 1,
		.exclude_ingress = group->exclude_ingress,
		.rx = ingress_of_queue(frames, n),
	};
	const struct port *last = NULL;
	struct group_member *member;
	u32 fitting, last_fitting = 0;
	unsigned int uses;
	int i;

	lockdep_assert_in_softirq();
	for (i = 0; i < n; i++) {
		batch.longest = max(batch.longest, xdp_get_frame_len(frames[i]));
		batch.frags |= xdp_frame_has_frags(frames[i]);
	}

	list_for_each_entry_rcu(member, group->members, node,
				rcu_read_lock_bh_held()) {
		uses = refcount_read(&member->uses);
		if (!uses)
			continue;
		fitting = group_fitting(&batch, member->port, uses);
		if (!fitting)
			continue;
		for (; uses; uses--) {
			if (last)
				group_xmit_copies(&batch, last, last_fitting);
			last = member->port;
			last_fitting = fitting;
		}
	}
	if (unlikely(batch.wanted != batch.all))
		group_drop(&group->entry, REDIRMAP_DROP_NO_MEMBER,
			   n - hweight32(batch.wanted));
	return last ? group_xmit_originals(&batch, last, last_fitting) : 0;
}

/* Is a packet meant for a member? As group_fits_skb(). */
static bool group_wants_skb(const struct group_port *group,
			    const struct port *port, const struct sk_buff *skb)
{
	bool excluded;

	if (READ_ONCE(port->gone))
		return false;
	if (!group->exclude_ingress)
		return true;

	rcu_read_lock();
	excluded = ingress_is_below(ingress_of_skb(skb, port->real),
				    port->real);
	rcu_read_unlock();
	return !excluded;
}

/* Can a member have it? Runs in the receive path, bottom halves off. */
static bool group_fits_skb(const struct port *port, const struct sk_buff *skb,
			   unsigned int uses)
{
	if (unlikely(!(READ_ONCE(port->dev.flags) & IFF_UP))) {
		port_drop(port, REDIRMAP_DROP_DEV_DOWN, uses);
		return false;
	}
	if (unlikely(skb->len > port_frame_limit(&port->dev))) {
		port_drop(port, REDIRMAP_DROP_TOO_LARGE, uses);
		return false;
	}
	return true;
}

/* Fragments are not shared, for those who get them may write to them. */
static void group_xmit_skb_copy(const struct port *port, struct sk_buff *skb)
{
	struct sk_buff *copy;

	if (port->prog || skb_is_nonlinear(skb))
		copy = skb_copy(skb, GFP_ATOMIC);
	else
		copy = skb_clone(skb, GFP_ATOMIC);
	if (likely(copy)) {
		port_xmit_skb(port, copy);
		return;
	}
	dev_core_stats_tx_dropped_inc(port->real);
	port_drop(port, REDIRMAP_DROP_NO_MEMORY, 1);
}

/* Generic XDP. Runs in the receive path, bottom halves off, per packet. */
static netdev_tx_t group_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct group_port *group = group_of(dev);
	const struct port *last = NULL;
	struct group_member *member;
	bool wanted = false;
	unsigned int uses;

	port_restore_rx_queue(skb);
	list_for_each_entry_rcu(member, group->members, node,
				rcu_read_lock_bh_held()) {
		uses = refcount_read(&member->uses);
		if (!uses || !group_wants_skb(group, member->port, skb))
			continue;
		wanted = true;
		if (!group_fits_skb(member->port, skb, uses))
			continue;
		for (; uses; uses--) {
			if (last)
				group_xmit_skb_copy(last, skb);
			last = member->port;
		}
	}
	if (unlikely(!wanted))
		group_drop(&group->entry, REDIRMAP_DROP_NO_MEMBER, 1);
	if (last)
		port_xmit_skb(last, skb);
	else
		consume_skb(skb);
	return NETDEV_TX_OK;
}

static u16 group_select_queue(struct net_device *dev, struct sk_buff *skb,
			      struct net_device *sb_dev)
{
	port_save_rx_queue(skb);
	return 0;
}

static const struct net_device_ops group_ops = {
	.ndo_xdp_xmit = group_xdp_xmit,
	.ndo_start_xmit = group_start_xmit,
	.ndo_select_queue = group_select_queue,
};

/**
 * group_port_alloc() - make a port that stands for all of a map's devices
 * @map: the map, for the tracepoint; NULL when it counts frames for nobody
 * @members: list of struct group_member, at least as long-lived
 * @exclude_ingress: do not send where frames have come from
 * @gfp: how to allocate; may forbid to sleep
 *
 * Context: process context.
 * Return: what a redirect leads to that is to reach all of them, or NULL
 * without memory.
 */
struct kern_dtab_netdev *group_port_alloc(const struct bpf_map *map,
					  const struct list_head *members,
					  bool exclude_ingress, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	struct group_port *group;
	struct net_device *dev;

	group = kzalloc(sizeof(*group), gfp);
	if (!group)
		return NULL;
	bulkq = bulkq_alloc(gfp);
	if (!bulkq)
		goto free_group;

	dev = &group->dev;
	init_dummy_netdev(dev);
	bulkq_bind(bulkq, dev);
	dev->xdp_bulkq = bulkq;
	dev->netdev_ops = &group_ops;
	dev->flags = IFF_UP;
	/* No frame is too long; what is added to it must not wrap around. */
	dev->mtu = INT_MAX;
	compat_take_all(dev);
	port_init_queue(dev, &group->queue);
	strscpy(dev->name, "redirmap", sizeof(dev->name));

	group->entry.dev = dev;
	group->map = map;
	group->members = members;
	group->exclude_ingress = exclude_ingress;
	return &group->entry;

free_group:
	kfree(group);
	return NULL;
}

/**
 * group_port_free() - free such a port
 * @entry: a port's entry, which no lookup has returned for a grace period
 *
 * Context: process context.
 */
void group_port_free(struct kern_dtab_netdev *entry)
{
	struct group_port *group = container_of(entry, struct group_port, entry);

	bulkq_free(group->dev.xdp_bulkq);
	/* Core may have hung statistics on it. */
	free_percpu(group->dev.core_stats);
	kfree(group);
}

/**
 * group_stats() - read a group's counters
 * @entry: a group's entry
 * @sum: what they are added to
 */
void group_stats(const struct kern_dtab_netdev *entry,
		 struct redirmap_stats *sum)
{
	bulkq_add_stats(entry->dev->xdp_bulkq, sum);
}

/**
 * group_has_dev() - is a device a group's?
 * @dev: any device
 *
 * Return: true when it is a pseudo device that stands for a map's members.
 */
bool group_has_dev(const struct net_device *dev)
{
	return READ_ONCE(dev->netdev_ops) == &group_ops;
}

/**
 * group_empty_entry() - where redirects to a map's group lead as long as it has
 * none
 *
 * Return: what a redirect leads to that is to reach nobody
 */
struct kern_dtab_netdev *group_empty_entry(void)
{
	return group_empty;
}

/**
 * group_port_memory() - what a group takes
 *
 * Return: bytes
 */
size_t group_port_memory(void)
{
	return sizeof(struct group_port) +
	       num_possible_cpus() * sizeof(struct bulkq_cpu);
}

/**
 * group_module_init() - get ready for broadcasts
 *
 * Context: insmod.
 * Return: 0 or -ENOMEM.
 */
int __init group_module_init(void)
{
	int err = copy_module_init();

	if (err)
		return err;
	group_empty = group_port_alloc(NULL, &no_members, false, GFP_KERNEL);
	if (!group_empty)
		goto exit_copy;
	return 0;

exit_copy:
	copy_module_exit();
	return -ENOMEM;
}

/**
 * group_module_exit() - undo group_module_init()
 *
 * Context: rmmod, a grace period after the last map was freed.
 */
void group_module_exit(void)
{
	group_port_free(group_empty);
	copy_module_exit();
}
