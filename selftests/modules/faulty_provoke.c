// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that break the assertions of faulty_check.c, one after the other, to
 * show that each assertion finds its fault.
 *
 * A call has two frames in two pages each, as a driver may make them, with one
 * fault. No device gets them.
 */
#include <linux/bottom_half.h>
#include <linux/errno.h>
#include <linux/etherdevice.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "faulty_check.h"

#define FRAMES 2
#define ORDER 1
#define HEADROOM 128
#define LEN 200

/* In the order of selftests/dev_driver_checks.c. */
enum faulty_fault {
	FAULT_NONE,
	FAULT_CONTEXT,
	FAULT_COUNT_NONE,
	FAULT_COUNT_MANY,
	FAULT_FLAGS,
	FAULT_PLACE,
	FAULT_ALIGN,
	FAULT_LEN,
	FAULT_META,
	FAULT_HEADROOM,
	FAULT_PAGE,
	FAULT_MEMORY,
	FAULT_POOL,
	FAULT_TAILROOM,
	FAULT_FRAME_SZ,
	FAULT_FRAGS_NONE,
	FAULT_FRAGS_END,
	FAULT_FRAGS_SUM,
	FAULT_TRUESIZE,
	FAULT_PFMEMALLOC,
	FAULT_SHARED,
	FAULT_SHARED_FRAG,
	FAULT_FLUSH,
	FAULT_FRAG_PAGE,
	FAULT_NETWORK,
	FAULTS,
};

static struct xdp_frame *provoke_frame(void *memory)
{
	struct xdp_frame *frame = memory;

	memset(frame, 0, sizeof(*frame));
	frame->headroom = HEADROOM;
	frame->data = (void *)(frame + 1) + HEADROOM;
	frame->len = LEN;
	frame->frame_sz = PAGE_SIZE;
	frame->FRAME_MEM_TYPE = MEM_TYPE_PAGE_ORDER0;
	return frame;
}

/* One fragment, in the frame's own pages, behind its data. */
static struct skb_shared_info *provoke_frag(struct xdp_frame *frame)
{
	struct skb_shared_info *info;

	frame->frame_sz = PAGE_SIZE / 2;
	frame->flags |= XDP_FLAGS_HAS_FRAGS;
	info = xdp_get_shared_info_from_frame(frame);
	memset(info, 0, sizeof(*info));
	info->nr_frags = 1;
	info->xdp_frags_size = LEN;
	__skb_fill_page_desc_noacc(info, 0, virt_to_page(frame),
				   PAGE_SIZE / 2, LEN);
	return info;
}

