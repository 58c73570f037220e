// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of generic XDP that are not complete: not segmented yet, or without
 * the final checksum (port_checksum.c).
 *
 * Generic XDP sees packets that a local sender leaves to a device to segment
 * (TSO, GSO), and, on a VLAN or bond, packets that GRO of the NIC below has
 * merged. They have up to 64 KiB and more, although each segment fits the MTU
 * of the device that they are redirected to. Their checksum, and that of
 * shorter packets of such senders, is left to the device as well. Generic XDP
 * bypasses the transmit path of the stack, which does this work for devices
 * that cannot do it. So the port calls the function of this path that does it,
 * validate_xmit_skb_list(): a device with TSO gets the packet as it is, and any
 * other device gets segments, with final checksums if the device computes none.
 * The queueing discipline and the taps remain bypassed, as generic XDP does it.
 *
 * The kernel compares the length of a packet with the MTU of the pseudo device
 * before it calls any function of this module. So a port that has to take
 * unsegmented packets shows a larger MTU than its device has. But the kernel
 * compares frames of native XDP with the same MTU. The ports of machines that
 * have only native XDP must not pay for that, so a port shows the larger MTU
 * only when such packets may come: after the first packet whose checksum is
 * left to the device (a sender with TSO leaves all checksums to it, and GRO
 * those of the packets that it merges), or after the first packet that was too
 * large. TCP of a local sender begins with short packets, so none of its
 * packets is lost. From then on the port itself tests the length of each frame
 * and packet, with the limit that the kernel has for the real device. Checksums
 * that a NIC has verified are no sign of such packets: nearly all NICs verify
 * them.
 *
 *			expects		port's	length of a	length of a
 *	port		unsegmented	MTU	frame tested	packet tested
 *	-------------	-----------	------	--------------	-------------
 *	new		no		real	by the kernel	by the kernel
 *	after such a
 *	packet		yes		large	in each flush	by the port
 *	packets='', or
 *	no Ethernet	no		real	by the kernel	by both
 *
 * A port keeps the larger MTU, because frames of this length may be in a bulk
 * queue. Its target is freed when no map names it.
 *
 * The kernel tests a frame before an egress program changes its length, and so
 * does the port: a frame that fits may grow, and a frame that is too long is
 * lost although the program would shorten it. So a port with a program tests
 * the frames of a flush before it runs the program, and needs no XDP_XMIT_FLUSH
 * with each call, because a frame is kept back for a last call without frames.
 * A port without a program tests them right before the call of the driver,
 * where ports that test nothing execute no instruction for this purpose.
 *
 * One window remains. A poll on another CPU may have called the driver of a
 * port without a program, and without the flag, before PORT_TEST_LENGTH was
 * set. If all remaining frames of this poll are too long, its earlier frames
 * wait for the next call from that CPU. That happens at most once per CPU in
 * the life of a port, with the frames of one poll. To wait for a grace period
 * before the MTU is raised, as port_frags.c does, would close it, but a sender
 * of TCP would lose its first window in the meantime.
 *
 * Programs may have changed a packet in any way, but not the stack's notes on
 * it. So a packet is segmented only if the headers are found, byte for byte,
 * where the notes say they are: Ethernet, up to two VLAN tags, IPv4 or IPv6
 * without extensions, TCP or UDP. Others, such as the packets of tunnels, are
 * too large. An egress program sees the packet before it is segmented, as the
 * program of the ingress did. The packet's length, and that of its segments,
 * are tested before the program runs, as for frames. Each packet counts once,
 * for any number of segments.
 *
 * Packets are segmented, and checksums completed, while the transmit queue is
 * locked, if core has locked it for a port without a program: core offers no
 * call between the choice of the queue and the lock. Other senders of the same
 * queue wait for that.
 *
 * This file owns &port.unsegmented. It runs in the receive path, bottom halves
 * off, per packet. rmap_port_drop_long() tests the frames of native XDP.
 */
#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/xdp.h>

#include "compat.h"
#include "port.h"
#include "stats.h"

