// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts: a group sends frames and packets to all of its members.
 *
 * In native XDP a flush of a group's bulk queue has up to 16 frames. Each
 * member in turn gets copies of all of them, in a batch, and the last member
 * gets the originals. In generic XDP each packet is sent to all members in the
 * same way.
 *
 * holder.c owns the list of members, which changes under holder.lock; this file
 * reads it under RCU. There is one member for each target that keys lead to,
 * with the number of these keys, so the cost of a broadcast grows with the
 * number of members, not with the map's capacity. A broadcast skips a member
 * that is down, whose MTU is too small, or that cannot transmit such frames. A
 * member whose driver fails loses its copies, and so does a member when there
 * is no memory for copies. Other members are not affected.
 *
 * All of this runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN),
 * bottom halves off, which also protects the bulk queue (see bulkq.c), and in
 * native XDP under flush_lock(). A group and the ports of its members outlive a
 * grace period after the last lookup that could return them.
 */
#include <linux/bitops.h>
#include <linux/bpf.h>
#include <linux/lockdep.h>
#include <linux/netdevice.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "bulkq.h"
#include "compat.h"
#include "copy.h"
#include "group.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"
#include "xdp_trace.h"

/**
 * struct group_batch - the frames of a flush
 * @frame: the frames; the kernel frees those that the last member does not take
 * @count: number of frames
 * @all: a set bit for each frame
 * @wanted: a set bit for each frame that is meant for at least one member
 * @longest: length of the longest frame, in bytes
 * @frags: a frame has fragments
 * @exclude_ingress: see struct group_port
 * @rx: the ingress; NULL when dev_rx of each frame is valid instead
 * @flags: flags of ndo_xdp_xmit
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
	u32 flags;
};

/* The reason why a member cannot transmit frames, or REDIRMAP_DROP_COUNT. */
static enum redirmap_drop group_refusal(const struct port *port, u32 len,
					bool frags)
{
	const struct net_device *dev = &port->dev;

	if (!(READ_ONCE(dev->flags) & IFF_UP))
		return REDIRMAP_DROP_DEV_DOWN;
	if (!compat_takes_frames(dev) || (frags && !compat_takes_frags(dev)))
		return REDIRMAP_DROP_NO_XMIT;
	if (len > port_frame_limit(port))
		return REDIRMAP_DROP_TOO_LARGE;
	return REDIRMAP_DROP_COUNT;
}

/* The frames for a member; tests length, fragments and ingress of each. */
static noinline u32 group_frames_for_each(struct group_batch *batch,
					  const struct port *port,
					  unsigned long uses)
{
	bool ask_each = batch->exclude_ingress && !batch->rx;
	enum redirmap_drop reason;
	struct xdp_frame *frame;
	u32 to_send = 0;
	int i;

	for (i = 0; i < batch->count; i++) {
		frame = batch->frame[i];
		if (ask_each &&
		    rmap_ingress_is_below(frame->dev_rx, port->real))
			continue;
		batch->wanted |= BIT(i);
		reason = group_refusal(port, xdp_get_frame_len(frame),
				       xdp_frame_has_frags(frame));
		if (reason == REDIRMAP_DROP_COUNT)
			to_send |= BIT(i);
		else
			rmap_port_drop(port, reason, uses);
	}
	return to_send;
}

/*
 * Returns the frames for a member, a bit for each. Runs in NAPI, bottom halves
 * off, per flush and member.
 */
static u32 group_frames_for(struct group_batch *batch, const struct port *port,
			    unsigned long uses)
{
	if (READ_ONCE(port->gone))
		return 0;
	if (batch->exclude_ingress && batch->rx &&
	    rmap_ingress_is_below(batch->rx, port->real))
		return 0;
	if (unlikely((batch->exclude_ingress && !batch->rx) ||
		     group_refusal(port, batch->longest, batch->frags) !=
		     REDIRMAP_DROP_COUNT))
		return group_frames_for_each(batch, port, uses);
	batch->wanted = batch->all;
	return batch->all;
}

/**
 * rmap_group_drop() - count broadcast frames that were lost without a target
 * @entry: the group's entry
 * @reason: why
 * @packets: number of frames, not 0
 *
 * Context: bottom halves off.
 */
void rmap_group_drop(const struct kern_dtab_netdev *entry,
		     enum redirmap_drop reason, u32 packets)
{
	const struct group_port *group = group_of(entry->dev);

	/* Maps without entries share a group; map_group() counts for them. */
	if (group->map)
		rmap_stats_map_drop(group->counters, group->map, reason,
				    packets);
}

/* The ingress of a flush, for the tracepoint. */
static struct net_device *group_batch_rx(const struct group_batch *batch)
{
	return batch->rx ?: batch->frame[0]->dev_rx;
}

