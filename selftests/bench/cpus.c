// SPDX-License-Identifier: GPL-2.0-only
/*
 * Costs that may grow with the number of CPUs: rows that scripts/lab/bench
 * measures with few and with many CPUs.
 *
 * scripts/lab/profile-plugin.c counts the instructions, one measurement for
 * each call, because there is no icount with several CPUs. The smallest figure
 * counts, because interrupts increase the others. Memory is counted here.
 */
#include "bench.h"
#include "memory.bpf.h"
#include "testlib.h"

/* Measurements for each round. */
#define TRIES 5
#define MAPS 256
#define DUMMIES 128

static enum bpf_map_type type_of(const struct row *row)
{
	return *(const enum bpf_map_type *)row->arg;
}

static int new_map(enum kind kind, enum bpf_map_type type)
{
	return bpf_map_create(type, kind == CLAIMED ? "rm_test" : "st_test", 4, 4, 4, NULL);
}

static void measure_create(const struct row *row)
{
	enum kind kind;
	int i, map;

	for (i = 0; i <= TRIES * opt.rounds; i++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			mark_begin();
			map = new_map(kind, type_of(row));
			mark_end();
			if (map < 0)
				fail("no map: %s", strerror(errno));
			/* Not the first one, which fills caches. */
			if (i)
				measured(1);
			close(map);
			usleep(50000);
		}
	}
}

/* Entries for devices that are in no map. */
static void measure_first(const struct row *row)
{
	enum kind kind;
	__u32 i;
	int map;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		map = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, NR_PAIRS);
		/* The first entry of a map is measured by another row. */
		put(map, 0, index_of("d%d", 0));
		for (i = 1; i < NR_PAIRS; i++) {
			__u32 ifindex = index_of("d%d", i);

			mark_begin();
			put(map, i, ifindex);
			mark_end();
			measured(1);
		}
		close(map);
	}
}

/* The first entry of a map, for a device that is in another map. */
static void measure_first_of_map(const struct row *row)
{
	__u32 ifindex = index_of("d%d", 0);
	int map, keeper, i;
	enum kind kind;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		keeper = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, 4);
		put(keeper, 0, ifindex);
		for (i = 0; i < TRIES * opt.rounds; i++) {
			map = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, 4);
			usleep(50000);
			mark_begin();
			put(map, 0, ifindex);
			mark_end();
			measured(1);
			close(map);
			usleep(50000);
		}
		close(keeper);
	}
}

static void measure_update(const struct row *row)
{
	enum kind kind;
	__u32 i;
	int map;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		map = bench_map(kind, type_of(row), 4, 4);
		for (i = 0; i < 4; i++)
			put(map, i, index_of("d%d", i));
		for (i = 0; i < 10 * TRIES * opt.rounds; i++) {
			__u32 ifindex = index_of("d%d", (i + i / 4) % 4);

			mark_begin();
			put(map, i % 4, ifindex);
			mark_end();
			measured(1);
		}
		close(map);
	}
}

/* The deletion of a device that is in a map, including work items. */
static void measure_remove(const struct row *row)
{
	unsigned int ifindex;
	enum kind kind;
	int map, i;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		map = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, 4);
		for (i = 0; i < opt.rounds; i++) {
			link_add_dummy("victim");
			ifindex = index_of("victim", 0);
			put(map, 0, ifindex);
			settle();
			mark_begin();
			link_del(ifindex);
			settle();
			mark_end();
			measured(1);
		}
		close(map);
	}
}

static struct bpf_object *open_memory(void)
{
	struct bpf_object *obj = bpf_object__open(beside("memory.bpf.o"));
	struct bpf_program *prog;

	if (!obj)
		fail("memory.bpf.o: %s", strerror(errno));
	load_progs(obj);
	/* They remain until this process ends. */
	bpf_object__for_each_program(prog, obj)
		if (!bpf_program__attach(prog))
			fail("%s: %s", bpf_program__name(prog), strerror(errno));
	return obj;
}

static int variable_fd(struct bpf_object *obj, const char *section, __u32 size)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
		if (strstr(bpf_map__name(map), section))
			break;
	if (!map || bpf_map__value_size(map) != size)
		fail("memory.bpf.o has no %s", section);
	return bpf_map__fd(map);
}

static struct bench_memory memory_now(struct bpf_object *obj)
{
	struct bench_memory now;
	__u32 zero = 0;

