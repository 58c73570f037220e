/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_VALUE_H
#define REDIRMAP_VALUE_H

#include <linux/bpf.h>
#include <uapi/linux/redirmap.h>

#include "dev_trace.h"
#include "target.h"

/**
 * value_counts() - do values tell what has become of their entries' frames?
 * @size: size of the map's values
 *
 * Context: any.
 * Return: true when each entry has counters of its own.
 */
static inline bool value_counts(u32 size)
{
	return unlikely(size == sizeof(struct redirmap_val));
}

/**
 * value_size_is_known() - can a claimed map have such values?
 * @size: bytes
 *
 * Context: any.
 * Return: true when it can.
 */
static inline bool value_size_is_known(u32 size)
{
	return size == offsetofend(struct bpf_devmap_val, ifindex) ||
	       size == offsetofend(struct bpf_devmap_val, bpf_prog.fd) ||
	       size == sizeof(struct redirmap_val);
}

int rmap_value_parse(const struct bpf_map *map, const void *value,
		     struct bpf_devmap_val *val);
void *rmap_value_refresh(struct target *target);

/**
 * value_shown() - what a lookup returns
 * @map: the map
 * @target: what was found, inside the present RCU read section
 *
 * Runs in XDP programs as well: bottom halves off or rcu_read_lock().
 *
 * Return: as many bytes as the map's values have.
 */
static inline void *value_shown(const struct bpf_map *map,
				struct target *target)
{
	if (value_counts(map->value_size))
		return rmap_value_refresh(target);
	return &target->entry.val;
}

/**
 * value_read() - what user space gets to read of an entry
 * @map: the map
 * @target: what the entry leads to
 * @value: gets as much as the map's values have
 *
 * Context: bpf(2), inside the RCU read section in which @target was found.
 */
static inline void value_read(const struct bpf_map *map, struct target *target,
			      void *value)
{
	memcpy(value, value_shown(map, target), map->value_size);
}

/**
 * value_trace_add() - tell that an entry leads somewhere
 * @map: the map
 * @key: the entry's key
 * @target: where it leads
 *
 * Context: bpf(2), inside the RCU read section in which @target was found.
 */
static inline void value_trace_add(const struct bpf_map *map, u32 key,
				   const struct target *target)
{
	trace_redirmap_target_add(map, key, &target->entry.val,
				  REDIRMAP_CAUSE_UPDATE);
}

/**
 * value_trace_remove() - tell that an entry leads somewhere no more
 * @map: the map
 * @key: the entry's key
 * @target: where it has led
 * @cause: why not any more; that the target is dead outdoes what is told here
 *
 * Context: bpf(2) or the sweep, with a use of @target that is still to be
 * dropped.
 */
static inline void value_trace_remove(const struct bpf_map *map, u32 key,
				      const struct target *target,
				      enum redirmap_cause cause)
{
	if (trace_redirmap_target_remove_enabled())
		trace_redirmap_target_remove(map, key, &target->entry.val,
					     target_is_live(target) ? cause :
					     target_death_cause(target));
}

#endif /* REDIRMAP_VALUE_H */
