// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of frames, for broadcasts.
 *
 * A copy has the headroom of the original, for what adds headers later, and
 * room at its end, for what makes frames longer. It lies in a fragment of a
 * page, which whoever ends up with it frees as such (MEM_TYPE_PAGE_SHARED).
 *
 * Owns the pages that fragments are cut from, a ring of them per CPU. Pages are
 * used again when all of their fragments have been freed, so that in the long
 * run no page is allocated, and none is cleared, which costs more than the copy
 * does. (page_frag_alloc() has that idea for one page, and gives it up when a
 * fragment of it is still in use; after a broadcast, most are.) The ring grows
 * while its next page is in use; at its limit, and for what does not fit into
 * its pages, the kernel's fragments serve.
 *
 * A page's count is what we still have to give out, the bias, plus one for each
 * fragment in use: so it equals the bias when there is none.
 *
 * Runs in NAPI, bottom halves off, which is also what protects the rings (on
 * PREEMPT_RT because local_bh_disable() is a per-CPU lock). They are freed by
 * rmmod; fragments that are in use then keep their pages.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "compat.h"
#include "copy.h"

/* Room behind a copy, for programs at the receiving end that append. */
#define COPY_SPARE 128

#define COPY_SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/*
 * A ring's limit is 4 MiB: what a NAPI poll of 64 small frames needs for 64
 * members, if none has received before it ends.
 */
#define COPY_PAGES 128
#define COPY_ORDER PAGE_ALLOC_COSTLY_ORDER
#define COPY_PAGE_SIZE (PAGE_SIZE << COPY_ORDER)

/* More references than a page has fragments, for some rounds. */
#define COPY_BIAS 0x8000

/**
 * struct copy_page - a page of a ring
 * @data: its memory
 * @bias: references that have not been given to fragments
 */
struct copy_page {
	void *data;
	int bias;
};

/**
 * struct copy_ring - the pages of a CPU
 * @next: where the next fragment may begin, in the present page
 * @left: bytes behind that
 * @page: the present page; NULL before the first one
 * @pages: all pages
 * @count: how many there are
 */
struct copy_ring {
	/* hot */
	void *next;
	u32 left;
	struct copy_page *page;

	/* per page */
	u32 count;
	struct copy_page pages[COPY_PAGES];
};

/* Not __ro_after_init, where kmemleak does not look. */
static struct copy_ring __percpu *copy_rings __read_mostly;

/* Are all fragments of a page free, and enough references left for a round? */
static bool copy_page_ready(struct copy_page *page)
{
	struct page *memory = virt_to_page(page->data);

	/* Fragments are freed with a full barrier; what follows is a write. */
	if (page_ref_count(memory) != page->bias)
		return false;
	if (unlikely(page->bias < COPY_PAGE_SIZE / SMP_CACHE_BYTES)) {
		page_ref_add(memory, COPY_BIAS);
		page->bias += COPY_BIAS;
	}
	return true;
}

static bool copy_page_alloc(struct copy_page *page)
{
	struct page *memory;

	memory = alloc_pages(GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN |
			     __GFP_NORETRY | __GFP_NOMEMALLOC, COPY_ORDER);
	if (!memory)
		return false;
	page_ref_add(memory, COPY_BIAS - 1);
	page->data = page_address(memory);
	page->bias = COPY_BIAS;
	return true;
}

/* Go on to the next page of the ring that is free, or to a new one. */
static noinline bool copy_next_page(struct copy_ring *ring)
{
	struct copy_page *page = ring->page ? ring->page + 1 : ring->pages;

	if (page == ring->pages + ring->count)
		page = ring->pages;
	if (!ring->count || !copy_page_ready(page)) {
		if (ring->count == COPY_PAGES)
			return false;
		page = &ring->pages[ring->count];
		if (!copy_page_alloc(page))
			return false;
		ring->count++;
	}
	ring->page = page;
	ring->next = page->data;
	ring->left = COPY_PAGE_SIZE;
	return true;
}

