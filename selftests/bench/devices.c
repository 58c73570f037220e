// SPDX-License-Identifier: GPL-2.0-only
/*
 * Big maps, and devices that leave them: rows about removal, memory, freeing.
 *
 * The cost of a device's deletion is the CPU time of the requesting thread,
 * which runs the notifiers; waiting for grace periods takes no CPU time. The
 * cost of work items is the CPU time of all kworkers until they are idle again.
 */
#include <sched.h>

#include "bench.h"
#include "testlib.h"

#define SLOTS 65536
#define DEVICES 4
/* Maps besides the one with the device. */
#define MANY_MAPS 64
/* Entries of a batch. */
#define BATCH 4096
/* Deletions for one figure. */
#define VICTIMS 3

static __u64 thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* KiB of the kernel's own memory in areas that maps may use as well. */
static long kernel_kib(void)
{
	static const char * const names[] = { "Slab:", "VmallocUsed:", "Percpu:" };
	char buf[4096], *line;
	long sum = 0;
	unsigned int i;
	static int fd;
	ssize_t n;

	if (!fd)
		fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	if (n <= 0)
		fail("/proc/meminfo: %s", strerror(errno));
	buf[n] = '\0';
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		line = strstr(buf, names[i]);
		if (!line)
			fail("no %s in /proc/meminfo", names[i]);
		sum += atol(line + strlen(names[i]));
	}
	return sum;
}

/* Fills all slots, in batches if the map has batches. */
static void fill(int map, enum kind kind)
{
	static __u32 keys[BATCH], values[BATCH];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 devices[DEVICES], i, n, count;

	for (i = 0; i < DEVICES; i++)
		devices[i] = index_of("d%d", i);
	for (n = 0; n < SLOTS; n += BATCH) {
		for (i = 0; i < BATCH; i++) {
			keys[i] = n + i;
			values[i] = devices[i % DEVICES];
			if (kind == STOCK)
				put(map, keys[i], values[i]);
		}
		count = BATCH;
		if (kind == CLAIMED &&
		    bpf_map_update_batch(map, keys, values, &count, &opts))
			fail("batch of updates: %s", strerror(errno));
	}
}

/**
 * struct removal - the cost of a device's deletion
 * @now: until the call returned
 * @later: in work items
 */
struct removal {
	struct series now;
	struct series later;
};

/*
 * On 6.1, the scheduler charges a task for the time that the previous task ran
 * since a third one was to be scheduled. So this task gets a priority that
 * avoids that.
 */
static void be_urgent(bool urgent)
{
	struct sched_param param = { .sched_priority = urgent };

	if (sched_setscheduler(0, urgent ? SCHED_FIFO : SCHED_OTHER, &param))
		fail("sched_setscheduler: %s", strerror(errno));
}

static void delete_device(unsigned int ifindex, struct removal *r)
{
	__u64 ns, workers;

	settle();
	workers = kworkers_ns();
	be_urgent(true);
	ns = thread_ns();
	link_del(ifindex);
	ns = thread_ns() - ns;
	be_urgent(false);
	settle();
	add(&r->now, ns);
	add(&r->later, kworkers_ns() - workers);
}

/* Deletes a device that is in slot 0 of MAP, if there is a map. */
static void remove_device(int map, struct removal *r)
{
	unsigned int ifindex;

	link_add_dummy("victim");
	ifindex = index_of("victim", 0);
	if (map >= 0)
		put(map, 0, ifindex);
	delete_device(ifindex, r);
}

/* The cost of deleting devices while there is no map. */
static void measure_base(struct removal *base)
{
	int i;

	for (i = 0; i < VICTIMS; i++)
		remove_device(-1, base);
}

static const int map_counts[] = { 0, 16, 32, MANY_MAPS };

static void measure_beside_maps(enum kind kind, const struct removal *base,
				struct series total[][NR_KINDS])
{
	int maps[MANY_MAPS], nr = 0, i;
	int holder = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, 1);
	unsigned int count;

	for (count = 0; count < ARRAY_SIZE(map_counts); count++) {
		struct removal r = {};

		while (nr < map_counts[count])
			maps[nr++] = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, SLOTS);
		for (i = 0; i < VICTIMS; i++)
			remove_device(holder, &r);
		add(&total[count][kind], median(&r.now) - median(&base->now));
	}
	while (nr)
		close(maps[--nr]);
	close(holder);
	settle();
}

/*
 * A device is in a map of one slot, besides many empty maps. The row is the
 * cost that the empty maps add to the deletion.
 */
static void measure_beside(const struct row *row)
{
	static struct series total[ARRAY_SIZE(map_counts)][NR_KINDS];
	unsigned int count;
	enum kind kind;
	char part[16];
	int round;

	for (round = 0; round < opt.rounds; round++) {
		struct removal base = {};

		measure_base(&base);
		for (kind = STOCK; kind < NR_KINDS; kind++)
			if (try_kind(kind))
				measure_beside_maps(kind, &base, total);
	}
	for (count = 0; count < ARRAY_SIZE(map_counts); count++) {
		snprintf(part, sizeof(part), "%d", map_counts[count]);
		report_kinds(row, part, total[count]);
	}
}

