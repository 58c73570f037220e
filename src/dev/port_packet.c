// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that leave as packets: through a device that cannot transmit XDP
 * frames, and through the queueing discipline of a device.
 *
 * Most devices have no ndo_xdp_xmit, and drivers that have it may refuse
 * frames, until a program is attached to the device, or on some CPUs. The
 * frames then become skbs and go to dev_queue_xmit(), like packets that a
 * bridge forwards: through tc's egress, the device's queueing discipline and
 * its taps. An skb that is made of a frame has the bytes of the frame, but no
 * checksum for the device to complete, no hash, no VLAN tag outside the data
 * and no time stamp. Metadata of XDP programs is dropped.
 *
 * port_send.c decides which batches leave as packets, each as a whole, so that
 * the frames of a flow stay in order. This file consumes all frames of a batch,
 * or none. The skbs own the frames' memory, and refer to the real device only.
 * So they may wait in a queueing discipline after map, target and module have
 * been removed, and core drops them when the device leaves.
 *
 * This file owns packet_depth. All of it runs in NAPI (or in a cpumap's
 * kthread, or in BPF_PROG_TEST_RUN), bottom halves off, under flush_lock(),
 * which protects packet_depth. The callers of ndo_xdp_xmit hold no transmit
 * lock, because drivers take their own lock in this function.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/sch_generic.h>
#include <net/xdp.h>

#include "compat.h"
#include "port.h"
#include "stats.h"

/*
 * The limit of nested calls on a CPU; core's dev_queue_xmit() has the same
 * limit. No known device causes nested calls.
 */
#define PACKET_DEPTH_MAX 8

/*
 * Number of calls of rmap_port_send_packets() that run on this CPU. A packet
 * that comes back to a map passes NAPI or the backlog first, so the number is 0
 * or 1.
 */
static DEFINE_PER_CPU(unsigned int, packet_depth);

/**
 * struct packet_dest - the destination of a batch, read once
 * @real: the device
 * @kind: the packets that it transmits, not PACKET_UNKNOWN
 * @limit: the longest frame that it takes, without a VLAN tag
 * @room: the headroom that it asks for, in front of the data
 */
struct packet_dest {
	struct net_device *real;
	enum packet_kind kind;
	unsigned int limit;
	unsigned int room;
};

/**
 * struct packet_sum - results of a batch
 * @sent: number of packets that the device or its queue has taken
 * @bytes: bytes of these packets, as frames
 * @lost: number of lost frames, by reason
 */
struct packet_sum {
	u32 sent;
	u32 bytes;
	u32 lost[REDIRMAP_DROP_COUNT];
};

/**
 * rmap_port_packet_kind() - the packets that a device transmits
 * @real: the device
 *
 * IPoIB, 6LoWPAN, CAN and others want headers that a frame does not have. So
 * do GRE devices that build the outer header before ndo_start_xmit.
 *
 * Context: any.
 * Return: the kind.
 */
enum packet_kind rmap_port_packet_kind(const struct net_device *real)
{
	const struct header_ops *header_ops = READ_ONCE(real->header_ops);

	switch (READ_ONCE(real->type)) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return PACKET_ETHERNET;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return header_ops && header_ops->create ? PACKET_UNKNOWN :
							  PACKET_IP;
	default:
		return PACKET_UNKNOWN;
	}
}

/*
 * Make a packet of a frame, with the data at the MAC header. This cannot fail:
 * __xdp_build_skb_from_frame() fails only if the skb is NULL. Runs in NAPI,
 * bottom halves off, per frame.
 */
static __always_inline void packet_build(struct xdp_frame *frame,
					 struct sk_buff *skb, u32 len,
					 struct net_device *real)
{
	u32 metasize = frame->metasize;

	__xdp_build_skb_from_frame(frame, skb, real);
	/* eth_type_trans() has pulled the header, if there was a whole one. */
	skb->data = skb_mac_header(skb);
	skb->len = len;
	/* eth_type_trans() sets another protocol on a DSA conduit. */
	skb->protocol = eth_hdr(skb)->h_proto;
	skb->pkt_type = PACKET_HOST;
	skb->network_header = skb->mac_header + ETH_HLEN;
	if (unlikely(metasize))
		skb_metadata_clear(skb);
}

/*
 * Does a frame have a whole IP header? One without any data would become an
 * empty packet, which some queueing disciplines cannot handle.
 */
static bool packet_has_ip(const struct sk_buff *skb, u32 len)
{
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		return len >= ETH_HLEN + sizeof(struct iphdr);
	case htons(ETH_P_IPV6):
		return len >= ETH_HLEN + sizeof(struct ipv6hdr);
	default:
		return false;
	}
}

/*
 * Fit a packet to a device: remove the Ethernet header if the device transmits
 * IP packets. Returns the reason why the device cannot transmit the packet, or
 * REDIRMAP_DROP_COUNT. The kernel's enqueue allows four bytes more for each
 * frame; here, as in AF_PACKET, only packets with a VLAN tag may have these
 * bytes.
 */
static __always_inline enum redirmap_drop
packet_fit(struct sk_buff *skb, u32 len, const struct packet_dest *to)
{
	if (to->kind == PACKET_IP) {
		if (!packet_has_ip(skb, len))
			return REDIRMAP_DROP_NO_XMIT;
		__skb_pull(skb, ETH_HLEN);
		skb_reset_mac_header(skb);
	}
	if (likely(len <= to->limit))
		return REDIRMAP_DROP_COUNT;
	if (to->kind != PACKET_IP && eth_type_vlan(skb->protocol) &&
	    len <= to->limit + VLAN_HLEN)
		return REDIRMAP_DROP_COUNT;
	return REDIRMAP_DROP_TOO_LARGE;
}

