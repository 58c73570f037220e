// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of a frame: rows that send frames through a program.
 *
 * Frames come from the kernel's generator (BPF_F_TEST_XDP_LIVE_FRAMES): any
 * number, in NAPI polls of 64, without a driver. The cost of one frame is the
 * slope between a short and a long run, so the fixed cost of a run cancels out.
 * Generic XDP gets frames from the same generator: a program passes them to the
 * stack as received on "src", on which the measured program runs.
 *
 * While a program is attached to any device, running it waits for no grace
 * period. So the measured program is attached to "keep". Only this program and
 * those of the receivers are attached at any time, because the dispatcher,
 * through which XDP programs are called, takes the same number of steps for
 * each of two.
 *
 * The kernel's own maps deliver nothing to devices without ndo_xdp_xmit. Rows
 * with such targets measure in their place the usual replacement: the program
 * passes the frames to the stack, as received on "src", and tc redirects them
 * there.
 *
 * Every run counts its frames: the expected number must arrive.
 */
#include <linux/if_ether.h>
#include <linux/if_link.h>

#include "bench.h"
#include "netlib.h"
#include "testlib.h"

#define LEN_MIN 64
#define LEN_MAX 1500
/* Frames of a NAPI poll of the generator. */
#define POLL 64
/* Frames of a run whose memory accesses are all recorded. */
#define WATCHED_FRAMES 1024
/* Frames of a run that is long enough for the clock. */
#define LONG_NS 40000000

/* The keys of a row's map, which the program uses in turn. */
enum keys {
	/* 0, 1, 2... */
	DENSE,
	/* 0, STRIDE, 2 * STRIDE... */
	STRIDED,
	/* All in one bucket of the built-in, which masks the lower bits. */
	ONE_BUCKET,
	RANDOM,
};

#define STRIDE 64

/**
 * struct traffic - the path of a row's frames
 * @prog: the program; a broadcast has a program of its own
 * @type: type of the map; 0: no map
 * @size: size of the map
 * @nr_keys: number of keys that the map has
 * @keys: which keys
 * @targets: number of devices that these keys, or the program, use in turn;
 *	unset: each key has a device of its own, and only a broadcast sends
 *	frames
 * @broadcast: each key's device gets a copy of each frame
 * @len: length of a frame; LEN_MIN if unset
 * @held: the first key's device keeps its frames, until it is full
 * @ingress: frames come from the first key's device, which gets none
 * @poll: frames in a NAPI poll; POLL if unset
 * @stock_frames: in icount mode, frames of the long run of a stock map, which
 *	is slow; unset: as many as for a claimed map
 * @egress: egress program of the entries
 * @drops: the egress program drops all frames
 * @generic: generic XDP
 * @to: names of the targets: see net_init(); unset: "d%d"
 * @tc: stock: no map, but XDP_PASS and tc
 * @redraw: each round has a new map, because a claimed hash draws a multiplier
 */
struct traffic {
	const char *prog;
	enum bpf_map_type type;
	__u32 size;
	int nr_keys;
	enum keys keys;
	int targets;
	bool broadcast;
	bool held;
	bool ingress;
	int len;
	int poll;
	int stock_frames;
	const char *egress;
	bool drops;
	bool generic;
	const char *to;
	bool tc;
	bool redraw;
};

/**
 * struct lane - a kind of map under a row's traffic
 * @t: the traffic
 * @kind: kind of the map
 * @tc: tc redirects the frames that @pass passes; there is no map
 * @obj: the measured program, loaded over its map; NULL with @tc
 * @map: the map, or -1
 * @pass: passes frames to generic XDP, or to tc
 * @tap: the device that keeps its frames, or -1
 */
struct lane {
	const struct traffic *t;
	enum kind kind;
	bool tc;
	struct bpf_object *obj;
	int map;
	struct bpf_object *pass;
	int tap;
};

static const char *prog_of(const struct traffic *t)
{
	if (t->prog)
		return t->prog;
	return t->ingress ? "broadcast_others" : "broadcast";
}

static const char *to_of(const struct traffic *t)
{
	return t->to ?: "d%d";
}

static __u32 key_of(const struct traffic *t, int nr)
{
	switch (t->keys) {
	case STRIDED:
		return nr * STRIDE;
	case ONE_BUCKET:
		return nr * t->size;
	case RANDOM:
		/*
		 * murmur3's finalizer: different numbers have different
		 * results.
		 */
		nr = (nr ^ nr >> 16) * 0x85ebca6bu;
		nr = (nr ^ (__u32)nr >> 13) * 0xc2b2ae35u;
		return nr ^ (__u32)nr >> 16;
	default:
		return nr;
	}
}