	settle();
	if (bpf_map_lookup_elem(variable_fd(obj, ".bss", sizeof(now)), &zero, &now))
		fail("reading memory: %s", strerror(errno));
	return now;
}

static __u32 memory_turn;

static void watch(struct bpf_object *obj, bool objects)
{
	struct bench_watch watch = { .objects = objects, .turn = memory_turn };
	__u32 zero = 0;

	if (bpf_map_update_elem(variable_fd(obj, ".data.watch", sizeof(watch)), &zero,
				&watch, BPF_ANY))
		fail("watching memory: %s", strerror(errno));
}

/* Starting point of add_usage(). */
static struct bench_memory begin_usage(struct bpf_object *obj)
{
	struct bench_memory now;

	memory_turn++;
	watch(obj, false);
	now = memory_now(obj);
	watch(obj, true);
	return now;
}

struct usage {
	struct series percpu[NR_KINDS];
	struct series slab[NR_KINDS];
};

static void add_usage(struct usage *usage, struct bpf_object *obj,
		      const struct bench_memory *before, int n)
{
	struct bench_memory now;

	watch(obj, false);
	now = memory_now(obj);
	add(&usage->percpu[trial_kind], (now.percpu - before->percpu) / (double)n);
	add(&usage->slab[trial_kind], (now.slab - before->slab) / (double)n);
}

static void measure_maps(struct bpf_object *obj, struct usage *map, struct usage *entry)
{
	struct bench_memory before = begin_usage(obj);
	static int maps[MAPS];
	int i;

	for (i = 0; i < MAPS; i++)
		maps[i] = bench_map(trial_kind, BPF_MAP_TYPE_DEVMAP, 4, 4);
	add_usage(map, obj, &before, MAPS);
	before = begin_usage(obj);
	for (i = 0; i < MAPS; i++)
		put(maps[i], 0, index_of("d%d", 0));
	add_usage(entry, obj, &before, MAPS);
	for (i = 0; i < MAPS; i++)
		close(maps[i]);
}

static void measure_targets(struct bpf_object *obj, struct usage *device,
			    struct usage *target)
{
	struct bench_memory before = begin_usage(obj);
	char name[16];
	int map, i;

	for (i = 0; i < DUMMIES; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		link_add_dummy(name);
	}
	add_usage(device, obj, &before, DUMMIES);

	map = bench_map(trial_kind, BPF_MAP_TYPE_DEVMAP, 4, DUMMIES);
	before = begin_usage(obj);
	for (i = 0; i < DUMMIES; i++)
		put(map, i, index_of("v%d", i));
	add_usage(target, obj, &before, DUMMIES);
	close(map);
	for (i = 0; i < DUMMIES; i++)
		link_del(index_of("v%d", i));
}

static void report_usage(const struct row *row, const char *of, const struct usage *usage)
{
	char part[32];

	snprintf(part, sizeof(part), "%s-percpu", of);
	report_kinds(row, part, usage->percpu);
	snprintf(part, sizeof(part), "%s-slab", of);
	report_kinds(row, part, usage->slab);
}

/*
 * The memory of each map, its first entry, each device and each device's first
 * entry. Stock: without the module, which allocates memory for each device.
 */
static void measure_memory(const struct row *row)
{
	static struct usage map, entry, device, target;
	struct bpf_object *obj = open_memory();
	enum kind kind;

	if (!opt.module)
		fail("--module is missing");
	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		set_module(kind == CLAIMED);
		measure_targets(obj, &device, &target);
		measure_maps(obj, &map, &entry);
	}
	report_usage(row, "device", &device);
	report_usage(row, "target", &target);
	report_usage(row, "map", &map);
	report_usage(row, "entry", &entry);
}

static const enum bpf_map_type array = BPF_MAP_TYPE_DEVMAP, hash = BPF_MAP_TYPE_DEVMAP_HASH;

const struct row cpus_rows[] = {
	{ "cpus-create-array", measure_create, &array },
	{ "cpus-create-hash", measure_create, &hash },
	{ "cpus-first", measure_first },
	{ "cpus-first-of-map", measure_first_of_map },
	{ "cpus-update-array", measure_update, &array },
	{ "cpus-update-hash", measure_update, &hash },
	{ "cpus-remove", measure_remove },
	{ "cpus-memory", measure_memory },
	{}
};