/* Copy some frames, when not all are for this member. */
static noinline int group_copy_some(struct xdp_frame **copy,
				    const struct group_batch *batch,
				    const struct port *port, u32 to_send)
{
	int i, n = 0;

	for (i = 0; i < batch->count; i++)
		if (to_send & BIT(i))
			n += rmap_copy_frames(copy + n, batch->frame + i, 1,
					      port->prog);
	return n;
}

/*
 * Send copies to a member. Runs in NAPI, bottom halves off, per flush and
 * member, but not for the last member.
 */
static void group_xmit_copies(const struct group_batch *batch,
			      const struct port *port, u32 to_send,
			      u32 flags)
{
	struct port_bulk bulk __uninitialized;
	struct xdp_frame **copy = &bulk.frame[1];
	int i, n, sent, missing;

	if (likely(to_send == batch->all))
		n = rmap_copy_frames(copy, batch->frame, batch->count,
				     port->prog);
	else
		n = group_copy_some(copy, batch, port, to_send);

	missing = hweight32(to_send) - n;
	if (unlikely(missing)) {
		rmap_port_drop(port, REDIRMAP_DROP_NO_MEMORY, missing);
		rmap_trace_devmap_xmit(group_batch_rx(batch), &port->dev, 0,
				       missing, 0);
		if (!n)
			return;
	}

	sent = rmap_port_xmit(port, &bulk, n, batch->rx, flags);
	for (i = max(sent, 0); unlikely(i < n); i++)
		xdp_return_frame_rx_napi(copy[i]);
}

/*
 * Send the originals to the last member; returns the number of frames that the
 * kernel must not free. Runs in NAPI, bottom halves off, per flush.
 */
static int group_xmit_originals(const struct group_batch *batch,
				const struct port *port, u32 to_send)
{
	int i, sent, n = 0, left = 0;
	struct port_bulk bulk __uninitialized;

	if (likely(to_send == batch->all)) {
		n = batch->count;
		/* A fixed size is faster than one that depends on n. */
		memcpy(&bulk.frame[1], batch->frame,
		       DEV_MAP_BULK_SIZE * sizeof(*batch->frame));
	} else {
		for (i = 0; i < batch->count; i++) {
			if (to_send & BIT(i))
				bulk.frame[++n] = batch->frame[i];
			else
				batch->frame[left++] = batch->frame[i];
		}
	}

	sent = rmap_port_xmit(port, &bulk, n, batch->rx, batch->flags);

	/* The kernel frees the frames at the end. */
	for (i = max(sent, 0); unlikely(i < n); i++)
		batch->frame[left++] = bulk.frame[1 + i];
	n = batch->count - left;
	if (unlikely(left))
		memmove(&batch->frame[n], batch->frame,
			left * sizeof(*batch->frame));
	return n;
}

/**
 * rmap_group_xdp_xmit() - flush of a group's bulk queue
 * @dev: the pseudo device
 * @n: number of frames, at most DEV_MAP_BULK_SIZE
 * @frames: the frames
 * @flags: flags of ndo_xdp_xmit
 *
 * A member gets its frames only after the next member has been found. So the
 * last member is known and gets the originals. A member that gets the frames
 * several times is flushed once.
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, once per up to 16 frames.
 *
 * Return: number of frames, from the first one on, that the last member has
 * taken. The kernel frees the others.
 */
int rmap_group_xdp_xmit(struct net_device *dev, int n,
			struct xdp_frame **frames, u32 flags)
{
	const struct group_port *group = group_of(dev);
	struct group_batch batch = {
		.frame = frames,
		.count = n,
		.all = BIT(n) - 1,
		.exclude_ingress = group->exclude_ingress,
		.rx = ingress_of_queue(frames, n),
		.flags = flags,
	};
	struct net_device *rx = group_batch_rx(&batch);
	const struct port *last = NULL;
	struct group_member *member;
	u32 to_send, last_to_send = 0;
	unsigned long uses;
	int i, gone = 0;

	/* There must be a bit for each frame. */
	BUILD_BUG_ON(BITS_PER_TYPE(batch.all) < DEV_MAP_BULK_SIZE);

	lockdep_assert_in_softirq();
	for (i = 0; i < n; i++) {
		batch.longest = max(batch.longest, xdp_get_frame_len(frames[i]));
		batch.frags |= xdp_frame_has_frags(frames[i]);
	}

	list_for_each_entry_rcu(member, group->members, node,
				rcu_read_lock_bh_held()) {
		uses = atomic_long_read(&member->uses);
		if (!uses)
			continue;
		to_send = group_frames_for(&batch, member->port, uses);
		if (!to_send)
			continue;
		if (last)
			group_xmit_copies(&batch, last, last_to_send, flags);
		last = member->port;
		last_to_send = to_send;
		while (unlikely(--uses))
			group_xmit_copies(&batch, last, last_to_send,
					  flags & ~XDP_XMIT_FLUSH);
	}
	if (unlikely(batch.wanted != batch.all))
		rmap_group_drop(&group->entry, REDIRMAP_DROP_NO_MEMBER,
				n - hweight32(batch.wanted));
	if (likely(last))
		gone = group_xmit_originals(&batch, last, last_to_send);
	if (flags & XDP_XMIT_FLUSH)
		rmap_port_flush_keepers(rx);
	return gone;
}

