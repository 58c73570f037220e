// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of generic XDP whose checksum is left to the device: has it to be
 * completed?
 *
 * A sender that leaves the checksum to the device puts the sum of the pseudo
 * header in its place, and notes where it is. Programs may have changed the
 * packet since, but not these notes. A program may have made another packet of
 * it, may have computed the final checksum, or may have put an outer header in
 * front. A checksum that is complete must not be computed again, so it is
 * completed only where the sum of the pseudo header is found. Other packets
 * leave as they are, as from the kernel's own maps.
 *
 * This file owns no data. It runs in the receive path, bottom halves off, per
 * packet whose checksum is left to the device.
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <linux/sctp.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/gre.h>
#include <net/ip6_checksum.h>

#include "port.h"

/* Is the checksum where the notes say it is? A program may have cut it off. */
static bool checksum_is_inside(struct sk_buff *skb)
{
	int start = skb_checksum_start_offset(skb), end;

	if (skb_csum_is_sctp(skb))
		end = start + (int)sizeof(struct sctphdr);
	else
		end = start + skb->csum_offset + (int)sizeof(__sum16);
	return start >= ETH_HLEN && end <= (int)skb_headlen(skb);
}

/*
 * Has the packet, in place of the checksum, the sum of the pseudo header that
 * belongs to an IP header at this offset? The data up to the checksum are
 * linear.
 */
static bool checksum_has_sum_of(const struct sk_buff *skb, unsigned int network)
{
	unsigned int start = skb_checksum_start_offset(skb);
	unsigned int between = start - network;
	const struct ipv6hdr *ip6 = (void *)(skb->data + network);
	const struct iphdr *ip = (void *)(skb->data + network);
	__sum16 sum;
	u8 protocol;

	if (skb->csum_offset == offsetof(struct tcphdr, check))
		protocol = IPPROTO_TCP;
	else if (skb->csum_offset == offsetof(struct udphdr, check))
		protocol = IPPROTO_UDP;
	else
		return false;
	if (network < ETH_HLEN || network > start)
		return false;

	if (between >= sizeof(*ip) && ip->version == 4 &&
	    ip->protocol == protocol)
		sum = ~csum_tcpudp_magic(ip->saddr, ip->daddr,
					 ntohs(ip->tot_len) - between,
					 protocol, 0);
	else if (between >= sizeof(*ip6) && ip6->version == 6)
		sum = ~csum_ipv6_magic(&ip6->saddr, &ip6->daddr,
				       ntohs(ip6->payload_len) + sizeof(*ip6) -
				       between, protocol, 0);
	else
		return false;
	return *(__sum16 *)(skb->data + start + skb->csum_offset) == sum;
}

/*
 * SCTP and GRE have no pseudo header: the checksum is 0 until it is computed.
 */
static bool checksum_is_zero(struct sk_buff *skb, u8 protocol)
{
	const void *at = skb->data + skb_checksum_start_offset(skb) +
			 skb->csum_offset;

	if (skb_csum_is_sctp(skb))
		return !memchr_inv(at, 0, sizeof(__le32));
	return protocol == IPPROTO_GRE &&
	       skb->csum_offset == sizeof(struct gre_base_hdr) &&
	       !memchr_inv(at, 0, sizeof(__sum16));
}

/*
 * Has the checksum to be completed? A program may have made another packet of
 * it, may have computed the final checksum, or may have put an outer header in
 * front; an error message quotes the packet that it answers. So the field has
 * to have the value that the sender has put there, for the first IP header or
 * for one right in front of the transport header.
 */
static bool checksum_is_pending(struct sk_buff *skb, unsigned int transport,
				u8 protocol)
{
	unsigned int start = skb_checksum_start_offset(skb);

	if (transport &&
	    (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6))
		return false;
	return checksum_has_sum_of(skb, skb_network_offset(skb)) ||
	       checksum_has_sum_of(skb, start - sizeof(struct iphdr)) ||
	       checksum_has_sum_of(skb, start - sizeof(struct ipv6hdr)) ||
	       checksum_is_zero(skb, protocol);
}

/**
 * rmap_port_look_at_checksum() - has a checksum to be completed?
 * @real: the device
 * @skb: a packet with CHECKSUM_PARTIAL that is not marked for segmentation,
 *	data at the MAC header, network header noted
 * @transport: the offset of the transport header, in bytes; 0 if none was found
 * @protocol: the protocol behind the first IP header, if @transport is not 0
 *
 * A device that computes only checksums of TCP and UDP finds the headers
 * itself, behind one IP header. If the transport header is not where the
 * checksum begins, because a program has put an outer header in front, or
 * because there are extension headers, this function computes the checksum.
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: 1 when the packet has to go to the transmit path; 0 when the checksum
 * has to stay as it is; or an errno when there is no memory.
 */
int rmap_port_look_at_checksum(const struct net_device *real,
			       struct sk_buff *skb, unsigned int transport,
			       u8 protocol)
{
	if (!checksum_is_inside(skb) ||
	    !checksum_is_pending(skb, transport, protocol))
		return 0;
	if (transport == skb_checksum_start_offset(skb) ||
	    (real->features & NETIF_F_HW_CSUM))
		return 1;
	/* 0: nothing is left to the device. */
	return skb_csum_hwoffload_help(skb, 0) ?: 1;
}
