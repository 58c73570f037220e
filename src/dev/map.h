/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_MAP_H
#define REDIRMAP_MAP_H

#include <linux/bpf.h>
#include <linux/filter.h>

#include "compat.h"
#include "dev_layout.h"
#include "group.h"
#include "holder.h"
#include "record.h"
#include "stats.h"
#include "value.h"

struct batch_ops;

/* Flags of bpf_redirect_map() that ask for a broadcast. */
#define MAP_REDIRECT_FLAGS (BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)
/* What a program may want for a missing key: all that flags mostly are. */
#define MAP_REDIRECT_ACTIONS (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX)

/**
 * struct redir_map - a claimed map
 * @dtab: what the kernel believes to have allocated: a valid, empty devmap.
 *	Per packet, max_entries and the table are read from it
 * @group: where broadcasts lead, without and with BPF_F_EXCLUDE_INGRESS: to
 *	nobody until the first entry is made, and from then on to the map's own
 * @record: what every claimed map has; its counters are behind the map's own
 *	memory
 * @load_id: says that this load of the module has made the map
 * @holder: the targets that slots point to
 * @grouped: @group is the map's own
 * @batch: what batches need of this kind of map
 * @lock: serializes changes of a hash, and the chunks of batches
 */
struct redir_map {
	/* hot */
	struct kern_dtab dtab;
	struct kern_dtab_netdev *group[2];
	/* begins with what a look-up reads that finds no entry */
	struct record record;

	/* cold */
	u64 load_id;
	bool grouped;
	struct holder holder;
	const struct batch_ops *batch;
	spinlock_t lock; /* changes of a hash, chunks of batches */
};

/**
 * to_redir_map() - the claimed map that the kernel knows as a bpf_map
 * @map: a map that this module has made
 *
 * Context: any.
 * Return: the map.
 */
static inline struct redir_map *to_redir_map(const struct bpf_map *map)
{
	return container_of(map, struct redir_map, dtab.map);
}

/**
 * map_has_group() - has a map got a group of its own?
 * @rmap: the map
 * @i: which of the two: as of redir_map.group
 *
 * Context: any; the map must not be freed meanwhile.
 * Return: false as long as broadcasts lead to nobody.
 */
static inline bool map_has_group(const struct redir_map *rmap, int i)
{
	return READ_ONCE(rmap->group[i]) != rmap_group_empty_entry();
}

struct redir_map *rmap_map_alloc(union bpf_attr *attr, size_t size,
				 void (*sweep)(struct holder *holder,
					       struct target *dead));
void rmap_map_unalloc(struct redir_map *rmap);
void rmap_map_prepare(struct redir_map *rmap, u32 entries);
struct record *rmap_map_record(struct bpf_map *map);
void rmap_map_add_stats(const struct record *record, void *kept);
void rmap_map_claimed(struct bpf_map *map);
void rmap_map_free(struct redir_map *rmap);
u64 rmap_map_memory(const struct redir_map *rmap);
void *rmap_map_area_alloc(u64 size, int numa_node);

bool rmap_map_is_pending(const struct bpf_map *map);
bool rmap_map_meta_equal(const struct bpf_map *meta, const struct bpf_map *map);

struct target *rmap_map_attach(struct redir_map *rmap,
			       const struct bpf_devmap_val *val);
map_ret_t rmap_map_missed(struct bpf_map *map, map_ret_t verdict, u64 flags);
map_ret_t rmap_map_broadcast(struct bpf_map *map, redirect_key_t key,
			     u64 flags);

/**
 * map_redirect() - bpf_redirect_map() to what a key leads to
 * @map: the map
 * @key: the key
 * @flags: as of the helper
 * @flag_mask: those of them, besides actions, that may be set
 * @find: what a key leads to, or NULL; becomes part of the caller
 *
 * Calls other functions last, so that who calls this last saves no registers
 * for them.
 *
 * Runs in NAPI, bottom halves off, per packet.
 *
 * Return: XDP_REDIRECT; the action in @flags without an entry; XDP_ABORTED for
 * unknown flags.
 */
static __always_inline map_ret_t
map_redirect(struct bpf_map *map, redirect_key_t key, u64 flags, u64 flag_mask,
	     void *(*find)(struct bpf_map *map, u32 key))
{
	map_ret_t verdict = __bpf_xdp_redirect_map(map, key, flags, flag_mask,
						   find);

	if (likely(verdict == XDP_REDIRECT))
		return verdict;
	return rmap_map_missed(map, verdict, flags);
}

int rmap_map_module_init(void);

#endif /* REDIRMAP_MAP_H */
