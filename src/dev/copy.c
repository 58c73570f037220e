// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of frames, for broadcasts.
 *
 * A copy has the headroom of the original, for code that adds headers later,
 * and room at its end, for code that makes frames longer. Its memory is a
 * fragment of a block of pages, with a reference to the block, and is freed
 * like any MEM_TYPE_PAGE_SHARED.
 *
 * The data of a copy, with the room in front and behind, crosses no boundary of
 * 4 KiB unless it is longer than that: xen-netfront maps one page for each
 * frame and silently cuts off the rest, and sfc-siena has one descriptor for
 * each frame. Only the shared info at the end of a copy, which no driver maps,
 * may cross a boundary. The same holds for the copies of fragments.
 *
 * Copies are made in NAPI, bottom halves off, under flush_lock(). Their memory
 * is from the ring of the CPU: see copy_ring.c.
 */
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "compat.h"
#include "copy.h"
#include "copy_ring.h"

/* Room behind a copy, in bytes, for programs of the receiver that append. */
#define COPY_SPARE 128

#define COPY_SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/* Up to this number of bytes memcpy() is faster than a string instruction. */
#define COPY_SHORT 256

/* The size of the pages that rmap_copy_ring_alloc_pages() returns. */
static u32 copy_pages_size(u32 size)
{
	return PAGE_SIZE << get_order(size);
}

/*
 * The average size of a frame's fragments. An skb that is built from a copy
 * takes the copy's frame_sz as the true size of each fragment, so frame_sz must
 * not be less than that.
 */
static noinline u32 copy_frags_average(const struct xdp_frame *frame)
{
	const struct skb_shared_info *info;
	unsigned int i;
	u32 sum = 0;

	info = xdp_get_shared_info_from_frame((struct xdp_frame *)frame);
	for (i = 0; i < info->nr_frags; i++)
		sum += SKB_DATA_ALIGN(skb_frag_size(&info->frags[i]));
	return i ? SKB_DATA_ALIGN(DIV_ROUND_UP(sum, i)) : 0;
}

/*
 * Copy by a string instruction of 8 bytes, which the compiler emits if it sees
 * that the length is limited, as in the built-in. On CPUs without ERMS (on
 * 6.12, without FSRM) memcpy() is a loop, with three times the instructions.
 */
static noinline void copy_long(void *to, const void *from, u32 len)
{
	while (unlikely(len > PAGE_SIZE)) {
		memcpy(to, from, PAGE_SIZE);
		to += PAGE_SIZE;
		from += PAGE_SIZE;
		len -= PAGE_SIZE;
	}
	memcpy(to, from, len);
}

/* Per copy. A string copy starts slowly, so short frames take memcpy(). */
static __always_inline void copy_bytes(void *to, const void *from, u32 len)
{
	if (len > COPY_SHORT) {
		copy_long(to, from, len);
		return;
	}
	/* Hide that len is limited, or this becomes a string copy, too. */
	OPTIMIZER_HIDE_VAR(len);
	memcpy(to, from, len);
}

/* Copy each fragment of a frame into a new fragment of the copy. */
static bool copy_frags(struct copy_ring *ring, struct xdp_frame *copy,
		       struct xdp_frame *frame)
{
	struct skb_shared_info *from, *to;
	unsigned int i, len;
	u32 size, sum = 0;
	struct page *page;
	void *data;

	from = xdp_get_shared_info_from_frame(frame);
	to = xdp_get_shared_info_from_frame(copy);
	to->nr_frags = 0;
	to->xdp_frags_size = from->xdp_frags_size;

