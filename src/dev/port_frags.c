// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames with fragments for a driver that does not take them, while it takes
 * others: they leave as packets, whole batches at a time.
 *
 * Such a batch does not call the driver. But the driver may have got former
 * batches of the same poll without XDP_XMIT_FLUSH, and a frame may never wait
 * for a flush that does not come. So from the first batch with fragments on,
 * each call of this driver has the flag (PORT_FLUSH_EACH). Polls that have
 * begun before, on any CPU, may already have called the driver without it. A
 * poll is an RCU read section, so these polls are over after a grace period.
 * Until then a batch with fragments rings the doorbell: its first frame goes to
 * the driver, with the flag, and only the others leave as packets. If this
 * frame has fragments itself, it is replaced by a copy without. The states of a
 * port:
 *
 *	PORT_FLUSH_EACH	grace period	batch with fragments
 *	---------------	--------------	-----------------------------------
 *	not set		-		sets it; first frame, others as packets
 *	set		not over	first frame, others as packets
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
 * rmap_port_is_flushed() - has each frame that the driver has been given, and
 * will be given, a flush of its own?
 * @port: the port of a device that does not take fragments
 *
 * Context: bottom halves off, inside an RCU read section that keeps the port.
 * Return: true when no former batch of this poll can wait; false when one may,
 * and then later calls of the driver have XDP_XMIT_FLUSH.
 */
bool rmap_port_is_flushed(const struct port *port)
{
	struct port *to = port_of(&port->dev);

	/* Pairs with the release below. */
	if (likely(smp_load_acquire(&to->detour) & PORT_FLUSH_EACH))
		return poll_state_synchronize_rcu(READ_ONCE(to->each_since));

	spin_lock_bh(&to->mirror_lock);
	if (!(to->detour & PORT_FLUSH_EACH)) {
		/* This grace period does not end before this read section. */
		WRITE_ONCE(to->each_since, start_poll_synchronize_rcu());
		/* A reader that sees the bit sees no older grace period. */
		smp_store_release(&to->detour, to->detour | PORT_FLUSH_EACH);
		/* Polls that do not see the bit have begun before this one. */
		smp_mb();
		WRITE_ONCE(to->each_since, start_poll_synchronize_rcu());
	}
	spin_unlock_bh(&to->mirror_lock);
	return false;
}

/**
 * rmap_port_defragment() - replace a frame by a copy without fragments
 * @frame: the frame; freed when it was replaced
 *
 * The copy has the headroom of the frame, and pages of its own, so that no
 * driver finds a boundary of pages in it that it could not map.
 *
 * Runs in NAPI, bottom halves off, rarely.
 *
 * Return: 0; or, when nothing has changed, -ENOMEM, or -EMSGSIZE if a frame
 * cannot be so long.
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
