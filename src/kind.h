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
 * @alloc: makes a pending map of the type, instead of the kernel's function;
 *	the family's hook on that function calls it. If the module is unloaded
 *	before the map is claimed, the map outlives the module, with the
 *	kernel's ops: let it refuse all changes until @claimed. NULL when the
 *	kernel allocates maps of this type
 * @set_ops: sets the kind's operations in a copy of the kernel's; must not set
 *	map_release_uref and map_mem_usage, nor map_free without @record: kind.c
 *	has set these
 * @is_pending: tests whether the module has made a map of the type that still
 *	has the kernel's ops. NULL if @alloc is NULL: then the policy decides
 *	after the kernel has allocated a map
 * @record: returns the record of a map that the module has made. NULL if @alloc
 *	is NULL: then a record has memory of its own
 * @claimed: prepares a map that has just been claimed, and that no other task
 *	can find yet; optional
 * @memory: returns the memory of a map, in bytes, for all CPUs; if @record is
 *	NULL, without the record, which rmap_kind_memory() adds
 * @counters: if @record is NULL, the bytes of one CPU's counters of a map, a
 *	multiple of a cache line; the counters of all CPUs are behind the record
 * @add: adds the counters of a map to a sum of the family's type; optional;
 *	called under a spinlock, before the map is freed
 * @report: puts attributes that only maps of this kind have, such as counters,
 *	into a netlink message; returns 0 or -EMSGSIZE; optional; called inside
 *	an RCU read section
 * @family: the kind's family
 * @stock: the kernel's operations; NULL until a map of the type is claimed
 * @ops: a copy of @stock with the kind's operations
 *
 * @is_pending, @record and @claimed are called in bpf(2), with preemption off.
 * @set_ops is called there too, under a raw spinlock.
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

	/* owned by kind.c */
	const struct family *family;
	const struct bpf_map_ops *stock;
	struct bpf_map_ops ops;
};

/**
 * struct family - kinds of maps that share parts
 * @parts: the parts, in the order in which insmod brings them up
 * @n_parts: number of parts
 * @kinds: the kinds
 * @n_kinds: number of kinds
 * @hooks: further hooks on functions of the kernel
 * @n_hooks: number of hooks
 * @layout: the private layouts of the kernel that the family depends on, in
 *	LAYOUT_SECTION, ended by an empty row; optional
 * @requests: further netlink requests, ended by an empty row; their handlers
 *	use the functions of netlink_answer.h; optional
 * @sum_size: bytes of a sum over counters. Each network namespace keeps one
 *	over the family's removed maps and targets: see gone.h
 * @report: puts the family's part of the module's state into a netlink message;
 *	@sum is the namespace's sum over removed maps and targets; returns 0 or
 *	-EMSGSIZE; optional; called in process context
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

/* Kbuild defines the list of families. */
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
