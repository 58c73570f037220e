// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of a hash: targets by key.
 *
 * This file owns the nodes, 16 bytes each, in an array of max_entries nodes,
 * and the buckets, 4 bytes each, which link to chains of nodes. A key's bucket
 * comes from the product of the key and a random number, so that no attacker
 * can choose keys that share a bucket. bpf_dtab.dev_index_head points to the
 * memory of all of this. It begins with one empty bucket of the kernel's type,
 * the only one that the kernel's own code ever finds there; then come the
 * module's buckets, then the nodes.
 *
 * Readers, in NAPI or in bpf(2), walk a chain under RCU, without a lock. Chains
 * change under redir_map.lock, in bpf(2) and in the sweep, a work item.
 *
 * A deleted node may be used for another key at once, even while a reader
 * visits it; this reader would continue in the wrong chain. So
 * hash_table.recycled counts deletions: it is incremented after the node has
 * been unlinked, and before the node is written to. A reader that sees the same
 * count before and after its walk has visited no such node; otherwise it walks
 * again. A reader that starts after the increment also sees the unlinking, and
 * cannot reach the node. A deleted node keeps its link to the next node, so
 * each walk ends.
 *
 * Lookups treat a key with a dead target as missing. When a device has left,
 * the sweep replaces its target in all nodes by rmap_target_none, which is
 * dead, and leaves the nodes in their chains. An insert removes such nodes from
 * the chain that it adds a node to; an insert into a full map removes them from
 * all chains.
 */
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/sched.h>

#include "hash_table.h"
#include "map.h"
#include "target_device.h"

/* Buckets and nodes that the sweep visits before it may reschedule. */
#define HASH_SWEEP_BUCKETS 1024
#define HASH_SWEEP_NODES 4096
#define HASH_UNROLL 8

/*
 * Skip empty buckets. Most buckets are empty, so two are tested at a time, when
 * the address allows. (The number of buckets is even.)
 */
static const u32 *hash_skip_empty(const u32 *bucket, const u32 *stop)
{
	if (!IS_ALIGNED((unsigned long)bucket, sizeof(u64)))
		return bucket;
	while (bucket < stop && !READ_ONCE(*(const u64 *)bucket))
		bucket += 2;
	return bucket;
}

/* Find the smallest key >= @from of a chain. Chains are short and unordered. */
static struct hash_node *hash_smallest(const struct hash_table *table,
				       const u32 *bucket, u32 from)
{
	struct hash_node *node, *found = NULL;
	struct target *target;
	u32 link, key, min = U32_MAX;

	for (link = READ_ONCE(*bucket); link; link = READ_ONCE(node->next)) {
		node = hash_node_at(table, link);
		key = READ_ONCE(node->key);
		if (key < from || key > min)
			continue;
		target = rcu_dereference_check(node->target,
					       rcu_read_lock_bh_held());
		if (!target || !target_is_live(target))
			continue;
		found = node;
		min = key;
	}
	return found;
}

/**
 * rmap_hash_next_live() - find the first live key at a place or behind it
 * @table: the table
 * @place: the place: see hash_place()
 * @end: the place to stop at; a multiple of 2^32
 *
 * Context: under redir_map.lock, or between hash_read_begin() and
 * hash_read_retry().
 * Return: the key's node; NULL if there is none before @end.
 */
struct hash_node *rmap_hash_next_live(const struct hash_table *table, u64 place,
				      u64 end)
{
	const u32 *bucket = hash_nth_bucket(table, place >> 32);
	const u32 *stop = hash_nth_bucket(table, end >> 32);
	struct hash_node *found;
	u32 from = place;

	for (; bucket < stop; bucket = hash_skip_empty(bucket + 1, stop)) {
		found = hash_smallest(table, bucket, from);
		if (found)
			return found;
		from = 0;
	}
	return NULL;
}

static struct hash_node *hash_new_node(struct redir_map *rmap)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct hash_node *node;

	lockdep_assert_held(&rmap->lock);

	if (table->free) {
		node = hash_node_at(table, table->free);
		table->free = node->key;
		return node;
	}
	/* The link to the last of 2^31 nodes would not fit into 32 bits. */
	if (table->fresh == min_t(u32, rmap->dtab.map.max_entries, S32_MAX))
		return NULL;
	return hash_node_at(table, hash_nth_link(table->fresh++));
}

/* Free a node that has been unlinked. */
static void hash_free_node(struct redir_map *rmap, struct hash_node *node)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);

	lockdep_assert_held(&rmap->lock);

	/* A reader that sees the new count also sees the node unlinked. */
	smp_store_release(&table->recycled, table->recycled + 1);
	/* A reader that sees a write below also sees the new count. */
	smp_wmb();
	/* The sweep visits free nodes as well. */
	RCU_INIT_POINTER(node->target, &rmap_target_none);
	WRITE_ONCE(node->key, table->free);
	table->free = hash_link(table, node);
}

