// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of frames, for broadcasts.
 *
 * A copy has the headroom of the original, for code that adds headers later,
 * and room at its end, for code that makes frames longer. It lies in a fragment
 * of a block of pages, which its last owner frees like any
 * MEM_TYPE_PAGE_SHARED.
 *
 * The data of a copy, with the room in front and behind, crosses no boundary of
 * 4 KiB unless it is longer than that: xen-netfront maps one page for each
 * frame and silently cuts off the rest, and sfc-siena has one descriptor for
 * each frame. Only the shared info at the end of a copy, which no driver maps,
 * may cross a boundary. The same holds for the copies of fragments.
 *
 * This file owns the blocks that copies are cut from, in one ring per CPU. A
 * block is used again when all of its copies have been freed. So in the long
 * run no page is allocated or cleared, which would cost more than the copy
 * itself. (page_frag_alloc() reuses one block in this way, but gives the block
 * up when a fragment of it is still in use; after a broadcast most fragments
 * are.)
 *
 *   - A ring skips blocks that are in use, because a receiver may keep its
 *     copies for as long as it likes. It looks at COPY_LOOK blocks at a time.
 *   - A ring grows when it has found all of its blocks in use, up to
 *     COPY_BLOCKS blocks, and up to a limit for all rings together, which is a
 *     share of the machine's memory.
 *   - A ring that has not grown for a second shrinks to half, and in the end to
 *     nothing. A CPU that goes offline loses its ring's blocks at once.
 *   - While a ring has found no free block, or may not grow, each copy gets
 *     pages of its own, as with the built-in, and their full size becomes the
 *     copy's frame_sz. So receivers that keep copies are charged for all of the
 *     memory that these take, and rings never exceed their limit.
 *
 * The reference count of a block is its bias (the references that the ring has
 * not given to copies yet) plus one for each copy in use. So it equals the bias
 * when no copy is in use.
 *
 * A page_pool per CPU would count and keep pages as well, but make copies more
 * expensive: pages come back through the pool's ring, under a lock, because
 * drivers and the stack free them outside of the pool's NAPI. Freeing a page to
 * a pool and getting it again takes 109 instructions on 6.1 and 147 on 6.12
 * (measured with the generator's frames, in the row unicast-array-1); the
 * memory of a copy takes 40 here, and a whole copy with its way through a veth
 * 380. Besides, a receiver that keeps a copy would keep the pool: core would
 * warn about the pool each minute after rmmod has destroyed it.
 *
 * Copies are made in NAPI, bottom halves off, which also protects the rings (on
 * PREEMPT_RT because local_bh_disable() is a per-CPU lock). A ring's timer runs
 * in a softirq on the ring's CPU, and so excludes them. rmmod frees the rings;
 * copies that are in use then keep their blocks.
 */
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/timer.h>
#include <net/xdp.h>

#include "compat.h"
#include "copy.h"

/* Room behind a copy, in bytes, for programs of the receiver that append. */
#define COPY_SPARE 128

#define COPY_SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/* The most that some drivers map for a frame, whatever the page size is. */
#define COPY_BOUNDARY SZ_4K

/* Up to so many bytes memcpy() is faster than a string instruction. */
#define COPY_SHORT 256

#define COPY_ORDER PAGE_ALLOC_COSTLY_ORDER
#define COPY_BLOCK_SIZE (PAGE_SIZE << COPY_ORDER)

/*
 * The limit of a ring, 4 MiB: a NAPI poll of 64 small frames needs that for 64
 * members, if no member frees a copy before the poll ends.
 */
#define COPY_BLOCKS 128

/* All rings together take at most 1/COPY_SHARE of the machine's memory. */
#define COPY_SHARE 256

/* Blocks that a ring looks at for one copy, in search of a free one. */
#define COPY_LOOK 16

/* The time between two shrinks of a ring, in jiffies. */
#define COPY_PERIOD HZ

/* References for several times as many copies as fit into a block. */
#define COPY_BIAS 0x8000

#define COPY_GFP (GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY | \
		  __GFP_NOMEMALLOC)

/**
 * struct copy_block - pages that copies are cut from
 * @page: the first page
 * @bias: references to the pages that have not been given to copies
 */
struct copy_block {
	struct page *page;
	int bias;
};

/**
 * struct copy_ring - the blocks of a CPU
 * @next: address where the next copy may begin, in the present block
 * @end: end address of the present block
 * @block: the present block; NULL while there is none
 * @count: number of blocks
 * @look: index of the block to look at next
 * @busy: number of blocks in a row that were found in use
 * @grown: the ring has tried to grow since the timer ran last
 * @timer: shrinks the ring; pending while the ring has blocks
 * @blocks: all blocks, in no order
 */
