/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HASH_TABLE_H
#define REDIRMAP_HASH_TABLE_H

#include <linux/bpf.h>
#include <linux/rcupdate.h>

#include "map.h"

/**
 * struct hash_node - an entry, or a free place for one
 * @key: the key; of a free node, the link to the next free one
 * @next: link to the next node of the chain
 * @target: where the key leads; &target_nowhere when that has left, and nobody
 *	has needed the node since
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

static __always_inline struct hash_node *
hash_node(const struct hash_table *table, u32 link)
{
	return (struct hash_node *)(table->nodes + link);
}

static inline u32 hash_nth_link(u32 i)
{
	return 2 * i + 2;
}

static inline u32 hash_link(const struct hash_table *table,
			    const struct hash_node *node)
{
	return (u64 *)node - table->nodes;
}

static inline struct hash_table *hash_table(const struct bpf_map *map)
{
	return &to_redir_map(map)->table;
}

static inline u64 hash_buckets(const struct hash_table *table)
{
	return (u64)table->mask + 1;
}

/* By the upper half of a product, of which as many bits as there are needed. */
static __always_inline u32 *hash_bucket(const struct hash_table *table, u32 key)
{
	return &table->bucket[(u32)((key * table->multiplier) >> 32) &
			      table->mask];
}

/*
 * A walk may have met a node that was recycled meanwhile: see hash_table.c. As
 * with a seqcount, loads between the two are plain ones.
 */
static __always_inline u32 hash_read_begin(const struct hash_table *table)
{
	/* Pairs with hash_free_node(). */
	return smp_load_acquire(&table->recycled);
}

static __always_inline bool hash_read_retry(const struct hash_table *table,
					    u32 begun)
{
	smp_rmb();	/* pairs with the barriers in hash_free_node() */
	return unlikely(data_race(table->recycled) != begun);
}

/* The node of a key, or NULL. Under redir_map.lock, or in a read loop. */
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
void hash_detach(struct redir_map *rmap, u32 key, struct target *target,
		 enum redirmap_cause cause);
void hash_sweep(struct holder *holder, struct target *dead);

u64 hash_table_size(u32 max_entries, u64 buckets);
int hash_table_alloc(struct redir_map *rmap);

#endif /* REDIRMAP_HASH_TABLE_H */
