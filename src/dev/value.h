/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_VALUE_H
#define REDIRMAP_VALUE_H

#include <linux/bpf.h>
#include <uapi/linux/redirmap.h>

#include "dev_trace.h"
#include "target.h"

/**
 * value_counts() - do values have counters?
 * @size: size of the map's values, in bytes
 *
 * Context: any.
 * Return: true when each entry has counters of its own.
 */
static inline bool value_counts(u32 size)
{
	return unlikely(size == sizeof(struct redirmap_val));
}

/**
 * value_size_is_known() - may a claimed map have values of a size?
 * @size: the size, in bytes
 *
 * Context: any.
 * Return: true when it may.
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
 * value_shown() - the value that a lookup returns
 * @map: the map
 * @target: the entry's target, found inside the present RCU read section
 *
 * Runs in bpf(2) inside an RCU read section, or in XDP programs with bottom
 * halves off.
 *
 * Return: the value, of value_size bytes.
 */
static inline void *value_shown(const struct bpf_map *map,
				struct target *target)
{
	if (value_counts(map->value_size))
		return rmap_value_refresh(target);
	return &target->entry.val;
}

/**
 * value_read() - copy the value of an entry for user space
 * @map: the map
 * @target: the entry's target
 * @value: gets value_size bytes
 *
 * Context: bpf(2), inside the RCU read section in which @target was found.
 */
static inline void value_read(const struct bpf_map *map, struct target *target,
			      void *value)
{
	memcpy(value, value_shown(map, target), map->value_size);
}

/**
 * value_trace_add() - trace that an entry has got a target
 * @map: the map
 * @key: the entry's key
 * @target: the target
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
 * value_trace_remove() - trace that an entry has lost its target
 * @map: the map
 * @key: the entry's key
 * @target: the target, which the entry still has a use of
 * @cause: the cause if the target is live; for a dead target the cause of its
 *	death is traced instead
 *
 * Context: bpf(2) or the sweep.
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
