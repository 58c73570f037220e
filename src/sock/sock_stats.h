/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_STATS_H
#define REDIRMAP_SOCK_STATS_H

#include <linux/cache.h>
#include <linux/u64_stats_sync.h>
#include <uapi/linux/redirmap.h>

struct bpf_map;
struct record;

/* The data that a program redirects: messages or packets. */
enum sock_data {
	SOCK_MSG,
	SOCK_SKB,
	SOCK_DATA_TYPES,
};

/* Directions, by BPF_F_INGRESS in the flags of a redirect. */
#define SOCK_DIRECTIONS 2

/* Errnos of updates that have a counter, and one counter for all others. */
#define SOCK_ERRNOS 10

/**
 * struct sock_stats - one CPU's counters of a socket map
 * @accepted: redirects that the kernel has accepted, by direction
 * @closing: accepted redirects whose target socket was closing
 * @refused: redirects that the kernel has refused, by reason
 * @inserts: updates that succeeded
 * @deletes: deletes that succeeded
 * @failed: updates that failed, by index in the table of errnos
 * @running: updates that have begun on this CPU, less those that have ended
 * @last_refused: stamps of the last redirects of @refused: see stamp_now()
 *
 * One instruction of its CPU increments a counter. So tasks and interrupts that
 * count on one CPU lose no count, and need no lock.
 */
struct sock_stats {
	/* hot: written per redirect */
	u64_stats_t accepted[SOCK_DATA_TYPES][SOCK_DIRECTIONS];

	/* cold */
	u64_stats_t closing[SOCK_DATA_TYPES];
	u64_stats_t refused[REDIRMAP_SOCK_REFUSAL_COUNT];
	u64_stats_t inserts;
	u64_stats_t deletes;
	u64_stats_t failed[SOCK_ERRNOS];
	u64_stats_t running;
	u32 last_refused[REDIRMAP_SOCK_REFUSAL_COUNT];
} ____cacheline_aligned;

/**
 * struct sock_sum - counters of socket maps, added up
 * @accepted: as in struct sock_stats
 * @closing: as in struct sock_stats
 * @refused: as in struct sock_stats
 * @inserts: as in struct sock_stats
 * @deletes: as in struct sock_stats
 * @failed: as in struct sock_stats
 * @last_refused: times of the last redirects of @refused: see stamp_time(); 0
 *	for none
 */
struct sock_sum {
	u64 accepted[SOCK_DATA_TYPES][SOCK_DIRECTIONS];
	u64 closing[SOCK_DATA_TYPES];
	u64 refused[REDIRMAP_SOCK_REFUSAL_COUNT];
	u64 inserts;
	u64 deletes;
	u64 failed[SOCK_ERRNOS];
	u64 last_refused[REDIRMAP_SOCK_REFUSAL_COUNT];
};

void rmap_sock_stats_refused(struct sock_stats *stats,
			     enum redirmap_sock_refusal reason);
struct sock_stats *rmap_sock_stats_of(const struct bpf_map *map);
void rmap_sock_stats_begin(struct sock_stats *all);
void rmap_sock_stats_end(struct sock_stats *all, long err);
int rmap_sock_stats_failed(struct sock_stats *all, int err);
void rmap_sock_stats_deleted(struct sock_stats *all);
u64 rmap_sock_stats_changes(const struct record *record);
bool rmap_sock_stats_running(const struct record *record);
void rmap_sock_stats_add(const struct record *record, void *sum);
u32 rmap_sock_stats_errno(unsigned int i);

#endif /* REDIRMAP_SOCK_STATS_H */
