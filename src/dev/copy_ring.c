// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of copies (copy.c).
 *
 * This file owns the blocks that copies are cut from, in one ring per CPU. A
 * block is used again when all of its copies have been freed. So in the long
 * run no page is allocated or cleared, which would cost more than the copy
 * itself. (page_frag_alloc() reuses one block in this way, but gives the block
 * up when a fragment of it is still in use; after a broadcast most fragments
 * are.)
 *
 *   - A ring skips blocks that are in use, because a receiver may keep its
 *     copies for any time. It tests COPY_LOOK blocks at a time, and all blocks
 *     before it grows by one. So a large ring grows slowly; until it is large
 *     enough, some copies get pages of their own.
 *   - A ring grows when it has found all of its blocks in use, up to
 *     COPY_BLOCKS blocks, and up to a limit for all rings together, which is a
 *     share of the machine's memory. The last quarter of this share is for
 *     rings that have less than the average, so a receiver that keeps the
 *     copies of one CPU does not leave the other CPUs without blocks.
 *   - A ring that has not grown for a second shrinks to half, and in the end to
 *     nothing. A CPU that goes offline loses its ring's blocks at once.
 *   - While a ring has found no free block, or may not grow, each copy gets
 *     pages of its own, as with the built-in, and their full size becomes the
 *     copy's frame_sz. So receivers that keep copies are charged for all memory
 *     of the linear part, and rings never exceed their limit. (A fragment with
 *     pages of its own is charged with the copy's frame_sz, which was set
 *     before.) If all blocks are in use, and no new one can be had, the ring
 *     tests one block per copy until the next tick, so these copies cost hardly
 *     more than the built-in's.
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
 * Copies are made in NAPI, bottom halves off, under flush_lock(), which
 * protects the rings. A ring's timer runs in a softirq on the ring's CPU, under
 * the same lock, so no copy is made at the same time. rmmod frees the rings;
 * copies that are in use keep their blocks.
 */
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/slab.h>

#include "compat.h"
#include "copy_ring.h"
#include "flush.h"

/* All rings together take at most 1/COPY_SHARE of the machine's memory. */
#define COPY_SHARE 256

/* Blocks that a ring tests for one copy, in search of a free one. */
#define COPY_LOOK 16

/* Number of blocks that the list of a ring has room for at first. */
#define COPY_ROOM 64U

/* The time between two shrinks of a ring, in jiffies. */
#define COPY_PERIOD HZ

/* References for several times as many copies as fit into a block. */
#define COPY_BIAS 0x8000

#define COPY_GFP (GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY | \
		  __GFP_NOMEMALLOC)

/* Not __ro_after_init: kmemleak does not scan that section. */
struct copy_ring __percpu *rmap_copy_rings __read_mostly;

/* Number of blocks of all rings, its limit, and the average for a CPU. */
static atomic_t copy_blocks = ATOMIC_INIT(0);
static unsigned int copy_blocks_max __ro_after_init;
static unsigned int copy_blocks_fair __ro_after_init;

static enum cpuhp_state copy_cpuhp __ro_after_init;

/* Are all copies in a block free? */
static bool copy_block_free(const struct copy_block *block)
{
	/* Freeing a copy is a full barrier; only writes follow this test. */
	return page_ref_count(block->page) == block->bias;
}

/* Make sure that a free block has a reference for each copy that may fit. */
static void copy_block_renew(struct copy_block *block)
{
	if (likely(block->bias > COPY_BLOCK_SIZE / SMP_CACHE_BYTES))
		return;
	page_ref_add(block->page, COPY_BIAS);
	block->bias += COPY_BIAS;
}

/* The limit of all rings for one that is to grow. */
static unsigned int copy_blocks_limit(const struct copy_ring *ring)
{
	if (ring->count < copy_blocks_fair)
		return copy_blocks_max;
	return copy_blocks_max - copy_blocks_max / 4;
}

/* Free the list of blocks of a ring that has none. */
static void copy_ring_end(struct copy_ring *ring)
{
	kfree(ring->blocks);
	ring->blocks = NULL;
	ring->room = 0;
}

/*
 * Make room for one more block in the list of blocks. The list of a ring is
 * small as long as the ring is, because a large one may be impossible to
 * allocate in a softirq.
 */
static bool copy_ring_extend(struct copy_ring *ring)
{
	unsigned int at = ring->block ? ring->block - ring->blocks : 0;
	unsigned int room = max(2 * ring->room, COPY_ROOM);
	struct copy_block *blocks;

	if (ring->count < ring->room)
		return true;
	blocks = krealloc_array(ring->blocks, room, sizeof(*blocks),
				COPY_GFP & ~__GFP_COMP);
	if (!blocks)
		return false;
	if (ring->block)
		ring->block = &blocks[at];
	ring->blocks = blocks;
	ring->room = room;
	return true;
}

