/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_GONE_H
#define REDIRMAP_GONE_H

#include <linux/list.h>
#include <linux/types.h>

struct gone;

/**
 * struct gone_leaver - the part of a map or target that joins a sum
 * @node: node in the lists of struct gone after the map or target has left;
 *	empty before
 * @round: gone.round when the map or target left, or was last read
 * @add: adds the counters to a sum, which has the family's type
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
