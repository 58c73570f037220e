// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds: a kind is a map type that the module claims. This file claims maps.
 *
 * This file owns the table of families, which Kbuild defines, and the
 * operations of each kind: a copy of the kernel's operations, made with the
 * first map, in which the kind has set its own. So operations that this module
 * does not know keep working.
 *
 * A claimed map has a reference to the module, from its claim until it is
 * freed. After rmmod has begun no reference can be taken, and a new map stays a
 * stock map, also one that kind.alloc has made: that map must be harmless
 * without the module. kind_gone.c keeps the counters of removed maps.
 *
 * Maps are claimed in bpf(2), with preemption off. This file also frees claimed
 * maps that the kernel has allocated: in a work item of the kernel, or in
 * bpf(2) when creation fails after the claim.
 */
#include <linux/align.h>
#include <linux/bpf.h>
#include <linux/cache.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "gone.h"
#include "kind.h"
#include "log.h"
#include "record.h"

#define KIND_POINT_TO(name) (&KIND_FAMILY(name))

static const struct family *const families[] = {
	REDIRMAP_FAMILIES(KIND_POINT_TO)
};

/*
 * Guards kind.stock and kind.ops. The lock is raw, because maps are claimed
 * with preemption off.
 */
static DEFINE_RAW_SPINLOCK(kind_lock);

/**
 * rmap_kind_family() - a family of maps by its number
 * @i: the number, from 0 on
 *
 * Context: any.
 * Return: the family, or NULL behind the last one.
 */
const struct family *rmap_kind_family(unsigned int i)
{
	return i < ARRAY_SIZE(families) ? families[i] : NULL;
}

/**
 * rmap_kind_families() - number of families
 *
 * Context: any.
 * Return: the number.
 */
unsigned int rmap_kind_families(void)
{
	return ARRAY_SIZE(families);
}

/**
 * rmap_kind_find() - the kind of a map type
 * @type: the map type
 *
 * Context: any.
 * Return: the kind, or NULL.
 */
struct kind *rmap_kind_find(enum bpf_map_type type)
{
	const struct family *family;
	unsigned int i, j;

	for (i = 0; (family = rmap_kind_family(i)); i++)
		for (j = 0; j < family->n_kinds; j++)
			if (family->kinds[j].type == type)
				return &family->kinds[j];
	return NULL;
}

/**
 * rmap_kind_has() - is a map a claimed one?
 * @map: any map, or the description of an inner map
 *
 * Context: any.
 * Return: true for a claimed map, and for the description of one.
 */
bool rmap_kind_has(const struct bpf_map *map)
{
	const struct kind *kind = rmap_kind_find(map->map_type);

	return kind && map->ops == &kind->ops;
}

/**
 * rmap_kind_memory() - memory of a map
 * @map: a claimed map
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, for all possible CPUs.
 */
u64 rmap_kind_memory(const struct bpf_map *map)
{
	const struct kind *kind = rmap_kind_find(map->map_type);

	return kind->memory(map) + (kind->record ? 0 : rmap_record_memory());
}

/* Free a map that the kernel has allocated, and its record. */
static void kind_free(struct bpf_map *map)
{
	const struct bpf_map_ops *stock = rmap_kind_find(map->map_type)->stock;
	struct record *record = rmap_record_return(map);

	if (record) {
		rmap_record_close(record);
		synchronize_rcu();
		rmap_record_end(record);
		rmap_record_free(record);
	}
	stock->map_free(map);
	/* rmmod waits for tasks in the module's text: see main_wait(). */
	module_put(THIS_MODULE);
}

/* Called in any context, when a map has lost its last descriptor or pin. */
static void kind_unheld(struct bpf_map *map)
{
	const struct kind *kind = rmap_kind_find(map->map_type);
	struct record *record;

	rcu_read_lock();
	record = kind->record ? kind->record(map) : record_find(map);
	if (record)
		rmap_record_unheld(record);
	rcu_read_unlock();

	if (kind->stock->map_release_uref)
		kind->stock->map_release_uref(map);
}

/*
 * Make the kind's operations from those of the first map. Returns false if a
 * map has other operations than the first map had: the copy does not fit them.
 */
