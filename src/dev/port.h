/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_PORT_H
#define REDIRMAP_PORT_H

#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <uapi/linux/redirmap.h>

#include "bulkq.h"
#include "ingress.h"

struct bpf_prog;
struct xdp_rxq_info;
struct stats_sum;

/* Bits of &port.detour, which port_send.c tests before it calls the driver. */
/*
 * Frames leave as packets, because the device cannot transmit XDP frames, or
 * because the parameter qdisc names the map.
 */
#define PORT_AS_PACKETS BIT(0)
/* Each call of the driver has XDP_XMIT_FLUSH: see port_frags.c. */
#define PORT_FLUSH_EACH BIT(1)
/*
 * Of ports without a program: the kernel lets longer frames in than the device
 * takes, and each call of the driver has XDP_XMIT_FLUSH: see port_segment.c.
 */
#define PORT_TEST_LENGTH BIT(2)
/* The device is a bond, so each call of the driver has XDP_XMIT_FLUSH. */
#define PORT_FLUSH_BOND BIT(3)

/**
 * struct port - represents a real device with a program, or without
 * @real: the real device; referenced until the port is detached
 * @prog: the egress program, referenced, or NULL
 * @gone: the device has left, so broadcasts skip the port
 * @detour: PORT_AS_PACKETS and so on; 0 when each batch goes to the driver
 *	unchanged; written under @mirror_lock
 * @packets: whether frames may leave as packets; never changes
 * @unsegmented: packets of generic XDP may come that are not segmented yet, or
 *	have come, so flushes with a program test lengths; never unset: see
 *	port_segment.c
 * @limit: the largest frame that the device takes, the Ethernet header
 *	included, even if @dev lets larger packets in
 * @each_since: the grace period that ends when every running poll has begun
 *	after PORT_FLUSH_EACH was set; valid while that bit is set
 * @tracker: accounts for the reference to @real
 * @mirror_lock: guards the mirrored fields of @dev: they are read from @real
 *	and written in one step
 * @watch: ingress of generic XDP packets, used with a program: see ingress.c
 * @own_stats: @dev.core_stats is not shared with @real
 * @queue: the transmit queue of a port with a program: see port_skb.c
 * @dev: the pseudo device that the kernel enqueues to; never registered. For
 *	each packet the kernel reads its flags, mtu, hard_header_len,
 *	xdp_features, xdp_bulkq and netdev_ops.
 */
struct port {
	/* hot: read once per flush */
	struct net_device *real;
	struct bpf_prog *prog;
	bool gone;
	u8 detour;
	/* cold, in the rest of four bytes */
	enum redirmap_packets packets : 8;
	/* hot with a program, and in generic XDP */
	bool unsegmented;
	/* hot: read per flush of a broadcast and member */
	u32 limit;

	/* cold */
	struct ingress_watch watch;
	bool own_stats;
	unsigned long each_since;
	netdevice_tracker tracker;
	raw_spinlock_t mirror_lock; /* mirrored fields of @dev */
	struct netdev_queue queue;

	/* hot: read per packet; last, because it may end in a flexible array */
	struct net_device dev;
};

/**
 * enum packet_kind - the packets that a device transmits
 * @PACKET_UNKNOWN: packets that the module cannot make of frames
 * @PACKET_ETHERNET: packets with an Ethernet header
 * @PACKET_IP: IPv4 and IPv6 packets, without a MAC header
 */
enum packet_kind {
	PACKET_UNKNOWN,
	PACKET_ETHERNET,
	PACKET_IP,
};

/**
 * struct port_bulk - frames for a port, on the sender's stack
 * @frame: the sender's frames begin at index 1; rmap_port_xmit() may put a
 *	frame that the port has kept back at index 0
 */
struct port_bulk {
	struct xdp_frame *frame[1 + DEV_MAP_BULK_SIZE];
};

/**
 * port_frame_limit() - the largest frame of native XDP that a port takes
 * @port: the port
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: bytes, the Ethernet header included.
 */
static inline u32 port_frame_limit(const struct port *port)
{
	return READ_ONCE(port->limit);
}

/**
 * port_device_limit() - the largest packet of generic XDP that a device takes
 * @real: the device
 *
 * The limit is the one of the kernel's xdp_ok_fwd_dev().
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: bytes, the Ethernet header included.
 */
static inline unsigned int port_device_limit(const struct net_device *real)
{
	return READ_ONCE(real->mtu) + READ_ONCE(real->hard_header_len) +
	       VLAN_HLEN;
}

/**
 * port_of() - the port that a pseudo device is part of
 * @dev: the pseudo device of a port
 *
 * Context: any.
 * Return: the port.
 */
