// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports: claimed maps redirect to ports instead of to real devices.
 *
 * A port has a pseudo device: a net_device that the stack never sees. The
 * kernel's redirect code tests by the fields of the pseudo device whether it
 * takes a frame, fills its bulk queue, and calls its ndo_xdp_xmit (native XDP)
 * or ndo_start_xmit (generic XDP). Both functions hand the frames to the real
 * device. The pseudo device has the real device's ifindex, so that tracepoints
 * report the real device.
 *
 * This file owns the pseudo device and the fields that mirror the real device.
 * port_xmit.c transmits frames in native XDP, and port_send.c hands them to the
 * driver, or to port_packet.c, which transmits them as packets. port_skb.c
 * transmits packets in generic XDP, and port_segment.c segments them.
 *
 * A port whose frames may leave as packets takes all frames from the kernel,
 * even if the real device cannot transmit XDP frames at that moment.
 *
 * rmap_port_init() runs in bpf(2), inside an RCU read section, and may not
 * sleep. rmap_port_mirror() runs in the netdev notifier under RTNL, in the
 * update that has just published a port, and in NAPI, when a port finds that
 * its device has changed without an event. rmap_port_detach() runs in an RCU
 * callback or a work item, rmap_port_destroy() in a work item; both run a grace
 * period after the last lookup that could return the port, or when no lookup
 * could ever return it.
 */
#include <linux/bpf.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <net/xdp.h>

#include "bond.h"
#include "bulkq.h"
#include "compat.h"
#include "flush.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"

/**
 * rmap_port_init_queue() - give a pseudo device a transmit queue of its own
 * @dev: the pseudo device; gets the LLTX flag, so core takes no lock for the
 *	queue
 * @queue: zeroed memory for the queue
 *
 * Core calls ndo_select_queue only for a device with several real queues, and
 * the pseudo device needs this call: so real_num_tx_queues is 2.
 *
 * Context: process context; no other task can reach the device yet.
 */
void rmap_port_init_queue(struct net_device *dev, struct netdev_queue *queue)
{
	queue->dev = dev;
	queue->xmit_lock_owner = -1;
	dev->_tx = queue;
	dev->num_tx_queues = 1;
	dev->real_num_tx_queues = 2;
	compat_set_lltx(dev);
}

static int port_flush(struct net_device *dev, int n, struct xdp_frame **frames,
		      u32 flags)
{
	return flush_locked(dev, n, frames, flags, rmap_port_xdp_xmit);
}

static int port_flush_prog(struct net_device *dev, int n,
			   struct xdp_frame **frames, u32 flags)
{
	return flush_locked(dev, n, frames, flags, rmap_port_xdp_xmit_prog);
}

static const struct net_device_ops port_ops = {
	.ndo_xdp_xmit = COMPAT_POLLS_PREEMPT ? port_flush : rmap_port_xdp_xmit,
	.ndo_start_xmit = rmap_port_start_xmit,
	.ndo_select_queue = rmap_port_select_queue,
};

static const struct net_device_ops port_prog_ops = {
	.ndo_xdp_xmit = COMPAT_POLLS_PREEMPT ? port_flush_prog :
					       rmap_port_xdp_xmit_prog,
	.ndo_start_xmit = rmap_port_start_xmit_prog,
	.ndo_select_queue = rmap_port_select_own_queue,
};

/*
 * Operations for a real device without ndo_xdp_xmit whose frames may not leave
 * as packets, on kernels that test ndo_xdp_xmit before they enqueue.
 */
static const struct net_device_ops port_ops_no_xdp = {
	.ndo_start_xmit = rmap_port_start_xmit,
	.ndo_select_queue = rmap_port_select_queue,
};

static const struct net_device_ops port_prog_ops_no_xdp = {
	.ndo_start_xmit = rmap_port_start_xmit_prog,
	.ndo_select_queue = rmap_port_select_own_queue,
};

/**
 * rmap_port_of_dev() - the port that a device is part of
 * @dev: any device
 *
 * Context: inside the RCU read section in which the caller has found @dev.
 * Return: the port; NULL when @dev is a real device or a group's pseudo device.
 */
const struct port *rmap_port_of_dev(const struct net_device *dev)
{
	const struct net_device_ops *ops = READ_ONCE(dev->netdev_ops);

	if (ops == &port_ops || ops == &port_prog_ops ||
	    ops == &port_ops_no_xdp || ops == &port_prog_ops_no_xdp)
		return port_of(dev);
	return NULL;
}