/* Put one fault into frames, mostly into the first one. */
static void provoke_spoil(struct xdp_frame **frames, enum faulty_fault fault)
{
	struct xdp_frame *frame = frames[0];

	switch (fault) {
	case FAULT_PLACE:
		frame->data += 64;
		frame->frame_sz -= 64;
		break;
	case FAULT_ALIGN:
		frames[0] = (void *)frame + 1;
		memmove(frames[0], frame, sizeof(*frame));
		frames[0]->data++;
		frames[0]->frame_sz--;
		break;
	case FAULT_LEN:
		frame->len = ETH_HLEN - 1;
		break;
	case FAULT_META:
		frame->metasize = 3;
		break;
	case FAULT_HEADROOM:
		frame->headroom--;
		frame->data--;
		break;
	case FAULT_PAGE:
		frames[0] = provoke_frame((void *)frame + PAGE_SIZE - LEN);
		break;
	case FAULT_MEMORY:
		frame->FRAME_MEM_TYPE = MEM_TYPE_XSK_BUFF_POOL;
		break;
	case FAULT_POOL:
		frame->FRAME_MEM_TYPE = MEM_TYPE_PAGE_POOL;
		break;
	case FAULT_TAILROOM:
		frame->len = PAGE_SIZE - sizeof(*frame) - HEADROOM -
			     sizeof(struct skb_shared_info) + 1;
		break;
	case FAULT_FRAME_SZ:
		frame->frame_sz = (PAGE_SIZE << ORDER) + 1;
		break;
	case FAULT_FRAGS_NONE:
		provoke_frag(frame)->nr_frags = 0;
		break;
	case FAULT_FRAGS_END:
		skb_frag_off_set(&provoke_frag(frame)->frags[0],
				 (PAGE_SIZE << ORDER) - LEN + 1);
		break;
	case FAULT_FRAGS_SUM:
		provoke_frag(frame)->xdp_frags_size++;
		break;
	case FAULT_TRUESIZE:
		__skb_fill_page_desc_noacc(provoke_frag(frame), 0,
					   virt_to_page(frame), PAGE_SIZE,
					   PAGE_SIZE);
		xdp_get_shared_info_from_frame(frame)->xdp_frags_size =
			PAGE_SIZE;
		break;
	case FAULT_PFMEMALLOC:
		provoke_frag(frame);
		frame->flags |= XDP_FLAGS_FRAGS_PF_MEMALLOC;
		break;
	case FAULT_FRAG_PAGE:
		provoke_frag(frame);
		skb_frag_off_set(&xdp_get_shared_info_from_frame(frame)->frags[0],
				 PAGE_SIZE - LEN + 1);
		frame->FRAME_MEM_TYPE = MEM_TYPE_PAGE_SHARED;
		break;
	case FAULT_SHARED:
		frames[1] = frame;
		break;
	case FAULT_SHARED_FRAG:
		__skb_fill_page_desc_noacc(provoke_frag(frame), 0,
					   virt_to_page(frames[1]), 0, LEN);
		break;
	default:
		break;
	}
}

/* A packet whose network header lies in its Ethernet header. */
static int provoke_skb(const struct net_device *dev)
{
	struct sk_buff *skb = alloc_skb(LEN, GFP_KERNEL);

	if (!skb)
		return -ENOMEM;
	skb_put(skb, LEN);
	skb_set_network_header(skb, ETH_HLEN - 1);
	local_bh_disable();
	faulty_check_skb(dev, skb, _THIS_IP_);
	local_bh_enable();
	kfree_skb(skb);
	return 0;
}

/**
 * faulty_provoke() - check a call with a fault
 * @check: the checks of the device
 * @dev: the device
 * @fault: one of enum faulty_fault
 *
 * Context: process context.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int faulty_provoke(struct faulty_check *check, const struct net_device *dev,
		   int fault)
{
	struct page *pages[FRAMES] = {};
	struct xdp_frame *frames[FRAMES];
	int i, n = FRAMES, err = -ENOMEM;
	u32 flags = XDP_XMIT_FLUSH;

	if (fault < 0 || fault >= FAULTS)
		return -EINVAL;
	if (fault == FAULT_NETWORK)
		return provoke_skb(dev);
	for (i = 0; i < FRAMES; i++) {
		pages[i] = alloc_pages(GFP_KERNEL | __GFP_COMP, ORDER);
		if (!pages[i])
			goto free_pages;
		frames[i] = provoke_frame(page_address(pages[i]));
	}
	provoke_spoil(frames, fault);
	if (fault == FAULT_COUNT_NONE)
		n = 0;
	else if (fault == FAULT_COUNT_MANY)
		n = 17;
	if (fault == FAULT_FLAGS)
		flags |= XDP_XMIT_FLUSH << 1;
	else if (fault == FAULT_FLUSH)
		flags = 0;

	if (fault != FAULT_CONTEXT)
		local_bh_disable();
	faulty_check_call(check, n, frames, flags, HEADROOM, _THIS_IP_);
	if (fault != FAULT_CONTEXT) {
		faulty_check_taken(check, n, flags & XDP_XMIT_FLUSH,
				   _THIS_IP_);
		local_bh_enable();
	}
	err = 0;

free_pages:
	for (i = 0; i < FRAMES; i++)
		if (pages[i])
			__free_pages(pages[i], ORDER);
	return err;
}