struct copy_ring {
	/* hot: per copy */
	unsigned long next;
	unsigned long end;
	struct copy_block *block;

	/* cold: per block */
	u32 count;
	u32 look;
	u32 busy;
	bool grown;
	struct timer_list timer;
	struct copy_block blocks[COPY_BLOCKS];
};

/* Not __ro_after_init: kmemleak does not scan that section. */
static struct copy_ring __percpu *copy_rings __read_mostly;

/* Number of blocks of all rings, and its limit. */
static atomic_t copy_blocks = ATOMIC_INIT(0);
static unsigned int copy_blocks_max __ro_after_init;

static enum cpuhp_state copy_cpuhp __ro_after_init;

/* Are all copies in a block free? */
static bool copy_block_free(const struct copy_block *block)
{
	/* Freeing a copy is a full barrier; only writes follow this test. */
	return page_ref_count(block->page) == block->bias;
}

/* Top up the references of a free block, one for each copy that may fit. */
static void copy_block_renew(struct copy_block *block)
{
	if (likely(block->bias >= COPY_BLOCK_SIZE / SMP_CACHE_BYTES))
		return;
	page_ref_add(block->page, COPY_BIAS);
	block->bias += COPY_BIAS;
}

/* Add a block to a ring; NULL at the limits, or without memory. */
static struct copy_block *copy_ring_grow(struct copy_ring *ring)
{
	struct copy_block *block = &ring->blocks[ring->count];
	struct page *page;

	ring->grown = true;
	if (ring->count == COPY_BLOCKS)
		return NULL;
	if (atomic_inc_return(&copy_blocks) > copy_blocks_max)
		goto uncount;
	page = alloc_pages(COPY_GFP, COPY_ORDER);
	if (!page)
		goto uncount;
	page_ref_add(page, COPY_BIAS - 1);
	block->page = page;
	block->bias = COPY_BIAS;

	ring->count++;
	if (!timer_pending(&ring->timer))
		mod_timer(&ring->timer, jiffies + COPY_PERIOD);
	return block;

uncount:
	atomic_dec(&copy_blocks);
	return NULL;
}

/* Take a block out of a ring; copies of it that are in use keep its pages. */
static void copy_ring_drop(struct copy_ring *ring, unsigned int index)
{
	struct copy_block *block = &ring->blocks[index];

	__page_frag_cache_drain(block->page, block->bias);
	*block = ring->blocks[--ring->count];
	atomic_dec(&copy_blocks);
}

/* Drop free blocks of a ring until at most @keep blocks are left. */
static void copy_ring_shrink(struct copy_ring *ring, unsigned int keep)
{
	unsigned int i;

	/* The present block may be dropped, or move to another index. */
	ring->block = NULL;
	ring->next = 0;
	ring->end = 0;
	for (i = ring->count; i-- && ring->count > keep;)
		if (copy_block_free(&ring->blocks[i]))
			copy_ring_drop(ring, i);
}

/*
 * Runs in a softirq, on the ring's CPU, once a period as long as the ring has
 * blocks.
 */
static void copy_ring_timer(struct timer_list *timer)
{
	struct copy_ring *ring = container_of(timer, struct copy_ring, timer);

	if (!ring->grown)
		copy_ring_shrink(ring, ring->count / 2);
	ring->grown = false;
	if (ring->count)
		mod_timer(timer, jiffies + COPY_PERIOD);
}

/* Make a free block, or a new one, the present block; false without one. */
static noinline bool copy_ring_next(struct copy_ring *ring)
{
	unsigned int left = min_t(u32, ring->count, COPY_LOOK);
	struct copy_block *block;

	while (left--) {
		if (ring->look >= ring->count)
			ring->look = 0;
		block = &ring->blocks[ring->look++];
		if (copy_block_free(block)) {
			copy_block_renew(block);
			ring->busy = 0;
			goto go_on;
		}
		ring->busy++;
	}
	if (ring->busy < ring->count)
		return false;
	block = copy_ring_grow(ring);
	if (!block)
		return false;
go_on:
	ring->block = block;
	ring->next = (unsigned long)page_address(block->page);
	ring->end = ring->next + COPY_BLOCK_SIZE;
	return true;
}

/*
 * Take @size bytes for a copy out of the ring, or NULL. Drivers may map the
 * first @mapped of them. Runs in NAPI, bottom halves off, per copy.
 */