/*
 * Does a device treat the packets that it transmits as packets of this machine?
 * A loopback device and a VRF receive them: the firewall rules for the device
 * apply to them, and they may be addressed to ::1 and 127.0.0.1. A VRF, and an
 * ipvlan without layer 2, route them as output: those for an address of this
 * machine arrive by lo. No device above one of these sends it IP packets: none
 * of them can be a slave or a port of another device.
 */
static bool port_makes_local(const struct net_device *real)
{
	unsigned int flags = READ_ONCE(real->flags);
	const struct rtnl_link_ops *ops = real->rtnl_link_ops;

	if ((flags & IFF_LOOPBACK) || netif_is_l3_master(real))
		return true;
	/*
	 * ipvlan clears this flag in mode l2, and sets it in the others, with
	 * an event. No other module can read the mode. (The owner of the device
	 * can change the flag.)
	 */
	return (flags & IFF_NOARP) && ops &&
	       (!strcmp(ops->kind, "ipvlan") || !strcmp(ops->kind, "ipvtap"));
}

/**
 * rmap_port_may_send_packets() - may frames leave as packets?
 * @port: the port
 *
 * A frame from the wire must not become a packet of this machine, unless the
 * parameter qdisc names the map.
 *
 * Context: any.
 * Return: true when they may.
 */
bool rmap_port_may_send_packets(const struct port *port)
{
	if (port->packets == REDIRMAP_PACKETS_NEVER ||
	    (port->packets != REDIRMAP_PACKETS_ALWAYS &&
	     port_makes_local(port->real)))
		return false;
	return rmap_port_packet_kind(port->real) != PACKET_UNKNOWN;
}

/*
 * The kernel calls ndo_xdp_xmit of each device that it has enqueued a frame to.
 * So a port that has once had an ndo_xdp_xmit keeps it, and refuses the frames
 * if the real device loses its own ndo_xdp_xmit.
 */
static const struct net_device_ops *port_choose_ops(const struct port *port,
						    bool takes_all)
{
	const struct net_device_ops *now = READ_ONCE(port->dev.netdev_ops);

	if (!COMPAT_REDIRECT_ASKS_FOR_NDO || takes_all ||
	    (now && now->ndo_xdp_xmit) ||
	    READ_ONCE(port->real->netdev_ops)->ndo_xdp_xmit)
		return port->prog ? &port_prog_ops : &port_ops;
	return port->prog ? &port_prog_ops_no_xdp : &port_ops_no_xdp;
}

/**
 * struct port_look - the fields of a port that depend on the real device
 * @flags: as in struct net_device
 * @mtu: as in struct net_device
 * @hard_header_len: as in struct net_device; plus ETH_HLEN, if frames lose
 *	their Ethernet header
 * @features: as in struct net_device
 * @ops: as in struct net_device
 * @limit: as in struct port
 * @as_packets: frames leave as packets
 * @larger: @mtu is larger than the device's
 */
struct port_look {
	unsigned int flags;
	unsigned int mtu;
	unsigned int hard_header_len;
	u32 features;
	const struct net_device_ops *ops;
	u32 limit;
	bool as_packets;
	bool larger;
};

/* Does a device announce that it transmits XDP frames? */
static bool port_takes_frames(struct net_device *real)
{
	return READ_ONCE(real->netdev_ops)->ndo_xdp_xmit &&
	       compat_takes_frames(real) &&
	       (!COMPAT_REDIRECT_ASKS_FOR_NDO || !netif_is_bond_master(real) ||
		rmap_bond_takes_frames(real));
}

static void port_look_at(const struct port *port, struct port_look *look)
{
	struct net_device *real = port->real;
	bool may = rmap_port_may_send_packets(port);

	look->flags = READ_ONCE(real->flags);
	look->mtu = READ_ONCE(real->mtu);
	look->hard_header_len = READ_ONCE(real->hard_header_len);
	look->features = compat_xdp_features(real, may);
	look->ops = port_choose_ops(port, may);
	look->as_packets = may &&
			   (port->packets == REDIRMAP_PACKETS_ALWAYS ||
			    !port_takes_frames(real));
	/* Frames have an Ethernet header, which this device does not count. */
	if (look->as_packets && rmap_port_packet_kind(real) == PACKET_IP)
		look->hard_header_len += ETH_HLEN;
	/* As in the kernel's xdp_ok_fwd_dev() */
	look->limit = look->mtu + look->hard_header_len + VLAN_HLEN;
	look->larger = READ_ONCE(port->unsegmented) &&
		       rmap_port_may_segment(port);
	if (look->larger)
		look->mtu = INT_MAX;
}

