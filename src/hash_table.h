/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HASH_TABLE_H
#define REDIRMAP_HASH_TABLE_H

#include <linux/bpf.h>
#include <linux/rcupdate.h>

#include "map.h"

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

static inline struct hash_table *hash_table(const struct bpf_map *map)
{
	return container_of(to_redir_map(map)->dtab.dev_index_head,
			    struct hash_table, stock);
}

static inline u32 hash_buckets(const struct hash_table *table)
{
	return 1U << (64 - table->shift);
}

static inline u32 *hash_bucket(const struct hash_table *table, u32 key)
{
	return &table->bucket[(key * table->multiplier) >> table->shift];
}

/* A walk may have met a node that was recycled meanwhile: see hash_table.c. */
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

/*
 * A key's place in the order in which keys are iterated: by bucket, and by
 * number in a bucket. It depends on the key alone, so an iteration that goes
 * on from the last key's place passes no key twice, whatever comes and goes,
 * and none over that stays.
 */
static inline u64 hash_place(const struct hash_table *table, u32 key)
{
	return (u64)(hash_bucket(table, key) - table->bucket) << 32 | key;
}

struct hash_node *hash_next_live(const struct hash_table *table, u64 place,
				 u64 end);

int hash_insert(struct redir_map *rmap, u32 key, struct target *target);
struct target *hash_remove(struct redir_map *rmap, u32 key);
void hash_sweep(struct holder *holder);

u64 hash_table_size(u32 max_entries, u64 buckets);
int hash_table_alloc(struct redir_map *rmap);

#endif /* REDIRMAP_HASH_TABLE_H */
