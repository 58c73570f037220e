// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_TYPE_DEVMAP_HASH: targets by key.
 *
 * This file has the operations of the map; hash_table.c owns the table.
 *
 * Lookups, in NAPI or in bpf(2), take no lock: they walk a chain under RCU, and
 * walk it again if any node was recycled meanwhile. Updates and deletes, in
 * bpf(2), run under redir_map.lock, which batches take once for each chunk. An
 * update of an existing key replaces the target in its node by xchg(), so
 * readers see the old or the new target.
 *
 * Lookups treat a key with a dead target as missing.
 */
#include <linux/filter.h>

#include "batch.h"
#include "compat.h"
#include "hash.h"
#include "hash_table.h"
#include "map.h"

/* Buckets that a batch visits before it drops the lock. */
#define HASH_READ_BUCKETS 1024

/*
 * The target of a key, which may be dead, or NULL. Runs in NAPI, bottom halves
 * off, per packet, or in bpf(2) under rcu_read_lock(). A walk that has to be
 * repeated jumps back instead of calling a function, because each walk would
 * have to save registers for the call.
 */
static __always_inline struct target *hash_get(struct bpf_map *map, u32 key)
{
	const struct hash_table *table = hash_table_of(map);
	struct hash_node *node;
	struct target *target;
	u32 begun, link;

again:
	begun = hash_read_begin(table);
	link = *hash_bucket(table, key);
	/* An empty bucket has link 0, to a node with rmap_target_none. */
	node = hash_node_at(table, link);
	while (unlikely(node->key != key)) {
		link = node->next;
		if (!link)
			goto missing;
		node = hash_node_at(table, link);
	}

	target = rcu_dereference_check(node->target, rcu_read_lock_bh_held());
	if (hash_read_retry(table, begun))
		goto again;
	/* A node's target is never NULL: this removes the caller's test. */
	if (!target)
		__builtin_unreachable();
	return target;

missing:
	if (hash_read_retry(table, begun))
		goto again;
	return NULL;
}

/*
 * The entry that the kernel redirects to, or NULL. Runs in NAPI, bottom halves
 * off, per packet.
 */
static __always_inline void *hash_find(struct bpf_map *map, u32 key)
{
	struct target *target = hash_get(map, key);

	return target ? target_entry(target) : NULL;
}

/* Runs in NAPI, bottom halves off, per packet. */
static noinline compat_map_ret_t
hash_redirect_flags(struct bpf_map *map, compat_redirect_key_t key, u64 flags)
{
	return map_redirect_flags(map, key, flags, hash_find);
}

/*
 * Runs in NAPI, bottom halves off, per packet; the verifier makes programs call
 * it directly.
 */
static compat_map_ret_t hash_redirect(struct bpf_map *map,
				      compat_redirect_key_t key, u64 flags)
{
	return map_redirect(map, key, flags, hash_find, hash_redirect_flags);
}

/* Runs in bpf(2), under rcu_read_lock(), or in XDP programs. */
static void *hash_lookup_elem(struct bpf_map *map, void *key)
{
	return map_shown(map, hash_get(map, *(u32 *)key));
}

/* The end of all places: see hash_place(). */
static u64 hash_end(const struct hash_table *table)
{
	return (u64)hash_buckets(table) << 32;
}

/* The next live node after a key. Context as for rmap_hash_next_live(). */
static struct hash_node *hash_next(const struct hash_table *table,
				   const u32 *key)
{
	struct hash_node *node = key ? hash_walk(table, *key) : NULL;
	struct target *target = node ? rcu_dereference(node->target) : NULL;
	u64 place = 0;

	/* After a missing key comes the first key, as bpf(2) documents. */
	if (target && target_is_live(target))
		place = hash_place(table, *key) + 1;
	return rmap_hash_next_live(table, place, hash_end(table));
}

/* Runs in bpf(2), under rcu_read_lock(). */
static int hash_get_next_key(struct bpf_map *map, void *key, void *next_key)
{
	struct redir_map *rmap = to_redir_map(map);
	struct hash_table *table = hash_table_of(map);
	struct hash_node *node;
	u32 begun, next = 0;

	begun = hash_read_begin(table);
	node = hash_next(table, key);
	if (node)
		next = READ_ONCE(node->key);
	if (hash_read_retry(table, begun)) {
		/* The walk is long, so the second one runs under the lock. */
		spin_lock(&rmap->lock);
		node = hash_next(table, key);
		if (node)
			next = node->key;
		spin_unlock(&rmap->lock);
	}
	if (!node)
		return -ENOENT;
	*(u32 *)next_key = next;
	return 0;
}