/* Has the real device changed without an event? Not on the fast path. */
static bool port_is_stale(const struct port *port)
{
	const struct net_device *dev = &port->dev;
	struct port_look look;

	port_look_at(port, &look);
	return READ_ONCE(port->limit) != look.limit ||
	       READ_ONCE(dev->mtu) != look.mtu ||
	       READ_ONCE(dev->hard_header_len) != look.hard_header_len ||
	       ((READ_ONCE(dev->flags) ^ look.flags) & IFF_UP) ||
	       READ_ONCE(dev->netdev_ops) != look.ops ||
	       !(READ_ONCE(port->detour) & PORT_AS_PACKETS) == look.as_packets ||
	       !compat_has_xdp_features(dev, look.features);
}

/**
 * rmap_port_follow() - mirror a device that has changed without an event
 * @port: the port
 *
 * Context: bottom halves off, inside an RCU read section that keeps the port;
 * not per frame.
 */
void rmap_port_follow(const struct port *port)
{
	if (unlikely(port_is_stale(port)))
		rmap_port_mirror(port_of(&port->dev));
}

static void port_set_detour(struct port *port, u8 bit, bool set)
{
	u8 others = port->detour & ~bit;

	lockdep_assert_held(&port->mirror_lock);

	WRITE_ONCE(port->detour, set ? others | bit : others);
}

/**
 * rmap_port_drop() - count frames that a port has refused or lost
 * @port: the port
 * @reason: why
 * @packets: number of frames, not 0
 *
 * When the reason is the device's state, this function compares the port with
 * the device, and mirrors the device again if they differ: some drivers change
 * a device without an event.
 *
 * Context: bottom halves off, inside an RCU read section.
 */
void rmap_port_drop(const struct port *port, enum redirmap_drop reason,
		    u32 packets)
{
	if (reason == REDIRMAP_DROP_DEV_DOWN ||
	    reason == REDIRMAP_DROP_TOO_LARGE ||
	    reason == REDIRMAP_DROP_NO_XMIT)
		rmap_port_follow(port);
	rmap_stats_drop(port_counters(port), port->real, reason, packets);
}

/**
 * rmap_port_drop_unsegmented() - count unsegmented packets as too large
 * @port: the port whose frame limit they exceed
 * @packets: number of packets that are not segmented yet; not 0
 *
 * Context: as rmap_port_drop().
 */
void rmap_port_drop_unsegmented(const struct port *port, u32 packets)
{
	rmap_stats_unsegmented(port_counters(port), packets);
	rmap_port_drop(port, REDIRMAP_DROP_TOO_LARGE, packets);
}

/**
 * rmap_port_stats() - read a port's counters
 * @port: a port that is not being destroyed
 * @sum: the sum to add the counters to
 *
 * Context: any.
 */
void rmap_port_stats(const struct port *port, struct stats_sum *sum)
{
	bulkq_add_stats(port->dev.xdp_bulkq, sum);
}

/**
 * rmap_port_mirror() - copy the real device's present state to a port
 * @port: the port; its device must be held, or known to be registered
 *
 * This function mirrors the fields that the kernel's redirect code reads, and
 * the name. The device is read under the lock: of two callers the later one
 * reads the newer state and writes last.
 *
 * Context: under RTNL; in process context, right after the port was made
 * visible to the notifier; or with bottom halves off, inside an RCU read
 * section that keeps the port.
 */
void rmap_port_mirror(struct port *port)
{
	struct net_device *real = port->real;
	struct net_device *dev = &port->dev;
	struct port_look look;

	raw_spin_lock_bh(&port->mirror_lock);
	port_look_at(port, &look);
	WRITE_ONCE(dev->flags, look.flags);
	WRITE_ONCE(port->limit, look.limit);
	/*
	 * A flush that gets longer frames tests them. With a program it reads
	 * port->unsegmented, which is set already.
	 */
	if (look.larger && !port->prog)
		port_set_detour(port, PORT_TEST_LENGTH, true);
	smp_wmb(); /* x86 keeps the order of the kernel's and the flush's loads */
	WRITE_ONCE(dev->mtu, look.mtu);
	WRITE_ONCE(dev->hard_header_len, look.hard_header_len);
	WRITE_ONCE(dev->netdev_ops, look.ops);
	compat_set_xdp_features(dev, look.features);
	port_set_detour(port, PORT_AS_PACKETS, look.as_packets);
	port_set_detour(port, PORT_FLUSH_BOND, netif_is_bond_master(real));
	if (compat_takes_frags(real))
		port_set_detour(port, PORT_FLUSH_EACH, false);
	strscpy(dev->name, real->name, sizeof(dev->name));
	raw_spin_unlock_bh(&port->mirror_lock);
}

