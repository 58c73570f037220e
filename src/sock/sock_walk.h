/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_WALK_H
#define REDIRMAP_SOCK_WALK_H

#include <linux/types.h>

struct bpf_map;

/* Entries of a chunk */
#define SOCK_CHUNK 64

/**
 * struct sock_walk - a walk through a map, with the entries of one chunk
 * @map: the map
 * @take: the entries of the chunk will be deleted
 * @only_keys: the chunk gets no cookies, which values of 4 bytes cannot have
 * @n: number of entries in the chunk
 * @room: the most entries that the chunk may have
 * @slot: array: the next slot to visit
 * @begun: hash: @cursor has a key
 * @ahead: hash: @cursor has a key that has not been visited yet
 * @waits: hash: the walk has gone round in a bucket, so another task is
 *	replacing an entry
 * @disturbed: hash: the walk has waited, or has found that another task has
 *	deleted the cursor; only the user of the walk resets it
 * @bucket: hash: the walk skips buckets before this one
 * @at: hash: the bucket of the key that was visited last
 * @visited: hash: number of keys that were visited in @at since the walk
 *	entered it, or has waited
 * @n_known: hash: number of keys that were delivered in @bucket
 * @cursor: hash: the key that was visited last; with @ahead, the next key
 * @next: hash: room for the next key
 * @mark: hash: the key that was visited in @at when @visited became a power of
 *	2
 * @known: hash: the last SOCK_CHUNK keys that were delivered in @bucket
 * @values: cookies of the sockets in the chunk
 * @keys: keys of the chunk
 */
struct sock_walk {
	struct bpf_map *map;
	bool take;
	bool only_keys;
	u32 n;
	u32 room;
	u64 slot;
	bool begun;
	bool ahead;
	bool waits;
	bool disturbed;
	u32 bucket;
	u32 at;
	u32 visited;
	u32 n_known;
	void *cursor;
	void *next;
	void *mark;
	void *known;
	u64 *values;
	void *keys;
};

int rmap_sock_walk_alloc(struct sock_walk *walk, gfp_t gfp);
void rmap_sock_walk_free(struct sock_walk *walk);
int rmap_sock_walk_resume(struct sock_walk *walk);
int rmap_sock_walk_read(struct sock_walk *walk);
bool rmap_sock_walk_take(struct sock_walk *walk);
int rmap_sock_walk_pause(struct sock_walk *walk);

#endif /* REDIRMAP_SOCK_WALK_H */