/* Unlink and free a node; the caller detaches the returned target. */
static struct target *hash_unlink(struct redir_map *rmap, u32 *link)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct hash_node *node = hash_node_at(table, *link);
	struct target *target;

	lockdep_assert_held(&rmap->lock);

	target = rcu_dereference_protected(node->target,
					   lockdep_is_held(&rmap->lock));
	WRITE_ONCE(*link, node->next);
	hash_free_node(rmap, node);
	if (target != &rmap_target_none)
		rmap->dtab.items--;
	return target;
}

/**
 * rmap_hash_remove() - remove a key
 * @rmap: the map
 * @key: the key
 *
 * Context: under redir_map.lock.
 * Return: the key's target, live or dead, for rmap_hash_detach(); NULL if there
 * is no such key.
 */
struct target *rmap_hash_remove(struct redir_map *rmap, u32 key)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	u32 *link;

	lockdep_assert_held(&rmap->lock);

	for (link = hash_bucket(table, key); *link;
	     link = &hash_node_at(table, *link)->next) {
		if (hash_node_at(table, *link)->key == key)
			return hash_unlink(rmap, link);
	}
	return NULL;
}

/**
 * rmap_hash_detach() - drop a node's use of its target
 * @rmap: the map
 * @key: the node's key
 * @target: the target that the node has had
 * @cause: the reason why the node has lost the target
 *
 * Context: under redir_map.lock and rcu_read_lock().
 */
void rmap_hash_detach(struct redir_map *rmap, u32 key, struct target *target,
		      enum redirmap_cause cause)
{
	lockdep_assert_held(&rmap->lock);

	if (target == &rmap_target_none)
		return;
	value_trace_remove(&rmap->dtab.map, key, target, cause);
	rmap_holder_detach(&rmap->holder, target, 1);
}

/* Remove a node with a dead target. */
static void hash_clean_node(struct redir_map *rmap, u32 *link)
{
	u32 key = hash_node_at(hash_table_of(&rmap->dtab.map), *link)->key;

	rmap_hash_detach(rmap, key, hash_unlink(rmap, link),
			 REDIRMAP_CAUSE_UNREGISTER);
}

/* Remove the nodes with dead targets from a chain. */
static void hash_clean_chain(struct redir_map *rmap, u32 *link)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct hash_node *node;
	struct target *target;

	lockdep_assert_held(&rmap->lock);

	while (*link) {
		node = hash_node_at(table, *link);
		target = rcu_dereference_protected(node->target,
						   lockdep_is_held(&rmap->lock));
		if (target_is_live(target))
			link = &node->next;
		else
			hash_clean_node(rmap, link);
	}
}

/* Remove the nodes with dead targets from all chains. */
static void hash_sweep_chains(struct redir_map *rmap)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	u64 b, i, n = hash_buckets(table);

	for (b = 0; b < n; b += HASH_SWEEP_BUCKETS) {
		rcu_read_lock();
		spin_lock(&rmap->lock);
		for (i = b; i < min(n, b + HASH_SWEEP_BUCKETS); i++)
			hash_clean_chain(rmap, hash_nth_bucket(table, i));
		spin_unlock(&rmap->lock);
		rcu_read_unlock();
		cond_resched();
	}
}

static noinline void hash_empty_node(const struct bpf_map *map,
				     struct hash_node *node,
				     const struct target *dead)
{
	RCU_INIT_POINTER(node->target, &rmap_target_none);
	value_trace_remove(map, node->key, dead, REDIRMAP_CAUSE_UNREGISTER);
}

static __always_inline bool hash_sweep_node(const struct bpf_map *map,
					    struct hash_node *node,
					    const struct target *dead)
{
	/*
	 * Under redir_map.lock a plain load is enough, which x86 does in the
	 * comparison's instruction.
	 */
	if (likely(unrcu_pointer(node->target) != dead))
		return false;
	hash_empty_node(map, node, dead);
	return true;
}

/*
 * Replace a dead target in @n nodes; returns the number of nodes that had it.
 * The sweep calls this for all nodes of a table, so the loop is unrolled, and
 * reads only the nodes.
 */
static u32 hash_sweep_nodes(const struct bpf_map *map, struct hash_node *node,
			    u32 n, const struct target *dead)
{
	struct hash_node *end = node + n;
	u32 i, found = 0;

	lockdep_assert_held(&to_redir_map(map)->lock);

	for (; node + HASH_UNROLL <= end; node += HASH_UNROLL) {
#pragma GCC unroll 8
		for (i = 0; i < HASH_UNROLL; i++)
			found += hash_sweep_node(map, &node[i], dead);
	}
	for (; node < end; node++)
		found += hash_sweep_node(map, node, dead);
	return found;
}

/**
 * rmap_hash_sweep() - release dead targets
 * @holder: the map's holder
 * @dead: the dead target to release; NULL for all dead targets
 *
 * Context: work item, sleeps.
 */
