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
 * Lookups read the map in chunks: a chunk is read in one RCU read section, and
 * copied to user space. The cursor, in in_batch and out_batch, is the last key
 * that was delivered, in key_size bytes.
 *
 * A hash is read in the order of the kernel's buckets. If the cursor has been
 * deleted, the kernel begins again at the first bucket. Therefore this file
 * skips the buckets before the bucket of the cursor: so a walk ends, and
 * delivers each entry that stays. See rmap_sock_map_bucket().
 *
 * To replace an entry, the kernel puts the new one at the head of the bucket,
 * and then removes the old one. In between, the keys behind the old entry cannot
 * be reached: from the old entry, whose key leads to the new one, a walk goes
 * round. That takes long if the task that replaces the entry is preempted, as
 * under PREEMPT_RT or in a virtual machine. So a walk that comes round waits for
 * that task: see walk_loops() and walk_settles(). It also remembers the keys of
 * the bucket that it has delivered, and does not deliver them again. Only the
 * next call, which does not know these keys, may deliver entries of the bucket
 * again; and so may a bucket of more than SOCK_CHUNK keys.
 *
 * A lookup that deletes entries deletes its own cursors. So before it deletes a
 * chunk of a hash, it fetches the key behind the chunk, and the next chunk
 * begins with that key. So the kernel begins again at the first bucket only
 * after another task has deleted a cursor, and once in a call that continues
 * after such a lookup, which has deleted the cursor of that call.
 *
 * This file owns no state. All functions run in bpf(2), and sleep.
 */
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "sock_batch.h"
#include "sock_map.h"

/*
 * Entries of a chunk; and slots of an array, or entries of a hash, that one RCU
 * read section visits. On the way to the next entry of a hash the kernel may
 * visit any number of empty buckets, as it does in BPF_MAP_GET_NEXT_KEY.
 */
#define SOCK_CHUNK 64
#define SOCK_VISITS 1024

/**
 * struct sock_walk - a walk through a map, with the entries of one chunk
 * @map: the map
 * @take: the entries of the chunk will be deleted
 * @n: number of entries in the chunk
 * @room: the most entries that the chunk may have
 * @slot: array: the next slot to visit
 * @begun: hash: @cursor has a key
 * @ahead: hash: @cursor has a key that has not been visited yet
 * @waits: hash: the walk has gone round in a bucket, so another task is
 *	replacing an entry
 * @bucket: hash: the walk skips buckets before this one
 * @visited: hash: number of keys that were visited in @bucket since the walk
 *	entered it, or has waited
 * @n_known: hash: number of keys that were delivered in @bucket
 * @cursor: hash: the key that was visited last; with @ahead, the next key
 * @next: hash: room for the next key
 * @mark: hash: the key that was visited in @bucket when @visited became a power
 *	of 2
 * @known: hash: the last SOCK_CHUNK keys that were delivered in @bucket
 * @values: cookies of the sockets in the chunk
 * @keys: keys of the chunk
 */
struct sock_walk {
	struct bpf_map *map;
	bool take;
	u32 n;
	u32 room;
	u64 slot;
	bool begun;
	bool ahead;
	bool waits;
	u32 bucket;
	u32 visited;
	u32 n_known;
	void *cursor;
	void *next;
	void *mark;
	void *known;
	u64 *values;
	void *keys;
};

static bool walks_array(const struct sock_walk *walk)
{
	return walk->map->map_type == BPF_MAP_TYPE_SOCKMAP;
}

/*
 * Add the entry with a key to the chunk, if there is one. Returns 0, or an
 * errno other than -ENOENT. Inside an RCU read section.
 */
static int walk_add(struct sock_walk *walk, void *key)
{
	const struct bpf_map_ops *stock = rmap_sock_map_stock(walk->map);
	u32 size = walk->map->key_size;
	const u64 *cookie;

	/* Without migration: see sock_map.c. RCU keeps the socket. */
	migrate_disable();
	cookie = stock->map_lookup_elem_sys_only(walk->map, key);
	migrate_enable();
	if (IS_ERR_OR_NULL(cookie))
		return PTR_ERR_OR_ZERO(cookie) == -ENOENT ?
		       0 : PTR_ERR_OR_ZERO(cookie);
	walk->values[walk->n] = READ_ONCE(*cookie);
	memcpy(walk->keys + walk->n * size, key, size);
	walk->n++;
	return 0;
}

static int walk_slots(struct sock_walk *walk)
{
	u32 slot, visits;
	int err;

	for (visits = 0; visits < SOCK_VISITS && walk->n < walk->room;
	     visits++) {
		if (walk->slot >= walk->map->max_entries)
			return -ENOENT;
		slot = walk->slot++;
		err = walk_add(walk, &slot);
		if (err)
			return err;
	}
	return 0;
}