/* A queue for as many frames as one poll has; the first run fills it. */
static unsigned int make_holder(struct lane *lane)
{
	char name[16];

	snprintf(name, sizeof(name), "h%d", lane->kind);
	if (!make_tap(name, &lane->tap, 1) || !ip("link set %s txqueuelen %d\n", name, POLL))
		fail("%s: %s", name, strerror(errno));
	return index_of("h%d", lane->kind);
}

static void fill(struct lane *lane)
{
	const struct traffic *t = lane->t;
	struct bench_vars vars = {};
	struct bpf_devmap_val val = {};
	__u32 key;
	int i;

	for (i = 0; i < t->nr_keys; i++) {
		key = key_of(t, i);
		val.ifindex = index_of(to_of(t), t->targets ? i % t->targets : i);
		if (t->held && !i)
			val.ifindex = make_holder(lane);
		if (t->egress)
			val.bpf_prog.fd = prog_fd(lane->obj, t->egress);
		if (bpf_map_update_elem(lane->map, &key, &val, BPF_ANY))
			fail("cannot set key %u: %s", key, strerror(errno));
	}
	for (i = 0; t->nr_keys && i < NR_KEYS; i++)
		vars.keys[i] = key_of(t, i % t->nr_keys);
	set_variables(lane->obj, &vars);
}

static struct lane make_lane(const struct traffic *t, enum kind kind)
{
	struct lane lane = { .t = t, .kind = kind, .map = -1, .tap = -1 };
	struct bpf_map *targets;

	lane.tc = t->tc && kind == STOCK;
	if (t->generic || lane.tc) {
		lane.pass = open_progs("pass", NULL);
		load_progs(lane.pass);
	}
	if (lane.tc)
		return lane;
	lane.obj = open_progs(prog_of(t), t->egress);
	if (t->type) {
		lane.map = bench_map(kind, t->type, t->egress ? 8 : 4, t->size);
		targets = bpf_object__find_map_by_name(lane.obj, "targets");
		if (bpf_map__reuse_fd(targets, lane.map))
			fail("map: %s", strerror(errno));
	} else {
		set_ifindex(lane.obj, index_of("d%d", 0));
	}
	load_progs(lane.obj);
	fill(&lane);
	return lane;
}

static void close_lane(struct lane *lane)
{
	bpf_object__close(lane->obj);
	bpf_object__close(lane->pass);
	if (lane->map >= 0)
		close(lane->map);
	if (lane->tap >= 0)
		close(lane->tap);
	detach_all();
	settle();
}

/* Ticks for N frames. */
static __u64 run(void *ctx, __u32 n)
{
	struct lane *lane = ctx;
	const struct traffic *t = lane->t;
	static unsigned char frame[LEN_MAX] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x02, 0, 0, 0, 0x88, 0xb5,
		0x88, 0xb5,			/* for local experiments */
	};
	struct xdp_md from = { .data_end = t->len ?: LEN_MIN };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = t->len ?: LEN_MIN,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.repeat = n,
		.batch_size = t->poll ?: POLL,
	);
	__u64 before = frames_arrived(to_of(t)), got, want, start, ticks;
	int fd, err;

	if (lane->pass || t->ingress) {
		from.ingress_ifindex = index_of(lane->pass ? "src" : "d%d", 0);
		opts.ctx_in = &from;
		opts.ctx_size_in = sizeof(from);
	}
	if (lane->pass) {
		fd = prog_fd(lane->pass, "pass");
	} else {
		fd = prog_fd(lane->obj, prog_of(t));
	}

	start = begin();
	err = bpf_prog_test_run_opts(fd, &opts);
	ticks = end(start);
	if (err)
		fail("sending frames: %s", strerror(-err));

	got = frames_arrived(to_of(t)) - before;
	want = (__u64)n * (t->broadcast ? t->nr_keys - t->ingress - t->held : !!t->targets);
	if (t->drops)
		want = 0;
	if (got != want)
		fail("%llu of %llu frames arrived", got, want);
	return ticks;
}

/* Frames of the long run; the short run has a quarter of them. */
static __u32 enough(struct lane *lane)
{
	const struct traffic *t = lane->t;
	__u32 n = POLL;

	if (opt.icount && lane->kind == STOCK && t->stock_frames)
		return t->stock_frames;
	if (opt.icount)
		return 32 * NR_KEYS / (t->broadcast ? t->nr_keys : 1);
	/* Long enough for the clock, on any machine. */
	while (run(lane, n) < LONG_NS)
		n *= 2;
	/* The short run has a whole poll as well. */
	return n > 2 * POLL ? n : 2 * POLL;
}

