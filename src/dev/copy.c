// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies of frames, for broadcasts.
 *
 * A copy has the headroom of the original, for what adds headers later, and
 * room at its end, for what makes frames longer. It lies in a fragment of a
 * block of pages, which its last owner frees as such (MEM_TYPE_PAGE_SHARED).
 *
 * Its data, with the room in front and behind, crosses no boundary of 4 KiB
 * unless it is longer than that: xen-netfront maps one page for each frame, and
 * cuts off the rest without a word; sfc-siena has one descriptor for each. Only
 * the shared info at the end of a copy, which no driver maps, may cross it. The
 * same holds for the copies of fragments.
 *
 * Owns the blocks that copies are cut from, a ring of them per CPU. A block is
 * used again when all of its copies have been freed, so that in the long run no
 * page is allocated, and none is cleared, which costs more than the copy does.
 * (page_frag_alloc() has that idea for one block, and gives it up when a
 * fragment of it is still in use; after a broadcast, most are.)
 *
 *   - A ring passes over blocks that are in use, for a receiver may keep its
 *     copies for as long as it likes; it looks at COPY_LOOK of them at a time.
 *   - It grows when it has found all of them in use, up to a limit of its own
 *     and one of all rings together, which is a share of the machine's memory.
 *   - It shrinks when it has not grown for a second: to half, and in the end to
 *     nothing. A CPU that goes offline loses it at once.
 *   - Until it has found one that is free, and where it may not grow, a copy has
 *     pages of its own, as with the built-in, and their size counts as the
 *     copy's. So receivers that keep what they get pay for what that takes, and
 *     rings never hold more than their limit.
 *
 * A block's count is what we still have to give out, the bias, plus one for each
 * copy in use: so it equals the bias when there is none.
 *
 * A page_pool per CPU would count and keep pages, too, but a copy would cost
 * more: it comes back through the pool's ring, under a lock, because drivers and
 * the stack free it outside of the pool's NAPI. To free a page and to get it
 * again is 109 instructions on 6.1 and 147 on 6.12 (of the generator's frames, in
 * the row unicast-array-1), a copy's memory is 40, and all that a copy costs with
 * the way through a veth is 380. And a receiver that keeps a copy would keep the
 * pool: once rmmod has given it up, core warns of it each minute.
 *
 * Runs in NAPI, bottom halves off, which is also what protects the rings (on
 * PREEMPT_RT because local_bh_disable() is a per-CPU lock); a ring's timer runs
 * on its CPU, in a softirq, and so never beside. Rings are freed by rmmod;
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

/* Room behind a copy, for programs at the receiving end that append. */
#define COPY_SPARE 128

#define COPY_SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/* What a driver maps at once, whatever a page's size is. */
#define COPY_BOUNDARY SZ_4K

#define COPY_ORDER PAGE_ALLOC_COSTLY_ORDER
#define COPY_BLOCK_SIZE (PAGE_SIZE << COPY_ORDER)

/*
 * A ring's limit is 4 MiB: what a NAPI poll of 64 small frames needs for 64
 * members, if none has received before it ends.
 */
#define COPY_BLOCKS 128

/* All rings together: one part of so many of the memory. */
#define COPY_SHARE 256

/* A ring looks at so many blocks for a copy, in search of one that is free. */
#define COPY_LOOK 16

/* How often a ring may shrink, in jiffies. */
#define COPY_PERIOD HZ

/* More references than a block has copies, for some rounds. */
#define COPY_BIAS 0x8000

#define COPY_GFP (GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY | \
		  __GFP_NOMEMALLOC)

/**
 * struct copy_block - pages that copies are cut from
 * @page: the first one
 * @bias: references that have not been given to copies
 */
struct copy_block {
	struct page *page;
	int bias;
};

/**
 * struct copy_ring - the blocks of a CPU
 * @next: address where the next copy may begin, in the present block
 * @end: where that block ends
 * @block: the present block; NULL while there is none
 * @count: how many blocks there are
 * @look: index of the block to look at next
 * @busy: how many in a row were in use when it was looked
 * @grown: it has wanted to grow since the timer ran
 * @timer: shrinks it, while there are blocks
 * @blocks: all blocks, in no order
 */
struct copy_ring {
	/* per copy */
	unsigned long next;
	unsigned long end;
	struct copy_block *block;

	/* per block */
	u32 count;
	u32 look;
	u32 busy;
	bool grown;
	struct timer_list timer;
	struct copy_block blocks[COPY_BLOCKS];
};

