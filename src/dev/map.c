// SPDX-License-Identifier: GPL-2.0-only
/*
 * The common part of array and hash device maps.
 *
 * This file allocates and frees claimed maps, checks their attributes,
 * redirects broadcasts, and counts redirects that find no entry. map_attach.c
 * makes targets and groups for entries.
 *
 * A pending map still has the kernel's ops: its creation has not reached the
 * point where claim.c replaces them, or has failed before that point, or rmmod
 * has begun before it. It is a valid, empty devmap, and the kernel's
 * dev_map_free() can free it: it consists of its own memory and one table, and
 * kvfree() frees both. It is frozen, and so stays empty, until it is claimed:
 * the kernel's code does not know values with counters, and would not remove
 * entries for devices that leave, because the map is not on its list.
 *
 * Creation runs in bpf(2). Freeing runs in a work item of the kernel, after the
 * last reference, when no lookup is left. Redirects run in NAPI, bottom halves
 * off. redir_map.lock guards the changes of a hash; an array needs no lock.
 */
#include <linux/filter.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "bulkq.h"
#include "kind.h"
#include "map.h"
#include "policy.h"
#include "record.h"
#include "stats.h"

#define MAP_CREATE_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

/* A random number, chosen at insmod; maps of an earlier load have another. */
static u64 load_id __ro_after_init;

/*
 * Memory of a node, charged to the caller. The exported vmalloc() functions
 * that take a node take no flags, and so cannot charge the memory to a cgroup.
 * Hence pages are allocated one by one and mapped. As in vmalloc(), more pages
 * than the machine has are refused at once, or the allocation would take all
 * free pages before it fails.
 */
static void *map_area_alloc_node(u64 size, gfp_t gfp, int numa_node)
{
	u64 i = 0, count = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	struct page **pages;
	void *area;

	if (count > totalram_pages())
		return NULL;
	/* The recursion ends soon: the array is a 512th of the memory. */
	pages = rmap_map_area_alloc(count * sizeof(*pages), numa_node);
	if (!pages)
		return NULL;

	for (; i < count; i++) {
		if (fatal_signal_pending(current))
			goto free_pages;
		pages[i] = alloc_pages_node(numa_node, gfp, 0);
		if (!pages[i])
			goto free_pages;
		cond_resched();
	}
	/* VM_MAP_PUT_PAGES: vfree() also frees the pages and their array. */
	area = vmap(pages, count, VM_MAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (area)
		return area;

free_pages:
	while (i--)
		__free_page(pages[i]);
	kvfree(pages);
	return NULL;
}

/**
 * rmap_map_area_alloc() - zeroed memory for a map, charged to the caller
 * @size: bytes
 * @numa_node: preferred node, or NUMA_NO_NODE
 *
 * User space chooses the size, so an allocation that is too large fails; it
 * neither invokes the out-of-memory killer nor causes compaction for large
 * pages.
 *
 * Context: process context, sleeps.
 * Return: memory for kvfree(), or NULL.
 */
void *rmap_map_area_alloc(u64 size, int numa_node)
{
	const gfp_t gfp = compat_memcg_flags(GFP_KERNEL | __GFP_ZERO |
					     __GFP_NOWARN);
	void *area;

	if (size >= SIZE_MAX)
		return NULL;

	if (size <= (PAGE_SIZE << PAGE_ALLOC_COSTLY_ORDER)) {
		area = kmalloc_node(size, gfp | __GFP_NORETRY, numa_node);
		if (area)
			return area;
	}
	if (numa_node != NUMA_NO_NODE)
		return map_area_alloc_node(size, gfp | __GFP_RETRY_MAYFAIL,
					   numa_node);
	return __vmalloc(size, gfp | __GFP_RETRY_MAYFAIL);
}

static int map_check_attr(const union bpf_attr *attr)
{
	if (!attr->max_entries || attr->key_size != sizeof(u32) ||
	    !value_size_is_known(attr->value_size) ||
	    attr->map_flags & ~MAP_CREATE_FLAGS)
		return -EINVAL;
	return 0;
}

/* Set the attributes that the kernel's map_create() leaves to map_alloc(). */
static void map_set_attr(struct bpf_map *map, union bpf_attr *attr)
{
	/* All slots of a device share one value: programs may not write it. */
	attr->map_flags |= BPF_F_RDONLY_PROG;

	map->map_type = attr->map_type;
	map->key_size = attr->key_size;
	map->value_size = attr->value_size;
	map->max_entries = attr->max_entries;
	/* These two flags are for the first file descriptor, not the map. */
	map->map_flags = attr->map_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY);
	map->map_extra = attr->map_extra;
	map->numa_node = bpf_map_attr_numa_node(attr);
}

