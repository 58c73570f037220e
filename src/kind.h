/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_KIND_H
#define REDIRMAP_KIND_H

#include <linux/bpf.h>

#include "hook.h"
#include "layout.h"
#include "part.h"
#include "record.h"

struct family;
struct genl_ops;
struct gone;
struct net;
struct sk_buff;

/**
 * struct kind - a kind of map that is claimed
 * @type: the map type
 * @alloc: make a map of the type, pending, in the place of the kernel's function;
 *	for the family's hook on that, which may find it here. NULL where the
 *	kernel makes all such maps
 * @set_ops: put our operations over a copy of the kernel's; not map_release_uref
 * @is_pending: has the module made this map, of the type, and are its ops still
 *	the kernel's? NULL without @alloc: then the policy decides when a map is
 *	there
 * @record: the record in a map that is_pending() knows; NULL likewise: then it
 *	has memory of its own
 * @claimed: get ready for a map that is being claimed; optional
 * @memory: what a map takes, in bytes, those of all CPUs included; without a
 *	record of its own memory, which rmap_kind_memory() adds
 * @counters: of a kind without @record, bytes of one CPU's counters of a map, a
 *	multiple of a cache line: those of all CPUs are behind the record
 * @add: add the counters of a map to a sum, which has the family's shape; optional;
 *	under a spinlock, before the map is freed
 * @report: write what netlink tells of such maps alone, their counters among it; 0
 *	or -EMSGSIZE; optional; inside an RCU read section
 * @family: its family
 * @stock: the kernel's operations, once such a map was claimed
 * @ops: a copy of them, with ours over it
 *
 * @is_pending, @record and @claimed are called in bpf(2), with preemption off, and
 * @set_ops with a raw spinlock held besides.
 */
struct kind {
	enum bpf_map_type type;
	struct bpf_map *(*alloc)(union bpf_attr *attr);
	void (*set_ops)(struct bpf_map_ops *ops);
	bool (*is_pending)(const struct bpf_map *map);
	struct record *(*record)(struct bpf_map *map);
	void (*claimed)(struct bpf_map *map);
	u64 (*memory)(const struct bpf_map *map);
	size_t counters;
	void (*add)(const struct record *record, void *sum);
	int (*report)(struct sk_buff *skb, const struct record *record);

	/* kind.c's */
	const struct family *family;
	const struct bpf_map_ops *stock;
	struct bpf_map_ops ops;
};

/**
 * struct family - kinds of maps that have something in common
 * @parts: what they need, in the order in which it is brought up
 * @n_parts: how many
 * @kinds: the kinds
 * @n_kinds: how many
 * @hooks: on functions of the kernel, which they need besides
 * @n_hooks: how many
 * @layout: the private layouts that they rely on, in LAYOUT_SECTION, ended by an
 *	empty row; optional
 * @requests: that netlink answers besides, ended by an empty row; their handlers
 *	are built of what netlink_answer.h has; optional
 * @sum_size: bytes of a sum over counters. One is kept for each network namespace,
 *	over the maps and targets that are no more: see gone.h
 * @report: write what the state of the module tells of them in a network namespace,
 *	whose sum over what is no more is @sum; 0 or -EMSGSIZE; optional; in
 *	process context
 */
struct family {
	const struct part *parts;
	unsigned int n_parts;
	struct kind *kinds;
	unsigned int n_kinds;
	struct hook *hooks;
	unsigned int n_hooks;
	const struct layout_row *layout;
	const struct genl_ops *requests;
	size_t sum_size;
	int (*report)(struct sk_buff *skb, struct net *net, const void *sum);
};

#define KIND_FAMILY(name) rmap_##name##_family

#define KIND_FAMILIES REDIRMAP_FAMILIES(KIND_FAMILY)

/* Kbuild tells which there are. */
extern const struct family KIND_FAMILIES;

#define KIND_NUMBER(name) KIND_NUMBER_##name

enum {
	REDIRMAP_FAMILIES(KIND_NUMBER),
	KIND_N_FAMILIES,
};

const struct family *rmap_kind_family(unsigned int i);
unsigned int rmap_kind_families(void);
struct kind *rmap_kind_find(enum bpf_map_type type);
bool rmap_kind_claim(struct kind *kind, struct bpf_map *map);
bool rmap_kind_has(const struct bpf_map *map);
u64 rmap_kind_memory(const struct bpf_map *map);
void rmap_kind_report_mixed(const struct bpf_map *map, bool claimed);

struct gone *rmap_kind_gone(const struct family *family, const struct net *net);

int rmap_kind_gone_init(void);
void rmap_kind_gone_exit(void);

int rmap_kind_init(void);

#endif /* REDIRMAP_KIND_H */