/*
 * Is a packet meant for a member? Runs in the receive path, bottom halves off,
 * per packet and member.
 */
static bool group_skb_is_for(const struct group_port *group,
			     const struct port *port,
			     const struct xdp_rxq_info *rxq)
{
	if (READ_ONCE(port->gone))
		return false;
	if (!group->exclude_ingress || !rxq)
		return true;
	return !rmap_ingress_is_below(rxq->dev, port->real);
}

/*
 * May a member segment packets? Runs in the receive path, bottom halves off,
 * per unsegmented packet.
 */
static bool group_may_segment(const struct group_port *group)
{
	const struct group_member *member;

	list_for_each_entry_rcu(member, group->members, node,
				rcu_read_lock_bh_held())
		if (rmap_port_may_segment(member->port))
			return true;
	return false;
}

/*
 * Can a member transmit a packet? Counts a packet that it cannot. Runs in the
 * receive path, bottom halves off, per packet and member.
 */
static bool group_skb_allowed(const struct port *port, struct sk_buff *skb,
			      unsigned long uses)
{
	if (unlikely(!(READ_ONCE(port->dev.flags) & IFF_UP))) {
		rmap_port_drop(port, REDIRMAP_DROP_DEV_DOWN, uses);
		return false;
	}
	/*
	 * The port's MTU may be larger than the device's: see port_segment.c.
	 */
	if (unlikely(skb->len > port_device_limit(port->real)) &&
	    !rmap_port_takes(port, skb)) {
		rmap_port_drop_too_large(port, skb, uses);
		return false;
	}
	return true;
}

/*
 * Send a copy to a member. Fragments and data for a program are not shared,
 * because receivers and programs may write to them. A packet that is not
 * segmented yet is copied as a whole: 64 KiB and more.
 */
static void group_xmit_skb_copy(const struct port *port, struct sk_buff *skb,
				struct xdp_rxq_info *rxq)
{
	struct sk_buff *copy;

	if (port->prog || skb_is_nonlinear(skb))
		copy = skb_copy(skb, GFP_ATOMIC);
	else
		copy = skb_clone(skb, GFP_ATOMIC);
	if (likely(copy)) {
		/* skb_copy() leaves it 0, and core sets headers by it. */
		copy->mac_len = skb->mac_len;
		rmap_port_xmit_skb(port, copy, rxq);
		return;
	}
	dev_core_stats_tx_dropped_inc(port->real);
	rmap_port_drop(port, REDIRMAP_DROP_NO_MEMORY, 1);
}

/**
 * rmap_group_start_xmit() - ndo_start_xmit of a group: a broadcast in generic
 * XDP
 * @skb: the packet, data at the MAC header; consumed
 * @dev: the pseudo device
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: NETDEV_TX_OK. Members count the packets that they could not send.
 */
netdev_tx_t rmap_group_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct group_port *group = group_of(dev);
	const struct port *last = NULL;
	struct group_member *member;
	struct xdp_rxq_info *rxq;
	bool wanted = false;
	unsigned long uses;

	rxq = rmap_ingress_take(skb, &group->watch);
	rmap_port_restore_rx_queue(skb);
	/* This may change notes on the packet that its copies share. */
	if (skb_is_gso(skb) && group_may_segment(group))
		rmap_port_prepare_segments(skb);
	list_for_each_entry_rcu(member, group->members, node,
				rcu_read_lock_bh_held()) {
		uses = atomic_long_read(&member->uses);
		if (!uses || !group_skb_is_for(group, member->port, rxq))
			continue;
		wanted = true;
		if (!group_skb_allowed(member->port, skb, uses))
			continue;
		for (; uses; uses--) {
			if (last)
				group_xmit_skb_copy(last, skb, rxq);
			last = member->port;
		}
	}
	if (unlikely(!wanted))
		rmap_group_drop(&group->entry, REDIRMAP_DROP_NO_MEMBER, 1);
	if (last)
		rmap_port_xmit_skb(last, skb, rxq);
	else
		consume_skb(skb);
	return NETDEV_TX_OK;
}

/**
 * rmap_group_select_queue() - ndo_select_queue of a group
 * @dev: the pseudo device
 * @skb: the packet, in generic XDP
 * @sb_dev: not used
 *
 * Core is about to write the transmit queue's number over the receive queue's
 * number, which members with a program need.
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: 0, the only queue.
 */
u16 rmap_group_select_queue(struct net_device *dev, struct sk_buff *skb,
			    struct net_device *sb_dev)
{
	rmap_port_save_rx_queue(skb);
	return 0;
}
