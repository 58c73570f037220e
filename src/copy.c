// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of frames, for broadcasts.
 *
 * A copy lies in a page fragment: fragments of one page are cheap to get, to
 * zero (where the kernel zeroes pages) and to give back, as a page per copy is
 * not. It has the headroom of the original, for what adds headers later, and
 * room at its end, for what makes frames longer.
 *
 * Runs in NAPI, bottom halves off, where the per-CPU cache of fragments is.
 */
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "compat.h"
#include "copy.h"

/* Room behind a copy, for programs at the receiving end that append. */
#define COPY_SPARE 128

#define COPY_SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/* Copy what lies in fragments, each into one of its own. */
static bool copy_frags(struct xdp_frame *copy, const struct xdp_frame *frame)
{
	struct skb_shared_info *from, *to;
	unsigned int i, size;
	struct page *page;
	void *data;

	from = xdp_get_shared_info_from_frame((struct xdp_frame *)frame);
	to = xdp_get_shared_info_from_frame(copy);
	to->nr_frags = 0;
	to->xdp_frags_size = from->xdp_frags_size;

	for (i = 0; i < from->nr_frags; i++) {
		size = skb_frag_size(&from->frags[i]);
		data = napi_alloc_frag(size);
		if (unlikely(!data))
			return false;
		memcpy(data, skb_frag_address(&from->frags[i]), size);
		page = virt_to_head_page(data);
		compat_fill_frag(&to->frags[i], page, data - page_address(page),
				 size);
		to->nr_frags++;
	}
	return true;
}

/**
 * copy_frame() - make a copy of a frame
 * @frame: the frame; its fragments are copied as well
 * @roomy: leave as much room behind the data as the original has
 *
 * Runs in NAPI, bottom halves off, per frame and member.
 *
 * Return: the copy, to be returned as frames are; NULL without memory.
 */
struct xdp_frame *copy_frame(const struct xdp_frame *frame, bool roomy)
{
	u32 head = sizeof(*frame) + frame->headroom;
	u32 meta = frame->metasize;
	struct xdp_frame *copy;
	void *start;
	u32 size;

	size = SKB_DATA_ALIGN(head + frame->len + COPY_SPARE) + COPY_SHINFO;
	if (roomy)
		size = max_t(u32, size, min_t(u32, frame->frame_sz, PAGE_SIZE));

	start = napi_alloc_frag_align(size, SMP_CACHE_BYTES);
	if (unlikely(!start))
		return NULL;

	copy = start;
	*copy = *frame;
	copy->data = start + head;
	copy->frame_sz = size;
	copy->mem.type = MEM_TYPE_PAGE_SHARED;
	copy->mem.id = 0;
	memcpy(copy->data - meta, frame->data - meta, frame->len + meta);

	if (unlikely(xdp_frame_has_frags((struct xdp_frame *)frame)) &&
	    unlikely(!copy_frags(copy, frame))) {
		xdp_return_frame_rx_napi(copy);
		return NULL;
	}
	return copy;
}
