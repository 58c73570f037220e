// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_LOOKUP_BATCH, LOOKUP_AND_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH.
 *
 * A batch moves between user space and a map in chunks, through a buffer that
 * each call allocates once and this file owns. User memory is accessed with no
 * lock held. Each chunk is processed in one RCU read section and under
 * redir_map.lock, which a hash needs, and which costs less per chunk than per
 * entry. The size of a chunk limits the time under the lock; between chunks the
 * task may reschedule, and a killed task stops. Each kind of map has its own
 * struct batch_ops. All functions run in bpf(2).
 *
 * A batch is not a transaction: entries are read and written one after the
 * other, and other tasks may change the map between two chunks. An update finds
 * the device and publishes its target inside one RCU read section, as a single
 * update does: see the head comment of target_device.c.
 *
 * Lookups visit the keys in an order that depends on the keys alone. The 4
 * bytes at in_batch and out_batch are the last key that was returned. The next
 * call continues after that key, even if the key has been deleted. So even if
 * other tasks change the map, no key is returned twice, each key that stays is
 * returned once, and the walk ends. A call may stop within a bucket, so unlike
 * other hash maps, device maps never return -ENOSPC.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "batch_call.h"
#include "compat.h"
#include "map.h"

/*
 * Entries of a chunk: few enough to process under a lock, and to fit into
 * memory from kmalloc().
 */
#define BATCH_CHUNK 64

static void *batch_value(const struct batch_chunk *chunk, u32 i)
{
	return chunk->values + i * chunk->value_size;
}

/**
 * rmap_batch_add() - add an entry to a chunk
 * @map: the map
 * @chunk: a chunk with room
 * @key: the entry's key
 * @target: the entry's target
 *
 * Context: inside the RCU read section in which @target was found.
 */
void rmap_batch_add(const struct bpf_map *map, struct batch_chunk *chunk,
		    u32 key, struct target *target)
{
	chunk->keys[chunk->n] = key;
	value_read(map, target, batch_value(chunk, chunk->n));
	chunk->n++;
}

/* Allocate keys and values of a chunk; kfree() of the keys frees both. */
static int batch_alloc(struct batch_chunk *chunk, u32 value_size)
{
	chunk->value_size = value_size;
	chunk->keys = kmalloc_array(BATCH_CHUNK, sizeof(u32) + value_size,
				    GFP_USER | __GFP_NOWARN);
	if (!chunk->keys)
		return -ENOMEM;
	chunk->values = chunk->keys + BATCH_CHUNK;
	return 0;
}

static void batch_lock(struct redir_map *rmap)
	__acquires(RCU)
	__acquires(&rmap->lock)
{
	rcu_read_lock();
	spin_lock(&rmap->lock);
}

static void batch_unlock(struct redir_map *rmap)
	__releases(&rmap->lock)
	__releases(RCU)
{
	spin_unlock(&rmap->lock);
	rcu_read_unlock();
}

/* --- lookups -------------------------------------------------------------- */

static bool batch_copy_out(const struct batch_chunk *chunk,
			   const union bpf_attr *attr, u32 done)
{
	void __user *values = u64_to_user_ptr(attr->batch.values);
	void __user *keys = u64_to_user_ptr(attr->batch.keys);
	u32 size = chunk->value_size;

	return !copy_to_user(keys + (size_t)done * sizeof(u32), chunk->keys,
			     chunk->n * sizeof(u32)) &&
	       !copy_to_user(values + (size_t)done * size, chunk->values,
			     chunk->n * size);
}

/* Delete the entries of a chunk; it keeps those that the map still had. */
static void batch_take(struct redir_map *rmap, struct batch_chunk *chunk)
{
	u32 i, n = 0;

	batch_lock(rmap);
	for (i = 0; i < chunk->n; i++) {
		if (rmap->batch->take(rmap, chunk->keys[i],
				      batch_value(chunk, n)))
			chunk->keys[n++] = chunk->keys[i];
	}
	batch_unlock(rmap);
	chunk->n = n;
}

/*
 * Deliver a chunk to user space. With @take its entries are deleted only after
 * user space has got keys, values and out_batch, so a bad address loses no
 * entry. Another task may delete or change an entry before this function
 * deletes it. So the entries that this function has deleted are copied again,
 * with the values that they had then, to the same user memory. Hence each entry
 * is delivered to one caller only.
 */
static int batch_deliver(struct redir_map *rmap, struct batch_chunk *chunk,
			 const union bpf_attr *attr, u32 done, bool take)
{
	void __user *token = u64_to_user_ptr(attr->batch.out_batch);

	if (!batch_copy_out(chunk, attr, done) ||
	    copy_to_user(token, &chunk->keys[chunk->n - 1], sizeof(u32)))
		return -EFAULT;
	if (!take)
		return 0;
	batch_take(rmap, chunk);
	return batch_copy_out(chunk, attr, done) ? 0 : -EFAULT;
}

static int batch_read(struct bpf_map *map, const union bpf_attr *attr,
		      union bpf_attr __user *uattr, bool take)
{
	void __user *token = u64_to_user_ptr(attr->batch.in_batch);
	struct redir_map *rmap = to_redir_map(map);
	u32 key, done = 0, count = attr->batch.count;
	struct batch_chunk chunk;
	u64 place = 0;
	int end, err;

	if (attr->batch.elem_flags)
		return -EINVAL;
	err = batch_call_begin(attr, uattr);
	if (err <= 0)
		return err;
	if (token) {
		if (copy_from_user(&key, token, sizeof(key)))
			return -EFAULT;
		place = rmap->batch->place(map, key) + 1;
	}

