// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports transmit packets of generic XDP.
 *
 * If a port has no program, a packet goes through the real device's transmit
 * queues: the port's _tx is the real device's. So core picks and locks the same
 * queue, and tests whether it is stopped, as on a redirect to the real device.
 * An egress program may change the packet, so it has to run before a queue is
 * picked for the packet: a port with a program has one queue of its own,
 * without a lock, and repeats the steps of core's generic_xdp_tx() for the real
 * device. The port shares the real device's core_stats, so core counts its
 * drops there in both cases.
 *
 * This file owns no data. Its functions run in the receive path, bottom halves
 * off; the port outlives a grace period after the last lookup that could return
 * it.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "egress.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"

/* The queue that core would pick on the real device. */
static __always_inline u16 port_pick_queue(struct net_device *real,
					   struct sk_buff *skb)
{
	const struct net_device_ops *ops = real->netdev_ops;
	u16 queue;

	if (real->real_num_tx_queues == 1)
		return 0;
	if (ops->ndo_select_queue)
		queue = ops->ndo_select_queue(real, skb, NULL);
	else
		queue = netdev_pick_tx(real, skb, NULL);
	return netdev_cap_txqueue(real, queue);
}

/*
 * Hand a packet to the real device, as core does in generic XDP. Returns
 * NETDEV_TX_BUSY when the device has not consumed it.
 */
static __always_inline int port_xmit_real(struct net_device *real,
					  struct sk_buff *skb)
{
	struct netdev_queue *txq;
	int rc = NETDEV_TX_BUSY;

	txq = netdev_get_tx_queue(real, skb_get_queue_mapping(skb));
	HARD_TX_LOCK(real, txq, smp_processor_id());
	if (!netif_xmit_frozen_or_drv_stopped(txq))
		rc = netdev_start_xmit(skb, real, txq, false);
	HARD_TX_UNLOCK(real, txq);
	return rc;
}

/* Run the egress program, on data that no clone of the packet shares. */
static bool port_prog_passes(const struct port *port, struct sk_buff *skb,
			     struct xdp_rxq_info *rxq)
{
	if (skb_cloned(skb) && skb_linearize_cow(skb)) {
		dev_core_stats_tx_dropped_inc(port->real);
		rmap_port_drop(port, REDIRMAP_DROP_NO_MEMORY, 1);
		return false;
	}
	return rmap_egress_run_skb(port->prog, skb, port->real, rxq,
				   port_counters(port));
}

/* Is a packet longer than the device takes? Its segments may be shorter. */
static bool port_is_long(const struct port *port, const struct sk_buff *skb)
{
	return unlikely(skb->len > port_device_limit(port->real));
}

/* Drop a packet that is too long, if its segments are too long as well. */
static noinline bool port_drop_too_long(const struct port *port,
					struct sk_buff *skb)
{
	if (rmap_port_takes(port, skb))
		return false;
	rmap_port_drop_too_large(port, skb, 1);
	kfree_skb(skb);
	return true;
}

/*
 * Is a packet dropped, because it is too long for the real device? The kernel
 * has tested the length already, but against the pseudo device, which takes
 * longer packets: see port_segment.c.
 */
static bool port_drops(const struct port *port, struct sk_buff *skb)
{
	return port_is_long(port, skb) && port_drop_too_long(port, skb);
}

/*
 * A sender with TSO leaves checksums to hardware, and so does GRO for the
 * packets that it merges: from now on packets may be longer than the MTU.
 */
static void port_look_at_skb(const struct port *port, const struct sk_buff *skb)
{
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    unlikely(!READ_ONCE(port->unsegmented)))
		rmap_port_expect_unsegmented(port);
}

/* Count a packet that the device has consumed. */
static void port_count_skb(const struct port *port, int rc, unsigned int len)
{
	if (port_was_sent(port->real, rc, false))
		stats_sent(port_counters(port), 1, len);
	else
		rmap_port_drop(port, REDIRMAP_DROP_XMIT_DROP, 1);
}

/*
 * The device is busy: drop the segments that are left. Others may have left,
 * but the packet counts once.
 */
static void port_drop_segments(const struct port *port, struct sk_buff *list)
{
	const struct sk_buff *skb;

	for (skb = list; skb; skb = skb->next)
		dev_core_stats_tx_dropped_inc(port->real);
	rmap_port_drop(port, REDIRMAP_DROP_GENERIC, 1);
	kfree_skb_list(list);
}

