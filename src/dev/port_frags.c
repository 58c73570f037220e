// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames with fragments, for a driver that takes XDP frames, but none with
 * fragments. A batch that has such frames leaves as packets, as a whole.
 *
 * The driver is not called for such a batch. But it may have got earlier
 * batches of the same poll without XDP_XMIT_FLUSH, and their frames must not
 * wait in the driver for a flush that never comes. So from the first batch with
 * fragments on, each call of this driver has the flag (PORT_FLUSH_EACH). Polls
 * that have begun before, on any CPU, may already have called the driver
 * without the flag. A poll is an RCU read section, so these polls are over
 * after a grace period. Until then the first frame of a batch with fragments
 * goes to the driver, with the flag, and only the other frames leave as
 * packets. If the first frame has fragments itself, a copy without fragments
 * replaces it. The states of a port:
 *
 *	PORT_FLUSH_EACH	grace period	batch with fragments
 *	---------------	--------------	-----------------------------------
 *	not set		-		sets PORT_FLUSH_EACH; then as below
 *	set		not over	first frame to the driver, with the
 *					flag; others as packets
 *	set		over		all as packets
 *
 * When the device takes fragments, the bit is cleared: see rmap_port_mirror().
 *
 * This file owns &port.each_since. It runs in NAPI (or in a cpumap's kthread,
 * or in BPF_PROG_TEST_RUN), bottom halves off, per flush with fragments.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "compat.h"
#include "port.h"

/**
 * rmap_port_is_flushed() - has each call of the driver in this poll had
 * XDP_XMIT_FLUSH?
 * @port: the port of a device that does not take fragments
 *
 * After this function each call of the driver has XDP_XMIT_FLUSH, until the
 * device takes fragments.
 *
 * Context: bottom halves off, inside an RCU read section that keeps the port.
 * Return: true when no earlier batch of this poll can wait in the driver; false
 * when one may wait.
 */
bool rmap_port_is_flushed(const struct port *port)
{
	struct port *to = port_of(&port->dev);

	/* Pairs with the release below. */
	if (likely(smp_load_acquire(&to->detour) & PORT_FLUSH_EACH))
		return poll_state_synchronize_rcu(READ_ONCE(to->each_since));

	raw_spin_lock_bh(&to->mirror_lock);
	if (!(to->detour & PORT_FLUSH_EACH)) {
		/* This grace period does not end before this read section. */
		WRITE_ONCE(to->each_since, start_poll_synchronize_rcu());
		/* A reader that sees the bit sees no older each_since. */
		smp_store_release(&to->detour, to->detour | PORT_FLUSH_EACH);
		/* Polls that miss the bit begin before this grace period. */
		smp_mb();
		WRITE_ONCE(to->each_since, start_poll_synchronize_rcu());
	}
	raw_spin_unlock_bh(&to->mirror_lock);
	return false;
}

/**
 * rmap_port_defragment() - replace a frame by a copy without fragments
 * @frame: the frame; freed when it was replaced
 *
 * The copy has the headroom of the frame. Its memory is one compound page, so
 * that a driver can map it as one piece.
 *
 * Runs in NAPI, bottom halves off, rarely.
 *
 * Return: 0. -ENOMEM, or -EMSGSIZE when the length does not fit into struct
 * xdp_frame; then @frame is unchanged.
 */
int rmap_port_defragment(struct xdp_frame **frame)
{
	struct xdp_frame *from = *frame, *to;
	u32 len = xdp_get_frame_len(from);
	u32 size = sizeof(*to) + from->headroom + SKB_DATA_ALIGN(len) +
		   SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	const struct skb_shared_info *info;
	unsigned int order = get_order(size);
	struct page *page;
	void *data;
	int i;

	if (len > type_max(typeof(to->len)))
		return -EMSGSIZE;
	page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, order);
	if (!page)
		return -ENOMEM;
	to = page_address(page);
	*to = (struct xdp_frame) {
		.data = (void *)(to + 1) + from->headroom,
		.len = len,
		.headroom = from->headroom,
		.frame_sz = PAGE_SIZE << order,
		.dev_rx = from->dev_rx,
	};
	compat_set_page_shared(to);
	data = to->data;
	memcpy(data, from->data, from->len);
	data += from->len;
	info = xdp_get_shared_info_from_frame(from);
	for (i = 0; i < info->nr_frags; i++) {
		memcpy(data, skb_frag_address(&info->frags[i]),
		       skb_frag_size(&info->frags[i]));
		data += skb_frag_size(&info->frags[i]);
	}
	xdp_return_frame_rx_napi(from);
	*frame = to;
	return 0;
}