static __always_inline void *copy_alloc(struct copy_ring *ring, u32 size,
					u32 mapped)
{
	unsigned long at = ring->next;

	/* Data longer than a page begins at a page's start. */
	if (at % COPY_BOUNDARY + mapped > COPY_BOUNDARY)
		at = ALIGN(at, COPY_BOUNDARY);
	if (unlikely(at + size > ring->end)) {
		if (size > COPY_BLOCK_SIZE || !copy_ring_next(ring))
			return NULL;
		at = ring->next;
	}
	ring->next = at + size;
	ring->block->bias--;
	return (void *)at;
}

/* Pages of its own for a copy when the ring has no memory for it. */
static noinline void *copy_alloc_pages(u32 size)
{
	struct page *page = alloc_pages(COPY_GFP, get_order(size));

	return page ? page_address(page) : NULL;
}

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
 * memcpy() is a loop on CPUs without ERMS, on 6.12 on those without FSRM: three
 * times the instructions of a string copy by 8 bytes. The compiler emits such a
 * copy if it sees that the length is limited, as in the built-in.
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
	/* Otherwise the compiler would see this limit as well. */
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
		size = SKB_DATA_ALIGN(len);
		data = copy_alloc(ring, size, size);
		if (unlikely(!data)) {
			size = copy_pages_size(len);
			data = copy_alloc_pages(size);
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

	copy = copy_alloc(ring, size, size - COPY_SHINFO);
	if (unlikely(!copy)) {
		size = copy_pages_size(size);
		copy = copy_alloc_pages(size);
		if (!copy)
			return NULL;
	}

	copy->data = (void *)(copy + 1) + headroom;
	copy->len = len;
	copy->headroom = headroom;
	copy->metasize = meta;
	copy->mem.type = MEM_TYPE_PAGE_SHARED;
	copy->mem.id = 0;
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
	struct copy_ring *ring = this_cpu_ptr(copy_rings);
	struct xdp_frame **next = copy;

	for (; n; n--) {
		*next = copy_frame(ring, *frame++, roomy);
		if (likely(*next))
			next++;
	}
	return next - copy;
}

/**
 * rmap_copy_memory() - memory that the rings of all CPUs keep for copies
 *
 * Context: any.
 * Return: bytes.
 */
u64 rmap_copy_memory(void)
{
	return (u64)atomic_read(&copy_blocks) * COPY_BLOCK_SIZE;
}

/* Drop all blocks of an offline CPU, or at rmmod; nothing uses its ring then. */
static int copy_cpu_dead(unsigned int cpu)
{
	struct copy_ring *ring = per_cpu_ptr(copy_rings, cpu);

	timer_delete_sync(&ring->timer);
	copy_ring_shrink(ring, 0);
	while (ring->count)
		copy_ring_drop(ring, 0);
	return 0;
}

/**
 * rmap_copy_module_init() - make the rings, without blocks
 *
 * Context: insmod.
 * Return: 0 or a negative errno.
 */
int __init rmap_copy_module_init(void)
{
	unsigned int cpu;
	int state;

	/* copy_linear() sets each member of struct xdp_frame. */
	BUILD_BUG_ON(offsetofend(struct xdp_frame, flags) != 40);
	/* The end of each copy is aligned, as the next copy begins there. */
	BUILD_BUG_ON(COPY_SHINFO % SMP_CACHE_BYTES);
	/* Blocks begin and end at a boundary. */
	BUILD_BUG_ON(COPY_BLOCK_SIZE % COPY_BOUNDARY);

	copy_blocks_max = max_t(unsigned long, num_possible_cpus(),
				(totalram_pages() / COPY_SHARE) >> COPY_ORDER);
	copy_rings = alloc_percpu(struct copy_ring);
	if (!copy_rings)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		timer_setup(&per_cpu_ptr(copy_rings, cpu)->timer,
			    copy_ring_timer, TIMER_PINNED);

	state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN,
					  "net/redirmap:dead", NULL,
					  copy_cpu_dead);
	if (state < 0) {
		free_percpu(copy_rings);
		return state;
	}
	copy_cpuhp = state;
	return 0;
}

/**
 * rmap_copy_module_exit() - free the rings and their blocks
 *
 * Context: rmmod, a grace period after the last map was freed.
 */
void rmap_copy_module_exit(void)
{
	unsigned int cpu;

	cpuhp_remove_state_nocalls(copy_cpuhp);
	for_each_possible_cpu(cpu)
		copy_cpu_dead(cpu);
	free_percpu(copy_rings);
}
