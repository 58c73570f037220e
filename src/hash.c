// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_TYPE_DEVMAP_HASH: targets by key.
 *
 * Owns the table: nodes of 16 bytes in an array that is as long as the map can
 * have entries, chained by index from buckets of 4 bytes. A key's bucket is
 * its product with a random multiplier, so that keys cannot be chosen to share
 * one. The table lies in bpf_dtab.dev_index_head, behind one empty bucket of
 * the kernel's own kind, which is all that stock code ever finds there.
 *
 * Lookups walk a chain under RCU, in NAPI or in bpf(2), without a lock.
 * Updates and deletes, in bpf(2), and the sweep, a work item, change chains
 * under redir_map.lock. A target that an update replaces is xchg'ed in its
 * node; readers see the old one or the new one.
 *
 * A deleted node may be used for another key at once, though readers may stand
 * on it. Its use would lead them astray, so it is counted: hash_table.recycled
 * goes up after the node was unlinked and before it is written to. A reader
 * that sees the same count before and after its walk has met no such node;
 * else it walks again. A reader that has started after the count went up
 * cannot reach the node, for it sees the unlinking as well. A deleted node
 * keeps its link to the next one, so that no walk gets lost: each one ends.
 *
 * A dead target in a node reads as if the key were missing.
 */
#include <linux/filter.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/sched.h>

#include "compat.h"
#include "hash.h"
#include "map.h"

/* How much of a table is walked between two chances to reschedule. */
#define HASH_SWEEP_BUCKETS 1024

/**
 * struct hash_node - an entry, or a free place for one
 * @key: the key; of a free node, the next free one
 * @next: the next node of the chain; 0 ends it
 * @target: where the key leads
 */
struct hash_node {
	u32 key;
	u32 next;
	struct target __rcu *target;
};

/**
 * struct hash_table - a map's table, one allocation
 * @stock: what the kernel believes to be the whole table
 * @multiplier: random, odd
 * @node: entries; index 0 is not used
 * @bucket: first node of each chain, or 0
 * @shift: 64 less the number of bits that number a bucket
 * @recycled: how many nodes have been taken out of a chain
 * @free: first free node that has been used before, or 0
 * @fresh: first node that has never been used
 *
 * Per packet, one line of this is read, one bucket and one node.
 */
struct hash_table {
	/* hot, written by deletes only */
	struct hlist_head stock;
	u64 multiplier;
	struct hash_node *node;
	u32 *bucket;
	u32 shift;
	u32 recycled;

	/* cold, under redir_map.lock */
	u32 free;
	u32 fresh;
} ____cacheline_aligned;

static struct hash_table *hash_table(const struct bpf_map *map)
{
	return container_of(to_redir_map(map)->dtab.dev_index_head,
			    struct hash_table, stock);
}

static u32 hash_buckets(const struct hash_table *table)
{
	return 1U << (64 - table->shift);
}

static u32 *hash_bucket(const struct hash_table *table, u32 key)
{
	return &table->bucket[(key * table->multiplier) >> table->shift];
}

/* A walk may have met a node that was recycled meanwhile: see head comment. */
static __always_inline u32 hash_read_begin(const struct hash_table *table)
{
	/* Pairs with hash_free_node(). */
	return smp_load_acquire(&table->recycled);
}

static __always_inline bool hash_read_retry(const struct hash_table *table,
					    u32 begun)
{
	smp_rmb();	/* pairs with the barriers in hash_free_node() */
	return unlikely(READ_ONCE(table->recycled) != begun);
}

/* The node of a key, or NULL. Under redir_map.lock, or in a read loop. */
static __always_inline struct hash_node *
hash_walk(const struct hash_table *table, u32 key)
{
	struct hash_node *node;
	u32 i;

	for (i = READ_ONCE(*hash_bucket(table, key)); i;
	     i = READ_ONCE(node->next)) {
		node = &table->node[i];
		if (READ_ONCE(node->key) == key)
			return node;
	}
	return NULL;
}

