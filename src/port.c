// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports: pseudo devices that claimed maps redirect to in place of real ones.
 *
 * A port is a net_device that the stack never sees. The kernel's redirect code
 * reads from it whether a frame may go there, fills its bulk queue, and calls
 * its ndo_xdp_xmit (native XDP) or ndo_start_xmit (generic XDP); both hand the
 * frames to the real device. It tells the real device's ifindex, so that
 * tracepoints stay true.
 *
 * Generic XDP goes through the real device's own transmit queues: the port's
 * _tx is the real device's. So core picks, locks and watches the queue that it
 * would have picked, locked and watched, and what it drops it counts on the
 * real device, whose core_stats the port shares.
 *
 * port_init() runs in bpf(2) inside an RCU read section and may not sleep;
 * port_mirror() in the netdev notifier under RTNL, and once after a port has
 * been made visible to it; the ndo_* in NAPI; port_detach() in an RCU callback
 * and port_destroy() in a work item, a grace period after the last lookup that
 * could lead here.
 */
#include <linux/percpu.h>
#include <linux/skbuff.h>

#include "bulkq.h"
#include "compat.h"
#include "port.h"

static struct port *port_of(const struct net_device *dev)
{
	return container_of(dev, struct port, dev);
}

/*
 * Flush of a bulk queue. Runs in NAPI (or in a cpumap kthread, or in
 * BPF_PROG_TEST_RUN), bottom halves off, once per up to 16 frames. The kernel
 * frees what the return value says was not taken, and traces it.
 */
static int port_xdp_xmit(struct net_device *dev, int n,
			 struct xdp_frame **frames, u32 flags)
{
	struct net_device *real = port_of(dev)->real;

	return real->netdev_ops->ndo_xdp_xmit(real, n, frames, flags);
}

/*
 * Generic XDP. Runs in the receive path, bottom halves off, with the real
 * device's queue locked by core unless the driver locks for itself. What it
 * returns is what core would have got from the real device.
 */
static netdev_tx_t port_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct net_device *real = port_of(dev)->real;

	skb->dev = real;
	return real->netdev_ops->ndo_start_xmit(skb, real);
}

/*
 * Generic XDP, before the queue is locked: the choice that core would make on
 * the real device, capped by the queues that it uses now; the port's own
 * number is the most that it can have.
 */
static u16 port_select_queue(struct net_device *dev, struct sk_buff *skb,
			     struct net_device *sb_dev)
{
	struct net_device *real = port_of(dev)->real;
	const struct net_device_ops *ops = real->netdev_ops;
	u16 queue;

	skb->dev = real;
	if (real->real_num_tx_queues == 1)
		return 0;
	if (ops->ndo_select_queue)
		queue = ops->ndo_select_queue(real, skb, sb_dev);
	else
		queue = netdev_pick_tx(real, skb, sb_dev);
	return netdev_cap_txqueue(real, queue);
}

static const struct net_device_ops port_ops = {
	.ndo_xdp_xmit = port_xdp_xmit,
	.ndo_start_xmit = port_start_xmit,
	.ndo_select_queue = port_select_queue,
};

/* For a device that cannot transmit XDP frames: the kernel looks at that. */
static const struct net_device_ops port_ops_no_xdp = {
	.ndo_start_xmit = port_start_xmit,
	.ndo_select_queue = port_select_queue,
};

/**
 * port_mirror() - make a port show its device's present state
 * @port: the port; its device must be held, or known to be registered
 *
 * What is mirrored is what redirect code reads. The lock covers the look at
 * the device as well: of two callers the later one writes, and it has seen
 * what the event that called it has changed.
 *
 * Context: process context: under RTNL, or right after the port was made
 * visible to the notifier.
 */
void port_mirror(struct port *port)
{
	struct net_device *real = port->real;
	struct net_device *dev = &port->dev;

	spin_lock(&port->mirror_lock);
	WRITE_ONCE(dev->flags, READ_ONCE(real->flags));
	WRITE_ONCE(dev->mtu, READ_ONCE(real->mtu));
	WRITE_ONCE(dev->hard_header_len, READ_ONCE(real->hard_header_len));
	WRITE_ONCE(dev->netdev_ops, real->netdev_ops->ndo_xdp_xmit ?
				    &port_ops : &port_ops_no_xdp);
	compat_copy_xdp_features(dev, real);
	strscpy(dev->name, real->name, sizeof(dev->name));
	spin_unlock(&port->mirror_lock);
}

/*
 * Core allocates a device's core_stats when it first drops something. Do it
 * now, in the same way, so that the port can share them.
 */
static void port_share_stats(struct port *port, gfp_t gfp)
{
	struct net_device_core_stats __percpu *stats;
	struct net_device *real = port->real;

	if (!READ_ONCE(real->core_stats)) {
		stats = alloc_percpu_gfp(struct net_device_core_stats,
					 gfp & ~__GFP_ACCOUNT);
		if (stats && cmpxchg(&real->core_stats, NULL, stats))
			free_percpu(stats);
	}
	port->dev.core_stats = READ_ONCE(real->core_stats);
	port->own_stats = !port->dev.core_stats;
}

/**
 * port_init() - make a port for a device
 * @port: memory for it, aligned as kmalloc() aligns
 * @real: the device; a reference to it is taken
 * @bulkq: idle bulk queues, which are the port's from now on
 * @gfp: how to allocate; may forbid to sleep
 *
 * Context: inside an RCU read section that covers finding @real. The state is
 * that of now: make the port visible to the notifier and mirror once more.
 * Return: 0, or -EOPNOTSUPP when the kernel's bulk queues turn out to be other
 * than we know them.
 */
int port_init(struct port *port, struct net_device *real,
	      struct xdp_dev_bulk_queue __percpu *bulkq, gfp_t gfp)
{
	struct net_device *dev = &port->dev;

	if (!bulkq_layout_is_known(real))
		return -EOPNOTSUPP;

	init_dummy_netdev(dev);
	bulkq_bind(bulkq, dev);
	dev->xdp_bulkq = bulkq;

	spin_lock_init(&port->mirror_lock);
	port->real = real;
	netdev_hold(real, &port->tracker, GFP_NOWAIT | __GFP_NOWARN);

	dev->ifindex = real->ifindex;
	dev->_tx = real->_tx;
	dev->num_tx_queues = real->num_tx_queues;
	/*
	 * Core asks ndo_select_queue only where there is a choice. With one
	 * queue there is none; with more, the choice is the real device's.
	 */
	dev->real_num_tx_queues = real->num_tx_queues;
	compat_copy_lltx(dev, real);
	port_share_stats(port, gfp);
	port_mirror(port);
	return 0;
}

/**
 * port_detach() - give the device back
 * @port: a port that no lookup has returned for a grace period
 *
 * Context: any but hard interrupts. The port must not transmit any more.
 */
void port_detach(struct port *port)
{
	/* The shared statistics go with the device. */
	if (!port->own_stats)
		port->dev.core_stats = NULL;
	netdev_put(port->real, &port->tracker);
}

/**
 * port_destroy() - free what a port has allocated
 * @port: a detached port that nobody can reach any more
 *
 * Context: process context.
 */
void port_destroy(struct port *port)
{
	/* Core may have hung statistics of its own on it. */
	free_percpu(port->dev.core_stats);
	bulkq_free(port->dev.xdp_bulkq);
}
