/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BATCH_H
#define REDIRMAP_BATCH_H

#include <linux/bpf.h>

struct redir_map;
struct target;

/**
 * struct batch_chunk - some entries of a batch, in the kernel's memory
 * @keys: keys of the entries
 * @values: values of the entries, as in the map; NULL for deletions
 * @value_size: bytes of one value
 * @n: number of entries
 * @room: the most entries that may be added
 */
struct batch_chunk {
	u32 *keys;
	void *values;
	u32 value_size;
	u32 n;
	u32 room;
};

/**
 * struct batch_ops - operations of a kind of map that batches call
 * @place: return the position of a key in the order in which keys are read;
 *	this position depends on the key alone
 * @read: add entries to a chunk, from a position on, until the chunk is full or
 *	enough positions have been visited; store the position to continue at.
 *	Returns 0, or -ENOENT at the end of the map
 * @update: update one entry
 * @delete: delete one entry
 * @take: delete one entry and store its value; false when there is no entry
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
