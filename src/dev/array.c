// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_TYPE_DEVMAP: an array of targets.
 *
 * This file owns the slots, an array of pointers to which bpf_dtab.netdev_map
 * points. Lookups, in NAPI or in bpf(2), read a slot under RCU.
 * Updates and deletes, in bpf(2), replace the slot by xchg() without a lock:
 * the task that gets a target out of a slot drops the slot's use of the target.
 * So each use is dropped exactly once, even if several tasks replace a slot at
 * the same time. The sweep, a work item, does the same by cmpxchg() for dead
 * targets.
 *
 * Lookups treat a slot with a dead target as empty.
 */
#include <linux/filter.h>
#include <linux/sched.h>

#include "array.h"
#include "batch.h"
#include "compat.h"
#include "map.h"

/* Slots that are visited before the task may reschedule. */
#define ARRAY_WALK 4096

#define ARRAY_UNROLL 8

static struct target __rcu **array_slots(const struct bpf_map *map)
{
	return (struct target __rcu **)to_redir_map(map)->dtab.netdev_map;
}

/*
 * The target of a slot, which may be dead, or NULL. Runs in NAPI, bottom halves
 * off, per packet, or in bpf(2) under rcu_read_lock().
 */
static __always_inline struct target *array_get(struct bpf_map *map, u32 key)
{
	if (unlikely(key >= map->max_entries))
		return NULL;
	return rcu_dereference_check(array_slots(map)[key],
				     rcu_read_lock_bh_held());
}

/*
 * The entry that the kernel redirects to, or NULL. Runs in NAPI, bottom halves
 * off, per packet.
 */
static __always_inline void *array_find(struct bpf_map *map, u32 key)
{
	struct target *target = array_get(map, key);

	return target ? target_entry(target) : NULL;
}

/* Runs in NAPI, bottom halves off, per packet. */
static noinline compat_map_ret_t
array_redirect_flags(struct bpf_map *map, compat_redirect_key_t key, u64 flags)
{
	return map_redirect_flags(map, key, flags, array_find);
}

/*
 * Runs in NAPI, bottom halves off, per packet; the verifier makes programs call
 * it directly.
 */
static compat_map_ret_t array_redirect(struct bpf_map *map,
				       compat_redirect_key_t key, u64 flags)
{
	return map_redirect(map, key, flags, array_find, array_redirect_flags);
}

/* Runs in bpf(2), under rcu_read_lock(), or in XDP programs. */
static void *array_lookup_elem(struct bpf_map *map, void *key)
{
	return map_shown(map, array_get(map, *(u32 *)key));
}

static int array_get_next_key(struct bpf_map *map, void *key, void *next_key)
{
	u32 index = key ? *(u32 *)key : U32_MAX;
	u32 *next = next_key;

	if (index >= map->max_entries) {
		*next = 0;
		return 0;
	}
	if (index == map->max_entries - 1)
		return -ENOENT;
	*next = index + 1;
	return 0;
}

static int array_update(struct redir_map *rmap, u32 index, const void *value,
			u64 flags)
{
	struct bpf_map *map = &rmap->dtab.map;
	struct target *target = NULL, *old;
	struct bpf_devmap_val val;
	int err;

	if (unlikely(flags > BPF_EXIST))
		return -EINVAL;
	if (unlikely(index >= map->max_entries))
		return -E2BIG;
	/* As in every array, all keys exist. */
	if (unlikely(flags == BPF_NOEXIST))
		return -EEXIST;

	err = rmap_value_parse(map, value, &val);
	if (err)
		return err;
	if (val.ifindex) {
		target = rmap_map_attach(rmap, &val);
		if (IS_ERR(target))
			return PTR_ERR(target);
	}

	old = unrcu_pointer(xchg(&array_slots(map)[index],
				 RCU_INITIALIZER(target)));
	if (old) {
		value_trace_remove(map, index, old, target ?
				   REDIRMAP_CAUSE_UPDATE : REDIRMAP_CAUSE_DELETE);
		rmap_holder_detach(&rmap->holder, old, 1);
	}
	if (target)
		value_trace_add(map, index, target);
	return 0;
}

