/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HASH_TABLE_H
#define REDIRMAP_HASH_TABLE_H

#include <linux/bpf.h>
#include <linux/rcupdate.h>

#include "map.h"

/**
 * struct hash_table - the table of a hash
 * @multiplier: a random odd number, for hash_bucket()
 * @nodes: the address that links are relative to; the buckets end there
 * @first: index of the first bucket relative to @nodes: minus the number of
 *	buckets
 * @recycled: number of nodes that have been taken out of a chain
 * @free: link to the first free node that has been used before
 * @fresh: number of nodes that have ever been used
 * @swept: rmap_target_deaths() when all chains were last cleaned
 */
struct hash_table {
	/* hot: each lookup reads it; deletes write it */
	u64 multiplier;
	s64 first;
	u64 *nodes;
	u32 recycled;

	/* cold: under redir_map.lock */
	u32 free;
	u32 fresh;
	unsigned int swept;
};

/**
 * struct hash_map - a hash
 * @rmap: the part that all kinds of maps have
 * @table: the targets, by key
 */
struct hash_map {
	struct redir_map rmap;
	/* aligned so that its hot part is in one cache line */
	struct hash_table table ____cacheline_aligned;
};

/**
 * struct hash_node - an entry, or a free node
 * @key: the key; in a free node the link to the next free node
 * @next: link to the next node of the chain
 * @target: the target of the key; &rmap_target_none in a freed node, and in a
 *	node whose target has died and was swept
 *
 * A link has 32 bits. The link to node i is 2 * i + 2, its distance from
 * hash_table.nodes in units of 8 bytes, so that the processor finds a node by
 * its link without a shift. Link 0 ends a chain. There is a node at link 0,
 * too: it is in no chain, and its target is &rmap_target_none.
 */
struct hash_node {
	u32 key;
	u32 next;
	struct target __rcu *target;
};

/**
 * hash_node_at() - the node that a link leads to
 * @table: the table
 * @link: the link; 0 leads to the node that is in no chain
 *
 * Context: under redir_map.lock, or between hash_read_begin() and
 * hash_read_retry().
 * Return: the node.
 */
static __always_inline struct hash_node *
hash_node_at(const struct hash_table *table, u32 link)
{
	return (struct hash_node *)(table->nodes + link);
}

/**
 * hash_nth_link() - the link to a node by its number
 * @i: the node's number in the table, from 0 on
 *
 * Context: any.
 * Return: the link.
 */
static inline u32 hash_nth_link(u32 i)
{
	return 2 * i + 2;
}

/**
 * hash_link() - the link to a node
 * @table: the table
 * @node: a node of the table
 *
 * Context: any.
 * Return: the link.
 */
static inline u32 hash_link(const struct hash_table *table,
			    const struct hash_node *node)
{
	return (u64 *)node - table->nodes;
}

/**
 * hash_table_of() - the table of a map
 * @map: a hash
 *
 * Context: any.
 * Return: the table.
 */
static inline struct hash_table *hash_table_of(const struct bpf_map *map)
{
	return &container_of(map, struct hash_map, rmap.dtab.map)->table;
}

/**
 * hash_buckets() - number of buckets of a table
 * @table: the table
 *
 * Context: any.
 * Return: the number, a power of two, at most 2^31.
 */
static inline u64 hash_buckets(const struct hash_table *table)
{
	return -table->first;
}

/**
 * hash_nth_bucket() - a bucket by its number
 * @table: the table
 * @n: less than hash_buckets()
 *
 * Context: any.
 * Return: the link to the first node of the bucket's chain.
 */
static inline u32 *hash_nth_bucket(const struct hash_table *table, u64 n)
{
	return (u32 *)table->nodes + table->first + n;
}

/**
 * hash_bucket() - the bucket of a key
 * @table: the table
 * @key: the key
 *
 * The low bits of the upper half of the product key * multiplier select the
 * bucket. Its index is negative, because it is relative to the end of the
 * buckets. The nodes begin there, so the processor needs one address for
 * buckets and nodes.
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2).
 *
 * Return: the link to the first node of the chain that may have @key.
 */
static __always_inline u32 *hash_bucket(const struct hash_table *table, u32 key)
{
	return (u32 *)table->nodes +
	       (table->first | (s64)((key * table->multiplier) >> 32));
}

/**
 * hash_read_begin() - begin a walk without a lock
 * @table: the table
 *
 * A node may be recycled during the walk: see hash_table.c. As with a seqcount,
 * loads between here and hash_read_retry() need no READ_ONCE().
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2), under RCU.
 *
 * Return: a count for hash_read_retry().
 */
static __always_inline u32 hash_read_begin(const struct hash_table *table)
{
	/* Pairs with the release in hash_free_node(). */
	return smp_load_acquire(&table->recycled);
}

/**
 * hash_read_retry() - end a walk without a lock
 * @table: the table
 * @begun: the count from hash_read_begin()
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2), under RCU.
 *
 * Return: true when a node was recycled, so that the walk has to be repeated.
 */
static __always_inline bool hash_read_retry(const struct hash_table *table,
					    u32 begun)
{
	smp_rmb();	/* pairs with the barriers in hash_free_node() */
	return unlikely(data_race(table->recycled) != begun);
}

/**
 * hash_walk() - find the node of a key
 * @table: the table
 * @key: the key
 *
 * Context: under redir_map.lock, or between hash_read_begin() and
 * hash_read_retry().
 * Return: the node, whose target may be dead; NULL if the key has none.
 */
static __always_inline struct hash_node *
hash_walk(const struct hash_table *table, u32 key)
{
	struct hash_node *node;
	u32 link;

	for (link = *hash_bucket(table, key); link; link = node->next) {
		node = hash_node_at(table, link);
		if (node->key == key)
			return node;
	}
	return NULL;
}

/**
 * hash_place() - the place of a key in the order of iteration
 * @table: the table
 * @key: the key, which the table need not have
 *
 * Keys are ordered by bucket, and by number within a bucket. A place depends on
 * the key alone. So an iteration that continues after the last key's place
 * visits no key twice, and misses no key that stays, while other keys are added
 * and deleted.
 *
 * Context: any.
 * Return: the place: the bucket in the upper half, the key in the lower half.
 */
static inline u64 hash_place(const struct hash_table *table, u32 key)
{
	return (u64)(hash_bucket(table, key) - hash_nth_bucket(table, 0)) << 32 |
	       key;
}

struct hash_node *rmap_hash_next_live(const struct hash_table *table, u64 place,
				      u64 end);

int rmap_hash_insert(struct redir_map *rmap, u32 key, struct target *target);
struct target *rmap_hash_remove(struct redir_map *rmap, u32 key);
void rmap_hash_detach(struct redir_map *rmap, u32 key, struct target *target,
		      enum redirmap_cause cause);
void rmap_hash_sweep(struct holder *holder, struct target *dead);

u64 rmap_hash_table_size(u32 max_entries, u64 buckets);
int rmap_hash_table_alloc(struct redir_map *rmap);

#endif /* REDIRMAP_HASH_TABLE_H */
