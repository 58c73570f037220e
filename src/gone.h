/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_GONE_H
#define REDIRMAP_GONE_H

#include <linux/list.h>
#include <linux/types.h>

struct stats_gone;
struct stats_gone_device;
struct stats_kept;

/**
 * struct stats_leaver - of a map or target: how it comes to be no more
 * @node: place among those that are listed no longer, but may still count; empty
 *	before
 * @round: of struct stats_gone, when it left or was last read
 * @read: adds what was counted to the zeroed second argument, and names the device
 */
struct stats_leaver {
	struct list_head node;
	u64 round;
	void (*read)(const struct stats_leaver *leaver,
		     struct stats_gone_device *told);
};

struct stats_gone *rmap_stats_gone_alloc(gfp_t gfp);
struct stats_gone *rmap_stats_gone_get(struct stats_gone *gone);
void rmap_stats_gone_put(struct stats_gone *gone);
void rmap_stats_leaver_init(struct stats_leaver *leaver,
			    void (*read)(const struct stats_leaver *leaver,
					 struct stats_gone_device *told));
void rmap_stats_gone_leave(struct stats_gone *gone,
			   struct stats_leaver *leaver);
void rmap_stats_gone_keep(struct stats_gone *gone, struct stats_leaver *leaver);
void rmap_stats_gone_read(struct stats_gone *gone, struct stats_kept *kept);

#endif /* REDIRMAP_GONE_H */