/* Runs in bpf(2), under rcu_read_lock(). */
static compat_map_ret_t array_update_elem(struct bpf_map *map, void *key,
					  void *value, u64 flags)
{
	return array_update(to_redir_map(map), *(u32 *)key, value, flags);
}

/* Empty a slot; @value, if not NULL, gets the value of the entry. */
static bool array_take(struct redir_map *rmap, u32 index, void *value)
{
	struct bpf_map *map = &rmap->dtab.map;
	struct target *old;
	bool existed;

	old = unrcu_pointer(xchg(&array_slots(map)[index], NULL));
	if (!old)
		return false;
	existed = target_is_live(old);
	if (existed && value)
		value_read(map, old, value);
	value_trace_remove(map, index, old, REDIRMAP_CAUSE_DELETE);
	rmap_holder_detach(&rmap->holder, old, 1);
	return existed;
}

static int array_delete(struct redir_map *rmap, u32 index)
{
	if (index >= rmap->dtab.map.max_entries)
		return -EINVAL;
	array_take(rmap, index, NULL);
	return 0;
}

/* Runs in bpf(2), under rcu_read_lock(). */
static compat_map_ret_t array_delete_elem(struct bpf_map *map, void *key)
{
	return array_delete(to_redir_map(map), *(u32 *)key);
}

static u64 array_place(const struct bpf_map *map, u32 index)
{
	return index;
}

static int array_read(struct redir_map *rmap, u64 *place,
		      struct batch_chunk *chunk)
{
	struct target __rcu **slots = array_slots(&rmap->dtab.map);
	u32 n = rmap->dtab.map.max_entries, i, looks = 0;
	struct target *target;

	while (chunk->n < chunk->room) {
		if (*place >= n)
			return -ENOENT;
		if (looks++ == ARRAY_WALK)
			return 0;
		i = (*place)++;
		target = rcu_dereference(slots[i]);
		if (target && target_is_live(target))
			rmap_batch_add(&rmap->dtab.map, chunk, i, target);
	}
	return 0;
}

static const struct batch_ops array_batch = {
	.place = array_place,
	.read = array_read,
	.update = array_update,
	.delete = array_delete,
	.take = array_take,
};

/* Empty all slots with dead targets. */
static void array_sweep_all(struct redir_map *rmap)
{
	struct target __rcu **slots = array_slots(&rmap->dtab.map);
	u32 i, n = rmap->dtab.map.max_entries;
	struct target *target;

	rcu_read_lock();
	for (i = 0; i < n; i++) {
		if (!(i % ARRAY_WALK)) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
		target = rcu_dereference(slots[i]);
		if (likely(!target || target_is_live(target)))
			continue;
		if (unrcu_pointer(cmpxchg(&slots[i], RCU_INITIALIZER(target),
					  NULL)) != target)
			continue;
		value_trace_remove(&rmap->dtab.map, i, target,
				   REDIRMAP_CAUSE_UNREGISTER);
		rmap_holder_detach(&rmap->holder, target, 1);
	}
	rcu_read_unlock();
}

static noinline bool array_empty_slot(const struct bpf_map *map,
				      struct target __rcu **slot,
				      struct target *dead)
{
	if (unrcu_pointer(cmpxchg(slot, RCU_INITIALIZER(dead), NULL)) != dead)
		return false;
	value_trace_remove(map, slot - array_slots(map), dead,
			   REDIRMAP_CAUSE_UNREGISTER);
	return true;
}

static __always_inline bool array_sweep_slot(const struct bpf_map *map,
					     struct target __rcu **slot,
					     struct target *dead)
{
	/*
	 * A plain load, which x86 does in the comparison's instruction;
	 * cmpxchg() compares again.
	 */
	return unlikely(data_race(unrcu_pointer(*slot)) == dead) &&
	       array_empty_slot(map, slot, dead);
}