void rmap_hash_sweep(struct holder *holder, struct target *dead)
{
	struct redir_map *rmap = container_of(holder, struct redir_map, holder);
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	u32 i, n, found;

	if (!dead) {
		hash_sweep_chains(rmap);
		return;
	}
	for (i = 0; i < READ_ONCE(table->fresh); i += n) {
		spin_lock(&rmap->lock);
		n = min_t(u32, HASH_SWEEP_NODES, table->fresh - i);
		found = hash_sweep_nodes(&rmap->dtab.map,
					 hash_node_at(table, hash_nth_link(i)),
					 n, dead);
		if (found) {
			rmap->dtab.items -= found;
			rcu_read_lock();
			rmap_holder_detach(holder, dead, found);
			rcu_read_unlock();
		}
		spin_unlock(&rmap->lock);
		cond_resched();
	}
}

/*
 * Get a node for a new key. When no node is left, nodes with dead targets are
 * removed, because lookups do not return them.
 */
static struct hash_node *hash_need_node(struct redir_map *rmap)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct hash_node *node = hash_new_node(rmap);
	unsigned int deaths = rmap_target_deaths();
	u64 b;

	if (node || table->swept == deaths)
		return node;
	for (b = 0; b < hash_buckets(table); b++)
		hash_clean_chain(rmap, hash_nth_bucket(table, b));
	table->swept = deaths;
	return hash_new_node(rmap);
}

/**
 * rmap_hash_insert() - add a key that the table does not have
 * @rmap: the map
 * @key: the key
 * @target: the target for the key
 *
 * Context: under redir_map.lock, inside the RCU read section in which @target
 * was attached.
 * Return: 0; -E2BIG when the map is full.
 */
int rmap_hash_insert(struct redir_map *rmap, u32 key, struct target *target)
{
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	u32 *bucket = hash_bucket(table, key);
	struct hash_node *node;

	lockdep_assert_held(&rmap->lock);

	if (*bucket)
		hash_clean_chain(rmap, bucket);
	node = hash_need_node(rmap);
	if (!node)
		return -E2BIG;
	WRITE_ONCE(node->key, key);
	WRITE_ONCE(node->next, *bucket);
	rcu_assign_pointer(node->target, target);
	/* Publishes the node. */
	smp_store_release(bucket, hash_link(table, node));
	rmap->dtab.items++;
	return 0;
}

/*
 * Offset of node 0 in the table's memory: behind the kernel's bucket, the
 * module's buckets, and the node at link 0.
 */
static u64 hash_nodes_offset(u64 buckets)
{
	return ALIGN(sizeof(struct hlist_head) + buckets * sizeof(u32) +
		     sizeof(struct hash_node), L1_CACHE_BYTES);
}

/**
 * rmap_hash_table_size() - memory of a table
 * @max_entries: the most entries that the table can have
 * @buckets: number of buckets
 *
 * Context: any.
 * Return: bytes.
 */
u64 rmap_hash_table_size(u32 max_entries, u64 buckets)
{
	return hash_nodes_offset(buckets) +
	       (u64)max_entries * sizeof(struct hash_node);
}

/**
 * rmap_hash_table_alloc() - allocate the table of a map
 * @rmap: the map, from rmap_map_alloc()
 *
 * Context: bpf(2), sleeps.
 * Return: 0, -ENOMEM; -EINVAL when max_entries is above 2^31.
 */
int rmap_hash_table_alloc(struct redir_map *rmap)
{
	u32 max_entries = rmap->dtab.map.max_entries;
	struct hash_table *table = hash_table_of(&rmap->dtab.map);
	struct hash_node *nowhere;
	u64 buckets;
	void *memory;

	BUILD_BUG_ON(sizeof(struct hash_node) != 2 * sizeof(*table->nodes));
	/* Lookups read one cache line of struct hash_table. */
	BUILD_BUG_ON(offsetof(struct hash_map, table) % SMP_CACHE_BYTES +
		     offsetofend(struct hash_table, recycled) > SMP_CACHE_BYTES);

	if (max_entries > 1UL << 31)
		return -EINVAL;
	/*
	 * At least twice as many buckets as keys, for short chains; but at most
	 * 2^31, so that the number of buckets fits into the upper half of a
	 * place as well, which hash_end() needs.
	 */
	buckets = min(2ULL << order_base_2(max_entries), 1ULL << 31);

	memory = rmap_map_area_alloc(rmap_hash_table_size(max_entries, buckets),
				     rmap->dtab.map.numa_node);
	if (!memory)
		return -ENOMEM;
	nowhere = memory + hash_nodes_offset(buckets) - sizeof(*nowhere);
	RCU_INIT_POINTER(nowhere->target, &rmap_target_none);

	/* From a buffer; get_random_bytes() would run the cipher each time. */
	table->multiplier = get_random_u64() | 1;
	table->first = -(s64)buckets;
	table->nodes = (u64 *)nowhere;

	rmap->dtab.dev_index_head = memory;
	rmap->dtab.n_buckets = 1;
	return 0;
}
