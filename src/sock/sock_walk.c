// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks through claimed socket maps, for the lookups of sock_batch.c and the
 * dumps of sock_dump.c.
 *
 * A walk reads the map in chunks, each in one RCU read section.
 *
 * A hash is read in the order of the kernel's buckets. If the cursor has been
 * deleted, the kernel begins again at the first bucket. Therefore this file
 * skips the buckets before the bucket of the cursor: so a walk ends, and
 * delivers each entry that is neither deleted nor replaced meanwhile. See
 * rmap_sock_map_bucket(). A replaced entry moves to the head of its bucket,
 * which the walk may have passed.
 *
 * To replace an entry, the kernel puts the new one at the head of the bucket,
 * and then removes the old one. In between, the keys behind the old entry
 * cannot be reached: from the old entry, whose key leads to the new one, a walk
 * repeats the same keys. That takes long if the task that replaces the entry is
 * preempted, as under PREEMPT_RT or in a virtual machine. So a walk that finds
 * a repeated key waits for that task: see walk_loops() and walk_settles(). It
 * also remembers the keys of the bucket that it has delivered, and does not
 * deliver them again.
 * Only the next call, which does not know these keys, may deliver entries of
 * the bucket again; and so may a bucket of more than SOCK_CHUNK keys.
 *
 * A lookup that deletes entries deletes its own cursors. So before it deletes a
 * chunk of a hash, it fetches the key behind the chunk, and the next chunk
 * begins with that key. So the kernel begins again at the first bucket only
 * after another task has deleted a cursor, after the walk has waited, and once
 * in a call that continues after such a lookup, which has deleted the cursor of
 * that call.
 *
 * This file owns no state: a walk belongs to its call of bpf(2), or to its
 * dump. All functions run in process context, in one task at a time. Between
 * two parts of a dump the map may be closed; sock_dump.c then ends the walk.
 */
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/sock.h>

#include "batch_call.h"
#include "sock_map.h"
#include "sock_stats.h"
#include "sock_walk.h"

/*
 * Slots of an array, or entries of a hash, that one RCU read section visits. On
 * the way to the next entry of a hash the kernel may visit any number of empty
 * buckets, as it does in BPF_MAP_GET_NEXT_KEY.
 */
#define SOCK_VISITS 1024

static bool walks_array(const struct sock_walk *walk)
{
	return walk->map->map_type == BPF_MAP_TYPE_SOCKMAP;
}

/*
 * Is there an entry with a key? Inside an RCU read section, without migration.
 */
static int walk_test(const struct sock_walk *walk, void *key)
{
	struct sock *sk;
	bool counted;

	sk = sock_map_lookup(walk->map, key, &counted);
	if (counted)
		sock_put(sk);
	return sk ? 0 : -ENOENT;
}

/*
 * Get the cookie of the socket at a key. Inside an RCU read section, which
 * keeps the socket, without migration.
 */
static int walk_lookup(const struct sock_walk *walk, void *key, u64 *value)
{
	const struct bpf_map_ops *stock = sock_map_stock(walk->map);
	const u64 *cookie = stock->map_lookup_elem_sys_only(walk->map, key);

	if (IS_ERR_OR_NULL(cookie))
		return cookie ? PTR_ERR(cookie) : -ENOENT;
	*value = READ_ONCE(*cookie);
	return 0;
}

/*
 * Add the entry with a key to the chunk, if there is one. Returns 0, or an
 * errno other than -ENOENT. Inside an RCU read section.
 */
static int walk_add(struct sock_walk *walk, void *key)
{
	u32 size = walk->map->key_size;
	int err;

	/* Without migration: see sock_map.c. */
	migrate_disable();
	err = walk->only_keys ? walk_test(walk, key) :
	      walk_lookup(walk, key, &walk->values[walk->n]);
	migrate_enable();
	if (err)
		return err == -ENOENT ? 0 : err;
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
	const struct bpf_map_ops *stock = sock_map_stock(walk->map);
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
 * Has the walk found the marked key again? A mark that moves at each power of 2
 * is in any loop, sooner or later.
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
		/* Each visit searches a bucket, which may have many keys. */
		if (visits && need_resched())
			break;
		err = walk_next(walk);
		if (err)
			return err;
		walk->ahead = false;
		bucket = rmap_sock_map_bucket(walk->map, walk->cursor);
		/* Buckets that are skipped may have a loop as well. */
		if (bucket != walk->at) {
			walk->at = bucket;
			walk->visited = 0;
		}
		walk->waits = walk_loops(walk);
		if (walk->waits) {
			walk->disturbed = true;
			return 0;
		}
		/* The previous key was deleted, so the kernel began again. */
		if (bucket < walk->bucket) {
			walk->disturbed = true;
			continue;
		}
		if (bucket > walk->bucket)
			walk->n_known = 0;
		walk->bucket = bucket;
		err = walk_knows(walk) ? 0 : walk_add_cursor(walk);
		if (err)
			return err;
	}
	/* The cursor will be deleted with the chunk: fetch the next key. */
	return walk->take ? walk_next(walk) : 0;
}

/**
 * rmap_sock_walk_read() - read the next chunk
 * @walk: the walk
 *
 * Context: process context.
 * Return: 0 when the walk goes on, even if the chunk is empty; -ENOENT at the
 * end of the map, with the last entries; or another errno of a lookup.
 */