/* Decide, once, whether the map's frames may leave as packets. */
static enum redirmap_packets map_packets(const union bpf_attr *attr)
{
	if (rmap_policy_matches_new(&rmap_policy_qdisc, attr))
		return REDIRMAP_PACKETS_ALWAYS;
	if (rmap_policy_matches_new(&rmap_policy_packets, attr))
		return REDIRMAP_PACKETS_FALLBACK;
	return REDIRMAP_PACKETS_NEVER;
}

/* Offset of a map's counters behind a struct of @size bytes. */
static size_t map_counters_offset(size_t size)
{
	return ALIGN(size, __alignof__(struct stats_map));
}

/* Bytes of a map without its table. */
static size_t map_size(const struct redir_map *rmap)
{
	const struct stats_map *counters = rmap->record.counters;

	return (void *)(counters + nr_cpu_ids) - (void *)rmap;
}

/**
 * rmap_map_alloc() - make a map without a table
 * @attr: the attributes from user space; BPF_F_RDONLY_PROG is added
 * @size: bytes of the kind's struct, which begins with a struct redir_map
 * @sweep: see struct holder
 *
 * Context: bpf(2), sleeps.
 * Return: the map; or -EPERM, -ENOMEM or -EINVAL, tested in the built-in's
 * order.
 */
struct redir_map *rmap_map_alloc(union bpf_attr *attr, size_t size,
				 void (*sweep)(struct holder *holder,
					       struct target *dead))
{
	size_t offset = map_counters_offset(size);
	struct redir_map *rmap;
	int err, i;

	/* The kernel frees a map by the address of its struct bpf_map. */
	BUILD_BUG_ON(offsetof(struct redir_map, dtab.map));

	if (!compat_map_alloc_permitted())
		return ERR_PTR(-EPERM);

	rmap = rmap_map_area_alloc(offset + nr_cpu_ids *
				   sizeof(struct stats_map), NUMA_NO_NODE);
	if (!rmap)
		return ERR_PTR(-ENOMEM);

	err = map_check_attr(attr);
	if (err) {
		kvfree(rmap);
		return ERR_PTR(err);
	}

	map_set_attr(&rmap->dtab.map, attr);
	/* Until the map is claimed: see the head comment. */
	rmap->dtab.map.frozen = true;
	INIT_LIST_HEAD(&rmap->dtab.list);
	spin_lock_init(&rmap->dtab.index_lock);
	rmap->load_id = load_id;
	rmap->packets = map_packets(attr);
	rmap->record.counters = (void *)rmap + offset;
	for (i = 0; i < ARRAY_SIZE(rmap->group); i++)
		rmap->group[i] = rmap_group_empty_entry();
	rmap_holder_init(&rmap->holder, sweep);
	spin_lock_init(&rmap->lock);
	rmap_bulkq_reserve_init(&rmap->holder.bulkqs, &rmap->dtab.map);
	rmap_bulkq_pool_fill();
	return rmap;
}

/**
 * rmap_map_unalloc() - undo rmap_map_alloc()
 * @rmap: a new map that only the caller knows, without a table
 *
 * Context: bpf(2), sleeps.
 */
void rmap_map_unalloc(struct redir_map *rmap)
{
	/* A pending map has nothing else: see the head comment. */
	kvfree(rmap);
}

