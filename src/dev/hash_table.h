/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HASH_TABLE_H
#define REDIRMAP_HASH_TABLE_H

#include <linux/bpf.h>
#include <linux/rcupdate.h>

#include "map.h"

/**
 * struct hash_table - the table of a hash
 * @multiplier: random, odd
 * @nodes: what links count from, and where the buckets end
 * @first: the first bucket, counted from there: minus the number of buckets
 * @recycled: how many nodes have been taken out of a chain
 * @free: link to the first free node that has been used before
 * @fresh: how many nodes have ever been used
 * @swept: rmap_target_deaths() when the table was last swept
 */
struct hash_table {
	/* hot: per packet, beside one bucket and one node; written by deletes */
	u64 multiplier;
	s64 first;
	u64 *nodes;
	u32 recycled;

	/* cold, under redir_map.lock */
	u32 free;
	u32 fresh;
	unsigned int swept;
};

/**
 * struct hash_map - a hash
 * @rmap: what all maps have
 * @table: where its keys lead
 */
struct hash_map {
	struct redir_map rmap;
	/* its hot part in one cache line */
	struct hash_table table ____cacheline_aligned;
};

/**
 * struct hash_node - an entry, or a free place for one
 * @key: the key; of a free node, the link to the next free one
 * @next: link to the next node of the chain
 * @target: where the key leads; &rmap_target_none when that has left, and
 *	nobody has needed the node since
 *
 * Links are 32 bits: node i has 2 * i + 2, which is its distance from
 * hash_table.nodes in units of 8 bytes, so that the processor finds a node by
 * its link without a shift. 0 ends a chain; there is a node there too, in no
 * chain, which leads nowhere.
 */
struct hash_node {
	u32 key;
	u32 next;
	struct target __rcu *target;
};

/**
 * hash_node() - the node that a link leads to
 * @table: the table
 * @link: the link; 0 leads to the node that is in no chain
 *
 * Context: under redir_map.lock, or in a read loop.
 * Return: the node.
 */
static __always_inline struct hash_node *
hash_node(const struct hash_table *table, u32 link)
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
 * @node: a node of it
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
 * hash_table() - the table of a map
 * @map: a hash
 *
 * Context: any.
 * Return: the table.
 */
static inline struct hash_table *hash_table(const struct bpf_map *map)
{
	return &container_of(map, struct hash_map, rmap.dtab.map)->table;
}

/**
 * hash_buckets() - how many buckets a table has
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
 * By the upper half of a product, of which as many bits as are needed count
 * backwards from the end of the buckets, where the nodes begin: so the processor
 * needs one address for both.
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2).
 *
 * Return: the link to the first node of the chain that @key is in, if in any.
 */
static __always_inline u32 *hash_bucket(const struct hash_table *table, u32 key)
{
	return (u32 *)table->nodes +
	       (table->first | (s64)((key * table->multiplier) >> 32));
}

/**
 * hash_read_begin() - begin to walk without a lock
 * @table: the table
 *
 * A walk may meet a node that is recycled meanwhile: see hash_table.c. As with
 * a seqcount, loads from here to hash_read_retry() are plain ones.
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2), under RCU.
 *
 * Return: what hash_read_retry() wants to know.
 */
static __always_inline u32 hash_read_begin(const struct hash_table *table)
{
	/* Pairs with hash_free_node(). */
	return smp_load_acquire(&table->recycled);
}

/**
 * hash_read_retry() - end a walk without a lock
 * @table: the table
 * @begun: from hash_read_begin()
 *
 * Runs as hash_read_begin().
 *
 * Return: true when the walk may have gone astray and has to be done again.
 */
static __always_inline bool hash_read_retry(const struct hash_table *table,
					    u32 begun)
{
	smp_rmb();	/* pairs with the barriers in hash_free_node() */
	return unlikely(data_race(table->recycled) != begun);
}

/**
 * hash_walk() - the node of a key
 * @table: the table
 * @key: the key
 *
 * Context: under redir_map.lock, or in a read loop.
 * Return: the node, which may lead nowhere; NULL if the key has none.
 */
static __always_inline struct hash_node *
hash_walk(const struct hash_table *table, u32 key)
{
	struct hash_node *node;
	u32 link;

	for (link = *hash_bucket(table, key); link; link = node->next) {
		node = hash_node(table, link);
		if (node->key == key)
			return node;
	}
	return NULL;
}

/**
 * hash_place() - a key's place in the order in which keys are iterated
 * @table: the table
 * @key: the key, which need not be there
 *
 * By bucket, and by number in a bucket. It depends on the key alone, so an
 * iteration that goes on from the last key's place passes no key twice, whatever
 * comes and goes, and none over that stays.
 *
 * Context: any.
 * Return: the place: the bucket in the upper half, the key in the lower.
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
