// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_LOOKUP_BATCH, LOOKUP_AND_DELETE_BATCH, UPDATE_BATCH, DELETE_BATCH.
 *
 * Owns the way of a batch between user space and a map: in chunks, through a
 * buffer that a call allocates once. User memory is touched with no lock held;
 * a chunk is done in one RCU read section and under redir_map.lock, which a
 * hash needs, and which costs less per chunk than per entry. Chunks bound how
 * long that takes; after each there is a chance to reschedule, and a task that was
 * killed goes no further. The maps' part is struct batch_ops.
 *
 * A batch is no transaction: entries are read and written one after the other,
 * and others may come between two chunks. An update finds the device and
 * publishes it inside one RCU read section, as a single update does: see the
 * head comment of target_device.c.
 *
 * Lookups go through the keys in an order that is given by the keys alone.
 * What in_batch and out_batch point to, 4 bytes, is the last key that was
 * delivered, so the next call goes on behind it, whether that key is still
 * there or not. So no key is delivered twice, each one that stays is delivered
 * once, and the walk ends, whatever others do meanwhile. Neither does the walk
 * depend on how keys share buckets: there is no ENOSPC.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "compat.h"
#include "map.h"

/* Entries of a chunk: few enough to hold a lock for, and for kmalloc(). */
#define BATCH_CHUNK 64

static void *batch_value(const struct batch_chunk *chunk, u32 i)
{
	return chunk->values + i * chunk->value_size;
}

/**
 * rmap_batch_add() - add an entry to a chunk
 * @map: the map
 * @chunk: has room
 * @key: the entry's key
 * @target: where it leads
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

/* Memory for a chunk's keys and values; kfree() of the keys frees both. */
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

/* Between two chunks, no lock held: 0, or -EINTR for a task that is being killed. */
static int batch_pause(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* --- lookups ---------------------------------------------------------------- */

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

/* Delete what a chunk was read from; the chunk is then what was deleted. */
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
 * Hand a chunk over; its entries are deleted only once user space has them, so
 * that an address that is wrong loses nothing: first keys, values, out_batch,
 * then the deletion. In between others may have deleted an entry, or changed
 * it. What counts is what was deleted here, with the value that it had then,
 * so that is copied again, over memory that has just proved to be good. Each
 * entry is so delivered to one caller only.
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

	if (attr->batch.elem_flags || attr->batch.flags)
		return -EINVAL;
	if (!count)
		return 0;
	if (put_user(0, &uattr->batch.count))
		return -EFAULT;
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
		err = batch_pause();
	} while (!err);

	kfree(chunk.keys);
	if (put_user(done, &uattr->batch.count))
		return -EFAULT;
	return err ?: end;
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

/* --- updates and deletes ---------------------------------------------------- */

/* How many of the entries wanted could be read from user space. */
static u32 batch_copy_in(void *to, u64 from, u32 done, u32 want, u32 size)
{
	void __user *user = u64_to_user_ptr(from) + (size_t)done * size;

	return want - DIV_ROUND_UP(copy_from_user(to, user, want * size), size);
}

/* Do a chunk up to the first error; how many were done is then its length. */
static int batch_apply(struct redir_map *rmap, struct batch_chunk *chunk,
		       u64 flags)
{
	int err = 0;
	u32 i;

	batch_lock(rmap);
	for (i = 0; i < chunk->n; i++) {
		err = chunk->values ?
			rmap->batch->update(rmap, chunk->keys[i],
					    batch_value(chunk, i), flags) :
			rmap->batch->delete(rmap, chunk->keys[i]);
		if (err)
			break;
	}
	batch_unlock(rmap);
	chunk->n = i;
	return err;
}

/* Updates; or deletes, which are without values. */
static int batch_write(struct bpf_map *map, const union bpf_attr *attr,
		       union bpf_attr __user *uattr, u32 value_size)
{
	u32 want, done = 0, count = attr->batch.count;
	struct redir_map *rmap = to_redir_map(map);
	struct batch_chunk chunk;
	bool fault;
	int err;

	if (attr->batch.flags)
		return -EINVAL;
	if (!count)
		return 0;
	if (put_user(0, &uattr->batch.count))
		return -EFAULT;

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
		/* What comes before the bad address is done all the same. */
		err = batch_apply(rmap, &chunk, attr->batch.elem_flags);
		if (!err && fault)
			err = -EFAULT;
		done += chunk.n;
		if (err || done == count)
			break;
		err = batch_pause();
	} while (!err);

	kfree(chunk.keys);
	if (put_user(done, &uattr->batch.count))
		return -EFAULT;
	return err;
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
 * rmap_batch_set_ops() - put our operations over the kernel's
 * @ops: a copy of the built-in's, which knows no batches
 *
 * Context: bpf(2) of who creates the first such map; a raw spinlock is held.
 */
void rmap_batch_set_ops(struct bpf_map_ops *ops)
{
	ops->map_lookup_batch = batch_lookup;
	ops->map_lookup_and_delete_batch = batch_lookup_and_delete;
	ops->map_update_batch = batch_update;
	ops->map_delete_batch = batch_delete;
}
