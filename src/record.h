/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_RECORD_H
#define REDIRMAP_RECORD_H

#include <linux/list.h>
#include <linux/types.h>

#include "gone.h"

struct bpf_map;
struct kind;

/**
 * struct record - the part that all claimed maps have
 * @counters: the kind's counters, one struct for each possible CPU; hot if a
 *	program passes most packets to the stack
 * @map: the map
 * @kind: its kind
 * @serial: number of the record, in the order of rmap_record_open()
 * @listed: node in the list of all records
 * @hashed: node in the hash by the map's address; zeroed while the map is
 *	pending
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
	/* hot: read per packet without an entry */
	void *counters;

	/* cold */
	struct bpf_map *map;
	const struct kind *kind;
	u64 serial;
	struct list_head listed;
	struct hlist_node hashed;
	struct list_head unheld;
	u64 netns_cookie;
	unsigned int netns_ino;
	struct gone *gone;
	struct gone_leaver leaver;
};

void rmap_record_open(struct record *record, struct bpf_map *map,
		      const struct kind *kind);
void rmap_record_close(struct record *record);
void rmap_record_end(struct record *record);

struct record *rmap_record_find(const struct bpf_map *map);
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