static void attach_lane(struct lane *lane)
{
	const struct traffic *t = lane->t;

	attach(lane->pass ?: lane->obj, lane->pass ? "pass" : prog_of(t),
	       "keep", 0, XDP_FLAGS_DRV_MODE);
	if (t->generic)
		attach(lane->obj, prog_of(t), "src", 0, XDP_FLAGS_SKB_MODE);
	if (t->tc)
		set_tc(lane->tc, to_of(t), t->nr_keys);
}

static double cost(struct lane *lane)
{
	__u32 many, few;

	attach_lane(lane);
	many = enough(lane);
	few = many / 4 / POLL * POLL ?: POLL;
	/*
	 * The first frames may have to allocate pages for the receivers' pools.
	 */
	run(lane, POLL);
	return slope(run, lane, few, many);
}

static void run_traffic(const struct row *row)
{
	const struct traffic *t = row->arg;
	struct series s[NR_KINDS] = {};
	struct lane lanes[NR_KINDS];
	enum kind kind;
	int round;

	for (round = 0; round < opt.rounds; round++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			if (round && t->redraw)
				close_lane(&lanes[kind]);
			if (!round || t->redraw)
				lanes[kind] = make_lane(t, kind);
			add(&s[kind], cost(&lanes[kind]));
		}
	}
	report_kinds(row, "", s);
}

/* The calls of the driver, and the flushes, for a poll of N frames. */
static void count_calls(struct lane *lane, __u32 n, struct series *calls,
			struct series *flushes)
{
	struct bpf_object *obj = open_progs("driver_calls", NULL);
	struct bench_vars before, after;
	struct bpf_link *link;

	load_progs(obj);
	link = bpf_program__attach(bpf_object__find_program_by_name(obj, "driver_calls"));
	if (!link)
		fail("driver_calls: %s", strerror(errno));
	get_variables(obj, &before);
	run(lane, n);
	get_variables(obj, &after);
	add(calls, (after.calls - before.calls) * (double)POLL / n);
	add(flushes, (after.flushes - before.flushes) * (double)POLL / n);
	bpf_link__destroy(link);
	bpf_object__close(obj);
}

/*
 * Costs that numbers of instructions do not include. scripts/lab/bench_lines.py
 * finds devmap's part among the memory accesses of a run.
 */
static void watch_traffic(const struct row *row)
{
	const struct traffic *t = row->arg;
	struct series calls[NR_KINDS] = {}, flushes[NR_KINDS] = {};
	__u32 n = WATCHED_FRAMES / (t->broadcast ? t->nr_keys : 1);
	struct lane lanes[NR_KINDS];
	enum kind kind;
	int round;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		lanes[kind] = make_lane(t, kind);
		attach_lane(&lanes[kind]);
		run(&lanes[kind], n);
		for (round = 0; round < opt.rounds; round++) {
			run(&lanes[kind], n);
			measured(n);
		}
		count_calls(&lanes[kind], n, &calls[kind], &flushes[kind]);
	}
	report_kinds(row, "calls", calls);
	report_kinds(row, "flushes", flushes);
}

/* A row; fields that are not set are 0. */
#define ROW(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = run_traffic,					\
		.arg = &(const struct traffic){ __VA_ARGS__ },		\
	}

#define WATCH(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = watch_traffic,					\
		.arg = &(const struct traffic){ __VA_ARGS__ },		\
	}

#define ARRAY .type = BPF_MAP_TYPE_DEVMAP
#define HASH .type = BPF_MAP_TYPE_DEVMAP_HASH
#define TURN .prog = "redirect_turn"
#define ONE .prog = "redirect_one", .size = 4, .nr_keys = 1, .targets = 1
#define DUMMIES .to = "n%d"
#define BROADCAST(members, slots)					\
	.broadcast = true, .size = slots, .nr_keys = members
#define HASH_1024							\
	HASH, TURN, .size = NR_KEYS, .nr_keys = NR_KEYS, .targets = 4, .redraw = true