/* Memory for a copy, or NULL. Runs in NAPI, bottom halves off. */
static __always_inline void *copy_alloc(struct copy_ring *ring, u32 size)
{
	void *data;

	if (unlikely(ring->left < size) &&
	    (size > COPY_PAGE_SIZE || !copy_next_page(ring)))
		return napi_alloc_frag_align(size, SMP_CACHE_BYTES);

	data = ring->next;
	ring->next += size;
	ring->left -= size;
	ring->page->bias--;
	return data;
}

/* Copy what lies in fragments, each into one of its own. */
static bool copy_frags(struct xdp_frame *copy, struct xdp_frame *frame)
{
	struct skb_shared_info *from, *to;
	unsigned int i, size;
	struct page *page;
	void *data;

	from = xdp_get_shared_info_from_frame(frame);
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

/* Runs in NAPI, bottom halves off, per copy. */
static __always_inline struct xdp_frame *
copy_frame(struct copy_ring *ring, struct xdp_frame *frame, bool roomy)
{
	u32 head = sizeof(*frame) + frame->headroom;
	u32 meta = frame->metasize;
	struct xdp_frame *copy;
	void *start;
	u32 size;

	size = SKB_DATA_ALIGN(head + frame->len + COPY_SPARE) + COPY_SHINFO;
	if (roomy)
		size = SKB_DATA_ALIGN(max_t(u32, size,
					    min_t(u32, frame->frame_sz,
						  PAGE_SIZE)));

	start = copy_alloc(ring, size);
	if (unlikely(!start))
		return NULL;

	copy = start;
	copy->data = start + head;
	copy->len = frame->len;
	copy->headroom = frame->headroom;
	copy->metasize = meta;
	copy->mem.type = MEM_TYPE_PAGE_SHARED;
	copy->mem.id = 0;
	copy->dev_rx = frame->dev_rx;
	copy->frame_sz = size;
	copy->flags = frame->flags;
	memcpy(copy->data - meta, frame->data - meta, frame->len + meta);

	if (unlikely(xdp_frame_has_frags(frame)) && !copy_frags(copy, frame)) {
		xdp_return_frame_rx_napi(copy);
		return NULL;
	}
	return copy;
}

/**
 * copy_frames() - make copies of frames
 * @copy: gets them, to be returned as frames are
 * @frame: the frames; their fragments are copied as well
 * @n: how many there are
 * @roomy: leave as much room behind the data as the original has
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: how many it has got; less than @n without memory.
 */
int copy_frames(struct xdp_frame **copy, struct xdp_frame **frame, int n,
		bool roomy)
{
	struct copy_ring *ring = this_cpu_ptr(copy_rings);
	int i, copies = 0;

	for (i = 0; i < n; i++) {
		copy[copies] = copy_frame(ring, frame[i], roomy);
		if (likely(copy[copies]))
			copies++;
	}
	return copies;
}

/**
 * copy_module_init() - get ready for broadcasts
 *
 * Context: insmod.
 * Return: 0 or -ENOMEM.
 */
int __init copy_module_init(void)
{
	/* What a frame is made of, and is set above, one by one. */
	BUILD_BUG_ON(offsetofend(struct xdp_frame, flags) != 40);
	/* Fragments stay aligned as they are cut off. */
	BUILD_BUG_ON(COPY_SHINFO % SMP_CACHE_BYTES);

	copy_rings = alloc_percpu(struct copy_ring);
	return copy_rings ? 0 : -ENOMEM;
}

/**
 * copy_module_exit() - give the pages back
 *
 * Context: rmmod, a grace period after the last map was freed.
 */
void copy_module_exit(void)
{
	struct copy_ring *ring;
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		ring = per_cpu_ptr(copy_rings, cpu);
		for (i = 0; i < ring->count; i++)
			__page_frag_cache_drain(virt_to_page(ring->pages[i].data),
						ring->pages[i].bias);
	}
	free_percpu(copy_rings);
}