static bool kind_has_ops(struct kind *kind, const struct bpf_map *map)
{
	const struct bpf_map_ops *stock;
	unsigned long flags;

	/* Pairs with the release below: kind->ops is complete. */
	stock = smp_load_acquire(&kind->stock);
	if (stock)
		return map->ops == stock;

	raw_spin_lock_irqsave(&kind_lock, flags);
	if (!kind->stock) {
		kind->ops = *map->ops;
		if (!kind->record)
			kind->ops.map_free = kind_free;
		kind->ops.map_release_uref = kind_unheld;
		compat_set_mem_usage(&kind->ops, rmap_kind_memory);
		kind->set_ops(&kind->ops);
		/* Pairs with the acquire above. */
		smp_store_release(&kind->stock, map->ops);
	}
	stock = kind->stock;
	raw_spin_unlock_irqrestore(&kind_lock, flags);
	return map->ops == stock;
}

/* Add a map's counters to a sum, which outlives the map. */
static void kind_add(const struct gone_leaver *leaver, void *sum)
{
	const struct record *record = container_of(leaver, struct record,
						   leaver);

	if (record->kind->add)
		record->kind->add(record, sum);
}

/* Runs in the task that creates the map; preemption may be off. */
static void kind_open(struct record *record, struct bpf_map *map,
		      const struct kind *kind)
{
	record->gone = rmap_gone_get(rmap_kind_gone(kind->family,
						    current->nsproxy->net_ns));
	rmap_gone_leaver_init(&record->leaver, kind_add);
	rmap_record_open(record, map, kind);
}

/**
 * rmap_kind_claim() - claim a map
 * @kind: the map's kind
 * @map: a new map, which no other task can find yet
 *
 * Context: bpf(2), in the task that creates the map; preemption may be off.
 * Return: false when the map stays a stock map.
 */
bool rmap_kind_claim(struct kind *kind, struct bpf_map *map)
{
	if (!kind_has_ops(kind, map) || !try_module_get(THIS_MODULE))
		return false;
	if (!kind->record && !rmap_record_order(map, kind, kind_open)) {
		pr_notice_ratelimited("a map (%s) is not claimed: too many maps are created at once, or a kernel thread creates it\n",
				      map->name);
		module_put(THIS_MODULE);
		return false;
	}
	map->ops = &kind->ops;
	if (kind->claimed)
		kind->claimed(map);
	if (kind->record)
		kind_open(kind->record(map), map, kind);
	return true;
}

/**
 * rmap_kind_report_mixed() - log the reason why an outer map refuses a map
 * @map: the map that user space wants to put into the outer map
 * @claimed: true if @map is claimed and the outer map was made with a stock
 *	map; false if it is the other way round
 *
 * User space gets only an EINVAL.
 *
 * Context: bpf(2); preemption may be off.
 */
void rmap_kind_report_mixed(const struct bpf_map *map, bool claimed)
{
	pr_notice_ratelimited("map %u (%s) is a %s map, and cannot go into an outer map that was made with a %s map\n",
			      map->id, map->name,
			      claimed ? "claimed" : "stock",
			      claimed ? "stock" : "claimed");
}

/**
 * rmap_kind_init() - check the table of kinds
 *
 * Context: insmod.
 * Return: 0, or -EEXIST when two kinds have one map type.
 */
int __init rmap_kind_init(void)
{
	size_t counters = 0;
	const struct family *family;
	struct kind *kind;
	unsigned int i, j;

	for (i = 0; (family = rmap_kind_family(i)); i++)
		for (j = 0; j < family->n_kinds; j++) {
			kind = &family->kinds[j];
			if (rmap_kind_find(kind->type) != kind) {
				pr_err("two kinds of maps have the type %d\n",
				       kind->type);
				return -EEXIST;
			}
			kind->family = family;
			if (kind->record)
				continue;
			WARN_ON_ONCE(!IS_ALIGNED(kind->counters,
						 SMP_CACHE_BYTES));
			counters = max(counters, kind->counters);
		}
	rmap_record_order_init(counters);
	return 0;
}
