/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STATS_H
#define REDIRMAP_STATS_H

#include <linux/if.h>
#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>
#include <uapi/linux/redirmap.h>

struct bpf_map;
struct net_device;

/* Actions that bpf_redirect_map() may return for a missing entry. */
#define STATS_ACTIONS (XDP_TX + 1)
/* Those of them that lose the frame, as a rule: it is kept when. */
#define STATS_LOSSES (XDP_DROP + 1)

/**
 * struct stats_cpu - one CPU's counters of a port
 * @packets: frames that the driver has taken
 * @bytes: of those
 * @drops: frames that were lost, by reason
 * @error: the driver's last error, positive; of the time of that reason's @last
 * @last: when the last one was lost, by reason: see stamp_now()
 * @unsegmented: of those that were too large, packets that are taken for not segmented
 *	yet; does not wrap around
 *
 * With what is beside it in struct bulkq_cpu six cache lines, to the byte.
 */
struct stats_cpu {
	/* hot: per flush */
	u64_stats_t packets;
	u64_stats_t bytes;

	/* cold: when frames are lost */
	u64_stats_t drops[REDIRMAP_DROP_COUNT];
	u32 error;
	u32 last[REDIRMAP_DROP_COUNT];
	u32 unsegmented;
};

/* How many devices that are no more are remembered by name, in a namespace. */
#define STATS_GONE_DEVICES 8

/**
 * stats_sent() - count what a driver has taken
 * @stats: this CPU's counters
 * @packets: how many frames
 * @bytes: of all of them
 *
 * Runs in NAPI, bottom halves off, per flush.
 */
static inline void stats_sent(struct stats_cpu *stats, u32 packets, u32 bytes)
{
	u64_stats_add(&stats->packets, packets);
	u64_stats_add(&stats->bytes, bytes);
}

/**
 * struct stats_map - one CPU's counters of a map, of what is no target's
 * @missed: look-ups that found no entry, by the action that they returned
 * @no_member: frames of broadcasts that had no member
 * @no_headroom: frames of broadcasts without room for the kernel's notes
 * @last_no_member: when the last one of the former was lost: see stamp_now()
 * @last_no_headroom: the same of the latter
 * @last_missed: when the last look-up found nothing that then lost the frame, by
 *	action
 *
 * A cache line for each CPU, in memory of the map's own: a pending map may own
 * nothing that kvfree() does not free.
 */
struct stats_map {
	u64_stats_t missed[STATS_ACTIONS];
	u64_stats_t no_member;
	u64_stats_t no_headroom;
	u32 last_no_member;
	u32 last_no_headroom;
	u32 last_missed[STATS_LOSSES];
} ____cacheline_aligned;

static_assert(sizeof(struct stats_map) == L1_CACHE_BYTES);

/**
 * struct stats_sum - counters of maps and targets, added up
 * @stats: frames that were sent or lost
 * @missed: look-ups that found no entry, by the action that they returned
 * @last: when the last frame was lost, by reason: see stamp_time(); 0 for
 *	none
 * @unsegmented: of those that were too large, packets that are taken for not segmented
 *	yet
 * @last_missed: when the last look-up found no entry, by action; 0 for none
 */
struct stats_sum {
	struct redirmap_stats stats;
	u64 missed[STATS_ACTIONS];
	u64 last[REDIRMAP_DROP_COUNT];
	u64 unsegmented;
	u64 last_missed[STATS_LOSSES];
};

/**
 * struct stats_gone_device - what was counted for former targets of a device
 * @ifindex: the device; 0 where there is none
 * @ifname: as it was last called
 * @sum: of those targets that have lost frames
 */
struct stats_gone_device {
	u32 ifindex;
	char ifname[IFNAMSIZ];
	struct stats_sum sum;
};

/**
 * struct stats_kept - what was counted for maps and targets that are no more
 * @sum: over all of them
 * @devices: the part in it of devices whose targets have lost frames; that of the
 *	latest one to lose such a target comes first
 */
struct stats_kept {
	struct stats_sum sum;
	struct stats_gone_device devices[STATS_GONE_DEVICES];
};

void rmap_stats_drop(struct stats_cpu *stats, const struct net_device *dev,
		     enum redirmap_drop reason, u32 packets);
void rmap_stats_unsegmented(struct stats_cpu *stats, u32 packets);
void rmap_stats_map_missed(struct stats_map *stats, const struct bpf_map *map,
			   u32 action);
void rmap_stats_map_drop(struct stats_map *stats, const struct bpf_map *map,
			 enum redirmap_drop reason, u32 packets);
void rmap_stats_map_add(const struct stats_map *stats, struct stats_sum *sum);
void rmap_stats_read(const struct stats_cpu *stats, struct redirmap_stats *out);
void rmap_stats_add(const struct stats_cpu __percpu *stats,
		    struct stats_sum *sum);
void rmap_stats_accumulate(struct stats_sum *to, const struct stats_sum *from);
void rmap_stats_keep(struct stats_kept *kept,
		     const struct stats_gone_device *told);

#endif /* REDIRMAP_STATS_H */
