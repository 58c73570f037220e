// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches of socket maps: BPF_MAP_LOOKUP_BATCH, LOOKUP_AND_DELETE_BATCH,
 * UPDATE_BATCH, DELETE_BATCH. The kernel has none for these maps.
 *
 * A batch is a loop of single operations of the kernel, so an entry fails with
 * the errno of a single operation. User space gets the number of entries before
 * the first error. A batch is not a transaction: other tasks may change the map
 * between two entries.
 *
 * Updates and deletes copy keys and values from user space in chunks, because
 * each copy has a fixed cost, which is as high as that of a delete.
 *
 * Lookups read the map in chunks (sock_walk.c), and copy each to user space.
 * The cursor, in in_batch and out_batch, is the last key that was delivered, in
 * key_size bytes.
 *
 * This file owns no state. All functions run in bpf(2), and sleep.
 */
#include <linux/bpf.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch_call.h"
#include "compat.h"
#include "sock_batch.h"
#include "sock_map.h"
#include "sock_stats.h"
#include "sock_walk.h"

static bool batch_copy_out(const struct sock_walk *walk,
			   const union bpf_attr *attr, u32 done)
{
	void __user *values = u64_to_user_ptr(attr->batch.values);
	void __user *keys = u64_to_user_ptr(attr->batch.keys);
	u32 size = walk->map->key_size;

	return !copy_to_user(keys + (size_t)done * size, walk->keys,
			     walk->n * size) &&
	       !copy_to_user(values + (size_t)done * sizeof(u64), walk->values,
			     walk->n * sizeof(u64));
}

/*
 * Deliver the chunk to user space. A walk with @take deletes the entries after
 * user space has got them, so a bad address loses no entry. If another task has
 * deleted entries before this call could, they are removed from the chunk, and
 * the chunk is copied again. If that copy fails, because the address has become
 * bad since the first copy, the entries of the chunk are deleted, but the count
 * does not include them.
 */
static int batch_deliver(struct sock_walk *walk, const union bpf_attr *attr,
			 u32 done)
{
	void __user *cursor = u64_to_user_ptr(attr->batch.out_batch);
	u32 size = walk->map->key_size;

	if (!batch_copy_out(walk, attr, done) ||
	    copy_to_user(cursor, walk->keys + (walk->n - 1) * size, size))
		return -EFAULT;
	if (!walk->take || rmap_sock_walk_take(walk))
		return 0;
	return batch_copy_out(walk, attr, done) ? 0 : -EFAULT;
}

static int batch_read_chunks(struct sock_walk *walk, const union bpf_attr *attr,
			     u32 *done)
{
	u32 count = attr->batch.count;
	int end, err = 0;

	do {
		walk->room = min_t(u32, count - *done, SOCK_CHUNK);
		end = rmap_sock_walk_read(walk);
		if (walk->n)
			err = batch_deliver(walk, attr, *done);
		if (err)
			return err;
		*done += walk->n;
		if (end || *done == count)
			return end;
		err = rmap_sock_walk_pause(walk);
	} while (!err);
	return err;
}

/* Let the walk continue after the cursor of the last call. */
static int batch_resume(struct sock_walk *walk, const union bpf_attr *attr)
{
	const void __user *cursor = u64_to_user_ptr(attr->batch.in_batch);

	if (!cursor)
		return 0;
	if (copy_from_user(walk->cursor, cursor, walk->map->key_size))
		return -EFAULT;
	return rmap_sock_walk_resume(walk);
}

static int sock_batch_read(struct bpf_map *map, const union bpf_attr *attr,
			   union bpf_attr __user *uattr, bool take)
{
	struct sock_walk walk = { .map = map, .take = take };
	u32 done = 0;
	int err;

	if (attr->batch.elem_flags)
		return -EINVAL;
	err = batch_call_begin(attr, uattr);
	if (err <= 0)
		return err;
	/* As in a single lookup: a cookie has 8 bytes. */
	if (map->value_size != sizeof(u64))
		return -ENOSPC;

	err = rmap_sock_walk_alloc(&walk, GFP_USER);
	if (err)
		return err;
	err = batch_resume(&walk, attr);
	if (!err)
		err = batch_read_chunks(&walk, attr, &done);
	rmap_sock_walk_free(&walk);
	return batch_call_end(uattr, done, err);
}

static int sock_batch_lookup(struct bpf_map *map, const union bpf_attr *attr,
			     union bpf_attr __user *uattr)
{
	return sock_batch_read(map, attr, uattr, false);
}

static int sock_batch_take(struct bpf_map *map, const union bpf_attr *attr,
			   union bpf_attr __user *uattr)
{
	return sock_batch_read(map, attr, uattr, true);
}

/**
 * struct batch_chunk - entries that user space has passed
 * @stats: the counters of the map
 * @keys: the keys
 * @values: the values, for updates; begin of the memory
 */
struct batch_chunk {
	struct sock_stats *stats;
	void *keys;
	void *values;
};

