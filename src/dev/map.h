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

/* Flags of bpf_redirect_map() for broadcasts. */
#define MAP_REDIRECT_FLAGS (BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)
/* Actions in flags that bpf_redirect_map() may return for a missing key. */
#define MAP_REDIRECT_ACTIONS (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX)

/**
 * struct redir_map - a claimed map
 * @dtab: the struct that the kernel expects: a valid, empty devmap. Each
 *	lookup reads max_entries and the table from it
 * @group: entries of the groups that broadcasts go to, without and with
 *	BPF_F_EXCLUDE_INGRESS: the shared empty group until the first entry is
 *	made, and from then on the map's own groups
 * @record: the record that every claimed map has; its counters are in the same
 *	allocation, behind the struct of the kind
 * @load_id: identifies the load of the module that has made the map
 * @holder: the targets that slots point to
 * @grouped: @group has the map's own groups
 * @packets: whether frames may leave as packets
 * @batch: operations of this kind of map that batches call
 * @lock: guards the changes of a hash, and the chunks of batches
 */
struct redir_map {
	/* hot: read per packet */
	struct kern_dtab dtab;
	struct kern_dtab_netdev *group[2];
	/* its first member is hot: lookups that find no entry read it */
	struct record record;

	/* cold */
	u64 load_id;
	bool grouped;
	struct holder holder;
	enum redirmap_packets packets;
	const struct batch_ops *batch;
	spinlock_t lock; /* changes of a hash, chunks of batches */
};

/**
 * to_redir_map() - the redir_map that contains a bpf_map
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
 * @i: index in redir_map.group
 *
 * Context: any; the caller keeps the map.
 * Return: false as long as broadcasts go to the empty group.
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
compat_map_ret_t rmap_map_missed(struct bpf_map *map, compat_map_ret_t verdict,
				 u64 flags);
compat_map_ret_t rmap_map_broadcast(struct bpf_map *map,
				    compat_redirect_key_t key, u64 flags);

/**
 * map_redirect_masked() - bpf_redirect_map() to the entry of a key
 * @map: the map
 * @key: the key
 * @flags: flags of the helper
 * @flag_mask: flags, besides actions, that may be set
 * @find: finds the entry of a key, or NULL; inlined
 *
 * All calls are tail calls, so a caller that returns this function's result
 * needs to save no registers.
 *
 * Runs in NAPI, bottom halves off, per packet.
 *
 * Return: XDP_REDIRECT; without an entry the action in @flags; XDP_ABORTED for
 * unknown flags.
 */
static __always_inline compat_map_ret_t
map_redirect_masked(struct bpf_map *map, compat_redirect_key_t key, u64 flags,
		    u64 flag_mask, void *(*find)(struct bpf_map *map, u32 key))
{
	compat_map_ret_t verdict = __bpf_xdp_redirect_map(map, key, flags,
							  flag_mask, find);

	if (likely(verdict == XDP_REDIRECT))
		return verdict;
	return rmap_map_missed(map, verdict, flags);
}

/**
 * map_redirect_flags() - a redirect with flags besides an action
 * @map: the map
 * @key: the key
 * @flags: flags of the helper: a broadcast's, or unknown ones
 * @find: finds the entry of a key, or NULL; inlined
 *
 * Runs in NAPI, bottom halves off, per packet.
 *
 * Return: as map_redirect_masked().
 */
static __always_inline compat_map_ret_t
map_redirect_flags(struct bpf_map *map, compat_redirect_key_t key, u64 flags,
		   void *(*find)(struct bpf_map *map, u32 key))
{
	if (flags & BPF_F_BROADCAST)
		return rmap_map_broadcast(map, key, flags);
	return map_redirect_masked(map, key, flags, MAP_REDIRECT_FLAGS, find);
}

/**
 * map_redirect() - bpf_redirect_map()
 * @map: the map
 * @key: the key
 * @flags: flags of the helper
 * @find: finds the entry of a key, or NULL; inlined
 * @other: redirects with flags besides an action; not inlined, so that the
 *	usual redirect stays short
 *
 * __bpf_xdp_redirect_map() tests the flags as well, but the compiler sees that
 * the test has been done, and drops the second test.
 *
 * Runs in NAPI, bottom halves off, per packet.
 *
 * Return: as map_redirect_masked().
 */
static __always_inline compat_map_ret_t
map_redirect(struct bpf_map *map, compat_redirect_key_t key, u64 flags,
	     void *(*find)(struct bpf_map *map, u32 key),
	     compat_map_ret_t (*other)(struct bpf_map *map,
				       compat_redirect_key_t key, u64 flags))
{
	if (unlikely(flags & ~(u64)MAP_REDIRECT_ACTIONS))
		return other(map, key, flags);
	return map_redirect_masked(map, key, flags, 0, find);
}

/**
 * map_shown() - the value that a lookup returns
 * @map: the map
 * @target: the target of the key, which may be dead, or NULL
 *
 * Runs in bpf(2), under rcu_read_lock(), or in XDP programs.
 *
 * Return: the value, or NULL for a missing key.
 */
static __always_inline void *map_shown(struct bpf_map *map,
				       struct target *target)
{
	return target && target_is_live(target) ? value_shown(map, target) :
						  NULL;
}

int rmap_map_module_init(void);

#endif /* REDIRMAP_MAP_H */