/*
 * Empty the slots, among @n, that point to the dead target; returns the number
 * of emptied slots. The sweep calls this for all slots of a map, so the loop is
 * unrolled, and reads only the slots.
 */
static u32 array_sweep_slots(const struct bpf_map *map,
			     struct target __rcu **slot, u32 n,
			     struct target *dead)
{
	struct target __rcu **end = slot + n;
	u32 i, found = 0;

	for (; slot + ARRAY_UNROLL <= end; slot += ARRAY_UNROLL) {
#pragma GCC unroll 8
		for (i = 0; i < ARRAY_UNROLL; i++)
			found += array_sweep_slot(map, &slot[i], dead);
	}
	for (; slot < end; slot++)
		found += array_sweep_slot(map, slot, dead);
	return found;
}

/*
 * Runs in a work item. The targets in slots are not freed meanwhile, because
 * each slot has a use of its target.
 */
static void array_sweep(struct holder *holder, struct target *dead)
{
	struct redir_map *rmap = container_of(holder, struct redir_map, holder);
	struct target __rcu **slots = array_slots(&rmap->dtab.map);
	u32 i, n, found, end = rmap->dtab.map.max_entries;

	if (!dead) {
		array_sweep_all(rmap);
		return;
	}
	for (i = 0; i < end; i += n) {
		n = min_t(u32, ARRAY_WALK, end - i);
		found = array_sweep_slots(&rmap->dtab.map, slots + i, n, dead);
		if (found) {
			rcu_read_lock();
			rmap_holder_detach(holder, dead, found);
			rcu_read_unlock();
		}
		cond_resched();
	}
}

/**
 * rmap_array_memory() - memory of an array
 * @map: the map
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, for all possible CPUs, without targets that maps share.
 */
u64 rmap_array_memory(const struct bpf_map *map)
{
	const struct redir_map *rmap = to_redir_map(map);

	return rmap_map_memory(rmap) +
	       (u64)map->max_entries * sizeof(struct target *);
}

static void array_free(struct bpf_map *map)
{
	rmap_map_free(to_redir_map(map));
}

/**
 * rmap_array_alloc() - make a pending array
 * @attr: the attributes from user space
 *
 * Context: bpf(2), sleeps.
 * Return: the map, or an error pointer as from rmap_map_alloc().
 */
struct bpf_map *rmap_array_alloc(union bpf_attr *attr)
{
	struct redir_map *rmap = rmap_map_alloc(attr, sizeof(struct redir_map),
						array_sweep);
	struct bpf_map *map;

	if (IS_ERR(rmap))
		return ERR_CAST(rmap);

	map = &rmap->dtab.map;
	rmap->batch = &array_batch;
	rmap->dtab.netdev_map =
		rmap_map_area_alloc((u64)map->max_entries *
				    sizeof(struct target *), map->numa_node);
	if (!rmap->dtab.netdev_map) {
		rmap_map_unalloc(rmap);
		return ERR_PTR(-ENOMEM);
	}
	return map;
}

/**
 * rmap_array_set_ops() - set the operations of claimed arrays
 * @ops: a copy of the built-in's operations
 *
 * Context: bpf(2), in the task that creates the first map of this kind; under a
 * raw spinlock.
 */
void rmap_array_set_ops(struct bpf_map_ops *ops)
{
	ops->map_free = array_free;
	ops->map_get_next_key = array_get_next_key;
	ops->map_lookup_elem = array_lookup_elem;
	ops->map_update_elem = array_update_elem;
	ops->map_delete_elem = array_delete_elem;
	ops->map_redirect = array_redirect;
	ops->map_meta_equal = rmap_map_meta_equal;
	rmap_batch_set_ops(ops);
}
