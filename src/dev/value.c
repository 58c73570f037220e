// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of maps: user space writes and reads them.
 *
 * Values of 4 and 8 bytes are those of the built-in; all entries for the same
 * device and program share one value. Larger values have counters: each entry
 * has a target of its own, which keeps the value, and each lookup refreshes it.
 *
 * This file owns no data: values are in their targets. Its functions run in
 * bpf(2), lookups in XDP programs as well.
 */
#include <linux/build_bug.h>

#include "port.h"
#include "value.h"

/**
 * rmap_value_parse() - read a value that user space has written
 * @map: the map
 * @value: the value, value_size bytes; its counters are ignored
 * @val: gets the value; members that the map's values do not have become 0
 *
 * Context: bpf(2); does not sleep.
 * Return: 0; -EINVAL when the value names a program but no device.
 */
int rmap_value_parse(const struct bpf_map *map, const void *value,
		     struct bpf_devmap_val *val)
{
	BUILD_BUG_ON(offsetof(struct redirmap_val, entry));
	/* User space is compiled with this size. */
	BUILD_BUG_ON(sizeof(struct redirmap_val) != 160);

	memset(val, 0, sizeof(*val));
	memcpy(val, value, min_t(u32, map->value_size, sizeof(*val)));
	if (!val->ifindex && val->bpf_prog.fd > 0)
		return -EINVAL;
	return 0;
}

/**
 * rmap_value_refresh() - update the value of an entry with counters
 * @target: the entry's own target, found inside the present RCU read section
 *
 * Two callers may write the same value at once. Each counter is then right for
 * some moment during the two calls.
 *
 * Runs in bpf(2) inside an RCU read section, or in XDP programs with bottom
 * halves off.
 *
 * Return: a struct redirmap_val, valid as long as the target.
 */
void *rmap_value_refresh(struct target *target)
{
	struct redirmap_val *shown = target->shown;
	const struct redirmap_stats *now;
	struct stats_sum sum = {};
	int i;

	rmap_port_stats(&target->port, &sum);
	now = &sum.stats;
	WRITE_ONCE(shown->stats.packets, now->packets);
	WRITE_ONCE(shown->stats.bytes, now->bytes);
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		WRITE_ONCE(shown->stats.drops[i], now->drops[i]);
	WRITE_ONCE(shown->stats.error, now->error);
	return shown;
}