	for (i = 0; i < from->nr_frags; i++) {
		len = skb_frag_size(&from->frags[i]);
		/*
		 * A virtio_net host may send an empty fragment. Its copy takes
		 * memory as well, because it takes a reference.
		 */
		size = SKB_DATA_ALIGN(max(len, 1U));
		data = copy_ring_alloc(ring, size, size);
		if (unlikely(!data)) {
			size = copy_pages_size(size);
			data = rmap_copy_ring_alloc_pages(size);
			if (!data)
				return false;
		}
		copy_bytes(data, skb_frag_address(&from->frags[i]), len);
		page = virt_to_head_page(data);
		compat_fill_frag(&to->frags[i], page, data - page_address(page),
				 len);
		to->nr_frags++;
		sum += size;
	}
	compat_set_frags_truesize(to, sum);
	return true;
}

/* Copy a frame without its fragments. Runs in NAPI, bottom halves off. */
static __always_inline struct xdp_frame *
copy_linear(struct copy_ring *ring, const struct xdp_frame *frame, u32 size)
{
	u32 headroom = frame->headroom, meta = frame->metasize;
	u32 len = frame->len;
	struct xdp_frame *copy;

	/* Each member of struct xdp_frame is set below. */
	BUILD_BUG_ON(offsetofend(struct xdp_frame, flags) != 40);
	/* The end of each copy is aligned, as the next copy begins there. */
	BUILD_BUG_ON(COPY_SHINFO % SMP_CACHE_BYTES);

	copy = copy_ring_alloc(ring, size, size - COPY_SHINFO);
	if (unlikely(!copy)) {
		size = copy_pages_size(size);
		copy = rmap_copy_ring_alloc_pages(size);
		if (!copy)
			return NULL;
	}

	copy->data = (void *)(copy + 1) + headroom;
	copy->len = len;
	copy->headroom = headroom;
	copy->metasize = meta;
	compat_set_page_shared(copy);
	copy->dev_rx = frame->dev_rx;
	copy->frame_sz = size;
	copy->flags = 0;
	copy_bytes(copy->data - meta, frame->data - meta, len + meta);
	return copy;
}

/*
 * Copy a frame with its fragments. The original may have pages from the memory
 * reserves; the copy has none, and so no XDP_FLAGS_FRAGS_PF_MEMALLOC.
 */
static noinline struct xdp_frame *
copy_with_frags(struct copy_ring *ring, struct xdp_frame *frame, u32 size)
{
	struct xdp_frame *copy;

	copy = copy_linear(ring, frame, max(size, copy_frags_average(frame)));
	if (unlikely(!copy))
		return NULL;
	copy->flags = XDP_FLAGS_HAS_FRAGS;
	if (likely(copy_frags(ring, copy, frame)))
		return copy;
	xdp_return_frame_rx_napi(copy);
	return NULL;
}

/* Runs in NAPI, bottom halves off, per copy. */
static __always_inline struct xdp_frame *
copy_frame(struct copy_ring *ring, struct xdp_frame *frame, bool roomy)
{
	u32 size;

	size = SKB_DATA_ALIGN(sizeof(*frame) + frame->headroom + frame->len +
			      COPY_SPARE) + COPY_SHINFO;
	if (roomy)
		size = SKB_DATA_ALIGN(max_t(u32, size,
					    min_t(u32, frame->frame_sz,
						  PAGE_SIZE)));
	if (unlikely(xdp_frame_has_frags(frame)))
		return copy_with_frags(ring, frame, size);
	return copy_linear(ring, frame, size);
}

/**
 * rmap_copy_frames() - make copies of frames
 * @copy: gets the copies; drivers return them like any frames
 * @frame: the frames; their fragments are copied as well
 * @n: number of frames
 * @roomy: leave as much room behind the data as the original has
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: number of copies; less than @n without memory.
 */
int rmap_copy_frames(struct xdp_frame **copy, struct xdp_frame **frame, int n,
		     bool roomy)
{
	struct copy_ring *ring = this_cpu_ptr(rmap_copy_rings);
	struct xdp_frame **next = copy;

	for (; n; n--) {
		*next = copy_frame(ring, *frame++, roomy);
		if (likely(*next))
			next++;
	}
	return next - copy;
}