/* Add a block to a ring; NULL at the limits, or without memory. */
static struct copy_block *copy_ring_grow(struct copy_ring *ring)
{
	struct copy_block *block;
	struct page *page;

	ring->grown = true;
	if (ring->count == COPY_BLOCKS || !copy_ring_extend(ring))
		return NULL;
	block = &ring->blocks[ring->count];
	if (atomic_inc_return(&copy_blocks) > copy_blocks_limit(ring))
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
	/* Without a block there is no timer, which would free the list. */
	if (!ring->count)
		copy_ring_end(ring);
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

	flush_lock();
	if (!ring->grown)
		copy_ring_shrink(ring, ring->count / 2);
	ring->grown = false;
	if (ring->count)
		mod_timer(timer, jiffies + COPY_PERIOD);
	else
		copy_ring_end(ring);
	flush_unlock();
}

/**
 * rmap_copy_ring_next() - make a free block, or a new one, the present block
 * @ring: the ring of this CPU
 *
 * Context: NAPI, bottom halves off; per block.
 * Return: false without such a block.
 */
bool rmap_copy_ring_next(struct copy_ring *ring)
{
	unsigned int left = min_t(u32, ring->count, COPY_LOOK);
	struct copy_block *block;
	bool rests = false;

	if (ring->busy >= ring->count) {
		rests = ring->full == (u32)jiffies;
		if (rests)
			/* Receivers may have freed blocks in this tick. */
			left = min(left, 1U);
		else
			ring->busy = 0;
	}
	while (left--) {
		if (ring->look >= ring->count)
			ring->look = 0;
		block = &ring->blocks[ring->look++];
		if (copy_block_free(block)) {
			copy_block_renew(block);
			if (!rests)
				ring->busy = 0;
			goto go_on;
		}
		ring->busy++;
	}
	if (rests || ring->busy < ring->count)
		return false;
	block = copy_ring_grow(ring);
	if (!block) {
		ring->full = jiffies;
		return false;
	}
go_on:
	ring->block = block;
	ring->next = (unsigned long)page_address(block->page);
	ring->end = ring->next + COPY_BLOCK_SIZE;
	return true;
}

/**
 * rmap_copy_ring_alloc_pages() - allocate pages for one copy
 * @size: bytes
 *
 * For a copy that gets no memory from a ring.
 *
 * Context: NAPI, bottom halves off.
 * Return: the memory, which get_order() of @size rounds up; NULL without
 * memory.
 */
void *rmap_copy_ring_alloc_pages(u32 size)
{
	struct page *page = alloc_pages(COPY_GFP, get_order(size));

	return page ? page_address(page) : NULL;
}

/**
 * rmap_copy_ring_memory() - memory that the rings of all CPUs keep for copies
 *
 * Context: any.
 * Return: bytes.
 */
u64 rmap_copy_ring_memory(void)
{
	return (u64)atomic_read(&copy_blocks) * COPY_BLOCK_SIZE;
}

/* Drop all blocks of a CPU that is offline, or at rmmod: its ring is unused. */
static int copy_cpu_dead(unsigned int cpu)
{
	struct copy_ring *ring = per_cpu_ptr(rmap_copy_rings, cpu);

	timer_delete_sync(&ring->timer);
	copy_ring_shrink(ring, 0);
	while (ring->count)
		copy_ring_drop(ring, 0);
	copy_ring_end(ring);
	return 0;
}

/**
 * rmap_copy_ring_module_init() - make the rings, without blocks
 *
 * Context: insmod.
 * Return: 0 or a negative errno.
 */
int __init rmap_copy_ring_module_init(void)
{
	unsigned int cpu;
	int state;

	/* Blocks begin and end at a boundary. */
	BUILD_BUG_ON(COPY_BLOCK_SIZE % COPY_BOUNDARY);

	copy_blocks_max = max_t(unsigned long, num_possible_cpus(),
				(totalram_pages() / COPY_SHARE) >> COPY_ORDER);
	copy_blocks_fair = copy_blocks_max / num_possible_cpus();
	rmap_copy_rings = alloc_percpu(struct copy_ring);
	if (!rmap_copy_rings)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		timer_setup(&per_cpu_ptr(rmap_copy_rings, cpu)->timer,
			    copy_ring_timer, TIMER_PINNED);

	state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN,
					  "net/redirmap:dead", NULL,
					  copy_cpu_dead);
	if (state < 0) {
		free_percpu(rmap_copy_rings);
		return state;
	}
	copy_cpuhp = state;
	return 0;
}

/**
 * rmap_copy_ring_module_exit() - free the rings and their blocks
 *
 * Context: rmmod, a grace period after the last map was freed.
 */
void rmap_copy_ring_module_exit(void)
{
	unsigned int cpu;

	cpuhp_remove_state_nocalls(copy_cpuhp);
	for_each_possible_cpu(cpu)
		copy_cpu_dead(cpu);
	free_percpu(rmap_copy_rings);
}