/* Bits of gso_type: the protocols whose packets the module segments */
#define SEGMENT_PROTOCOLS (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP_L4)
/* All bits of gso_type that such a packet may have */
#define SEGMENT_TYPES (SEGMENT_PROTOCOLS | SKB_GSO_DODGY | SKB_GSO_TCP_ECN | \
		       COMPAT_GSO_TCP_ACCECN | SKB_GSO_TCP_FIXEDID)
/* VLAN tags in the data: one of the customer, one of the provider */
#define SEGMENT_TAGS 2
/*
 * A virtual machine may ask for segments of a few bytes. While they are made,
 * other senders wait. 64 KiB in segments of 536 bytes, the shortest usual ones,
 * and 512 KiB in segments of 1,448 are fewer.
 */
#define SEGMENTS_AT_MOST 1024

/**
 * rmap_port_may_segment() - may a port segment packets, and finish checksums?
 * @port: the port
 *
 * Generic XDP transmits the Ethernet header as it is, so other devices get
 * packets that they do not understand, as from the kernel's own maps.
 *
 * Context: any.
 * Return: true when it may.
 */
bool rmap_port_may_segment(const struct port *port)
{
	return rmap_port_may_send_packets(port) &&
	       rmap_port_packet_kind(port->real) == PACKET_ETHERNET;
}

/**
 * rmap_port_expect_unsegmented() - show the kernel an MTU that lets packets in
 * that are not segmented yet
 * @port: the port; unchanged if it may not segment packets
 *
 * Runs in the receive path, bottom halves off, inside an RCU read section that
 * keeps the port: per packet that is refused, or that has a checksum to
 * complete while the port shows the real MTU. Mirrors the device once.
 */
void rmap_port_expect_unsegmented(const struct port *port)
{
	struct port *to = port_of(&port->dev);

	if (READ_ONCE(port->unsegmented) || !rmap_port_may_segment(port))
		return;
	WRITE_ONCE(to->unsegmented, true);
	rmap_port_mirror(to);
}

/*
 * Note where the network header begins, as the transmit path of the stack wants
 * it: behind the tags. Returns the protocol. The packet has an Ethernet header.
 */
static __be16 segment_find_network(struct sk_buff *skb)
{
	__be16 proto = ((struct ethhdr *)skb->data)->h_proto;
	int at = ETH_HLEN, tags;
	const struct vlan_hdr *tag;
	struct vlan_hdr copy;

	for (tags = 0; tags < SEGMENT_TAGS && eth_type_vlan(proto); tags++) {
		tag = skb_header_pointer(skb, at, sizeof(copy), &copy);
		if (!tag)
			break;
		proto = tag->h_vlan_encapsulated_proto;
		at += VLAN_HLEN;
	}
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, at);
	skb_reset_mac_len(skb);
	return proto;
}

/*
 * Find the transport header of a packet that is not a fragment. Returns its
 * offset, with its protocol and the GSO type of TCP in it; or 0.
 */
static unsigned int segment_find_transport(struct sk_buff *skb, u8 *protocol,
					   unsigned int *tcp_type)
{
	__be16 proto = segment_find_network(skb);
	unsigned int at = skb_network_offset(skb);
	const struct ipv6hdr *ip6;
	struct ipv6hdr copy6;
	const struct iphdr *ip;
	struct iphdr copy;

	if (proto == htons(ETH_P_IP)) {
		ip = skb_header_pointer(skb, at, sizeof(copy), &copy);
		if (!ip || ip->version != 4 || ip->ihl < 5 ||
		    ip_is_fragment(ip))
			return 0;
		*protocol = ip->protocol;
		*tcp_type = SKB_GSO_TCPV4;
		return at + ip->ihl * 4;
	}
	if (proto == htons(ETH_P_IPV6)) {
		ip6 = skb_header_pointer(skb, at, sizeof(copy6), &copy6);
		if (!ip6 || ip6->version != 6)
			return 0;
		*protocol = ip6->nexthdr;
		*tcp_type = SKB_GSO_TCPV6;
		return at + sizeof(*ip6);
	}
	return 0;
}

