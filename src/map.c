// SPDX-License-Identifier: GPL-2.0-only
/*
 * What array and hash device maps have in common.
 *
 * Owns the life of a claimed map: its memory, the checks of its attributes,
 * how values name devices, and which memory cgroup pays.
 *
 * An unborn map is one whose ops are still the kernel's: creation has not come
 * to the point where they are swapped, or never will. It is a valid, empty
 * devmap, and the kernel's dev_map_free() frees it: all that it has is its own
 * memory and one table, both of which kvfree() takes.
 *
 * Creation, updates and deletes run in bpf(2) (updates inside an RCU read
 * section), freeing in a work item of the kernel, after the last reference and
 * with no lookup left.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "log.h"
#include "map.h"

#define MAP_CREATE_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

/* Drawn once per load: a map of an earlier load is none of ours. */
static u64 birthmark __ro_after_init;

/**
 * map_area_alloc() - zeroed memory for a map, charged to the caller
 * @size: bytes
 * @numa_node: node, or NUMA_NO_NODE; areas over 2 GiB are on any node
 *
 * Context: process context, sleeps. Too much is refused, not fought for: no
 * out-of-memory killer for the size that user space has asked for.
 * Return: memory for kvfree(), or NULL.
 */
void *map_area_alloc(u64 size, int numa_node)
{
	const gfp_t gfp = GFP_USER | __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN;
	void *area;

	if (size >= SIZE_MAX)
		return NULL;

	if (size <= (PAGE_SIZE << PAGE_ALLOC_COSTLY_ORDER)) {
		area = kmalloc_node(size, gfp | __GFP_NORETRY, numa_node);
		if (area)
			return area;
	}
	if (numa_node != NUMA_NO_NODE && size <= INT_MAX)
		return kvmalloc_node(size, gfp | __GFP_RETRY_MAYFAIL, numa_node);
	return __vmalloc(size, gfp | __GFP_RETRY_MAYFAIL);
}

static int map_check_attr(const union bpf_attr *attr)
{
	if (!attr->max_entries || attr->key_size != sizeof(u32) ||
	    (attr->value_size != offsetofend(struct bpf_devmap_val, ifindex) &&
	     attr->value_size != offsetofend(struct bpf_devmap_val, bpf_prog.fd)) ||
	    attr->map_flags & ~MAP_CREATE_FLAGS)
		return -EINVAL;
	return 0;
}

/* The attributes that map_create() leaves to map_alloc(). */
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

/**
 * map_alloc() - make a map without a table
 * @attr: what user space asks for; BPF_F_RDONLY_PROG is added
 * @sweep: see struct holder
 *
 * Context: bpf(2), sleeps.
 * Return: the map; or -EPERM, -ENOMEM, -EINVAL, in the built-in's order.
 */
struct redir_map *map_alloc(union bpf_attr *attr,
			    void (*sweep)(struct holder *holder))
{
	struct redir_map *rmap;
	int err;

	/* The kernel frees a map by the address of its struct bpf_map. */
	BUILD_BUG_ON(offsetof(struct redir_map, dtab.map));

	if (!compat_map_alloc_permitted())
		return ERR_PTR(-EPERM);

	rmap = map_area_alloc(sizeof(*rmap), NUMA_NO_NODE);
	if (!rmap)
		return ERR_PTR(-ENOMEM);

	err = map_check_attr(attr);
	if (err)
		goto free_map;

	map_set_attr(&rmap->dtab.map, attr);
	INIT_LIST_HEAD(&rmap->dtab.list);
	spin_lock_init(&rmap->dtab.index_lock);
	rmap->birthmark = birthmark;
	holder_init(&rmap->holder, sweep);
	spin_lock_init(&rmap->lock);
	return rmap;

free_map:
	kvfree(rmap);
	return ERR_PTR(err);
}