/* Runs in NAPI, bottom halves off, or in bpf(2) under rcu_read_lock(). */
static __always_inline void *hash_lookup(struct bpf_map *map, u32 key)
{
	const struct hash_table *table = hash_table(map);
	struct target *target;
	struct hash_node *node;
	u32 begun;

	do {
		begun = hash_read_begin(table);
		node = hash_walk(table, key);
		target = node ? rcu_dereference_check(node->target,
						      rcu_read_lock_bh_held()) :
				NULL;
	} while (hash_read_retry(table, begun));

	if (!target || !target_is_live(target))
		return NULL;
	return &target->entry;
}

/* Runs in NAPI, bottom halves off; programs call it directly. */
static map_ret_t hash_redirect(struct bpf_map *map, redirect_key_t key,
			       u64 flags)
{
	if (unlikely(flags & BPF_F_BROADCAST))
		return map_broadcast(map, key, flags);
	return __bpf_xdp_redirect_map(map, key, flags, MAP_REDIRECT_FLAGS,
				      hash_lookup);
}

/* Runs in XDP programs as well: bottom halves off or rcu_read_lock(). */
static void *hash_lookup_elem(struct bpf_map *map, void *key)
{
	struct kern_dtab_netdev *entry = hash_lookup(map, *(u32 *)key);

	return entry ? &entry->val : NULL;
}

/* The first node from i on, along the chain and then in later buckets. */
static struct hash_node *hash_next_live(const struct hash_table *table,
					u32 i, u32 bucket)
{
	struct hash_node *node;
	struct target *target;

	for (;;) {
		for (; i; i = READ_ONCE(node->next)) {
			node = &table->node[i];
			target = rcu_dereference_check(node->target,
						       rcu_read_lock_bh_held());
			if (target && target_is_live(target))
				return node;
		}
		if (bucket == hash_buckets(table))
			return NULL;
		i = READ_ONCE(table->bucket[bucket++]);
	}
}

/* Under redir_map.lock, or in a read loop: the node that follows a key. */
static struct hash_node *hash_next(const struct hash_table *table,
				   const u32 *key)
{
	struct hash_node *node = key ? hash_walk(table, *key) : NULL;
	struct target *target = node ? rcu_dereference(node->target) : NULL;

	/* After a missing key comes the first one, as bpf(2) documents. */
	if (!target || !target_is_live(target))
		return hash_next_live(table, 0, 0);
	return hash_next_live(table, READ_ONCE(node->next),
			      hash_bucket(table, *key) - table->bucket + 1);
}

/* bpf(2), under rcu_read_lock(). */
static int hash_get_next_key(struct bpf_map *map, void *key, void *next_key)
{
	struct redir_map *rmap = to_redir_map(map);
	struct hash_table *table = hash_table(map);
	struct hash_node *node;
	u32 begun, next = 0;

	begun = hash_read_begin(table);
	node = hash_next(table, key);
	if (node)
		next = READ_ONCE(node->key);
	if (hash_read_retry(table, begun)) {
		/* The walk is long; the second one may not be disturbed. */
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

static struct hash_node *hash_new_node(struct redir_map *rmap)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	struct hash_node *node;

	lockdep_assert_held(&rmap->lock);

	if (table->free) {
		node = &table->node[table->free];
		table->free = node->key;
		return node;
	}
	if (table->fresh > rmap->dtab.map.max_entries)
		return NULL;
	return &table->node[table->fresh++];
}

/* Free a node that no chain leads to any more. */
static void hash_free_node(struct redir_map *rmap, struct hash_node *node)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);

	lockdep_assert_held(&rmap->lock);

	/* Who sees the new count sees the node unlinked... */
	smp_store_release(&table->recycled, table->recycled + 1);
	/* ...and who sees the node written to sees the new count. */
	smp_wmb();
	WRITE_ONCE(node->key, table->free);
	table->free = node - table->node;
	rmap->dtab.items--;
}

