// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of a hash: targets by key.
 *
 * Owns nodes of 16 bytes in an array that is as long as the map can have
 * entries, chained by index from buckets of 4 bytes. A key's bucket is its
 * product with a random multiplier, so that keys cannot be chosen to share
 * one. The table lies in bpf_dtab.dev_index_head, behind one empty bucket of
 * the kernel's own kind, which is all that stock code ever finds there.
 *
 * Readers, in NAPI or in bpf(2), walk a chain under RCU, without a lock.
 * Chains change under redir_map.lock, in bpf(2) and in the sweep, a work item.
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
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/sched.h>

#include "hash_table.h"
#include "map.h"

/* How much of a table is walked between two chances to reschedule. */
#define HASH_SWEEP_BUCKETS 1024

/**
 * hash_next_live() - the first key at a place or behind it
 * @table: the table
 * @place: see hash_place()
 * @end: where to stop looking; a multiple of 2^32
 *
 * Chains are in no order. They are short, so each one is searched for the
 * smallest key that is still to come.
 *
 * Context: under redir_map.lock, or in a read loop.
 * Return: the key's node; NULL if there is none before @end.
 */
struct hash_node *hash_next_live(const struct hash_table *table, u64 place,
				 u64 end)
{
	struct hash_node *node, *found;
	struct target *target;
	u32 i, key, min;

	for (; place < end; place = (place | U32_MAX) + 1) {
		found = NULL;
		min = U32_MAX;
		for (i = READ_ONCE(table->bucket[place >> 32]); i;
		     i = READ_ONCE(node->next)) {
			node = &table->node[i];
			key = READ_ONCE(node->key);
			if (key < (u32)place || key > min)
				continue;
			target = rcu_dereference_check(node->target,
						       rcu_read_lock_bh_held());
			if (!target || !target_is_live(target))
				continue;
			found = node;
			min = key;
		}
		if (found)
			return found;
	}
	return NULL;
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
static struct target *hash_unlink(struct redir_map *rmap, u32 *link)
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

/**
 * hash_remove() - take a key out
 * @rmap: the map
 * @key: the key
 *
 * Context: under redir_map.lock.
 * Return: what the key led to, dead or alive, the caller's to detach; NULL if
 * there is no such key.
 */
struct target *hash_remove(struct redir_map *rmap, u32 key)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	u32 *link;

	lockdep_assert_held(&rmap->lock);

	for (link = hash_bucket(table, key); *link;
	     link = &table->node[*link].next) {
		if (table->node[*link].key == key)
			return hash_unlink(rmap, link);
	}
	return NULL;
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
					      hash_unlink(rmap, link));
		}
	}
}

/**
 * hash_sweep() - let go of all dead targets
 * @holder: the map's part
 *
 * Context: work item.
 */
void hash_sweep(struct holder *holder)
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

/**
 * hash_insert() - add a key that the table does not have
 * @rmap: the map
 * @key: the key
 * @target: where it is to lead
 *
 * Context: under redir_map.lock, inside the RCU read section that @target was
 * attached in.
 * Return: 0; -E2BIG when the map is full.
 */
int hash_insert(struct redir_map *rmap, u32 key, struct target *target)
{
	struct hash_table *table = hash_table(&rmap->dtab.map);
	struct hash_node *node = hash_need_node(rmap);

	if (!node)
		return -E2BIG;
	WRITE_ONCE(node->key, key);
	WRITE_ONCE(node->next, *hash_bucket(table, key));
	rcu_assign_pointer(node->target, target);
	/* Publishes the node. */
	smp_store_release(hash_bucket(table, key), (u32)(node - table->node));
	rmap->dtab.items++;
	return 0;
}

/**
 * hash_table_size() - what a table takes
 * @max_entries: entries that it can have
 * @buckets: number of buckets
 *
 * Return: bytes.
 */
u64 hash_table_size(u32 max_entries, u64 buckets)
{
	return sizeof(struct hash_table) +
	       ((u64)max_entries + 1) * sizeof(struct hash_node) +
	       buckets * sizeof(u32);
}

/**
 * hash_table_alloc() - give a map its table
 * @rmap: from map_alloc()
 *
 * Context: bpf(2), sleeps.
 * Return: 0, -ENOMEM; -EINVAL when there would be more than 2^31 buckets.
 */
int hash_table_alloc(struct redir_map *rmap)
{
	u32 max_entries = rmap->dtab.map.max_entries;
	struct hash_table *table;
	u64 multiplier;
	u32 bits;

	if (max_entries > 1UL << 31)
		return -EINVAL;
	/* At least two buckets: a shift by 64 is not defined. */
	bits = max_t(u32, 1, order_base_2(max_entries));

	table = map_area_alloc(hash_table_size(max_entries, 1ULL << bits),
			       rmap->dtab.map.numa_node);
	if (!table)
		return -ENOMEM;

	get_random_bytes(&multiplier, sizeof(multiplier));
	table->multiplier = multiplier | 1;
	table->shift = 64 - bits;
	table->node = (struct hash_node *)(table + 1);
	table->bucket = (u32 *)(table->node + max_entries + 1);
	table->fresh = 1;

	BUILD_BUG_ON(offsetof(struct hash_table, stock));
	BUILD_BUG_ON(sizeof(struct hash_node) != 16);
	rmap->dtab.dev_index_head = &table->stock;
	rmap->dtab.n_buckets = 1;
	return 0;
}