/*
 * The same with maps full of other devices. Filling them takes long, so it is
 * done once for all rounds.
 */
static void measure_beside_full(const struct row *row)
{
	static int maps[MANY_MAPS], nr, holder;
	struct series s[NR_KINDS] = {};
	struct removal base = {};
	enum kind kind;
	int round, i;

	measure_base(&base);
	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		holder = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, 1);
		for (nr = 0; nr < MANY_MAPS; nr++) {
			maps[nr] = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, SLOTS);
			fill(maps[nr], kind);
		}
		for (round = 0; round < opt.rounds; round++) {
			struct removal r = {};

			for (i = 0; i < VICTIMS; i++)
				remove_device(holder, &r);
			add(&s[kind], median(&r.now) - median(&base.now));
		}
		while (nr)
			close(maps[--nr]);
		close(holder);
		settle();
	}
	report_kinds(row, "", s);
}

/* A full map, with four devices, and its cost. */
struct full {
	struct series empty[NR_KINDS];
	struct series memory[NR_KINDS];
	struct series removal[NR_KINDS];
	struct series sweep[NR_KINDS];
	struct series freeing[NR_KINDS];
};

static void measure_full_map(enum kind kind, enum bpf_map_type type,
			     const struct removal *base, struct full *full)
{
	struct removal small = {}, big = {};
	int map, holder, i;
	long before, kib;
	__u64 workers;

	holder = bench_map(kind, type, 4, 4);
	for (i = 0; i < VICTIMS; i++)
		remove_device(holder, &small);
	close(holder);
	settle();

	before = kernel_kib();
	map = bench_map(kind, type, 4, SLOTS);
	add(&full->empty[kind], (kernel_kib() - before) * 1024.0 / SLOTS);
	fill(map, kind);
	settle();
	kib = kernel_kib() - before;
	add(&full->memory[kind], kib * 1024.0 / SLOTS);

	for (i = 0; i < VICTIMS; i++)
		remove_device(map, &big);
	add(&full->removal[kind], median(&big.now) - median(&base->now));
	add(&full->sweep[kind],
	    (median(&big.later) - median(&small.later)) / (SLOTS - 4));

	workers = kworkers_ns();
	close(map);
	settle();
	add(&full->freeing[kind], kworkers_ns() - workers);
	if (kernel_kib() - before > kib / 2)
		fail("the map's memory has not been freed");
}

static void measure_full(const struct row *row)
{
	const enum bpf_map_type *type = row->arg;
	static struct full full;
	enum kind kind;
	int round;

	for (round = 0; round < opt.rounds; round++) {
		struct removal base = {};

		measure_base(&base);
		for (kind = STOCK; kind < NR_KINDS; kind++)
			if (try_kind(kind))
				measure_full_map(kind, *type, &base, &full);
	}
	report_kinds(row, "empty", full.empty);
	report_kinds(row, "memory", full.memory);
	report_kinds(row, "removal", full.removal);
	report_kinds(row, "sweep", full.sweep);
	report_kinds(row, "free", full.freeing);
}

void set_module(bool loaded)
{
	if (loaded == !access(MODULE_DIR, F_OK))
		return;
	if (loaded && !sh("insmod %s claim='rm_*'", opt.module))
		fail("insmod has failed");
	if (!loaded && (!module_refs_become(0) || !sh("rmmod redirmap")))
		fail("rmmod has failed");
}

/*
 * Creation and deletion of a device that is in no map, with and without the
 * module.
 */
static void measure_register(const struct row *row)
{
	struct series add_s[NR_KINDS] = {}, del_s[NR_KINDS] = {};
	enum kind kind;
	int round, i;
	__u64 ns;

	if (!opt.module)
		fail("--module is missing");
	for (round = 0; round < opt.rounds; round++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			struct removal r = {};

			set_module(kind == CLAIMED);
			for (i = 0; i < VICTIMS; i++) {
				settle();
				be_urgent(true);
				ns = thread_ns();
				link_add_dummy("victim");
				ns = thread_ns() - ns;
				be_urgent(false);
				add(&add_s[kind], ns);
				delete_device(index_of("victim", 0), &r);
			}
			add(&del_s[kind], median(&r.now));
		}
	}
	report_kinds(row, "add", add_s);
	report_kinds(row, "delete", del_s);
}

const struct row device_rows[] = {
	{ "register", measure_register },
	{ "beside", measure_beside },
	{ "beside-full", measure_beside_full },
	{ "full-array", measure_full, &(const enum bpf_map_type){ BPF_MAP_TYPE_DEVMAP } },
	{ "full-hash", measure_full, &(const enum bpf_map_type){ BPF_MAP_TYPE_DEVMAP_HASH } },
	{}
};