/* The length of all headers, if they are those that the stack has noted. */
static unsigned int segment_find_payload(struct sk_buff *skb)
{
	unsigned int noted = skb_shinfo(skb)->gso_type & SEGMENT_PROTOCOLS;
	unsigned int tcp_type, at;
	const struct tcphdr *tcp;
	struct tcphdr copy;
	u8 protocol;

	at = segment_find_transport(skb, &protocol, &tcp_type);
	if (!at || skb_checksum_start_offset(skb) != at)
		return 0;
	skb_set_transport_header(skb, at);

	if (protocol == IPPROTO_UDP && noted == SKB_GSO_UDP_L4 &&
	    skb->csum_offset == offsetof(struct udphdr, check))
		return at + sizeof(struct udphdr);
	if (protocol != IPPROTO_TCP || noted != tcp_type ||
	    skb->csum_offset != offsetof(struct tcphdr, check))
		return 0;
	tcp = skb_header_pointer(skb, at, sizeof(copy), &copy);
	if (!tcp || tcp->doff * 4 < sizeof(*tcp))
		return 0;
	return at + tcp->doff * 4;
}

/**
 * rmap_port_prepare_segments() - prepare a packet for segmentation
 * @skb: a packet of generic XDP that is marked for segmentation, data at the
 *	MAC header. No other packet shares its data, or this function was called
 *	before they were shared.
 *
 * This function finds the headers, and corrects the fields of the packet that
 * describe them. A packet of which a program has left one segment or less loses
 * the mark: then it is a packet like others, whose checksum has to be
 * completed.
 *
 * Runs in the receive path, bottom halves off, per unsegmented packet.
 *
 * Return: the length of the longest segment, with all headers; 0 when the
 * module does not segment the packet.
 */
unsigned int rmap_port_prepare_segments(struct sk_buff *skb)
{
	struct skb_shared_info *info = skb_shinfo(skb);
	unsigned int payload, segments;

	if (skb->ip_summed != CHECKSUM_PARTIAL || skb->encapsulation ||
	    info->gso_size == GSO_BY_FRAGS || skb_has_frag_list(skb) ||
	    (info->gso_type & ~SEGMENT_TYPES))
		return 0;
	payload = segment_find_payload(skb);
	if (!payload)
		return 0;
	/*
	 * The transmit path relies on skb->protocol. Core sets it from other
	 * bytes if the program has put an Ethernet header in front of an IP
	 * packet.
	 */
	skb->protocol = ((struct ethhdr *)skb->data)->h_proto;
	if (skb->len <= payload + info->gso_size) {
		skb_gso_reset(skb);
		return 0;
	}
	segments = DIV_ROUND_UP(skb->len - payload, info->gso_size);
	if (segments > SEGMENTS_AT_MOST)
		return 0;
	/* A program may have changed the length; 0 is unknown. */
	if (info->gso_segs && info->gso_segs != segments)
		info->gso_segs = segments;
	return payload + info->gso_size;
}

/**
 * rmap_port_takes() - is a packet short enough for a port's device, as far as
 * it can be segmented?
 * @port: the port
 * @skb: a packet of generic XDP, as for rmap_port_prepare_segments()
 *
 * Runs in the receive path, bottom halves off, per packet that is longer than
 * the device's limit.
 *
 * Return: true when it is.
 */
bool rmap_port_takes(const struct port *port, struct sk_buff *skb)
{
	unsigned int len;

	if (!skb_is_gso(skb) || !rmap_port_may_segment(port))
		return false;
	len = rmap_port_prepare_segments(skb);
	return len && len <= port_device_limit(port->real);
}

/**
 * rmap_port_drop_too_large() - count packets that rmap_port_takes() refuses
 * @port: the port
 * @skb: the packet; not freed
 * @packets: how often it was refused, not 0
 *
 * If its segments do not fit either, the MTU has to be changed. Otherwise the
 * sender has to segment.
 *
 * Context: bottom halves off, inside an RCU read section.
 */
