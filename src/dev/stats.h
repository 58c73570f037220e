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
/* The first of these actions usually lose the frame, so they have a stamp. */
#define STATS_LOSSES (XDP_DROP + 1)

/*
 * Number of reasons that ports count: see stats_slot(). They do not count
 * REDIRMAP_DROP_NO_TARGET and REDIRMAP_DROP_NO_MEMBER.
 */
#define STATS_SLOTS (REDIRMAP_DROP_COUNT - 2)

/**
 * struct stats_cpu - one CPU's counters of a port
 * @packets: frames that the driver, or the queueing discipline, has taken
 * @bytes: bytes of these frames
 * @as_packets: the part of @packets that has left as packets
 * @drops: lost frames, by stats_slot() of the reason
 * @error: the driver's last error, a positive errno; its stamp is in @last
 * @last: stamp of the last lost frame, by stats_slot() of the reason: see
 *	stamp_now()
 * @unsegmented: too large packets that were probably not segmented yet; does
 *	not wrap around
 *
 * struct bulkq_cpu, which includes this, fills six cache lines.
 */
struct stats_cpu {
	/* hot: written per flush */
	u64_stats_t packets;
	u64_stats_t bytes;

	/* cold: written when frames leave as packets, or are lost */
	u64_stats_t as_packets;
	u64_stats_t drops[STATS_SLOTS];
	u32 error;
	u32 last[STATS_SLOTS];
	u32 unsegmented;
};

/**
 * stats_slot() - the index of the counter of a reason
 * @reason: a reason that ports count
 *
 * Context: any.
 * Return: index in &stats_cpu.drops and &stats_cpu.last.
 */
static inline unsigned int stats_slot(enum redirmap_drop reason)
{
	return reason < REDIRMAP_DROP_NO_TARGET ? reason : reason - 2;
}

/**
 * stats_has_slot() - do ports count a reason?
 * @reason: the reason
 *
 * Context: any.
 * Return: true when stats_slot() may be called.
 */
static inline bool stats_has_slot(enum redirmap_drop reason)
{
	return reason != REDIRMAP_DROP_NO_TARGET &&
	       reason != REDIRMAP_DROP_NO_MEMBER;
}

/* Number of former devices whose sums a namespace keeps. */
#define STATS_GONE_DEVICES 8

/**
 * stats_sent() - count frames that a driver has taken
 * @stats: this CPU's counters of the port
 * @packets: number of frames
 * @bytes: bytes of all of them
 *
 * Runs in NAPI, bottom halves off, per flush.
 */
static inline void stats_sent(struct stats_cpu *stats, u32 packets, u32 bytes)
{
	u64_stats_add(&stats->packets, packets);
	u64_stats_add(&stats->bytes, bytes);
}

/**
 * stats_as_packets() - count frames that have left as packets
 * @stats: this CPU's counters of the port
 * @packets: number of frames, which stats_sent() counts as well
 *
 * Runs in NAPI, bottom halves off, per flush.
 */
static inline void stats_as_packets(struct stats_cpu *stats, u32 packets)
{
	u64_stats_add(&stats->as_packets, packets);
}

/**
 * struct stats_map - one CPU's counters of a map, for events without a target
 * @missed: lookups that found no entry, by the action that they returned
 * @no_member: broadcast frames that had no member to go to
 * @no_headroom: broadcast frames without headroom for a struct xdp_frame
 * @last_no_member: stamp of the last frame of @no_member: see stamp_now()
 * @last_no_headroom: stamp of the last frame of @no_headroom
 * @last_missed: stamps of the last lookups of @missed, for actions that
 *	usually lose the frame
 *
 * Each CPU has a cache line, in the map's own memory, because kvfree() must
 * free all memory of a pending map. All of it is hot if a program passes most
 * packets to the stack.
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
 * @missed: lookups that found no entry, by the action that they returned
 * @last: time of the last lost frame, by reason: see stamp_time(); 0 for none
 * @unsegmented: too large packets that were probably not segmented yet
 * @as_packets: the part of the sent frames that has left as packets
 * @last_missed: time of the last lookup of @missed, by action; 0 for none
 */
struct stats_sum {
	struct redirmap_stats stats;
	u64 missed[STATS_ACTIONS];
	u64 last[REDIRMAP_DROP_COUNT];
	u64 unsegmented;
	u64 as_packets;
	u64 last_missed[STATS_LOSSES];
};

/**
 * struct stats_gone_device - sum over removed targets of a device
 * @ifindex: the device; 0 for an unused record
 * @ifname: the device's last name
 * @sum: the sum over those removed targets that have lost frames
 */
struct stats_gone_device {
	u32 ifindex;
	char ifname[IFNAMSIZ];
	struct stats_sum sum;
};

/**
 * struct stats_kept - sums over removed maps and targets of a namespace
 * @sum: the sum over all of them
 * @devices: the part of some devices whose removed targets have lost frames;
 *	the device that has lost such a target last is the first
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
		     const struct stats_gone_device *removed);

#endif /* REDIRMAP_STATS_H */