/**
 * map_free() - free a map and its table, and let go of the module
 * @rmap: a born map that nothing can reach any more
 *
 * What slots point to is not walked: the holder knows it.
 *
 * Context: the kernel's map freeing work, sleeps. Once module_put() has run,
 * what keeps our text is that rmmod waits for tasks to leave it.
 */
void map_free(struct redir_map *rmap)
{
	/* Like the built-in: programs in NAPI are done with the table. */
	synchronize_rcu();

	holder_exit(&rmap->holder);
	kvfree(rmap->dtab.netdev_map);
	kvfree(rmap->dtab.dev_index_head);
	kvfree(rmap);
	module_put(THIS_MODULE);
}

/**
 * map_is_unborn() - is this a map of ours with the kernel's ops?
 * @map: any map of one of the two device map types
 *
 * A devmap of the kernel's own is on its list of devmaps. One that is on no
 * list was made by this module; the birthmark tells by which load of it.
 *
 * Context: any.
 * Return: true when the ops are still to be swapped.
 */
bool map_is_unborn(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return list_empty(&rmap->dtab.list) && rmap->birthmark == birthmark;
}

/**
 * map_meta_equal() - may a map be put where another one was described?
 * @meta: the description of an inner map, which is a claimed one
 * @map: the map that is to go there
 *
 * Programs call the ops of the map that they were verified against, so the
 * two have to be equal in them as well; then in all that the built-in looks
 * at for these types.
 *
 * Return: true when @map may take the place.
 */
bool map_meta_equal(const struct bpf_map *meta, const struct bpf_map *map)
{
	return meta->ops == map->ops && meta->map_type == map->map_type &&
	       meta->key_size == map->key_size &&
	       meta->value_size == map->value_size &&
	       meta->map_flags == map->map_flags;
}

/**
 * map_value() - read a value that user space has written
 * @map: the map
 * @value: as large as the map's values
 * @val: filled; what the map's values do not have is 0
 *
 * Return: 0; -EINVAL when it names a program but no device.
 */
int map_value(const struct bpf_map *map, const void *value,
	      struct bpf_devmap_val *val)
{
	memset(val, 0, sizeof(*val));
	memcpy(val, value, min_t(u32, map->value_size, sizeof(*val)));
	if (!val->ifindex && val->bpf_prog.fd > 0)
		return -EINVAL;
	return 0;
}

/**
 * map_attach() - use the device that a value names
 * @rmap: the map
 * @val: the value; ifindex is of the caller's network namespace
 *
 * Memory is charged to the map's memory cgroup: its own holdings, and the
 * target when it is the first map to name the device.
 *
 * Context: bpf(2), inside the RCU read section that publishes the target.
 * Return: the target; -EINVAL without such a device, -ENOMEM, -ENOTSUPP for a
 * value with a program.
 */
struct target *map_attach(struct redir_map *rmap,
			  const struct bpf_devmap_val *val)
{
	struct mem_cgroup *memcg = compat_map_memcg(&rmap->dtab.map);
	struct net *net = current->nsproxy->net_ns;
	gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
	struct mem_cgroup *old_memcg;
	struct target *target;

	if (memcg) {
		gfp |= __GFP_ACCOUNT;
		old_memcg = set_active_memcg(memcg);
	}
	target = holder_attach(&rmap->holder, net, val->ifindex, gfp);
	if (memcg)
		set_active_memcg(old_memcg);

	if (!IS_ERR(target) && val->bpf_prog.fd > 0) {
		holder_detach(&rmap->holder, target);
		target = ERR_PTR(-ENOTSUPP);
	}
	return target;
}

/**
 * map_lookup_nothing() - a lookup that fails, for redirects to nowhere
 * @map: not looked at
 * @key: not looked at
 *
 * Return: NULL
 */
void *map_lookup_nothing(struct bpf_map *map, u32 key)
{
	return NULL;
}

/**
 * map_module_init() - get ready for maps
 *
 * Context: insmod.
 */
void __init map_module_init(void)
{
	get_random_bytes(&birthmark, sizeof(birthmark));
}