/* Not __ro_after_init, where kmemleak does not look. */
static struct copy_ring __percpu *copy_rings __read_mostly;

/* Blocks of all rings, and how many there may be. */
static atomic_t copy_blocks = ATOMIC_INIT(0);
static unsigned int copy_blocks_max __ro_after_init;

static enum cpuhp_state copy_cpuhp __ro_after_init;

/* Are all copies in a block free? */
static bool copy_block_free(const struct copy_block *block)
{
	/* Copies are freed with a full barrier; what follows is a write. */
	return page_ref_count(block->page) == block->bias;
}

/* Let a block that is free have references for a round. */
static void copy_block_renew(struct copy_block *block)
{
	if (likely(block->bias >= COPY_BLOCK_SIZE / SMP_CACHE_BYTES))
		return;
	page_ref_add(block->page, COPY_BIAS);
	block->bias += COPY_BIAS;
}

/* One more block, if there may be and is; NULL if not. */
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

/* Give a block back; copies in it that are in use keep its pages. */
static void copy_ring_drop(struct copy_ring *ring, unsigned int index)
{
	struct copy_block *block = &ring->blocks[index];

	__page_frag_cache_drain(block->page, block->bias);
	*block = ring->blocks[--ring->count];
	atomic_dec(&copy_blocks);
}

/* Shrink a ring to some blocks, or to those that are in use. */
static void copy_ring_shrink(struct copy_ring *ring, unsigned int keep)
{
	unsigned int i;

	/* The present block may go, or get another place. */
	ring->block = NULL;
	ring->next = 0;
	ring->end = 0;
	for (i = ring->count; i-- && ring->count > keep;)
		if (copy_block_free(&ring->blocks[i]))
			copy_ring_drop(ring, i);
}

/* Runs in a softirq, on the ring's CPU, once a period while it has blocks. */
static void copy_ring_timer(struct timer_list *timer)
{
	struct copy_ring *ring = container_of(timer, struct copy_ring, timer);

	if (!ring->grown)
		copy_ring_shrink(ring, ring->count / 2);
	ring->grown = false;
	if (ring->count)
		mod_timer(timer, jiffies + COPY_PERIOD);
}

/* Go on to a block that is free, or to a new one. */
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
 * Memory for a copy, or NULL: of it the first @mapped bytes may be mapped by a
 * driver. Runs in NAPI, bottom halves off.
 */
static __always_inline void *copy_alloc(struct copy_ring *ring, u32 size,
					u32 mapped)
{
	unsigned long at = ring->next;

	/* What is longer than a page begins with one. */
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

/* The same where the ring has none: pages, and the copy gets all of them. */
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
 * An skb that is made of a frame takes frame_sz for the true size of each
 * fragment, so that has to be at least what they take on average.
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

/* Copy what lies in fragments, each into one of its own. */
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
		memcpy(data, skb_frag_address(&from->frags[i]), len);
		page = virt_to_head_page(data);
		compat_fill_frag(&to->frags[i], page, data - page_address(page),
				 len);
		to->nr_frags++;
		sum += size;
	}
	compat_set_frags_truesize(to, sum);
	return true;
}

/* Copy a frame but for its fragments. Runs in NAPI, bottom halves off. */
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
	memcpy(copy->data - meta, frame->data - meta, len + meta);
	return copy;
}

/* The same with them. No page is from the reserves, as the original's may be. */
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
 * @copy: gets them, to be returned as frames are
 * @frame: the frames; their fragments are copied as well
 * @n: how many there are
 * @roomy: leave as much room behind the data as the original has
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: how many it has got; less than @n without memory.
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
 * rmap_copy_memory() - the memory that is kept to make copies of frames in
 *
 * Context: any.
 * Return: bytes, of all CPUs.
 */
u64 rmap_copy_memory(void)
{
	return (u64)atomic_read(&copy_blocks) * COPY_BLOCK_SIZE;
}

/* Nothing of a CPU runs any more that could use its ring. */
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
 * rmap_copy_module_init() - get ready for broadcasts
 *
 * Context: insmod.
 * Return: 0 or a negative errno.
 */
int __init rmap_copy_module_init(void)
{
	unsigned int cpu;
	int state;

	/* What a frame is made of, and is set above, one by one. */
	BUILD_BUG_ON(offsetofend(struct xdp_frame, flags) != 40);
	/* Copies stay aligned as they are cut off. */
	BUILD_BUG_ON(COPY_SHINFO % SMP_CACHE_BYTES);
	/* The shared info of a copy at the end of a block has room there. */
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
 * rmap_copy_module_exit() - give the pages back
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