/**
 * rmap_map_free() - free a map and its table, and drop its module reference
 * @rmap: a claimed map that has no user left
 *
 * The slots are not walked, because the holder knows all targets in them. After
 * module_put() rmmod may run; rmmod waits until this task has left the module's
 * text.
 *
 * Context: the kernel's work item that frees maps, sleeps.
 */
void rmap_map_free(struct redir_map *rmap)
{
	int i;

	rmap_record_close(&rmap->record);
	rmap_bulkq_reserve_exit(&rmap->holder.bulkqs);

	/* As in the built-in: wait for programs that still use the table. */
	synchronize_rcu();

	rmap_record_end(&rmap->record);

	for (i = 0; i < ARRAY_SIZE(rmap->group); i++)
		if (map_has_group(rmap, i))
			rmap_group_port_free(rmap->group[i]);
	rmap_holder_exit(&rmap->holder);
	kvfree(rmap->dtab.netdev_map);
	kvfree(rmap->dtab.dev_index_head);
	kvfree(rmap);
	module_put(THIS_MODULE);
}

/**
 * rmap_map_is_pending() - has this load of the module made a map?
 * @map: a map of one of the two device map types, with the kernel's ops
 *
 * A map that the kernel has made is on its list of devmaps. A map that is on no
 * list was made by this module, and load_id identifies the load.
 *
 * Context: any.
 * Return: true when this load has made the map, so that its ops are replaced.
 */
bool rmap_map_is_pending(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return list_empty(&rmap->dtab.list) && rmap->load_id == load_id;
}

/**
 * rmap_map_meta_equal() - does a map match the inner map of an outer map?
 * @meta: description of the inner map, which was made from a claimed map
 * @map: the map to put into the outer map
 *
 * Programs call the ops of the map that they were verified against, so both
 * must have the same ops, besides the attributes that the built-in compares for
 * these types.
 *
 * Context: bpf(2), when a map is put into an outer map; does not sleep.
 * Return: true when @map matches.
 */
bool rmap_map_meta_equal(const struct bpf_map *meta, const struct bpf_map *map)
{
	if (meta->ops != map->ops) {
		if (meta->map_type == map->map_type)
			rmap_kind_report_mixed(map, false);
		return false;
	}
	return meta->map_type == map->map_type &&
	       meta->key_size == map->key_size &&
	       meta->value_size == map->value_size &&
	       meta->map_flags == map->map_flags;
}

/**
 * rmap_map_missed() - count a redirect that has found no entry
 * @map: the map
 * @verdict: the action that the helper is about to return
 * @flags: flags of the helper, which are its third argument, too, so that they
 *	stay in their register
 *
 * The program decides about the frame, and may ignore the returned action. So
 * this function counts lookups, not lost frames.
 *
 * Runs in NAPI, bottom halves off, per packet without an entry. Before 6.10 it
 * also runs in BPF_PROG_TEST_RUN without live frames, with bottom halves on;
 * the counters allow for that, as they are local64_t.
 *
 * Return: @verdict.
 */
compat_map_ret_t rmap_map_missed(struct bpf_map *map, compat_map_ret_t verdict,
				 u64 flags)
{
	/* With unknown flags the helper has looked nothing up. */
	if (!(flags & ~(u64)(MAP_REDIRECT_ACTIONS | MAP_REDIRECT_FLAGS)))
		rmap_stats_map_missed(to_redir_map(map)->record.counters, map,
				      verdict);
	return verdict;
}

static __always_inline void *map_group(struct bpf_map *map, int i)
{
	struct redir_map *rmap = to_redir_map(map);
	struct kern_dtab_netdev *group = READ_ONCE(rmap->group[i]);

	if (unlikely(group == rmap_group_empty_entry()))
		rmap_stats_map_drop(rmap->record.counters, map,
				    REDIRMAP_DROP_NO_MEMBER, 1);
	else if (group->xdp_prog)
		ingress_spare(group->dev);
	return group;
}