	err = batch_alloc(&chunk, map->value_size);
	if (err)
		return err;

	do {
		chunk.n = 0;
		chunk.room = min_t(u32, count - done, BATCH_CHUNK);
		batch_lock(rmap);
		end = rmap->batch->read(rmap, &place, &chunk);
		batch_unlock(rmap);
		if (chunk.n) {
			err = batch_deliver(rmap, &chunk, attr, done, take);
			if (err)
				break;
		}
		done += chunk.n;
		if (end || done == count)
			break;
		err = batch_call_pause();
	} while (!err);

	kfree(chunk.keys);
	return batch_call_end(uattr, done, err ?: end);
}

static int batch_lookup(struct bpf_map *map, const union bpf_attr *attr,
			union bpf_attr __user *uattr)
{
	return batch_read(map, attr, uattr, false);
}

static int batch_lookup_and_delete(struct bpf_map *map,
				   const union bpf_attr *attr,
				   union bpf_attr __user *uattr)
{
	return batch_read(map, attr, uattr, true);
}

/* --- updates and deletes -------------------------------------------------- */

/* Read @want elements from user space; returns the number of those read. */
static u32 batch_copy_in(void *to, u64 from, u32 done, u32 want, u32 size)
{
	void __user *user = u64_to_user_ptr(from) + (size_t)done * size;

	return want - DIV_ROUND_UP(copy_from_user(to, user, want * size), size);
}

/* Delete up to the first error; sets chunk->n to the entries done. */
static int batch_apply_deletes(struct redir_map *rmap,
			       struct batch_chunk *chunk)
{
	int err = 0;
	u32 i;

	batch_lock(rmap);
	for (i = 0; i < chunk->n; i++) {
		err = rmap->batch->delete(rmap, chunk->keys[i]);
		if (err)
			break;
	}
	batch_unlock(rmap);
	chunk->n = i;
	return err;
}

/*
 * Update up to the first error; sets chunk->n to the entries done. With bottom
 * halves on, softirqs would run after each new port that is mirrored, while
 * other updates wait for the lock. The lock comes first, as in a single update:
 * on PREEMPT_RT, bottom halves are a lock as well.
 */
static int batch_apply_updates(struct redir_map *rmap,
			       struct batch_chunk *chunk, u64 flags)
{
	int err = 0;
	u32 i;

	batch_lock(rmap);
	local_bh_disable();
	for (i = 0; i < chunk->n; i++) {
		err = rmap->batch->update(rmap, chunk->keys[i],
					  batch_value(chunk, i), flags);
		if (err)
			break;
	}
	/* Softirqs run when the lock has been released. */
	spin_unlock(&rmap->lock);
	local_bh_enable();
	rcu_read_unlock();
	chunk->n = i;
	return err;
}

/* Update entries; delete them if @value_size is 0. */
static int batch_write(struct bpf_map *map, const union bpf_attr *attr,
		       union bpf_attr __user *uattr, u32 value_size)
{
	u32 want, done = 0, count = attr->batch.count;
	struct redir_map *rmap = to_redir_map(map);
	u64 flags = attr->batch.elem_flags;
	struct batch_chunk chunk;
	bool fault;
	int err;

	err = batch_call_begin(attr, uattr);
	if (err <= 0)
		return err;

	err = batch_alloc(&chunk, value_size);
	if (err)
		return err;
	if (!value_size)
		chunk.values = NULL;

	do {
		want = min_t(u32, count - done, BATCH_CHUNK);
		chunk.n = batch_copy_in(chunk.keys, attr->batch.keys, done,
					want, sizeof(u32));
		if (value_size)
			chunk.n = batch_copy_in(chunk.values,
						attr->batch.values, done,
						chunk.n, value_size);
		fault = chunk.n < want;
		if (value_size)
			rmap_map_prepare(rmap, chunk.n);
		/* Entries in front of a bad address are processed. */
		err = chunk.values ?
		      batch_apply_updates(rmap, &chunk, flags) :
		      batch_apply_deletes(rmap, &chunk);
		if (!err && fault)
			err = -EFAULT;
		done += chunk.n;
		if (err || done == count)
			break;
		err = batch_call_pause();
	} while (!err);

	kfree(chunk.keys);
	return batch_call_end(uattr, done, err);
}

static int batch_update(struct bpf_map *map, COMPAT_BATCH_FILE
			const union bpf_attr *attr,
			union bpf_attr __user *uattr)
{
	if (attr->batch.elem_flags > BPF_EXIST)
		return -EINVAL;
	return batch_write(map, attr, uattr, map->value_size);
}

static int batch_delete(struct bpf_map *map, const union bpf_attr *attr,
			union bpf_attr __user *uattr)
{
	if (attr->batch.elem_flags)
		return -EINVAL;
	return batch_write(map, attr, uattr, 0);
}

/**
 * rmap_batch_set_ops() - add batches to the operations of claimed maps
 * @ops: a copy of the built-in's operations, which have no batches
 *
 * Context: bpf(2), in the task that creates the first map of a kind; under a
 * raw spinlock.
 */
void rmap_batch_set_ops(struct bpf_map_ops *ops)
{
	ops->map_lookup_batch = batch_lookup;
	ops->map_lookup_and_delete_batch = batch_lookup_and_delete;
	ops->map_update_batch = batch_update;
	ops->map_delete_batch = batch_delete;
}