int rmap_sock_walk_read(struct sock_walk *walk)
{
	int err;

	walk->n = 0;
	walk->waits = false;
	rcu_read_lock();
	err = walks_array(walk) ? walk_slots(walk) : walk_buckets(walk);
	rcu_read_unlock();
	return err;
}

/**
 * rmap_sock_walk_take() - delete the entries of the chunk
 * @walk: the walk; its chunk keeps the entries that this call has deleted
 *
 * Context: bpf(2), sleeps.
 * Return: true when it has deleted all, false when other tasks have deleted
 * some.
 */
bool rmap_sock_walk_take(struct sock_walk *walk)
{
	struct sock_stats *stats = rmap_sock_stats_of(walk->map);
	u32 i, n = 0, size = walk->map->key_size;
	int err;

	for (i = 0; i < walk->n; i++) {
		err = rmap_sock_map_delete(walk->map, stats,
					   walk->keys + i * size);
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

/**
 * rmap_sock_walk_pause() - reschedule between two chunks
 * @walk: the walk
 *
 * If the walk has met an entry that is being replaced, the task that replaces
 * it has to run. A walk of a higher priority would keep it from running.
 *
 * Context: process context, sleeps.
 * Return: 0, or -EINTR for a killed task.
 */
int rmap_sock_walk_pause(struct sock_walk *walk)
{
	if (walk->waits) {
		schedule_timeout_killable(1);
		walk->visited = 0;
	}
	return batch_call_pause();
}

/* Is this key the next one of its bucket, but not the cursor? */
static bool walk_goes_on(const struct sock_walk *walk, const void *key)
{
	return rmap_sock_map_bucket(walk->map, key) == walk->bucket &&
	       memcmp(key, walk->cursor, walk->map->key_size);
}

/*
 * Follow the way from the cursor, as long as it stays in the bucket, to see
 * whether it leads back to the cursor. Returns 1 if it does, 0 if not, or an
 * errno. A bucket has at most as many keys as the map.
 */
static int walk_is_in_loop(struct sock_walk *walk)
{
	const struct bpf_map_ops *stock = sock_map_stock(walk->map);
	void *from = walk->cursor, *to = walk->next, *other = walk->mark;
	u32 visits, size = walk->map->key_size;
	bool back = false;
	int err = 0;

	rcu_read_lock();
	for (visits = 1; visits <= walk->map->max_entries; visits++) {
		err = stock->map_get_next_key(walk->map, from, to);
		if (err || !walk_goes_on(walk, to)) {
			back = !err && !memcmp(to, walk->cursor, size);
			break;
		}
		from = to;
		swap(to, other);
		if (visits % SOCK_CHUNK && !need_resched())
			continue;
		rcu_read_unlock();
		err = batch_call_pause();
		if (err)
			return err;
		rcu_read_lock();
	}
	rcu_read_unlock();
	return back;
}

/*
 * Wait until the cursor of the last call is in no loop. The walk itself finds a
 * loop only if a key is repeated within a call.
 */
static int walk_settles(struct sock_walk *walk)
{
	int err;

	for (;;) {
		err = walk_is_in_loop(walk);
		if (err <= 0)
			return err;
		walk->waits = true;
		err = rmap_sock_walk_pause(walk);
		if (err)
			return err;
	}
}

/**
 * rmap_sock_walk_resume() - let a walk begin behind a key
 * @walk: a new walk, with the key in @cursor
 *
 * Context: bpf(2), sleeps.
 * Return: 0, or -EINTR for a killed task.
 */
int rmap_sock_walk_resume(struct sock_walk *walk)
{
	if (walks_array(walk)) {
		walk->slot = *(u32 *)walk->cursor + 1ULL;
		return 0;
	}
	walk->begun = true;
	walk->bucket = rmap_sock_map_bucket(walk->map, walk->cursor);
	walk_remember(walk);
	return walk_settles(walk);
}

/**
 * rmap_sock_walk_alloc() - allocate the memory of a walk
 * @walk: the walk, with a map
 * @gfp: GFP_USER, or GFP_KERNEL_ACCOUNT for a walk that outlives its call
 *
 * Context: process context, sleeps.
 * Return: 0 or -ENOMEM.
 */
int rmap_sock_walk_alloc(struct sock_walk *walk, gfp_t gfp)
{
	u32 size = walk->map->key_size;

	/* The values come first, because they need an alignment to 8 bytes. */
	walk->values = kvmalloc(SOCK_CHUNK * sizeof(u64) +
				(2 * SOCK_CHUNK + 3) * size,
				gfp | __GFP_NOWARN);
	if (!walk->values)
		return -ENOMEM;
	walk->keys = walk->values + SOCK_CHUNK;
	walk->cursor = walk->keys + SOCK_CHUNK * size;
	walk->next = walk->cursor + size;
	walk->mark = walk->next + size;
	walk->known = walk->mark + size;
	return 0;
}

/**
 * rmap_sock_walk_free() - free the memory of a walk
 * @walk: the walk, after rmap_sock_walk_alloc()
 *
 * Context: process context.
 */
void rmap_sock_walk_free(struct sock_walk *walk)
{
	kvfree(walk->values);
}