void rmap_port_drop_too_large(const struct port *port, struct sk_buff *skb,
			      u32 packets)
{
	if (skb_is_gso(skb) &&
	    !(rmap_port_may_segment(port) && rmap_port_prepare_segments(skb)))
		rmap_port_drop_unsegmented(port, packets);
	else
		rmap_port_drop(port, REDIRMAP_DROP_TOO_LARGE, packets);
}

/* Drop a packet that a lack of memory keeps from being completed. */
static struct sk_buff *segment_lose(const struct port *port,
				    struct sk_buff *skb)
{
	dev_core_stats_tx_dropped_inc(port->real);
	rmap_port_drop(port, REDIRMAP_DROP_NO_MEMORY, 1);
	kfree_skb(skb);
	return NULL;
}

/*
 * Core inserts a tag beside the data into the data if the device does not
 * insert tags. Packets whose checksum is not left to the device do not come
 * here, so their tag stays beside the data, as with the kernel's own maps. That
 * has to be the same for all packets of a flow.
 */
static struct sk_buff *segment_validate(struct net_device *real,
					struct sk_buff *skb)
{
	bool keeps = skb_vlan_tag_present(skb) &&
		     !vlan_hw_offload_capable(real->features, skb->vlan_proto);
	__be16 proto = skb->vlan_proto;
	u16 tci = skb->vlan_tci;
	struct sk_buff *list;
	bool again = false;

	if (keeps)
		__vlan_hwaccel_clear_tag(skb);
	list = validate_xmit_skb_list(skb, real, &again);
	if (keeps)
		for (skb = list; skb; skb = skb->next)
			__vlan_hwaccel_put_tag(skb, proto, tci);
	return list;
}

/**
 * rmap_port_complete() - do the work that a device cannot do: segment a packet,
 * and complete its checksum
 * @port: the port
 * @skb: a packet with CHECKSUM_PARTIAL, data at the MAC header, the number of
 *	its transmit queue set; consumed, unless it is returned
 * @was_long: before the egress program ran, if there is one, the packet was
 *	longer than the device's limit, and its segments were not
 *
 * The program may have changed the packet. Segments that it has made longer
 * than the limit are sent, as frames are in native XDP, and as the kernel sends
 * a packet that was short before. Only a packet that was longer, and still is,
 * and cannot be segmented any more, is dropped.
 *
 * Runs in the receive path, bottom halves off, per packet whose checksum is
 * left to the device. The device's queue may be locked.
 *
 * Return: the packet, or its segments, linked by their next; NULL when it was
 * dropped and counted.
 */
struct sk_buff *rmap_port_complete(const struct port *port, struct sk_buff *skb,
				   bool was_long)
{
	struct net_device *real = port->real;
	unsigned int segment_len = 0, tcp_type, at;
	u8 protocol = 0;
	int completes;

	if (!rmap_port_may_segment(port))
		return skb;
	if (skb_is_gso(skb))
		segment_len = rmap_port_prepare_segments(skb);
	if (skb_is_gso(skb)) {
		if (!segment_len && was_long &&
		    skb->len > port_device_limit(real)) {
			rmap_port_drop_too_large(port, skb, 1);
			kfree_skb(skb);
			return NULL;
		}
		if (!segment_len)
			return skb;
	} else {
		/* This also notes where the network header begins. */
		at = segment_find_transport(skb, &protocol, &tcp_type);
		completes = rmap_port_look_at_checksum(real, skb, at, protocol);
		if (unlikely(completes < 0))
			return segment_lose(port, skb);
		if (!completes)
			return skb;
	}

	skb->dev = real;
	skb = segment_validate(real, skb);
	/*
	 * NULL, as far as is known: there was no memory for the segments, or
	 * for a checksum in shared data. The function returns NULL for headers
	 * that cannot be segmented as well, but these were found above. It has
	 * freed the packet, and counted it in the device's tx_dropped.
	 */
	if (unlikely(!skb))
		rmap_port_drop(port, REDIRMAP_DROP_NO_MEMORY, 1);
	return skb;
}