static inline struct port *port_of(const struct net_device *dev)
{
	return container_of(dev, struct port, dev);
}

/**
 * port_counters() - this CPU's counters of a port
 * @port: the port
 *
 * Context: bottom halves off.
 * Return: the counters.
 */
static inline struct stats_cpu *port_counters(const struct port *port)
{
	return bulkq_stats(port->dev.xdp_bulkq);
}

bool rmap_port_is_congested(struct net_device *real, int rc, bool queued);

/**
 * port_was_sent() - does a packet that was consumed count as sent?
 * @real: the device that got the packet
 * @rc: the return code
 * @queued: the packet went through the queue of the device, if it has one
 *
 * Other codes mean that the driver, or a queue, has dropped the packet.
 *
 * Runs in NAPI or in the receive path, bottom halves off, per packet.
 *
 * Return: true when it does.
 */
static inline bool port_was_sent(struct net_device *real, int rc, bool queued)
{
	/* NET_XMIT_SUCCESS is the same. */
	return likely(rc == NETDEV_TX_OK) ||
	       rmap_port_is_congested(real, rc, queued);
}

int rmap_port_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		       u32 flags);
int rmap_port_xdp_xmit_prog(struct net_device *dev, int n,
			    struct xdp_frame **frames, u32 flags);
int rmap_port_xmit(const struct port *port, struct port_bulk *bulk, int n,
		   struct net_device *rx, u32 flags);
void rmap_port_flush_keepers(struct net_device *rx);

int rmap_port_send_one(const struct port *port, struct xdp_frame **frames,
		       u32 flags);
int rmap_port_send_some(const struct port *port, struct xdp_frame **frames,
			int n, u32 flags);

bool rmap_port_is_flushed(const struct port *port);
int rmap_port_defragment(struct xdp_frame **frame);
enum packet_kind rmap_port_packet_kind(const struct net_device *real);
int rmap_port_refused(const struct port *port, struct xdp_frame **frames, int n,
		      int sent, u32 bytes, const u32 *from);
int rmap_port_send_packets(const struct port *port, struct xdp_frame **frames,
			   int n);

bool rmap_port_may_segment(const struct port *port);
void rmap_port_expect_unsegmented(const struct port *port);
unsigned int rmap_port_prepare_segments(struct sk_buff *skb);
bool rmap_port_takes(const struct port *port, struct sk_buff *skb);
void rmap_port_drop_too_large(const struct port *port, struct sk_buff *skb,
			      u32 packets);
struct sk_buff *rmap_port_complete(const struct port *port, struct sk_buff *skb,
				   bool was_long);
int rmap_port_look_at_checksum(const struct net_device *real,
			       struct sk_buff *skb, unsigned int transport,
			       u8 protocol);
int rmap_port_drop_long(const struct port *port, struct xdp_frame **frames,
			int n);

netdev_tx_t rmap_port_start_xmit(struct sk_buff *skb, struct net_device *dev);
netdev_tx_t rmap_port_start_xmit_prog(struct sk_buff *skb,
				      struct net_device *dev);
u16 rmap_port_select_queue(struct net_device *dev, struct sk_buff *skb,
			   struct net_device *sb_dev);
u16 rmap_port_select_own_queue(struct net_device *dev, struct sk_buff *skb,
			       struct net_device *sb_dev);
void rmap_port_xmit_skb(const struct port *port, struct sk_buff *skb,
			struct xdp_rxq_info *rxq);
void rmap_port_save_rx_queue(struct sk_buff *skb);
void rmap_port_restore_rx_queue(struct sk_buff *skb);

void rmap_port_drop(const struct port *port, enum redirmap_drop reason,
		    u32 packets);
void rmap_port_drop_unsegmented(const struct port *port, u32 packets);
void rmap_port_stats(const struct port *port, struct stats_sum *sum);
const struct port *rmap_port_of_dev(const struct net_device *dev);
void rmap_port_init_queue(struct net_device *dev, struct netdev_queue *queue);

int rmap_port_init(struct port *port, struct net_device *real,
		   struct bpf_prog *prog, enum redirmap_packets packets,
		   struct bpf_prog **slot,
		   struct xdp_dev_bulk_queue __percpu *bulkq, gfp_t gfp);
bool rmap_port_may_send_packets(const struct port *port);
void rmap_port_follow(const struct port *port);
void rmap_port_mirror(struct port *port);
void rmap_port_leave(struct port *port);
void rmap_port_detach(struct port *port);
void rmap_port_destroy(struct port *port);

#endif /* REDIRMAP_PORT_H */
