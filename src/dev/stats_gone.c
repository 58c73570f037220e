// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sums over removed maps and targets: over all of them, and over the targets of
 * some devices, by name.
 *
 * This file owns no data, and adds up the sums that gone.c keeps. gone.c calls
 * it under its spinlock.
 */
#include <linux/string.h>

#include "stats.h"

static bool stats_lost_any(const struct redirmap_stats *stats)
{
	return memchr_inv(stats->drops, 0, sizeof(stats->drops));
}

static bool stats_is_same_device(const struct stats_gone_device *one,
				 const struct stats_gone_device *other)
{
	return one->ifindex == other->ifindex &&
	       !strcmp(one->ifname, other->ifname);
}

/* Add to a device's record, and move it to the front; may drop the last one. */
static void stats_keep_device(struct stats_gone_device *devices,
			      const struct stats_gone_device *removed)
{
	struct stats_gone_device device = *removed;
	int i;

	for (i = 0; i < STATS_GONE_DEVICES - 1; i++)
		if (stats_is_same_device(&devices[i], removed))
			break;
	if (stats_is_same_device(&devices[i], removed)) {
		device = devices[i];
		rmap_stats_accumulate(&device.sum, &removed->sum);
	}
	memmove(&devices[1], &devices[0], i * sizeof(*devices));
	devices[0] = device;
}

/**
 * rmap_stats_keep() - add the counters of a removed target to the sums
 * @kept: the sums
 * @removed: the target's counters. If it has lost frames, they are also added
 *	to the device's record, so that user space can name a former device
 *
 * Context: any; the caller guards @kept.
 */
void rmap_stats_keep(struct stats_kept *kept,
		     const struct stats_gone_device *removed)
{
	rmap_stats_accumulate(&kept->sum, &removed->sum);
	if (stats_lost_any(&removed->sum.stats))
		stats_keep_device(kept->devices, removed);
}
