// SPDX-License-Identifier: GPL-2.0-only
/* Entries with counters: see countlib.h. */
#include "countlib.h"
#include "faultylib.h"
#include "testlib.h"

int put_entry(struct env *e, __u32 key, const char *dev, const char *name)
{
	struct redirmap_val val;

	memset(&val, 0xff, sizeof(val));
	val.entry.ifindex = if_nametoindex(dev);
	val.entry.bpf_prog.fd = name ? prog(e, name) : -1;
	return bpf_map_update_elem(e->map, &key, &val, BPF_ANY) ? -errno : 0;
}

bool put_faulty(struct env *e, int first, int n)
{
	int i;

	for (i = first; i < n; i++)
		if (put_entry(e, i, faulty_name(i), NULL))
			return false;
	return true;
}

struct redirmap_stats entry_stats(struct env *e, __u32 key)
{
	struct redirmap_val val;

	memset(&val, 0xff, sizeof(val));
	if (bpf_map_lookup_elem(e->map, &key, &val))
		fprintf(stderr, "# no entry %u\n", key);
	return val.stats;
}

__u64 all_drops(const struct redirmap_stats *stats)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < REDIRMAP_DROP_ROOM; i++)
		sum += stats->drops[i];
	return sum;
}

bool entry_counted(struct env *e, __u32 key, __u64 sent, int len, int reason, __u64 lost)
{
	struct redirmap_stats stats = {};
	int i;

	/* Softirqs may lag behind. */
	for (i = 0; i < 6000; i++) {
		stats = entry_stats(e, key);
		if (stats.packets + all_drops(&stats) >= sent + lost)
			break;
		usleep(10000);
	}
	if (stats.packets == sent && stats.bytes == sent * len &&
	    all_drops(&stats) == lost && stats.drops[reason] == lost)
		return true;
	fprintf(stderr, "# entry %u: %llu frames of %llu bytes sent, %llu lost:", key,
		stats.packets, stats.bytes, all_drops(&stats));
	for (i = 0; i < REDIRMAP_DROP_ROOM; i++)
		fprintf(stderr, " %llu", stats.drops[i]);
	fprintf(stderr, "; not %llu sent, %llu lost for reason %d\n", sent, lost, reason);
	return false;
}
