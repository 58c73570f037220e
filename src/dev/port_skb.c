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
static u16 port_pick_queue(struct net_device *real, struct sk_buff *skb)
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
 * Does the return code of a driver that has consumed a packet count as sent?
 * Other codes mean that the driver, or a queue of a device below it, has
 * dropped the packet.
 */
static bool port_was_sent(int rc)
{
	return likely(rc == NETDEV_TX_OK || rc == NET_XMIT_CN);
}

/*
 * Hand a packet to the real device, as core does in generic XDP. Returns
 * NETDEV_TX_BUSY when the device has not consumed it.
 */
static int port_xmit_real(struct net_device *real, struct sk_buff *skb)
{
	int rc = NETDEV_TX_BUSY;
	struct netdev_queue *txq;
	u16 queue;

	skb->dev = real;
	queue = port_pick_queue(real, skb);
	skb_set_queue_mapping(skb, queue);
	txq = netdev_get_tx_queue(real, queue);

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

/*
 * Drop a packet that is too long for the real device. The kernel has tested the
 * length already, but against the limit of the pseudo device, which is higher
 * if frames lose their MAC header in native XDP.
 */
static bool port_drop_too_long(const struct port *port, struct sk_buff *skb)
{
	if (likely(skb->len <= port_frame_limit(port->real)))
		return false;
	if (skb_is_gso(skb))
		rmap_port_drop_unsegmented(port, 1);
	else
		rmap_port_drop(port, REDIRMAP_DROP_TOO_LARGE, 1);
	kfree_skb(skb);
	return true;
}

/* Count a packet that the device has consumed. */
static void port_count_skb(const struct port *port, int rc, unsigned int len)
{
	if (port_was_sent(rc))
		stats_sent(port_counters(port), 1, len);
	else
		rmap_port_drop(port, REDIRMAP_DROP_XMIT_DROP, 1);
}

/* Send and count a packet; false when it was neither consumed nor counted. */
static bool port_send_skb(const struct port *port, struct sk_buff *skb)
{
	unsigned int len = skb->len;
	int rc = port_xmit_real(port->real, skb);

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
	if (port->prog && !port_prog_passes(port, skb, rxq)) {
		kfree_skb(skb);
		return;
	}
	if (likely(port_send_skb(port, skb)))
		return;
	dev_core_stats_tx_dropped_inc(port->real);
	rmap_port_drop(port, REDIRMAP_DROP_GENERIC, 1);
	kfree_skb(skb);
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
 * when the packet is too long, and has been dropped and counted.
 */
netdev_tx_t rmap_port_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct port *port = port_of(dev);
	struct net_device *real = port->real;
	unsigned int len = skb->len;
	netdev_tx_t rc;

	if (unlikely(port_drop_too_long(port, skb)))
		return NETDEV_TX_OK;
	skb->dev = real;
	rc = real->netdev_ops->ndo_start_xmit(skb, real);
	/* Core drops a packet that was not consumed; probe.c counts it. */
	if (likely(dev_xmit_complete(rc)))
		port_count_skb(port, rc, len);
	return rc;
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

	if (unlikely(port_drop_too_long(port, skb)))
		return NETDEV_TX_OK;
	rmap_port_restore_rx_queue(skb);
	if (!port_prog_passes(port, skb,
			      rmap_ingress_take(skb, &port->watch))) {
		kfree_skb(skb);
		return NETDEV_TX_OK;
	}
	return port_send_skb(port, skb) ? NETDEV_TX_OK : NETDEV_TX_BUSY;
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