/*
 * Give segments to the driver, one after the other, until it is busy, and count
 * their packet, which has had @len bytes. The queue is locked, unless the
 * driver locks for itself.
 */
static void port_send_segments(const struct port *port,
			       struct netdev_queue *txq, struct sk_buff *list,
			       unsigned int len)
{
	struct sk_buff *skb, *next;
	int rc, result = NETDEV_TX_OK;

	for (skb = list; skb; skb = next) {
		if (netif_xmit_frozen_or_drv_stopped(txq))
			break;
		next = skb->next;
		skb_mark_not_on_list(skb);
		rc = netdev_start_xmit(skb, port->real, txq, !!next);
		if (unlikely(!dev_xmit_complete(rc))) {
			skb->next = next;
			break;
		}
		if (unlikely(!port_was_sent(port->real, rc, false)))
			result = rc;
	}
	if (unlikely(skb))
		port_drop_segments(port, skb);
	else
		port_count_skb(port, result, len);
}

/*
 * Complete a packet whose queue number is set. If it is no longer one packet,
 * its segments are sent and counted. Returns the packet, or NULL when nothing
 * is left to be done.
 */
static noinline struct sk_buff *port_complete(const struct port *port,
					      struct sk_buff *skb,
					      bool was_long, bool is_locked)
{
	struct net_device *real = port->real;
	unsigned int len = skb->len;
	struct netdev_queue *txq;
	struct sk_buff *list;

	list = rmap_port_complete(port, skb, was_long);
	/* Segments have addresses of their own. */
	if (!list || list == skb)
		return list;
	txq = netdev_get_tx_queue(real, skb_get_queue_mapping(list));
	if (is_locked) {
		port_send_segments(port, txq, list, len);
		return NULL;
	}
	HARD_TX_LOCK(real, txq, smp_processor_id());
	port_send_segments(port, txq, list, len);
	HARD_TX_UNLOCK(real, txq);
	return NULL;
}

/*
 * Send and count a packet; false when it was neither consumed nor counted.
 * @was_long: it was too long before the egress program ran, but its segments
 * were not.
 */
static __always_inline bool port_send_skb(const struct port *port,
					  struct sk_buff *skb, bool was_long)
{
	struct net_device *real = port->real;
	unsigned int len = skb->len;
	int rc;

	skb->dev = real;
	skb_set_queue_mapping(skb, port_pick_queue(real, skb));
	if (unlikely(skb->ip_summed == CHECKSUM_PARTIAL) &&
	    !port_complete(port, skb, was_long, false))
		return true;
	rc = port_xmit_real(real, skb);
	if (!dev_xmit_complete(rc))
		return false;
	port_count_skb(port, rc, len);
	return true;
}

/**
 * rmap_port_xmit_skb() - send a packet to a port's device, through the egress
 * program if there is one
 * @port: the port
 * @skb: the packet, in generic XDP, data at the MAC header; consumed
 * @rxq: the receive queue of the packet; NULL when unknown
 *
 * A packet that cannot be sent is counted as dropped by the port and by the
 * device.
 *
 * Runs in the receive path, bottom halves off, per packet.
 */
void rmap_port_xmit_skb(const struct port *port, struct sk_buff *skb,
			struct xdp_rxq_info *rxq)
{
	/* Without a program, a packet that is too long here was so before. */
	bool was_long = true;

	if (port->prog) {
		was_long = port_is_long(port, skb);
		if (!port_prog_passes(port, skb, rxq)) {
			kfree_skb(skb);
			return;
		}
	}
	if (likely(port_send_skb(port, skb, was_long)))
		return;
	dev_core_stats_tx_dropped_inc(port->real);
	rmap_port_drop(port, REDIRMAP_DROP_GENERIC, 1);
	kfree_skb(skb);
}

/* Send and count a packet; core has locked the queue. */
static __always_inline netdev_tx_t port_start_skb(const struct port *port,
						  struct sk_buff *skb)
{
	struct net_device *real = port->real;
	unsigned int len = skb->len;
	netdev_tx_t rc;

	skb->dev = real;
	rc = real->netdev_ops->ndo_start_xmit(skb, real);
	/* Core drops a packet that was not consumed; probe.c counts it. */
	if (likely(dev_xmit_complete(rc)))
		port_count_skb(port, rc, len);
	return rc;
}

