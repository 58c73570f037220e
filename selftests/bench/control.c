// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of bpf(2): rows that create, change and read maps from user space.
 *
 * Entries point to four devices. Updates go from slot to slot, and each gives
 * the slot another device.
 */
#include "bench.h"
#include "testlib.h"

#define DEVICES 4
/* Entries of a map that is updated, and of a batch. */
#define ENTRIES 4096
/* Entries of a map that is mostly empty. */
#define FEW 16
/* A key without an entry. */
#define OTHER_KEY 100000

/**
 * struct change - the operation of a row
 * @type: type of the map
 * @entries: number of entries of the map
 * @op: performs N operations on a map, from a given one on
 * @many: number of operations
 * @singles: operation for stock maps instead of batches
 */
struct change {
	enum bpf_map_type type;
	int entries;
	void (*op)(int map, __u32 from, __u32 n);
	__u32 many;
	void (*singles)(int map, __u32 from, __u32 n);
};

struct change_ctx {
	void (*op)(int map, __u32 from, __u32 n);
	int map;
	__u32 done;
};

static __u32 devices[DEVICES];

/* The N-th change gives its key another device than before. */
static __u32 device_nr(__u32 n)
{
	return devices[(n + n / ENTRIES) % DEVICES];
}

static void update(int map, __u32 from, __u32 n)
{
	__u32 key, value, end = from + n;

	for (; from != end; from++) {
		key = from % ENTRIES;
		value = device_nr(from);
		if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
			fail("update: %s", strerror(errno));
	}
}

static void update_batch(int map, __u32 from, __u32 n)
{
	static __u32 keys[ENTRIES], values[ENTRIES];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 i, count;

	for (; n; n -= ENTRIES, from += ENTRIES) {
		for (i = 0; i < ENTRIES; i++) {
			keys[i] = (from + i) % ENTRIES;
			values[i] = device_nr(from + i);
		}
		count = ENTRIES;
		if (bpf_map_update_batch(map, keys, values, &count, &opts))
			fail("batch of updates: %s", strerror(errno));
	}
}

static void lookup(int map, __u32 from, __u32 n)
{
	__u32 key, value, end = from + n;

	for (; from != end; from++) {
		key = from % ENTRIES;
		if (bpf_map_lookup_elem(map, &key, &value))
			fail("lookup: %s", strerror(errno));
	}
}

/* N must be a multiple of the number of entries. */
static void walk_entries(int map, __u32 n, __u32 entries)
{
	__u32 key, seen, *prev = NULL;

	for (; n; n -= entries, prev = NULL) {
		for (seen = 0; !bpf_map_get_next_key(map, prev, &key); seen++)
			prev = &key;
		if (seen != entries)
			fail("%u of %u keys seen", seen, entries);
	}
}

static void walk(int map, __u32 from, __u32 n)
{
	walk_entries(map, n, ENTRIES);
}

static void walk_few(int map, __u32 from, __u32 n)
{
	walk_entries(map, n, FEW);
}

static void insert_delete(int map, __u32 from, __u32 n)
{
	__u32 key = OTHER_KEY, end = from + n;

	for (; from != end; from++) {
		put(map, key, devices[0]);
		if (bpf_map_delete_elem(map, &key))
			fail("delete: %s", strerror(errno));
	}
}

static __u64 run_change(void *ctx, __u32 n)
{
	struct change_ctx *c = ctx;
	__u64 start = begin(), ticks;

	c->op(c->map, c->done, n);
	ticks = end(start);
	c->done += n;
	return ticks;
}

static void measure_change(const struct row *row)
{
	const struct change *change = row->arg;
	/* Times vary more than numbers of instructions. */
	__u32 many = opt.icount ? change->many : 8 * change->many;
	struct change_ctx ctx[NR_KINDS];
	struct series s[NR_KINDS] = {};
	enum kind kind;
	int i;

	for (i = 0; i < DEVICES; i++)
		devices[i] = index_of("d%d", i);
	for (kind = STOCK; kind < NR_KINDS; kind++) {
		ctx[kind].op = change->op;
		if (kind == STOCK && change->singles)
			ctx[kind].op = change->singles;
		if (try_kind(kind)) {
			ctx[kind].map = bench_map(kind, change->type, 4, ENTRIES);
			update(ctx[kind].map, 0, change->entries);
		}
		ctx[kind].done = ENTRIES;
	}
	for (i = 0; i < opt.rounds; i++)
		for (kind = STOCK; kind < NR_KINDS; kind++)
			if (try_kind(kind))
				add(&s[kind], slope(run_change, &ctx[kind],
						    many / 4, many));
	report_kinds(row, "", s);
}