static int hash_update(struct redir_map *rmap, u32 key, const void *value,
		       u64 flags)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct target *target, *old = NULL;
	struct bpf_devmap_val val;
	struct hash_node *node;
	bool exists;
	int err;

	lockdep_assert_held(&rmap->lock);

	err = rmap_value_parse(&rmap->dtab.map, value, &val);
	if (err)
		return err;
	if (unlikely(flags > BPF_EXIST || !val.ifindex))
		return -EINVAL;

	node = hash_walk(table, key);
	if (node)
		old = rcu_dereference_protected(node->target,
						lockdep_is_held(&rmap->lock));
	exists = node && target_is_live(old);
	if (exists && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!exists && flags == BPF_EXIST)
		return -ENOENT;

	target = rmap_map_attach(rmap, &val);
	if (IS_ERR(target))
		return PTR_ERR(target);

	if (node) {
		old = unrcu_pointer(xchg(&node->target,
					 RCU_INITIALIZER(target)));
		if (old == &rmap_target_none)
			rmap->dtab.items++;
		rmap_hash_detach(rmap, key, old, REDIRMAP_CAUSE_UPDATE);
		value_trace_add(&rmap->dtab.map, key, target);
		return 0;
	}

	err = rmap_hash_insert(rmap, key, target);
	if (err)
		rmap_holder_detach(&rmap->holder, target, 1);
	else
		value_trace_add(&rmap->dtab.map, key, target);
	return err;
}

/* Runs in bpf(2), under rcu_read_lock(). */
static compat_map_ret_t hash_update_elem(struct bpf_map *map, void *key,
					 void *value, u64 flags)
{
	struct redir_map *rmap = to_redir_map(map);
	int err;

	spin_lock(&rmap->lock);
	err = hash_update(rmap, *(u32 *)key, value, flags);
	spin_unlock(&rmap->lock);
	return err;
}

/* Delete a key; @value, if not NULL, gets the value of the entry. */
static bool hash_take(struct redir_map *rmap, u32 key, void *value)
{
	struct target *old = rmap_hash_remove(rmap, key);
	bool existed;

	if (!old)
		return false;
	existed = target_is_live(old);
	if (existed && value)
		value_read(&rmap->dtab.map, old, value);
	rmap_hash_detach(rmap, key, old, REDIRMAP_CAUSE_DELETE);
	return existed;
}

static int hash_delete(struct redir_map *rmap, u32 key)
{
	return hash_take(rmap, key, NULL) ? 0 : -ENOENT;
}

/* Runs in bpf(2), under rcu_read_lock(). */
static compat_map_ret_t hash_delete_elem(struct bpf_map *map, void *key)
{
	struct redir_map *rmap = to_redir_map(map);
	int err;

	spin_lock(&rmap->lock);
	err = hash_delete(rmap, *(u32 *)key);
	spin_unlock(&rmap->lock);
	return err;
}

static u64 hash_batch_place(const struct bpf_map *map, u32 key)
{
	return hash_place(hash_table_of(map), key);
}

static int hash_read_chunk(struct redir_map *rmap, u64 *place,
			   struct batch_chunk *chunk)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	u64 end = min((*place >> 32) + HASH_READ_BUCKETS,
		      (u64)hash_buckets(table)) << 32;
	const struct hash_node *node;

	lockdep_assert_held(&rmap->lock);

	while (chunk->n < chunk->room) {
		node = rmap_hash_next_live(table, *place, end);
		if (!node) {
			*place = end;
			return end == hash_end(table) ? -ENOENT : 0;
		}
		rmap_batch_add(&rmap->dtab.map, chunk, node->key,
			       rcu_dereference(node->target));
		*place = hash_place(table, node->key) + 1;
	}
	return 0;
}

static const struct batch_ops hash_batch = {
	.place = hash_batch_place,
	.read = hash_read_chunk,
	.update = hash_update,
	.delete = hash_delete,
	.take = hash_take,
};

/**
 * rmap_hash_memory() - memory of a hash
 * @map: the map
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, for all possible CPUs, without targets that maps share.
 */
u64 rmap_hash_memory(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return rmap_map_memory(rmap) +
	       rmap_hash_table_size(map->max_entries,
				    hash_buckets(hash_table_of(map)));
}

static void hash_free(struct bpf_map *map)
{
	rmap_map_free(to_redir_map(map));
}

/**
 * rmap_hash_alloc() - make a pending hash
 * @attr: the attributes from user space
 *
 * Context: bpf(2), sleeps.
 * Return: the map, or an error pointer as from rmap_map_alloc() or
 * rmap_hash_table_alloc().
 */
struct bpf_map *rmap_hash_alloc(union bpf_attr *attr)
{
	struct redir_map *rmap = rmap_map_alloc(attr, sizeof(struct hash_map),
						rmap_hash_sweep);
	int err;

	if (IS_ERR(rmap))
		return ERR_CAST(rmap);

	rmap->batch = &hash_batch;
	err = rmap_hash_table_alloc(rmap);
	if (err) {
		rmap_map_unalloc(rmap);
		return ERR_PTR(err);
	}
	return &rmap->dtab.map;
}

/**
 * rmap_hash_set_ops() - set the operations of claimed hashes
 * @ops: a copy of the built-in's operations
 *
 * Context: bpf(2), in the task that creates the first map of this kind; under a
 * raw spinlock.
 */
void rmap_hash_set_ops(struct bpf_map_ops *ops)
{
	ops->map_free = hash_free;
	ops->map_get_next_key = hash_get_next_key;
	ops->map_lookup_elem = hash_lookup_elem;
	ops->map_update_elem = hash_update_elem;
	ops->map_delete_elem = hash_delete_elem;
	ops->map_redirect = hash_redirect;
	ops->map_meta_equal = rmap_map_meta_equal;
	rmap_batch_set_ops(ops);
}