/* Take a key out. What its node pointed to is the caller's to detach. */
static struct target *hash_take(struct redir_map *rmap, u32 *link)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	struct hash_node *node = &table->node[*link];
	struct target *target;

	lockdep_assert_held(&rmap->lock);

	target = rcu_dereference_protected(node->target,
					   lockdep_is_held(&rmap->lock));
	WRITE_ONCE(*link, node->next);
	hash_free_node(rmap, node);
	return target;
}

/* Sweep the chains of some buckets. */
static void hash_sweep_buckets(struct redir_map *rmap, u32 first, u32 end)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	struct target *target;
	u32 b, *link;

	lockdep_assert_held(&rmap->lock);

	for (b = first; b < end; b++) {
		link = &table->bucket[b];
		while (*link) {
			target = rcu_dereference_protected(table->node[*link].target,
							   lockdep_is_held(&rmap->lock));
			if (target_is_live(target))
				link = &table->node[*link].next;
			else
				holder_detach(&rmap->holder,
					      hash_take(rmap, link));
		}
	}
}

/* Work item. */
static void hash_sweep(struct holder *holder)
{
	struct redir_map *rmap = container_of(holder, struct redir_map, holder);
	u32 b, n = hash_buckets(hash_table(&rmap->dtab.map));

	for (b = 0; b < n; b += HASH_SWEEP_BUCKETS) {
		spin_lock(&rmap->lock);
		hash_sweep_buckets(rmap, b, min(n, b + HASH_SWEEP_BUCKETS));
		spin_unlock(&rmap->lock);
		cond_resched();
	}
}

/*
 * A node for a new key. Where a full map holds entries of devices that have
 * left, which are in it no more, they make room now.
 */
static struct hash_node *hash_need_node(struct redir_map *rmap)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	struct hash_node *node = hash_new_node(rmap);
	unsigned int deaths = target_deaths();

	if (node || rmap->swept == deaths)
		return node;
	hash_sweep_buckets(rmap, 0, hash_buckets(table));
	rmap->swept = deaths;
	return hash_new_node(rmap);
}

/* bpf(2), under rcu_read_lock(). */
static map_ret_t hash_update_elem(struct bpf_map *map, void *key, void *value,
				  u64 flags)
{
	struct redir_map *rmap = to_redir_map(map);
	struct hash_table *table = hash_table(map);
	struct target *target, *old = NULL;
	struct bpf_devmap_val val;
	struct hash_node *node;
	u32 k = *(u32 *)key;
	bool exists;
	int err;

	err = map_value(map, value, &val);
	if (err)
		return err;
	if (unlikely(flags > BPF_EXIST || !val.ifindex))
		return -EINVAL;

	spin_lock(&rmap->lock);

	node = hash_walk(table, k);
	if (node)
		old = rcu_dereference_protected(node->target,
						lockdep_is_held(&rmap->lock));
	exists = node && target_is_live(old);
	if (exists && flags == BPF_NOEXIST) {
		err = -EEXIST;
		goto unlock;
	}
	if (!exists && flags == BPF_EXIST) {
		err = -ENOENT;
		goto unlock;
	}

	target = map_attach(rmap, &val);
	if (IS_ERR(target)) {
		err = PTR_ERR(target);
		goto unlock;
	}

	if (node) {
		old = unrcu_pointer(xchg(&node->target,
					 RCU_INITIALIZER(target)));
		holder_detach(&rmap->holder, old);
		goto unlock;
	}

	node = hash_need_node(rmap);
	if (!node) {
		err = -E2BIG;
		goto detach_target;
	}
	WRITE_ONCE(node->key, k);
	WRITE_ONCE(node->next, *hash_bucket(table, k));
	rcu_assign_pointer(node->target, target);
	/* Publishes the node. */
	smp_store_release(hash_bucket(table, k), (u32)(node - table->node));
	rmap->dtab.items++;
	goto unlock;

detach_target:
	holder_detach(&rmap->holder, target);
unlock:
	spin_unlock(&rmap->lock);
	return err;
}

