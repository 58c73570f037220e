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

	err = rmap_sock_walk_alloc(&walk);
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

/* Copy entry number @i of a user's array to @to. */
static bool sock_batch_copy_in(void *to, u64 array, u32 i, u32 size)
{
	return !copy_from_user(to, u64_to_user_ptr(array) + (size_t)i * size,
			       size);
}

static int sock_batch_update_one(struct bpf_map *map,
				 const union bpf_attr *attr, u32 i, void *key)
{
	u64 value = 0;

	if (!sock_batch_copy_in(key, attr->batch.keys, i, map->key_size) ||
	    !sock_batch_copy_in(&value, attr->batch.values, i, map->value_size))
		return -EFAULT;
	return rmap_sock_map_insert(map, key, &value, attr->batch.elem_flags);
}

static int sock_batch_delete_one(struct bpf_map *map,
				 const union bpf_attr *attr, u32 i, void *key)
{
	if (!sock_batch_copy_in(key, attr->batch.keys, i, map->key_size))
		return -EFAULT;
	return rmap_sock_map_delete(map, key);
}

static int sock_batch_write(struct bpf_map *map, const union bpf_attr *attr,
			    union bpf_attr __user *uattr,
			    int (*one)(struct bpf_map *map,
				       const union bpf_attr *attr, u32 i,
				       void *key))
{
	u32 done = 0, count = attr->batch.count;
	void *key;
	int err;

	err = batch_call_begin(attr, uattr);
	if (err <= 0)
		return err;
	key = kmalloc(map->key_size, GFP_USER | __GFP_NOWARN);
	if (!key)
		return -ENOMEM;

	do {
		err = one(map, attr, done, key);
		if (err || ++done == count)
			break;
		err = batch_call_pause();
	} while (!err);

	kfree(key);
	return batch_call_end(uattr, done, err);
}

static int sock_batch_update(struct bpf_map *map, COMPAT_BATCH_FILE
			     const union bpf_attr *attr,
			     union bpf_attr __user *uattr)
{
	return sock_batch_write(map, attr, uattr, sock_batch_update_one);
}

static int sock_batch_delete(struct bpf_map *map, const union bpf_attr *attr,
			     union bpf_attr __user *uattr)
{
	if (attr->batch.elem_flags)
		return -EINVAL;
	return sock_batch_write(map, attr, uattr, sock_batch_delete_one);
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
