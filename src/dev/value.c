// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values: what user space writes into maps, and what it reads from them.
 *
 * Values of 4 and 8 bytes are those of the built-in; all entries for a device
 * and a program show the same one. Larger ones have counters: each entry has a
 * target of its own, which keeps a copy to show, refreshed by every lookup.
 *
 * In bpf(2), and, for lookups, in XDP programs.
 */
#include <linux/build_bug.h>

#include "port.h"
#include "value.h"

/**
 * rmap_value_parse() - read a value that user space has written
 * @map: the map
 * @value: as large as the map's values; counters in it are ignored
 * @val: filled; what the map's values do not have is 0
 *
 * Context: bpf(2); does not sleep.
 * Return: 0; -EINVAL when it names a program but no device.
 */
int rmap_value_parse(const struct bpf_map *map, const void *value,
		     struct bpf_devmap_val *val)
{
	BUILD_BUG_ON(offsetof(struct redirmap_val, entry));
	/* User space has it compiled in. */
	BUILD_BUG_ON(sizeof(struct redirmap_val) != 160);

	memset(val, 0, sizeof(*val));
	memcpy(val, value, min_t(u32, map->value_size, sizeof(*val)));
	if (!val->ifindex && val->bpf_prog.fd > 0)
		return -EINVAL;
	return 0;
}

/**
 * rmap_value_refresh() - let an entry's own target show its present counters
 * @target: the target, found inside the present RCU read section
 *
 * Two at once may write: each counter is right at some moment meanwhile.
 *
 * Runs in XDP programs as well: bottom halves off or rcu_read_lock().
 *
 * Return: a struct redirmap_val.
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
