// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is kept of what maps and targets that are no more have counted: the sum
 * over all of them, and that over the targets of some devices, by their names.
 *
 * Owns how that is added up; where it is kept, and who adds to it when, under
 * which lock, is gone.c's.
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

/* Add to the record of a device, which comes first then; the last one may go. */
static void stats_keep_device(struct stats_gone_device *devices,
			      const struct stats_gone_device *told)
{
	struct stats_gone_device device = *told;
	int i;

	for (i = 0; i < STATS_GONE_DEVICES - 1; i++)
		if (stats_is_same_device(&devices[i], told))
			break;
	if (stats_is_same_device(&devices[i], told)) {
		device = devices[i];
		rmap_stats_accumulate(&device.sum, &told->sum);
	}
	memmove(&devices[1], &devices[0], i * sizeof(*devices));
	devices[0] = device;
}

/**
 * rmap_stats_keep() - add to what is kept what was counted for a target
 * @kept: what is added to
 * @told: what was counted, which is added to what is kept under the name of the
 *	device, too, if frames were lost: so user space can name a device that is
 *	no more
 *
 * Context: any.
 */
void rmap_stats_keep(struct stats_kept *kept,
		     const struct stats_gone_device *told)
{
	rmap_stats_accumulate(&kept->sum, &told->sum);
	if (stats_lost_any(&told->sum.stats))
		stats_keep_device(kept->devices, told);
}