/* Make a chunk for up to @n entries. Returns 0 or -ENOMEM. */
static int batch_chunk_alloc(struct batch_chunk *chunk,
			     const struct bpf_map *map, u32 n, bool has_values)
{
	size_t values = has_values ? n * sizeof(u64) : 0;

	/* The values come first, because they need an alignment to 8 bytes. */
	chunk->values = kvmalloc(values + (size_t)n * map->key_size,
				 GFP_USER | __GFP_NOWARN);
	if (!chunk->values)
		return -ENOMEM;
	chunk->keys = chunk->values + values;
	chunk->stats = rmap_sock_stats_of(map);
	return 0;
}

static void batch_chunk_free(struct batch_chunk *chunk)
{
	kvfree(chunk->values);
}

/*
 * Copy elements of a user's array, from number @at on. Returns the number of
 * elements before a bad address. A copy that fails may have copied fewer bytes
 * than it could, or none, if the array would end beyond user space.
 */
static u32 batch_copy_in(void *to, u64 array, u32 at, u32 n, u32 size)
{
	const void __user *from = u64_to_user_ptr(array) + (size_t)at * size;
	size_t left = copy_from_user(to, from, (size_t)n * size);
	u32 there = n - DIV_ROUND_UP(left, size);

	while (there < n && !copy_from_user(to + (size_t)there * size,
					    from + (size_t)there * size, size))
		there++;
	return there;
}

/* Read up to @n entries, from number @at on; returns their number. */
static u32 batch_fetch(struct batch_chunk *chunk, const struct bpf_map *map,
		       const union bpf_attr *attr, u32 at, u32 n,
		       bool has_values)
{
	n = batch_copy_in(chunk->keys, attr->batch.keys, at, n, map->key_size);
	if (has_values)
		n = batch_copy_in(chunk->values, attr->batch.values, at, n,
				  map->value_size);
	return n;
}

/* Update or delete entry number @i of a chunk. */
static int batch_write_one(struct bpf_map *map, const union bpf_attr *attr,
			   const struct batch_chunk *chunk, u32 i, bool update)
{
	void *key = chunk->keys + (size_t)i * map->key_size;

	if (!update)
		return rmap_sock_map_delete(map, chunk->stats, key);
	return rmap_sock_map_insert(map, chunk->stats, key,
				    chunk->values + i * map->value_size,
				    attr->batch.elem_flags);
}

/* Process the next chunk, and add the number of its entries to @done. */
static int batch_write_chunk(struct bpf_map *map, const union bpf_attr *attr,
			     struct batch_chunk *chunk, bool update, u32 *done)
{
	u32 n = min_t(u32, attr->batch.count - *done, SOCK_CHUNK), i;
	u32 there = batch_fetch(chunk, map, attr, *done, n, update);
	int err;

	for (i = 0; i < there; i++) {
		err = batch_write_one(map, attr, chunk, i, update);
		if (err)
			return err;
		++*done;
		/* The batch may be complete, so a signal does not matter. */
		if (*done < attr->batch.count) {
			err = batch_call_pause();
			if (err)
				return err;
		}
	}
	return there < n ? -EFAULT : 0;
}

static int sock_batch_write(struct bpf_map *map, const union bpf_attr *attr,
			    union bpf_attr __user *uattr, bool update)
{
	struct batch_chunk chunk;
	u32 done = 0;
	int err;

	err = batch_call_begin(attr, uattr);
	if (err <= 0)
		return err;
	err = batch_chunk_alloc(&chunk, map, min_t(u32, attr->batch.count,
						   SOCK_CHUNK), update);
	if (err)
		return err;
	while (!err && done < attr->batch.count)
		err = batch_write_chunk(map, attr, &chunk, update, &done);
	batch_chunk_free(&chunk);
	return batch_call_end(uattr, done, err);
}

static int sock_batch_update(struct bpf_map *map, COMPAT_BATCH_FILE
			     const union bpf_attr *attr,
			     union bpf_attr __user *uattr)
{
	return sock_batch_write(map, attr, uattr, true);
}

static int sock_batch_delete(struct bpf_map *map, const union bpf_attr *attr,
			     union bpf_attr __user *uattr)
{
	if (attr->batch.elem_flags)
		return -EINVAL;
	return sock_batch_write(map, attr, uattr, false);
}

/**
 * rmap_sock_batch_set_ops() - add batches to the operations of claimed maps
 * @ops: a copy of the kernel's operations, which have no batches
 *
 * Context: bpf(2), in the task that creates the first map of a kind; under a
 * raw spinlock.
 */
void rmap_sock_batch_set_ops(struct bpf_map_ops *ops)
{
	ops->map_lookup_batch = sock_batch_lookup;
	ops->map_lookup_and_delete_batch = sock_batch_take;
	ops->map_update_batch = sock_batch_update;
	ops->map_delete_batch = sock_batch_delete;
}