/* Make @cursor the next key of a hash, unless it has been fetched already. */
static int walk_next(struct sock_walk *walk)
{
	const struct bpf_map_ops *stock = rmap_sock_map_stock(walk->map);
	int err;

	if (walk->ahead)
		return 0;
	err = stock->map_get_next_key(walk->map, walk->begun ?
				      walk->cursor : NULL, walk->next);
	if (err)
		return err;
	swap(walk->cursor, walk->next);
	walk->begun = true;
	walk->ahead = true;
	return 0;
}

/*
 * Has the walk come round to the mark? A mark that moves at each power of 2 is
 * in any loop, sooner or later.
 */
static bool walk_loops(struct sock_walk *walk)
{
	u32 size = walk->map->key_size;

	if (walk->visited && !memcmp(walk->mark, walk->cursor, size))
		return true;
	if (is_power_of_2(++walk->visited))
		memcpy(walk->mark, walk->cursor, size);
	return false;
}

static bool walk_knows(const struct sock_walk *walk)
{
	u32 i, n = min_t(u32, walk->n_known, SOCK_CHUNK);
	u32 size = walk->map->key_size;

	for (i = 0; i < n; i++) {
		if (!memcmp(walk->known + i * size, walk->cursor, size))
			return true;
	}
	return false;
}

static void walk_remember(struct sock_walk *walk)
{
	u32 size = walk->map->key_size;

	memcpy(walk->known + walk->n_known++ % SOCK_CHUNK * size, walk->cursor,
	       size);
}

/* Add the entry at the cursor. */
static int walk_add_cursor(struct sock_walk *walk)
{
	u32 n = walk->n;
	int err;

	err = walk_add(walk, walk->cursor);
	/*
	 * A task that has replaced the entry meanwhile has put it at the head
	 * of the bucket, which the first search may have passed before.
	 */
	if (!err && walk->n == n)
		err = walk_add(walk, walk->cursor);
	if (walk->n > n)
		walk_remember(walk);
	return err;
}

static int walk_buckets(struct sock_walk *walk)
{
	u32 bucket, visits;
	int err;

	for (visits = 0; visits < SOCK_VISITS && walk->n < walk->room;
	     visits++) {
		err = walk_next(walk);
		if (err)
			return err;
		walk->ahead = false;
		bucket = rmap_sock_map_bucket(walk->map, walk->cursor);
		/* The previous key was deleted, so the kernel began again. */
		if (bucket < walk->bucket) {
			walk->visited = 0;
			continue;
		}
		if (bucket > walk->bucket) {
			walk->visited = 0;
			walk->n_known = 0;
		}
		walk->bucket = bucket;
		walk->waits = walk_loops(walk);
		if (walk->waits)
			return 0;
		err = walk_knows(walk) ? 0 : walk_add_cursor(walk);
		if (err)
			return err;
	}
	/* The cursor will be deleted with the chunk: fetch the next key. */
	return walk->take ? walk_next(walk) : 0;
}

/* Fill the chunk. Returns 0, -ENOENT at the end, or another errno. */
static int walk_read(struct sock_walk *walk)
{
	int err;

	walk->n = 0;
	walk->waits = false;
	rcu_read_lock();
	err = walks_array(walk) ? walk_slots(walk) : walk_buckets(walk);
	rcu_read_unlock();
	return err;
}

/*
 * Delete the entries of the chunk, which keeps those that this call has
 * deleted. Returns whether it has deleted all.
 */
static bool walk_take(struct sock_walk *walk)
{
	u32 i, n = 0, size = walk->map->key_size;
	int err;

	for (i = 0; i < walk->n; i++) {
		err = rmap_sock_map_delete(walk->map, walk->keys + i * size);
		if (err)
			continue;
		if (n < i) {
			memcpy(walk->keys + n * size, walk->keys + i * size,
			       size);
			walk->values[n] = walk->values[i];
		}
		n++;
	}
	i = walk->n;
	walk->n = n;
	return n == i;
}

