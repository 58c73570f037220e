// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes all page allocations fail for a short time.
 *
 * The watermarks of all zones are raised above the number of pages, so that the
 * page allocator fails, as if all memory were in use, for all callers except
 * those that may use its reserves. Pages kept for fragments are taken.
 *
 * Begin and end are in one function, with bottom halves off in between, and on
 * the only CPU that is online, so no other task is refused memory.
 */
#include <linux/cpumask.h>
#include <linux/mmzone.h>
#include <linux/skbuff.h>

#include "hoard.h"

/* More pages than any machine has. */
#define ALL_PAGES BIT(40)

static void *hoarded_frags;

static void raise_watermarks(unsigned long pages)
{
	struct zone *zone;
	int nid, i, mark;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			for (mark = WMARK_MIN; mark <= WMARK_HIGH; mark++)
				zone->_watermark[mark] += pages;
		}
	}
}

/**
 * hoard_possible() - can other tasks be kept from running?
 *
 * Context: any.
 *
 * Return: true if only one CPU is online.
 */
bool hoard_possible(void)
{
	return num_online_cpus() == 1;
}

/**
 * hoard_begin() - make page allocations fail
 *
 * Context: bottom halves off, until hoard_end().
 */
void hoard_begin(void)
{
	void *frag;

	raise_watermarks(ALL_PAGES);
	while ((frag = napi_alloc_frag(SMP_CACHE_BYTES))) {
		*(void **)frag = hoarded_frags;
		hoarded_frags = frag;
	}
}

/**
 * hoard_end() - let page allocations succeed
 *
 * Context: bottom halves off, since hoard_begin().
 */
void hoard_end(void)
{
	void *frag;

	raise_watermarks(-ALL_PAGES);
	while (hoarded_frags) {
		frag = hoarded_frags;
		hoarded_frags = *(void **)frag;
		skb_free_frag(frag);
	}
}