/**
 * struct creation - a map to create
 * @type: its type
 * @size: its number of slots
 */
struct creation {
	enum bpf_map_type type;
	__u32 size;
};

/* Measures only the call; the rows about freeing include work items. */
static void measure_create(const struct row *row)
{
	const struct creation *c = row->arg;
	struct series s[NR_KINDS] = {};
	enum kind kind;
	__u64 start;
	int i, map;

	for (i = 0; i <= 3 * opt.rounds; i++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			start = begin();
			map = bpf_map_create(c->type, kind == CLAIMED ? "rm_test" : "st_test",
					     4, 4, c->size, NULL);
			start = end(start);
			measured(1);
			if (map < 0)
				fail("no map: %s", strerror(errno));
			/* Not the first one, which fills caches. */
			if (i)
				add(&s[kind], start);
			close(map);
			usleep(50000);
		}
	}
	report_kinds(row, "", s);
}

/* Entries for devices that are in no map, so that each needs a new target. */
static void measure_first(const struct row *row)
{
	struct series s[NR_KINDS] = {};
	unsigned int ifindex[NR_PAIRS];
	enum kind kind;
	__u64 start;
	int map, i, round;

	for (i = 0; i < NR_PAIRS; i++)
		ifindex[i] = index_of("d%d", i);
	for (round = 0; round < opt.rounds; round++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			map = bench_map(kind, BPF_MAP_TYPE_DEVMAP, 4, NR_PAIRS);
			start = begin();
			for (i = 0; i < NR_PAIRS; i++)
				put(map, i, ifindex[i]);
			add(&s[kind], (double)end(start) / NR_PAIRS);
			measured(NR_PAIRS);
			close(map);
			settle();
		}
	}
	report_kinds(row, "", s);
}

#define CHANGE(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = measure_change,					\
		.arg = &(const struct change){ __VA_ARGS__ },		\
	}

#define CREATE(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = measure_create,					\
		.arg = &(const struct creation){ __VA_ARGS__ },		\
	}

#define ARRAY .type = BPF_MAP_TYPE_DEVMAP
#define HASH .type = BPF_MAP_TYPE_DEVMAP_HASH

const struct row control_rows[] = {
	CHANGE("update-array", ARRAY, .entries = ENTRIES, .op = update, .many = 8192),
	CHANGE("update-hash", HASH, .entries = ENTRIES, .op = update, .many = 8192),
	CHANGE("insert-delete", HASH, .entries = ENTRIES / 2, .op = insert_delete,
	       .many = 16384),
	CHANGE("insert-delete-only", HASH, .op = insert_delete, .many = 16384),
	CHANGE("lookup-array", ARRAY, .entries = ENTRIES, .op = lookup, .many = 8192),
	CHANGE("lookup-hash", HASH, .entries = ENTRIES, .op = lookup, .many = 8192),
	CHANGE("walk-array", ARRAY, .entries = ENTRIES, .op = walk, .many = 4 * ENTRIES),
	CHANGE("walk-hash", HASH, .entries = ENTRIES, .op = walk, .many = 4 * ENTRIES),
	CHANGE("walk-hash-sparse", HASH, .entries = FEW, .op = walk_few, .many = 4 * ENTRIES),
	CHANGE("batch-array", ARRAY, .entries = ENTRIES, .op = update_batch,
	       .many = 4 * ENTRIES, .singles = update),
	CHANGE("batch-hash", HASH, .entries = ENTRIES, .op = update_batch,
	       .many = 4 * ENTRIES, .singles = update),
	{ "update-first", measure_first },
	CREATE("create-array-4", ARRAY, .size = 4),
	CREATE("create-hash-4", HASH, .size = 4),
	CREATE("create-array-65536", ARRAY, .size = 65536),
	CREATE("create-hash-65536", HASH, .size = 65536),
	{}
};
