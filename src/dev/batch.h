/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BATCH_H
#define REDIRMAP_BATCH_H

#include <linux/bpf.h>

struct redir_map;
struct target;

/**
 * struct batch_chunk - some entries of a batch, in the kernel's memory
 * @keys: their keys
 * @values: their values, each as large as the map's; NULL where there are none
 * @value_size: bytes of one
 * @n: how many there are
 * @room: how many there may be
 */
struct batch_chunk {
	u32 *keys;
	void *values;
	u32 value_size;
	u32 n;
	u32 room;
};

/**
 * struct batch_ops - what batches need of a kind of map
 * @place: where a key is in the order in which keys are read; it depends on
 *	nothing but the key
 * @read: add entries to a chunk, from a place on, until it has no more room or
 *	enough places were looked at; the place becomes the one to go on from.
 *	0, or -ENOENT where the map ends
 * @update: a single update
 * @delete: a single delete
 * @take: delete an entry, and tell its value; false when there is none
 *
 * All but @place are called under redir_map.lock and rcu_read_lock().
 */
struct batch_ops {
	u64 (*place)(const struct bpf_map *map, u32 key);
	int (*read)(struct redir_map *rmap, u64 *place,
		    struct batch_chunk *chunk);
	int (*update)(struct redir_map *rmap, u32 key, const void *value,
		      u64 flags);
	int (*delete)(struct redir_map *rmap, u32 key);
	bool (*take)(struct redir_map *rmap, u32 key, void *value);
};

void rmap_batch_add(const struct bpf_map *map, struct batch_chunk *chunk,
		    u32 key, struct target *target);
void rmap_batch_set_ops(struct bpf_map_ops *ops);

#endif /* REDIRMAP_BATCH_H */
