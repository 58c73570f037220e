// SPDX-License-Identifier: GPL-2.0-only
/*
 * What array and hash device maps have in common.
 *
 * Owns the life of a claimed map: its memory, the checks of its attributes,
 * and where redirects lead that find no entry, or are to reach all of them. What
 * entries need of a map is map_attach.c's.
 *
 * A pending map is one whose ops are still the kernel's: creation has not come
 * to the point where they are swapped, or never will. It is a valid, empty
 * devmap, and the kernel's dev_map_free() frees it: all that it has is its own
 * memory and one table, both of which kvfree() takes.
 *
 * Creation runs in bpf(2), freeing in a work item of the kernel, after the last
 * reference and with no lookup left; redirects in NAPI, bottom halves off.
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
#include "record.h"
#include "stats.h"

#define MAP_CREATE_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

/* Drawn once per load: a map of an earlier load is none of ours. */
static u64 load_id __ro_after_init;

/*
 * Of the exported functions for vmalloc()'ed memory those that take a node take no
 * flags: so what they give is charged to nobody. Pages of a node do not need them.
 */
static void *map_area_alloc_node(u64 size, gfp_t gfp, int numa_node)
{
	u64 i = 0, count = DIV_ROUND_UP_ULL(size, PAGE_SIZE);
	struct page **pages;
	void *area;

	if (count > UINT_MAX)
		return NULL;
	pages = kvmalloc_array(count, sizeof(*pages), gfp);
	if (!pages)
		return NULL;

	for (; i < count; i++) {
		if (fatal_signal_pending(current))
			goto free_pages;
		pages[i] = alloc_pages_node(numa_node,
					    gfp | __GFP_RETRY_MAYFAIL, 0);
		if (!pages[i])
			goto free_pages;
		cond_resched();
	}
	/* From here on the pages, and the array of them, are the area's. */
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
 * @numa_node: node to take it from, if it has some; or NUMA_NO_NODE
 *
 * Context: process context, sleeps. Too much is refused, not fought for: no
 * out-of-memory killer for the size that user space has asked for, and no
 * compaction for the sake of large pages.
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
		return map_area_alloc_node(size, gfp, numa_node);
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

/* The attributes that map_create() leaves to rmap_map_alloc(). */
static void map_set_attr(struct bpf_map *map, union bpf_attr *attr)
{
	/* Values that lookups return are shared by all slots of a device. */
	attr->map_flags |= BPF_F_RDONLY_PROG;

	map->map_type = attr->map_type;
	map->key_size = attr->key_size;
	map->value_size = attr->value_size;
	map->max_entries = attr->max_entries;
	/* These two are of the first file descriptor, not of the map. */
	map->map_flags = attr->map_flags & ~(BPF_F_RDONLY | BPF_F_WRONLY);
	map->map_extra = attr->map_extra;
	map->numa_node = bpf_map_attr_numa_node(attr);
}

/* Where the counters of a map begin whose own memory is of some size. */
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
 * @attr: what user space asks for; BPF_F_RDONLY_PROG is added
 * @size: bytes of the kind's struct, which begins with a struct redir_map
 * @sweep: see struct holder
 *
 * Context: bpf(2), sleeps.
 * Return: the map; or -EPERM, -ENOMEM, -EINVAL, in the built-in's order.
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
	INIT_LIST_HEAD(&rmap->dtab.list);
	spin_lock_init(&rmap->dtab.index_lock);
	rmap->load_id = load_id;
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
 * @rmap: a map that nobody else has seen, and that has no table
 *
 * Context: bpf(2), sleeps.
 */
void rmap_map_unalloc(struct redir_map *rmap)
{
	/* As the kernel does it with pending ones: there is nothing else. */
	kvfree(rmap);
}

/**
 * rmap_map_free() - free a map and its table, and let go of the module
 * @rmap: a claimed map that nothing can reach any more
 *
 * What slots point to is not walked: the holder knows it.
 *
 * Context: the kernel's map freeing work, sleeps. Once module_put() has run,
 * what keeps our text is that rmmod waits for tasks to leave it.
 */
void rmap_map_free(struct redir_map *rmap)
{
	int i;

	rmap_record_close(&rmap->record);
	rmap_bulkq_reserve_exit(&rmap->holder.bulkqs);

	/* Like the built-in: programs in NAPI are done with the table. */
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
 * rmap_map_is_pending() - is this a map of ours with the kernel's ops?
 * @map: any map of one of the two device map types
 *
 * A devmap of the kernel's own is on its list of devmaps. One that is on no
 * list was made by this module; the load_id tells by which load of it.
 *
 * Context: any.
 * Return: true when the ops are still to be swapped.
 */
bool rmap_map_is_pending(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return list_empty(&rmap->dtab.list) && rmap->load_id == load_id;
}

/**
 * rmap_map_meta_equal() - may a map be put where another one was described?
 * @meta: the description of an inner map, which is a claimed one
 * @map: the map that is to go there
 *
 * Programs call the ops of the map that they were verified against, so the
 * two have to be equal in them as well; then in all that the built-in looks
 * at for these types.
 *
 * Context: bpf(2), when a map is put into an outer map; does not sleep.
 * Return: true when @map may take the place.
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
 * rmap_map_missed() - a redirect has found nothing
 * @map: the map
 * @verdict: what it is about to return
 * @flags: as of the helper; as its third argument, so that they stay where they are
 *
 * Whether the frame is lost is up to the program, which may do something else
 * with it than what it has asked for here: so look-ups are counted, not frames.
 *
 * Runs in NAPI, bottom halves off; before 6.10 in BPF_PROG_TEST_RUN without live
 * frames with bottom halves on, which the counters, local64_t, allow for.
 *
 * Return: @verdict
 */
map_ret_t rmap_map_missed(struct bpf_map *map, map_ret_t verdict, u64 flags)
{
	/* Unknown flags are the program's fault; nothing was looked up. */
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
 * @key: not looked at, only traced
 * @flags: as of the helper
 *
 * To the kernel it is a redirect to one device.
 *
 * Runs as rmap_map_missed(), per packet.
 *
 * Return: XDP_REDIRECT, or XDP_ABORTED for unknown flags.
 */
map_ret_t rmap_map_broadcast(struct bpf_map *map, redirect_key_t key, u64 flags)
{
	if (flags & BPF_F_EXCLUDE_INGRESS)
		return __bpf_xdp_redirect_map(map, key,
					      flags & ~MAP_REDIRECT_FLAGS, 0,
					      map_lookup_group_exclude);
	return __bpf_xdp_redirect_map(map, key, flags & ~MAP_REDIRECT_FLAGS, 0,
				      map_lookup_group);
}

/**
 * rmap_map_memory() - what all kinds of maps have
 * @rmap: the map
 *
 * Context: any; the map must not be freed meanwhile.
 * Return: bytes, those of all possible CPUs included; without the table, and
 * without targets that maps share
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
 * rmap_map_prepare() - get ready for a batch of updates
 * @rmap: a claimed map
 * @entries: how many, at most, until the next call
 *
 * Of other entries than those with counters most need no bulk queues of the map's,
 * but the first one makes the groups, which do.
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
 * rmap_map_record() - a map's record
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
 * rmap_map_add_stats() - add up what a map has counted that is no target's
 * @record: the map's record
 * @kept: a struct stats_kept, which it is added to
 *
 * Context: under a spinlock; the map is not freed meanwhile.
 */
void rmap_map_add_stats(const struct record *record, void *kept)
{
	struct stats_kept *to = kept;

	rmap_stats_map_add(record->counters, &to->sum);
}

/**
 * rmap_map_claimed() - a map has got its ops
 * @map: the map
 *
 * Context: bpf(2) of who creates it; preemption may be off.
 */
void rmap_map_claimed(struct bpf_map *map)
{
	struct redir_map *rmap = to_redir_map(map);

	rmap_bulkq_reserve_start(&rmap->holder.bulkqs, ARRAY_SIZE(rmap->group));
}

/**
 * rmap_map_module_init() - get ready for maps
 *
 * Context: insmod.
 * Return: 0
 */
int __init rmap_map_module_init(void)
{
	get_random_bytes(&load_id, sizeof(load_id));
	return 0;
}