const struct row frame_rows[] = {
	ROW("drop", .prog = "drop"),
	ROW("unicast-ifindex", .prog = "redirect_ifindex", .targets = 1),
	ROW("unicast-array-1", ARRAY, ONE),
	ROW("unicast-array-4", ARRAY, TURN, .size = 4, .nr_keys = 4, .targets = 4),
	ROW("unicast-hash-1", HASH, ONE),
	ROW("unicast-hash-dense", HASH_1024, .keys = DENSE),
	ROW("unicast-hash-random", HASH_1024, .keys = RANDOM),
	ROW("unicast-hash-stride", HASH_1024, .keys = STRIDED),
	ROW("unicast-hash-bucket", HASH_1024, .keys = ONE_BUCKET, .stock_frames = 8 * NR_KEYS),
	ROW("unicast-egress", ARRAY, ONE, .egress = "egress_pass"),
	ROW("unicast-egress-drop", ARRAY, ONE, .egress = "egress_drop", .drops = true),
	ROW("unicast-array-miss", ARRAY, .prog = "redirect_one", .size = 4),
	ROW("unicast-hash-miss", HASH, .prog = "redirect_one", .size = 4),
	ROW("xdp-lookup-array", ARRAY, .prog = "lookup", .size = 4, .nr_keys = 1),
	ROW("xdp-lookup-hash", HASH, .prog = "lookup", .size = 4, .nr_keys = 1),
	ROW("flush-64-targets", ARRAY, TURN, .size = 64, .nr_keys = 64, .targets = 64),
	ROW("flush-poll-1", ARRAY, ONE, .poll = 1),

	ROW("generic-drop", .prog = "drop", .generic = true),
	ROW("generic-unicast", ARRAY, ONE, .generic = true),
	ROW("generic-unicast-dummy", ARRAY, ONE, .generic = true, DUMMIES),
	ROW("generic-bcast-4of8", ARRAY, BROADCAST(4, 8), .generic = true, DUMMIES),
	ROW("generic-bcast-4of65536", ARRAY, BROADCAST(4, 65536), .generic = true,
	    DUMMIES, .stock_frames = 2 * POLL),

	ROW("packets-dummy", ARRAY, ONE, .tc = true, DUMMIES),
	ROW("packets-veth", ARRAY, ONE, .tc = true, .to = "w%d"),
	ROW("packets-qdisc", ARRAY, ONE, .tc = true, .to = "q%d"),
	ROW("packets-bridge", ARRAY, ONE, .tc = true, .to = "b%d"),
	ROW("packets-bc4", ARRAY, BROADCAST(4, 4), .tc = true, DUMMIES),

	ROW("bcast-array-4of4", ARRAY, BROADCAST(4, 4)),
	ROW("bcast-array-4of256", ARRAY, BROADCAST(4, 256), .stock_frames = 4 * NR_KEYS),
	ROW("bcast-array-4of4096", ARRAY, BROADCAST(4, 4096), .stock_frames = 8 * POLL),
	ROW("bcast-array-4of65536", ARRAY, BROADCAST(4, 65536), .stock_frames = 2 * POLL),
	ROW("bcast-hash-4of4", HASH, BROADCAST(4, 4)),
	ROW("bcast-hash-4of256", HASH, BROADCAST(4, 256), .stock_frames = 4 * NR_KEYS),
	ROW("bcast-hash-4of4096", HASH, BROADCAST(4, 4096), .stock_frames = 8 * POLL),
	ROW("bcast-hash-4of65536", HASH, BROADCAST(4, 65536), .stock_frames = 2 * POLL),
	ROW("bcast-1500-4of4", ARRAY, BROADCAST(4, 4), .len = LEN_MAX),
	ROW("bcast-poll-1", ARRAY, BROADCAST(4, 4), .poll = 1),
	ROW("bcast-egress", ARRAY, BROADCAST(4, 4), .egress = "egress_pass"),
	ROW("bcast-exclude", ARRAY, BROADCAST(4, 4), .ingress = true),
	ROW("bcast-held-8of8", ARRAY, BROADCAST(8, 8), .held = true),
	ROW("bcast-array-1of64", ARRAY, BROADCAST(1, 64)),
	ROW("bcast-array-2of64", ARRAY, BROADCAST(2, 64)),
	ROW("bcast-array-4of64", ARRAY, BROADCAST(4, 64)),
	ROW("bcast-array-8of64", ARRAY, BROADCAST(8, 64)),
	ROW("bcast-array-16of64", ARRAY, BROADCAST(16, 64)),
	ROW("bcast-array-32of64", ARRAY, BROADCAST(32, 64)),
	ROW("bcast-array-64of64", ARRAY, BROADCAST(64, 64)),

	WATCH("lines-array", ARRAY, ONE),
	WATCH("lines-hash", HASH_1024, .keys = DENSE),
	WATCH("lines-egress", ARRAY, ONE, .egress = "egress_pass"),
	WATCH("lines-64-targets", ARRAY, TURN, .size = 64, .nr_keys = 64, .targets = 64),
	WATCH("lines-bcast", ARRAY, BROADCAST(4, 4)),
	WATCH("lines-bcast-egress", ARRAY, BROADCAST(4, 4), .egress = "egress_pass"),
	{}
};