static bool walk_copy_out(const struct sock_walk *walk,
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
static int walk_deliver(struct sock_walk *walk, const union bpf_attr *attr,
			u32 done)
{
	void __user *cursor = u64_to_user_ptr(attr->batch.out_batch);
	u32 size = walk->map->key_size;

	if (!walk_copy_out(walk, attr, done) ||
	    copy_to_user(cursor, walk->keys + (walk->n - 1) * size, size))
		return -EFAULT;
	if (!walk->take || walk_take(walk))
		return 0;
	return walk_copy_out(walk, attr, done) ? 0 : -EFAULT;
}

/* Reschedule between entries or chunks; -EINTR for a killed task. */
static int sock_batch_pause(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/*
 * Let the task run that replaces an entry, if the walk has met one. A walk of a
 * higher priority would keep it from running.
 */
static int walk_pause(struct sock_walk *walk)
{
	if (walk->waits) {
		schedule_timeout_killable(1);
		walk->visited = 0;
	}
	return sock_batch_pause();
}

static int walk_all(struct sock_walk *walk, const union bpf_attr *attr,
		    u32 *done)
{
	u32 count = attr->batch.count;
	int end, err = 0;

	do {
		walk->room = min_t(u32, count - *done, SOCK_CHUNK);
		end = walk_read(walk);
		if (walk->n)
			err = walk_deliver(walk, attr, *done);
		if (err)
			return err;
		*done += walk->n;
		if (end || *done == count)
			return end;
		err = walk_pause(walk);
	} while (!err);
	return err;
}

/* Does the way from the cursor lead back to it, as far as it is followed? */
static bool walk_is_in_loop(struct sock_walk *walk)
{
	const struct bpf_map_ops *stock = rmap_sock_map_stock(walk->map);
	void *from = walk->cursor, *to = walk->next, *other = walk->mark;
	u32 visits, size = walk->map->key_size;
	bool loop = false;

	rcu_read_lock();
	for (visits = 0; visits < SOCK_VISITS && !loop; visits++) {
		if (stock->map_get_next_key(walk->map, from, to) ||
		    rmap_sock_map_bucket(walk->map, to) != walk->bucket)
			break;
		loop = !memcmp(to, walk->cursor, size);
		from = to;
		swap(to, other);
	}
	rcu_read_unlock();
	return loop;
}

/*
 * Wait until the cursor of the last call is in no loop. The walk itself finds a
 * loop only if it comes round within a call.
 */
static int walk_settles(struct sock_walk *walk)
{
	int err = 0;

	while (!err && walk_is_in_loop(walk)) {
		walk->waits = true;
		err = walk_pause(walk);
	}
	return err;
}

/* Let the walk continue after the cursor of the last call. */
static int walk_resume(struct sock_walk *walk, const union bpf_attr *attr)
{
	const void __user *cursor = u64_to_user_ptr(attr->batch.in_batch);

	if (!cursor)
		return 0;
	if (copy_from_user(walk->cursor, cursor, walk->map->key_size))
		return -EFAULT;
	if (walks_array(walk)) {
		walk->slot = *(u32 *)walk->cursor + 1ULL;
	} else {
		walk->begun = true;
		walk->bucket = rmap_sock_map_bucket(walk->map, walk->cursor);
		walk_remember(walk);
		return walk_settles(walk);
	}
	return 0;
}

/* The values come first, because they need an alignment to 8 bytes. */
static int walk_alloc(struct sock_walk *walk)
{
	u32 size = walk->map->key_size;

	walk->values = kvmalloc(SOCK_CHUNK * sizeof(u64) +
				(2 * SOCK_CHUNK + 3) * size,
				GFP_USER | __GFP_NOWARN);
	if (!walk->values)
		return -ENOMEM;
	walk->keys = walk->values + SOCK_CHUNK;
	walk->cursor = walk->keys + SOCK_CHUNK * size;
	walk->next = walk->cursor + size;
	walk->mark = walk->next + size;
	walk->known = walk->mark + size;
	return 0;
}

static int sock_batch_read(struct bpf_map *map, const union bpf_attr *attr,
			   union bpf_attr __user *uattr, bool take)
{
	struct sock_walk walk = { .map = map, .take = take };
	u32 done = 0;
	int err;

	if (attr->batch.elem_flags || attr->batch.flags)
		return -EINVAL;
	if (!attr->batch.count)
		return 0;
	if (put_user(0, &uattr->batch.count))
		return -EFAULT;
	/* As in a single lookup: a cookie has 8 bytes. */
	if (map->value_size != sizeof(u64))
		return -ENOSPC;

	err = walk_alloc(&walk);
	if (err)
		return err;
	err = walk_resume(&walk, attr);
	if (!err)
		err = walk_all(&walk, attr, &done);
	kvfree(walk.values);
	if (put_user(done, &uattr->batch.count))
		return -EFAULT;
	return err;
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

	if (attr->batch.flags)
		return -EINVAL;
	if (!count)
		return 0;
	if (put_user(0, &uattr->batch.count))
		return -EFAULT;
	key = kmalloc(map->key_size, GFP_USER | __GFP_NOWARN);
	if (!key)
		return -ENOMEM;

	do {
		err = one(map, attr, done, key);
		if (err || ++done == count)
			break;
		err = sock_batch_pause();
	} while (!err);

	kfree(key);
	if (put_user(done, &uattr->batch.count))
		return -EFAULT;
	return err;
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