static void *map_lookup_group(struct bpf_map *map, u32 key)
{
	return map_group(map, 0);
}

static void *map_lookup_group_exclude(struct bpf_map *map, u32 key)
{
	return map_group(map, 1);
}

/**
 * rmap_map_broadcast() - bpf_redirect_map() with BPF_F_BROADCAST
 * @map: the map
 * @key: not used, but traced by the kernel
 * @flags: flags of the helper
 *
 * For the kernel a broadcast is a redirect to one device, the group's.
 *
 * Runs in the same contexts as rmap_map_missed(), per packet.
 *
 * Return: XDP_REDIRECT, or XDP_ABORTED for unknown flags.
 */
compat_map_ret_t rmap_map_broadcast(struct bpf_map *map,
				    compat_redirect_key_t key, u64 flags)
{
	if (flags & BPF_F_EXCLUDE_INGRESS)
		return __bpf_xdp_redirect_map(map, key,
					      flags & ~MAP_REDIRECT_FLAGS, 0,
					      map_lookup_group_exclude);
	return __bpf_xdp_redirect_map(map, key, flags & ~MAP_REDIRECT_FLAGS, 0,
				      map_lookup_group);
}

/**
 * rmap_map_memory() - memory of a map without its table
 * @rmap: the map
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, for all possible CPUs, without targets that maps share.
 */
u64 rmap_map_memory(const struct redir_map *rmap)
{
	u64 size = map_size(rmap) + rmap_holder_memory(&rmap->holder) +
		   rmap_bulkq_reserve_memory(&rmap->holder.bulkqs);
	int i;

	if (value_counts(rmap->dtab.map.value_size))
		size += READ_ONCE(rmap->holder.count) *
			rmap_target_own_memory();
	for (i = 0; i < ARRAY_SIZE(rmap->group); i++)
		if (map_has_group(rmap, i))
			size += rmap_group_port_memory();
	return size;
}

/**
 * rmap_map_prepare() - fill a map's reserve for a batch of updates
 * @rmap: a claimed map
 * @entries: the most updates until the next call
 *
 * Each entry with counters takes bulk queues from the map's reserve. Most other
 * entries take none, but the map's first entry makes the groups, which do.
 *
 * Context: bpf(2), sleeps.
 */
void rmap_map_prepare(struct redir_map *rmap, u32 entries)
{
	bool counts = value_counts(rmap->dtab.map.value_size);

	if (counts || !READ_ONCE(rmap->grouped))
		rmap_bulkq_reserve_fill(&rmap->holder.bulkqs,
					counts ? entries : 0);
}

/**
 * rmap_map_record() - the record of a map
 * @map: the map
 *
 * Context: any.
 * Return: the record.
 */
struct record *rmap_map_record(struct bpf_map *map)
{
	return &to_redir_map(map)->record;
}

/**
 * rmap_map_add_stats() - add a map's counters to the sums over removed maps
 * @record: the map's record
 * @kept: the sums, a struct stats_kept
 *
 * Context: under a spinlock; the caller keeps the map.
 */
void rmap_map_add_stats(const struct record *record, void *kept)
{
	struct stats_kept *to = kept;

	rmap_stats_map_add(record->counters, &to->sum);
}

/**
 * rmap_map_claimed() - let a map that was claimed have entries
 * @map: the map, which no other task can find yet
 *
 * Context: bpf(2), in the task that creates the map; preemption may be off.
 */
void rmap_map_claimed(struct bpf_map *map)
{
	struct redir_map *rmap = to_redir_map(map);

	map->frozen = false;
	rmap_bulkq_reserve_start(&rmap->holder.bulkqs, ARRAY_SIZE(rmap->group));
}

/**
 * rmap_map_module_init() - choose the load_id
 *
 * Context: insmod.
 * Return: 0.
 */
int __init rmap_map_module_init(void)
{
	get_random_bytes(&load_id, sizeof(load_id));
	return 0;
}
