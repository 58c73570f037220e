// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sequences have left behind: maps, programs and links of BPF, claimed
 * maps and targets, references to the module, network namespaces with their
 * devices, TCP sockets.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <linux/redirmap.h>

#include "seq.h"
#include "testlib.h"

static int count_ids(int (*next)(__u32 id, __u32 *next_id))
{
	__u32 id = 0;
	int n = 0;

	while (!next(id, &id))
		n++;
	return n;
}

static int count_maps(void)
{
	return count_ids(bpf_map_get_next_id);
}

static int count_progs(void)
{
	return count_ids(bpf_prog_get_next_id);
}

static int count_links(void)
{
	return count_ids(bpf_link_get_next_id);
}

static int count_claimed(void)
{
	return genl_count(REDIRMAP_CMD_MAP_GET);
}

static int count_targets(void)
{
	return genl_count(REDIRMAP_CMD_TARGET_GET);
}

static void show_maps(void)
{
	struct bpf_map_info info;
	__u32 id = 0, size;
	int fd;

	while (!bpf_map_get_next_id(id, &id)) {
		fd = bpf_map_get_fd_by_id(id);
		size = sizeof(info);
		memset(&info, 0, size);
		if (!bpf_obj_get_info_by_fd(fd, &info, &size))
			printf("#   map %u: type %u, %s, %u entries of %u bytes\n", id, info.type,
			       info.name, info.max_entries, info.value_size);
		close(fd);
	}
}

static void show_progs(void)
{
	struct bpf_prog_info info;
	__u32 id = 0, size, maps[8];
	int fd;

	while (!bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		size = sizeof(info);
		memset(&info, 0, size);
		memset(maps, 0, sizeof(maps));
		info.map_ids = (unsigned long)maps;
		info.nr_map_ids = 8;
		if (!bpf_obj_get_info_by_fd(fd, &info, &size))
			printf("#   program %u: type %u, %s, maps %u %u\n", id, info.type,
			       info.name, maps[0], maps[1]);
		close(fd);
	}
}

/* The other ends of watch_namespace(), and lo. */
static int count_devices(void)
{
	struct if_nameindex *list = if_nameindex();
	int n = 0;

	while (list && list[n].if_index)
		n++;
	if_freenameindex(list);
	return n;
}

/* TCP sockets of all network namespaces that are not freed. */
static int count_sockets(void)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	char line[200];
	int n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TCP: inuse %*d orphan %*d tw %*d alloc %d", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

static struct {
	const char *what;
	int (*count)(void);
	void (*show)(void);
	int before;
} things[] = {
	{ "network namespaces", count_devices },
	{ "TCP sockets", count_sockets },
	{ "links", count_links },
	{ "programs", count_progs, show_progs },
	{ "maps", count_maps, show_maps },
	{ "claimed maps", count_claimed },
	{ "targets", count_targets },
	{ "references to the module", module_refs },
};

#define THINGS (sizeof(things) / sizeof(things[0]))

bool note_before(void)
{
	unsigned int i;

	for (i = 0; i < THINGS; i++) {
		things[i].before = things[i].count();
		if (things[i].before < 0) {
			fprintf(stderr, "seq: cannot count %s\n", things[i].what);
			return false;
		}
	}
	return true;
}

int what_is_left(void)
{
	const char *slow = getenv("REDIRMAP_SLOW");
	int tries, left = 0, n = 0;
	unsigned int i;

	for (i = 0; i < THINGS; i++) {
		tries = 6000 * (slow ? atoi(slow) : 1);
		/* A dump may meet a change, and is negative then. */
		while (((n = things[i].count()) < 0 || n > things[i].before) && tries-- > 0)
			usleep(10000);
		if (n < 0) {
			printf("# left: cannot count %s\n", things[i].what);
			left++;
			continue;
		}
		if (n <= things[i].before)
			continue;
		printf("# left: %d %s\n", n - things[i].before, things[i].what);
		if (things[i].show)
			things[i].show();
		left += n - things[i].before;
		/* Noticed once. */
		things[i].before = n;
	}
	return left;
}
