/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_COPY_RING_H
#define REDIRMAP_COPY_RING_H

#include <linux/align.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/timer.h>

/* Some drivers map no more than these bytes of a frame, for any page size. */
#define COPY_BOUNDARY SZ_4K

/*
 * Blocks are small, because each packet that a receiver keeps holds a block:
 * a socket of the default size, which is read slowly, keeps some 200 packets,
 * each in another block. A block has room for the longest frame in a page, with
 * the parts in front and behind.
 */
#define COPY_ORDER 1
#define COPY_BLOCK_SIZE (PAGE_SIZE << COPY_ORDER)

/*
 * The limit of a ring, 8 MiB. With 64 members, a NAPI poll of 64 small frames
 * needs half of it. The members free their copies in softirqs of 300 packets
 * each, so copies of the poll before are still in use.
 */
#define COPY_BLOCKS (SZ_8M / COPY_BLOCK_SIZE)

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
 * @look: index of the block to test next
 * @busy: number of blocks in a row that were found in use
 * @full: the tick (jiffies) in which the ring had no free block, and could not
 *	grow
 * @grown: the ring has tried to grow since the timer ran last
 * @room: number of elements of @blocks
 * @timer: shrinks the ring; pending while the ring has blocks
 * @blocks: the blocks, in no order; NULL if there are none
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
	u32 full;
	bool grown;
	u32 room;
	struct timer_list timer;
	struct copy_block *blocks;
};

extern struct copy_ring __percpu *rmap_copy_rings;

bool rmap_copy_ring_next(struct copy_ring *ring);
void *rmap_copy_ring_alloc_pages(u32 size);
u64 rmap_copy_ring_memory(void);

int rmap_copy_ring_module_init(void);
void rmap_copy_ring_module_exit(void);

/**
 * copy_ring_alloc() - take memory for a copy out of a ring
 * @ring: the ring of this CPU
 * @size: bytes, at least SMP_CACHE_BYTES
 * @mapped: number of bytes, from the first one on, that drivers may map
 *
 * Context: NAPI, bottom halves off; per copy.
 * Return: the memory, or NULL if the ring has no free block.
 */
static __always_inline void *copy_ring_alloc(struct copy_ring *ring, u32 size,
					     u32 mapped)
{
	unsigned long at = ring->next;

	/* Data longer than COPY_BOUNDARY begins at a boundary. */
	if (at % COPY_BOUNDARY + mapped > COPY_BOUNDARY)
		at = ALIGN(at, COPY_BOUNDARY);
	if (unlikely(at + size > ring->end)) {
		if (size > COPY_BLOCK_SIZE || !rmap_copy_ring_next(ring))
			return NULL;
		at = ring->next;
	}
	ring->next = at + size;
	ring->block->bias--;
	return (void *)at;
}

#endif /* REDIRMAP_COPY_RING_H */