/* A device without a MAC header has an MTU that does not count it. */
static struct packet_dest packet_dest_of(struct net_device *real,
					 enum packet_kind kind)
{
	struct packet_dest to = {
		.real = real,
		.kind = kind,
		.limit = READ_ONCE(real->mtu),
		.room = READ_ONCE(real->needed_headroom),
	};

	if (kind == PACKET_IP) {
		to.room += READ_ONCE(real->hard_header_len);
		to.limit += ETH_HLEN;
	} else {
		to.limit += READ_ONCE(real->hard_header_len);
	}
	return to;
}

static int packet_drops_all(struct net_device *below,
			    struct netdev_nested_priv *unused)
{
	return qdisc_tx_is_noop(below);
}

/**
 * rmap_port_is_congested() - does a return code mean that a queue is congested?
 * @real: the device that got the packet
 * @rc: the return code, which is not 0
 * @queued: the packet went through the queue of the device, if it has one
 *
 * A congested queue returns NET_XMIT_CN; most queues have dropped an older
 * packet then, and taken this one. But the queue of a device that is down or
 * has no carrier also returns it, and drops each packet. A device without a
 * queue, such as a bond or a VLAN, returns the code of the device below it. If
 * one device below drops all packets, and another one has a congested queue,
 * the packet counts as dropped.
 *
 * Runs in NAPI or in the receive path, bottom halves off, per packet that was
 * not simply sent.
 *
 * Return: false when the packet is lost.
 */
bool rmap_port_is_congested(struct net_device *real, int rc, bool queued)
{
	struct netdev_queue *txq = netdev_get_tx_queue(real, 0);
	struct netdev_nested_priv unused = {};
	bool congested;

	if (rc != NET_XMIT_CN || qdisc_tx_is_noop(real))
		return false;
	rcu_read_lock();
	congested = (queued && rcu_dereference(txq->qdisc)->enqueue) ||
		    !netdev_walk_all_lower_dev_rcu(real, packet_drops_all,
						   &unused);
	rcu_read_unlock();
	return congested;
}

/* Send a frame as a packet. Runs in NAPI, bottom halves off, per frame. */
static __always_inline void packet_send_one(struct xdp_frame *frame,
					    struct sk_buff *skb,
					    const struct packet_dest *to,
					    struct packet_sum *sum)
{
	/* The skb's headroom contains the frame, and is not kept. */
	u32 len = xdp_get_frame_len(frame);
	enum redirmap_drop reason;

	packet_build(frame, skb, len, to->real);
	reason = packet_fit(skb, len, to);
	/* The data begins at the MAC header, so this is the headroom. */
	if (reason == REDIRMAP_DROP_COUNT && skb->mac_header < to->room &&
	    skb_cow_head(skb, to->room))
		reason = REDIRMAP_DROP_NO_MEMORY;
	if (unlikely(reason != REDIRMAP_DROP_COUNT)) {
		kfree_skb(skb);
		sum->lost[reason]++;
		return;
	}

	if (unlikely(!port_was_sent(to->real, dev_queue_xmit(skb), true))) {
		sum->lost[REDIRMAP_DROP_XMIT_DROP]++;
		return;
	}
	sum->sent++;
	sum->bytes += len;
}

/* The reason why no frame of a batch can be sent, or REDIRMAP_DROP_COUNT. */
static enum redirmap_drop packet_refusal(const struct net_device *real,
					 enum packet_kind kind)
{
	if (!(READ_ONCE(real->flags) & IFF_UP))
		return REDIRMAP_DROP_DEV_DOWN;
	if (kind == PACKET_UNKNOWN)
		return REDIRMAP_DROP_NO_XMIT;
	if (this_cpu_read(packet_depth) >= PACKET_DEPTH_MAX)
		return REDIRMAP_DROP_XMIT_DROP;
	return REDIRMAP_DROP_COUNT;
}

static void packet_count(const struct port *port, const struct packet_sum *sum,
			 int n)
{
	struct stats_cpu *stats = port_counters(port);
	int i;

	if (sum->sent) {
		stats_sent(stats, sum->sent, sum->bytes);
		stats_as_packets(stats, sum->sent);
	}
	if (likely(sum->sent == n))
		return;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		if (sum->lost[i])
			rmap_port_drop(port, i, sum->lost[i]);
}

/**
 * rmap_port_send_packets() - send frames as packets, and count them
 * @port: the port
 * @frames: the frames, which no driver has changed
 * @n: number of frames, at most DEV_MAP_BULK_SIZE, not 0
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, per flush.
 *
 * Return: @n when all frames were consumed (sent or lost); 0 when all frames
 * were counted as lost, and the caller has to free them.
 */
int rmap_port_send_packets(const struct port *port, struct xdp_frame **frames,
			   int n)
{
	struct net_device *real = port->real;
	enum packet_kind kind = rmap_port_packet_kind(real);
	enum redirmap_drop reason = packet_refusal(real, kind);
	void *skbs[DEV_MAP_BULK_SIZE] __uninitialized;
	struct packet_sum sum = {};
	struct packet_dest to;
	int i;

	if (reason == REDIRMAP_DROP_COUNT &&
	    unlikely(compat_alloc_skb_bulk(skbs, n)))
		reason = REDIRMAP_DROP_NO_MEMORY;
	if (unlikely(reason != REDIRMAP_DROP_COUNT)) {
		rmap_port_drop(port, reason, n);
		return 0;
	}

	to = packet_dest_of(real, kind);
	this_cpu_inc(packet_depth);
	for (i = 0; i < n; i++)
		packet_send_one(frames[i], skbs[i], &to, &sum);
	this_cpu_dec(packet_depth);

	packet_count(port, &sum, n);
	return n;
}