/*
 * Core allocates a device's core_stats when it counts the first drop. This
 * function allocates them earlier, so that the port can share them.
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

/* The transmit queues that core uses in generic XDP: see port_skb.c. */
static void port_set_queues(struct port *port)
{
	struct net_device *real = port->real;
	struct net_device *dev = &port->dev;

	if (port->prog) {
		rmap_port_init_queue(dev, &port->queue);
		return;
	}
	dev->_tx = real->_tx;
	dev->num_tx_queues = real->num_tx_queues;
	/*
	 * With one queue core calls no ndo_select_queue, as for the real
	 * device; with more, the port's ndo_select_queue selects the queue that
	 * core would select on the real device.
	 */
	dev->real_num_tx_queues = real->num_tx_queues;
	compat_copy_lltx(dev, real);
}

/**
 * rmap_port_init() - make a port for a device
 * @port: zeroed memory for the port, with kmalloc()'s alignment
 * @real: the device; the port takes a reference to it
 * @prog: the egress program, or NULL; the port takes a reference to it
 * @packets: whether frames may leave as packets
 * @slot: the field xdp_prog of the entry that names the port
 * @bulkq: idle bulk queues, which the port owns if 0 is returned
 * @gfp: allocation flags; they may forbid sleeping
 *
 * The notifier does not know the port yet: the caller publishes the port, and
 * then calls rmap_port_mirror() for changes of the device in between.
 *
 * Context: inside the RCU read section in which the caller has found @real.
 * Return: 0, or -EOPNOTSUPP when the layout of the kernel's bulk queues differs
 * from dev_layout.h.
 */
int rmap_port_init(struct port *port, struct net_device *real,
		   struct bpf_prog *prog, enum redirmap_packets packets,
		   struct bpf_prog **slot,
		   struct xdp_dev_bulk_queue __percpu *bulkq, gfp_t gfp)
{
	struct net_device *dev = &port->dev;

	if (!rmap_bulkq_layout_is_known())
		return -EOPNOTSUPP;

	compat_init_dummy(dev);
	/*
	 * This takes no reference to the namespace. The device leaves the
	 * namespace before cleanup_net() frees it, and cleanup_net() waits for
	 * RCU callbacks in between, so also for the one that calls
	 * rmap_port_detach().
	 */
	dev_net_set(dev, dev_net(real));
	rmap_bulkq_bind(bulkq, dev);
	dev->xdp_bulkq = bulkq;

	raw_spin_lock_init(&port->mirror_lock);
	port->packets = packets;
	port->real = real;
	netdev_hold(real, &port->tracker, GFP_NOWAIT | __GFP_NOWARN);
	if (prog) {
		bpf_prog_inc(prog);
		port->prog = prog;
		rmap_ingress_watch_init(&port->watch, slot);
		rmap_ingress_want(&port->watch);
	}

	dev->ifindex = real->ifindex;
	port_set_queues(port);
	port_share_stats(port, gfp);
	rmap_port_mirror(port);
	return 0;
}

/**
 * rmap_port_leave() - take a port out of broadcasts
 * @port: the port of a device that has left
 *
 * Context: any.
 */
void rmap_port_leave(struct port *port)
{
	WRITE_ONCE(port->gone, true);
}

/**
 * rmap_port_detach() - drop the reference to the real device
 * @port: a port that no lookup has returned for a grace period, so that it no
 *	longer transmits
 *
 * Context: any but hard interrupts.
 */
void rmap_port_detach(struct port *port)
{
	/* Without the reference, namespace and core_stats may be freed. */
	dev_net_set(&port->dev, &init_net);
	if (!port->own_stats)
		port->dev.core_stats = NULL;
	netdev_put(port->real, &port->tracker);
}

/**
 * rmap_port_destroy() - release a port's program, counters and bulk queues
 * @port: a detached port that no reader can reach
 *
 * Context: process context.
 */
void rmap_port_destroy(struct port *port)
{
	if (port->prog)
		bpf_prog_put(port->prog);
	/* Not NULL if core has allocated statistics for the pseudo device. */
	free_percpu(port->dev.core_stats);
	rmap_bulkq_free(port->dev.xdp_bulkq);
}