/* bpf(2), under rcu_read_lock(). */
static map_ret_t hash_delete_elem(struct bpf_map *map, void *key)
{
	struct redir_map *rmap = to_redir_map(map);
	struct hash_table *table = hash_table(map);
	struct target *old = NULL;
	u32 k = *(u32 *)key;
	bool existed;
	u32 *link;

	spin_lock(&rmap->lock);
	for (link = hash_bucket(table, k); *link;
	     link = &table->node[*link].next) {
		if (table->node[*link].key != k)
			continue;
		old = hash_take(rmap, link);
		break;
	}
	existed = old && target_is_live(old);
	if (old)
		holder_detach(&rmap->holder, old);
	spin_unlock(&rmap->lock);

	return existed ? 0 : -ENOENT;
}

/* Bytes of a table for so many entries in so many buckets. */
static u64 hash_table_size(u32 max_entries, u64 buckets)
{
	return sizeof(struct hash_table) +
	       ((u64)max_entries + 1) * sizeof(struct hash_node) +
	       buckets * sizeof(u32);
}

static u64 hash_mem_usage(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return map_memory(rmap) +
	       hash_table_size(map->max_entries, hash_buckets(hash_table(map)));
}

static void hash_free(struct bpf_map *map)
{
	map_free(to_redir_map(map));
}

/**
 * hash_alloc() - make an unborn hash
 * @attr: what user space asks for
 *
 * Context: bpf(2), sleeps.
 * Return: the map, or an error pointer: as from map_alloc(), and -EINVAL when
 * there would be more than 2^31 buckets.
 */
struct bpf_map *hash_alloc(union bpf_attr *attr)
{
	struct redir_map *rmap = map_alloc(attr, hash_sweep);
	struct hash_table *table;
	struct bpf_map *map;
	u64 multiplier;
	u32 bits;
	int err;

	if (IS_ERR(rmap))
		return ERR_CAST(rmap);
	map = &rmap->dtab.map;

	if (map->max_entries > 1UL << 31) {
		err = -EINVAL;
		goto free_map;
	}
	/* At least two buckets: a shift by 64 is not defined. */
	bits = max_t(u32, 1, order_base_2(map->max_entries));

	table = map_area_alloc(hash_table_size(map->max_entries, 1ULL << bits),
			       map->numa_node);
	if (!table) {
		err = -ENOMEM;
		goto free_map;
	}

	get_random_bytes(&multiplier, sizeof(multiplier));
	table->multiplier = multiplier | 1;
	table->shift = 64 - bits;
	table->node = (struct hash_node *)(table + 1);
	table->bucket = (u32 *)(table->node + map->max_entries + 1);
	table->fresh = 1;

	BUILD_BUG_ON(offsetof(struct hash_table, stock));
	BUILD_BUG_ON(sizeof(struct hash_node) != 16);
	rmap->dtab.dev_index_head = &table->stock;
	rmap->dtab.n_buckets = 1;
	return map;

free_map:
	kvfree(rmap);
	return ERR_PTR(err);
}

/**
 * hash_set_ops() - put our operations over the kernel's
 * @ops: a copy of the built-in's
 */
void hash_set_ops(struct bpf_map_ops *ops)
{
	ops->map_free = hash_free;
	ops->map_get_next_key = hash_get_next_key;
	ops->map_lookup_elem = hash_lookup_elem;
	ops->map_update_elem = hash_update_elem;
	ops->map_delete_elem = hash_delete_elem;
	ops->map_redirect = hash_redirect;
	ops->map_meta_equal = map_meta_equal;
	compat_set_mem_usage(ops, hash_mem_usage);
}
