/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_RECORD_H
#define REDIRMAP_RECORD_H

#include <linux/hashtable.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/rculist.h>
#include <linux/types.h>

#include "gone.h"

struct bpf_map;
struct kind;

/**
 * struct record - the part that all claimed maps have
 * @hashed: node in the hash by the map's address; zeroed while the map is
 *	pending; first, because a redirect to a socket finds the record by it
 * @map: the map
 * @counters: the kind's counters, one struct for each possible CPU; hot if a
 *	program passes most packets to the stack, or redirects to sockets
 * @kind: its kind
 * @serial: number of the record, in the order of rmap_record_open()
 * @listed: node in the list of all records
 * @unheld: node in the list of maps that may be closed, or empty
 * @netns_cookie: the network namespace that the map was created in
 * @netns_ino: inode number of this namespace
 * @gone: the namespace's sum, which keeps @counters when the map goes
 * @leaver: the map's node in @gone
 *
 * A map that the module allocates includes its record. The record of a map that
 * the kernel allocates has memory of its own: see rmap_record_order().
 */
struct record {
	/* hot: read per redirect to a socket, and per missed lookup */
	struct hlist_node hashed;
	struct bpf_map *map;
	void *counters;

	/* cold */
	const struct kind *kind;
	u64 serial;
	struct list_head listed;
	struct list_head unheld;
	u64 netns_cookie;
	unsigned int netns_ino;
	struct gone *gone;
	struct gone_leaver leaver;
};

/*
 * For maps that the kernel allocates the hash may be read per packet, so it has
 * 1,024 buckets. It does not grow like an rhashtable, because on PREEMPT_RT no
 * memory can be allocated where maps are claimed. record.c changes it.
 */
#define RECORD_HASH_BITS 10
extern DECLARE_HASHTABLE(rmap_records_by_map, RECORD_HASH_BITS);

/**
 * record_key() - the key of a map in the hash
 * @map: the map
 *
 * 32 bits are hashed in fewer instructions than a pointer. They differ between
 * almost all maps, and maps with the same bits only share a bucket.
 *
 * Context: any.
 * Return: the lower half of the address.
 */
static inline u32 record_key(const struct bpf_map *map)
{
	return lower_32_bits((unsigned long)map);
}

/**
 * record_find() - the record of a map
 * @map: any map
 *
 * This function is inline because each redirect to a socket calls it.
 *
 * Context: inside an RCU read section, which keeps the record, and also the
 * records of other maps in the same bucket.
 * Return: the record; NULL for a map that is not claimed, or has no record.
 */
static inline struct record *record_find(const struct bpf_map *map)
{
	struct record *record;

	hash_for_each_possible_rcu(rmap_records_by_map, record, hashed,
				   record_key(map))
		if (record->map == map)
			return record;
	return NULL;
}

void rmap_record_open(struct record *record, struct bpf_map *map,
		      const struct kind *kind);
void rmap_record_close(struct record *record);
void rmap_record_end(struct record *record);

struct record *rmap_record_next(struct record *at, u64 serial);
unsigned int rmap_record_generation(void);
void rmap_record_unheld(struct record *record);
void rmap_record_find_closed(void);

bool rmap_record_order(struct bpf_map *map, const struct kind *kind,
		       void (*open)(struct record *record, struct bpf_map *map,
				    const struct kind *kind));
struct record *rmap_record_return(const struct bpf_map *map);
void rmap_record_free(struct record *record);
size_t rmap_record_memory(void);
void rmap_record_order_init(size_t counters);

#endif /* REDIRMAP_RECORD_H */