/* The same for a packet whose checksum is left to the device. */
static noinline netdev_tx_t port_start_partial(const struct port *port,
					       struct sk_buff *skb)
{
	port_look_at_skb(port, skb);
	/* A packet that is too long after this test was so before. */
	if (port_drops(port, skb) || !port_complete(port, skb, true, true))
		return NETDEV_TX_OK;
	return port_start_skb(port, skb);
}

/**
 * rmap_port_start_xmit() - ndo_start_xmit of a port without a program
 * @skb: the packet
 * @dev: the pseudo device
 *
 * Runs in the receive path, bottom halves off, per packet. Core has locked the
 * real device's queue, unless the driver locks for itself.
 *
 * Return: the return code of the real device's ndo_start_xmit; NETDEV_TX_OK
 * when the packet was dropped here, or has gone to the driver in segments, and
 * has been counted.
 */
netdev_tx_t rmap_port_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct port *port = port_of(dev);

	if (unlikely(skb->ip_summed == CHECKSUM_PARTIAL))
		return port_start_partial(port, skb);
	if (unlikely(port_drops(port, skb)))
		return NETDEV_TX_OK;
	return port_start_skb(port, skb);
}

/**
 * rmap_port_start_xmit_prog() - ndo_start_xmit of a port with a program
 * @skb: the packet
 * @dev: the pseudo device
 *
 * Runs in the receive path, bottom halves off, per packet, with no queue
 * locked.
 *
 * Return: NETDEV_TX_OK; or NETDEV_TX_BUSY, on which core drops, counts and
 * traces the packet.
 */
netdev_tx_t rmap_port_start_xmit_prog(struct sk_buff *skb,
				      struct net_device *dev)
{
	struct port *port = port_of(dev);
	struct xdp_rxq_info *rxq;
	bool was_long;

	/* No record may stay for a later packet with the same head. */
	rxq = rmap_ingress_take(skb, &port->watch);
	port_look_at_skb(port, skb);
	was_long = port_is_long(port, skb);
	if (was_long && port_drop_too_long(port, skb))
		return NETDEV_TX_OK;
	rmap_port_restore_rx_queue(skb);
	if (!port_prog_passes(port, skb, rxq)) {
		kfree_skb(skb);
		return NETDEV_TX_OK;
	}
	return port_send_skb(port, skb, was_long) ? NETDEV_TX_OK :
						    NETDEV_TX_BUSY;
}

/**
 * rmap_port_select_queue() - ndo_select_queue of a port without a program
 * @dev: the pseudo device
 * @skb: the packet
 * @sb_dev: not used
 *
 * Runs in the receive path, bottom halves off, per packet, before core locks
 * the queue.
 *
 * Return: the queue that core would pick on the real device, among the queues
 * that the device uses at the moment.
 */
u16 rmap_port_select_queue(struct net_device *dev, struct sk_buff *skb,
			   struct net_device *sb_dev)
{
	struct net_device *real = port_of(dev)->real;

	skb->dev = real;
	return port_pick_queue(real, skb);
}

/**
 * rmap_port_select_own_queue() - ndo_select_queue of a port with a program
 * @dev: the pseudo device
 * @skb: the packet; core is about to write the queue's number into it
 * @sb_dev: not used
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: 0, the only queue.
 */
u16 rmap_port_select_own_queue(struct net_device *dev, struct sk_buff *skb,
			       struct net_device *sb_dev)
{
	rmap_port_save_rx_queue(skb);
	return 0;
}

/**
 * rmap_port_save_rx_queue() - save the receive queue of a packet
 * @skb: a packet of generic XDP in ndo_select_queue, when its cb[] is unused
 *
 * Core overwrites skb->queue_mapping with the transmit queue after
 * ndo_select_queue.
 *
 * Runs in the receive path, bottom halves off, per packet.
 */
void rmap_port_save_rx_queue(struct sk_buff *skb)
{
	*(u16 *)skb->cb = skb->queue_mapping;
}

/**
 * rmap_port_restore_rx_queue() - restore the receive queue of a packet
 * @skb: the packet, in ndo_start_xmit, after rmap_port_save_rx_queue()
 *
 * Runs in the receive path, bottom halves off, per packet.
 */
void rmap_port_restore_rx_queue(struct sk_buff *skb)
{
	skb->queue_mapping = *(u16 *)skb->cb;
}
