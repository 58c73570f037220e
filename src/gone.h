/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_GONE_H
#define REDIRMAP_GONE_H

#include <linux/list.h>
#include <linux/types.h>

struct gone;

/**
 * struct gone_leaver - of a map or target: how it comes to be no more
 * @node: place among those that are listed no longer, but may still count; empty
 *	before
 * @round: of struct gone, when it left or was last read
 * @add: adds what it has counted to a sum, which has the shape that was agreed on
 *	for the struct gone that it leaves to
 */
struct gone_leaver {
	struct list_head node;
	u64 round;
	void (*add)(const struct gone_leaver *leaver, void *sum);
};

struct gone *rmap_gone_alloc(size_t size, gfp_t gfp);
struct gone *rmap_gone_get(struct gone *gone);
void rmap_gone_put(struct gone *gone);
void rmap_gone_leaver_init(struct gone_leaver *leaver,
			   void (*add)(const struct gone_leaver *leaver,
				       void *sum));
void rmap_gone_leave(struct gone *gone, struct gone_leaver *leaver);
void rmap_gone_keep(struct gone *gone, struct gone_leaver *leaver);
u64 rmap_gone_read(struct gone *gone, void *sum);

#endif /* REDIRMAP_GONE_H */
