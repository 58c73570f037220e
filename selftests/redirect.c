// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unicast redirects: bpf_redirect_map() through device maps, in native and in
 * generic XDP: what arrives, what the helper returns, what happens to frames
 * that cannot be sent, how maps follow their devices, and what tracepoints and
 * statistics say of all that.
 *
 * Every test runs on a map of the kernel's and on a claimed one and expects the
 * same of both; where a difference is intended, the test says so. The fixture
 * "compare" lets the same frames run through both, one after the other, and
 * compares the traces field by field.
 *
 * Native XDP is fed by BPF_F_TEST_XDP_LIVE_FRAMES, generic XDP by a packet
 * socket on the peer of a veth. Each test has a network namespace of its own.
 */
#define _GNU_SOURCE

#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define MAP_SIZE 8

/* Loads the programs over a map. */
static bool load(struct env *e, int map)
{
	return open_object(e, "redirect.bpf.o") && use_map(e, "targets", map) &&
	       load_object(e);
}

static int send_n(struct env *e, int n, int len)
{
	return send_to(e, "redirect", n, len);
}

/*
 * What the helper returns.
 */
FIXTURE(lookup)
{
	struct env e;
};

FIXTURE_VARIANT(lookup)
{
	bool claimed;
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(lookup, stock_array)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(lookup, claimed_array)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(lookup, stock_hash)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(lookup, claimed_hash)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_SETUP(lookup)
{
	int map;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(&self->e));
	map = make_map(variant->claimed, variant->type, MAP_SIZE);
	ASSERT_GE(map, 0);
	ASSERT_TRUE(load(&self->e, map));
	ASSERT_TRUE(put(&self->e, 1, "lo"));
}

FIXTURE_TEARDOWN(lookup)
{
	unload(&self->e);
	EXPECT_TRUE(del_net(&self->e));
	EXPECT_TRUE(module_refs_become(0));
}

static int retval_of(struct env *e, const char *name, __u64 key, __u64 flags)
{
	unsigned char frame[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = 64,
	);
	int err;

	make_frame(frame, 0, 64);
	set(e, "first_key", key);
	set(e, "flags", flags);
	err = bpf_prog_test_run_opts(prog(e, name), &opts);
	return err ? err : (int)opts.retval;
}

static int helper(struct env *e, __u64 key, __u64 flags)
{
	return retval_of(e, "redirect", key, flags);
}

/* The low two bits say what a failed lookup returns; a good one ignores them. */
TEST_F(lookup, fallback)
{
	static const __u64 missing[] = { 0, 7, 8, 9, 0x80000000, 0xffffffff };
	unsigned int i, action;

	for (action = XDP_ABORTED; action <= XDP_TX; action++) {
		for (i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
			EXPECT_EQ(helper(&self->e, missing[i], action), action);
		EXPECT_EQ(helper(&self->e, 1, action), XDP_REDIRECT);
	}
	/* Keys are of 32 bits, whatever the register holds. */
	EXPECT_EQ(helper(&self->e, 1ULL << 32 | 1, XDP_DROP), XDP_REDIRECT);
	EXPECT_EQ(helper(&self->e, 1ULL << 32, XDP_DROP), XDP_DROP);
}

TEST_F(lookup, follows_update_and_delete)
{
	__u32 key = 1;

	ASSERT_EQ(bpf_map_delete_elem(self->e.map, &key), 0);
	EXPECT_EQ(helper(&self->e, 1, XDP_PASS), XDP_PASS);
	ASSERT_TRUE(put(&self->e, 1, "lo"));
	EXPECT_EQ(helper(&self->e, 1, XDP_PASS), XDP_REDIRECT);
}

TEST_F(lookup, invalid_flags)
{
	int bit;

	for (bit = 2; bit < 64; bit++) {
		if (1ULL << bit == BPF_F_BROADCAST || 1ULL << bit == BPF_F_EXCLUDE_INGRESS)
			continue;
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit | XDP_PASS), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 0, 1ULL << bit | XDP_TX), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit | BPF_F_BROADCAST), XDP_ABORTED);
	}
}

/* The key is not looked at. Where broadcasts go is tested in broadcast*.c. */
TEST_F(lookup, broadcast)
{
	unsigned int action;

	for (action = XDP_ABORTED; action <= XDP_TX; action++) {
		EXPECT_EQ(helper(&self->e, 0, BPF_F_BROADCAST | action), XDP_REDIRECT);
		EXPECT_EQ(helper(&self->e, 1, BPF_F_BROADCAST | action), XDP_REDIRECT);
		EXPECT_EQ(helper(&self->e, 1, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS | action),
			  XDP_REDIRECT);
	}
	/* Without BPF_F_BROADCAST the other flag says nothing, to both. */
	EXPECT_EQ(helper(&self->e, 1, BPF_F_EXCLUDE_INGRESS), XDP_REDIRECT);
	EXPECT_EQ(helper(&self->e, 0, BPF_F_EXCLUDE_INGRESS | XDP_TX), XDP_TX);
}

TEST_F(lookup, last_one_counts)
{
	set(&self->e, "second_key", 1);
	EXPECT_EQ(retval_of(&self->e, "redirect_twice", 0, XDP_PASS), XDP_REDIRECT);
	set(&self->e, "second_key", 2);
	EXPECT_EQ(retval_of(&self->e, "redirect_twice", 1, XDP_PASS), XDP_PASS);
}

/*
 * Frames.
 */
FIXTURE(redirect)
{
	struct env e;
};

FIXTURE_VARIANT(redirect)
{
	bool claimed;
	enum bpf_map_type type;
	bool generic;
};

FIXTURE_VARIANT_ADD(redirect, stock_array_native)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(redirect, claimed_array_native)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(redirect, stock_hash_native)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(redirect, claimed_hash_native)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(redirect, stock_array_generic)
{
	.type = BPF_MAP_TYPE_DEVMAP, .generic = true,
};

FIXTURE_VARIANT_ADD(redirect, claimed_array_generic)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP, .generic = true,
};

/*
 * Generic XDP and the hash meet in the fixture "compare": what follows the
 * lookup does not know what kind of map it was.
 */

/* The map's key 0 leads to t0, whose peer r0 counts. */
static bool start(struct env *e, bool claimed, enum bpf_map_type type, bool generic)
{
	int map;

	e->generic = generic;
	if (!module_refs_become(0) || !make_net(e))
		return false;
	map = make_map(claimed, type, MAP_SIZE);
	if (map < 0 || !load(e, map))
		return false;
	set(e, "nr_keys", 1);
	set(e, "flags", XDP_DROP);
	if (generic && !attach(e, "g1", "redirect", true))
		return false;
	return make_target(e, "t0", "r0") && put(e, 0, "t0");
}

FIXTURE_SETUP(redirect)
{
	ASSERT_TRUE(start(&self->e, variant->claimed, variant->type, variant->generic));
}

FIXTURE_TEARDOWN(redirect)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(redirect, one_target)
{
	/* bulks of 16: none full, one full, one and a bit, many and a bit */
	static const int counts[] = { 1, 15, 16, 17, 64, 100, 201 };
	unsigned int i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		forget_received(&self->e);
		ASSERT_EQ(send_n(&self->e, counts[i], 64), 0);
		EXPECT_EQ(settled(&self->e, "r0", counts[i]), counts[i]);
	}
}

TEST_F(redirect, four_targets)
{
	ASSERT_TRUE(make_target(&self->e, "t1", "r1"));
	ASSERT_TRUE(make_target(&self->e, "t2", "r2"));
	ASSERT_TRUE(make_target(&self->e, "t3", "r3"));
	ASSERT_TRUE(put(&self->e, 1, "t1"));
	ASSERT_TRUE(put(&self->e, 2, "t2"));
	ASSERT_TRUE(put(&self->e, 3, "t3"));
	set(&self->e, "nr_keys", 4);

	ASSERT_EQ(send_n(&self->e, 203, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 51), 51);
	EXPECT_EQ(settled(&self->e, "r1", 51), 51);
	EXPECT_EQ(settled(&self->e, "r2", 51), 51);
	EXPECT_EQ(settled(&self->e, "r3", 50), 50);
}

/* Two keys of one device share what belongs to the device. */
TEST_F(redirect, two_keys_one_device)
{
	ASSERT_TRUE(put(&self->e, 1, "t0"));
	set(&self->e, "nr_keys", 2);
	ASSERT_EQ(send_n(&self->e, 99, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 99), 99);
}

TEST_F(redirect, missing_key)
{
	set(&self->e, "nr_keys", 3);
	ASSERT_EQ(send_n(&self->e, 99, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 33), 33);
}

TEST_F(redirect, update_and_delete)
{
	__u32 key = 0;

	ASSERT_TRUE(make_target(&self->e, "t1", "r1"));
	ASSERT_TRUE(put(&self->e, 0, "t1"));
	ASSERT_EQ(send_n(&self->e, 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);
	EXPECT_EQ(received(&self->e, "r0"), 0);

	ASSERT_EQ(bpf_map_delete_elem(self->e.map, &key), 0);
	ASSERT_EQ(send_n(&self->e, 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);

	ASSERT_TRUE(put(&self->e, 0, "t0"));
	ASSERT_EQ(send_n(&self->e, 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 20), 20);
	EXPECT_EQ(received(&self->e, "r1"), 20);
}

TEST_F(redirect, two_lookups)
{
	ASSERT_TRUE(make_target(&self->e, "t1", "r1"));
	ASSERT_TRUE(put(&self->e, 1, "t1"));
	set(&self->e, "second_key", 1);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);
	EXPECT_EQ(received(&self->e, "r0"), 0);

	/* the second one fails: dropped */
	set(&self->e, "second_key", 2);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);
	EXPECT_EQ(received(&self->e, "r0"), 0);

	/* the first one has failed: the second one counts */
	set(&self->e, "first_key", 2);
	set(&self->e, "second_key", 0);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 20), 20);
	EXPECT_EQ(received(&self->e, "r1"), 20);
}

TEST_F(redirect, lookup_not_used)
{
	ASSERT_EQ(send_to(&self->e, "redirect_unused", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 0), 0);
	/* and then one that is */
	ASSERT_EQ(send_to(&self->e, "redirect", 20, 64), 0);
	if (!variant->generic) {
		EXPECT_EQ(settled(&self->e, "r0", 20), 20);
	}
}

TEST_F(redirect, two_hops)
{
	ASSERT_TRUE(make_target(&self->e, "t1", "r1"));
	ASSERT_TRUE(put(&self->e, 1, "t1"));
	ASSERT_TRUE(attach(&self->e, "r0", "hop", variant->generic));
	set(&self->e, "hop_key", 1);
	ASSERT_EQ(send_n(&self->e, 50, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 50), 50);
	EXPECT_EQ(received(&self->e, "r0"), 50);
}

/* Back to where they came from: r0's frames leave through r0. */
TEST_F(redirect, to_ingress_device)
{
	ASSERT_TRUE(put(&self->e, 1, "r0"));
	ASSERT_TRUE(attach(&self->e, "t0", "receive", variant->generic));
	ASSERT_TRUE(attach(&self->e, "r0", "hop", variant->generic));
	set(&self->e, "hop_key", 1);
	ASSERT_EQ(send_n(&self->e, 50, 64), 0);
	EXPECT_EQ(settled(&self->e, "t0", 50), 50);
	EXPECT_EQ(received(&self->e, "r0"), 50);
}

TEST_F(redirect, device_down_and_up)
{
	struct env *e = &self->e;

	ASSERT_TRUE(trace_start(e));
	ASSERT_TRUE(ip("link set t0 down\n"));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 0), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-100 map_id=OURS map_index=0", 20));
	EXPECT_TRUE(traced(e, "xdp_redirect", "", 0));

	ASSERT_TRUE(ip("link set t0 up\n"));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_TRUE(traced(e, "xdp_redirect", "err=0 map_id=OURS map_index=0", 20));

	/* put in while it is down */
	ASSERT_TRUE(make_veth("t1", "r1", "mtu 1500"));
	ASSERT_TRUE(attach(e, "r1", "receive", variant->generic));
	ASSERT_TRUE(ip("link set t1 down\n"));
	ASSERT_TRUE(put(e, 0, "t1"));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-100 map_id=OURS map_index=0", 40));
	ASSERT_TRUE(ip("link set t1 up\n"));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r1", 20), 20);
}

TEST_F(redirect, mtu)
{
	struct env *e = &self->e;

	/* 1500, header 14, tag 4 */
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 17, 1518), 0);
	EXPECT_EQ(settled(e, "r0", 17), 17);
	ASSERT_EQ(send_n(e, 17, 1519), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-90 map_id=OURS map_index=0", 17));
	EXPECT_EQ(settled(e, "r0", 17), 17);

	ASSERT_TRUE(ip("link set t0 mtu 600\n"));
	ASSERT_EQ(send_n(e, 1, 619), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-90", 18));
	ASSERT_EQ(send_n(e, 1, 618), 0);
	EXPECT_EQ(settled(e, "r0", 18), 18);

	ASSERT_TRUE(ip("link set t0 mtu 1500\n"));
	ASSERT_EQ(send_n(e, 1, 1518), 0);
	EXPECT_EQ(settled(e, "r0", 19), 19);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "", 18));
}

TEST_F(redirect, rename)
{
	struct env *e = &self->e;
	__u32 key = 0, ifindex;

	ASSERT_TRUE(ip("link set t0 down\nlink set t0 name other\nlink set other up\n"));
	ASSERT_EQ(bpf_map_lookup_elem(e->map, &key, &ifindex), 0);
	EXPECT_EQ(ifindex, if_nametoindex("other"));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
}

/*
 * A device whose driver has no ndo_xdp_xmit: EOPNOTSUPP natively, and no
 * hindrance to generic XDP.
 */
TEST_F(redirect, device_without_xdp)
{
	struct env *e = &self->e;
	struct rtnl_link_stats stats;

	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_TRUE(put(e, 0, "d0"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	if (variant->generic) {
		EXPECT_TRUE(traced(e, "xdp_redirect", "err=0 map_id=OURS", 20));
		ASSERT_EQ(link_stats("d0", &stats), 0);
		EXPECT_EQ(stats.tx_packets, 20);
		EXPECT_EQ(stats.tx_bytes, 20 * 64);
	} else {
		ASSERT_EQ(link_stats("d0", &stats), 0);
		EXPECT_EQ(stats.tx_packets, 0);
		EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-95 map_id=OURS map_index=0", 20));
	}
}

/*
 * Bulks, which native XDP alone has.
 */
FIXTURE(native)
{
	struct env e;
};

FIXTURE_VARIANT(native)
{
	bool claimed;
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(native, stock_array)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(native, claimed_array)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(native, stock_hash)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(native, claimed_hash)
{
	.claimed = true, .type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_SETUP(native)
{
	ASSERT_TRUE(start(&self->e, variant->claimed, variant->type, false));
}

FIXTURE_TEARDOWN(native)
{
	EXPECT_TRUE(finish(&self->e));
}

/*
 * A veth takes XDP frames only while its peer has a program: 6.1 learns of it
 * from the driver, newer kernels from the device's XDP features.
 */
TEST_F(native, peer_program_comes_and_goes)
{
	struct env *e = &self->e;
	char text[64];

	ASSERT_TRUE(make_veth("t1", "r1", "mtu 1500"));
	ASSERT_TRUE(put(e, 0, "t1"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	if (have_peer_feature()) {
		EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-95 map_id=OURS map_index=0", 20));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "", 0));
	} else {
		EXPECT_TRUE(traced(e, "xdp_redirect", "err=0 map_id=OURS map_index=0", 20));
		snprintf(text, sizeof(text), "to_ifindex=%d action=REDIRECT sent=0 drops=16 err=-6",
			 if_nametoindex("t1"));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", text, 1));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=0 drops=4 err=-6", 1));
	}

	ASSERT_TRUE(attach(e, "r1", "receive", false));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r1", 20), 20);
	snprintf(text, sizeof(text), "to_ifindex=%d action=REDIRECT sent=16 drops=0 err=0",
		 if_nametoindex("t1"));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", text, 1));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=4 drops=0 err=0", 1));

	ASSERT_TRUE(attach(e, "r1", NULL, false));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r1", 20), 20);

	/* GRO does as well as a program */
	ASSERT_TRUE(sh("ethtool -K r1 gro on"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 16, 64), 0);
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=16 drops=0 err=0", 1));
}

/* A driver that takes some frames of a bulk: the kernel frees the others. */
TEST_F(native, partial_bulk)
{
	struct env *e = &self->e;

	/* longer than the peer takes, if not made shorter: each fifth frame */
	ASSERT_TRUE(ip("link set r0 mtu 600\n"));
	set(e, "keep_every", 5);
	set(e, "shorten_by", 100);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_live(e, "redirect_resize", 33, 700), 0);
	/* 1-16: 4 of them before the first big one; 17-32: 3; 33: 1 */
	EXPECT_EQ(settled(e, "r0", 8), 8);
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=4 drops=12 err=0", 1));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=3 drops=13 err=0", 1));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=1 drops=0 err=0", 1));
}

/*
 * The same frames through a stock and a claimed map: same traces, field by
 * field, same statistics, same transmit queues.
 */
#define NOTE_MAX 4096

FIXTURE(compare)
{
	struct env e;
	char *trace[2];
	char note[2][NOTE_MAX];
};

FIXTURE_VARIANT(compare)
{
	enum bpf_map_type type;
	bool generic;
};

FIXTURE_VARIANT_ADD(compare, array_native)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(compare, hash_native)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(compare, array_generic)
{
	.type = BPF_MAP_TYPE_DEVMAP, .generic = true,
};

FIXTURE_VARIANT_ADD(compare, hash_generic)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH, .generic = true,
};

FIXTURE_SETUP(compare)
{
	self->e.generic = variant->generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(&self->e));
	self->trace[0] = calloc(1, TRACE_MAX);
	self->trace[1] = calloc(1, TRACE_MAX);
	ASSERT_TRUE(self->trace[0] && self->trace[1]);
}

FIXTURE_TEARDOWN(compare)
{
	trace_end(&self->e);
	EXPECT_TRUE(del_net(&self->e));
	EXPECT_TRUE(module_refs_become(0));
}

/* Adds to what is compared, beside the traces. */
__attribute__((format(printf, 2, 3)))
static void note(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, NOTE_MAX - len, fmt, ap);
	va_end(ap);
}

static void note_stats(char *text, const char *dev, const struct rtnl_link_stats *before)
{
	struct rtnl_link_stats now = {};

	link_stats(dev, &now);
	note(text, "%s: tx %u bytes %u dropped %u errors %u\n", dev,
	     now.tx_packets - before->tx_packets, now.tx_bytes - before->tx_bytes,
	     now.tx_dropped - before->tx_dropped, now.tx_errors - before->tx_errors);
}

/* Loads the programs over a map of a kind, fills it, and traces. */
static bool begin(struct env *e, enum bpf_map_type type, bool claimed,
		  const char * const *devs)
{
	int map = make_map(claimed, type, MAP_SIZE);
	__u32 key;

	if (map < 0 || !load(e, map))
		return false;
	set(e, "nr_keys", 1);
	set(e, "flags", XDP_DROP);
	for (key = 0; *devs; devs++, key++)
		if (!put(e, key, *devs))
			return false;
	if (e->generic && !attach(e, "g1", "redirect", true))
		return false;
	return trace_start(e);
}

static bool end(struct env *e, char *trace)
{
	usleep(20000);
	if (!trace_read(e, trace))
		return false;
	if (!e->generic && !pages_are_back(e))
		return false;
	if (e->generic && !attach(e, "g1", NULL, true))
		return false;
	unload(e);
	return module_refs_become(0);
}

static bool set_programs(struct env *e, const char * const *devs, bool on)
{
	for (; *devs; devs++)
		if (!attach(e, *devs, on ? "receive" : NULL, e->generic))
			return false;
	return true;
}

/* A bit of everything that unicast has to offer. */
TEST_F(compare, trace)
{
	static const char * const devs[] = { "t0", "t1", "t2", "d0", NULL };
	static const char * const peers[] = { "r0", "r1", NULL };
	struct rtnl_link_stats before[4];
	struct env *e = &self->e;
	int claimed, i;

	ASSERT_TRUE(make_veth("t0", "r0", "mtu 1500"));
	ASSERT_TRUE(make_veth("t1", "r1", "mtu 1500"));
	ASSERT_TRUE(make_veth("t2", "r2", "mtu 1500"));
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));

	for (claimed = 0; claimed < 2; claimed++) {
		for (i = 0; devs[i]; i++)
			ASSERT_EQ(link_stats(devs[i], &before[i]), 0);
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(set_programs(e, peers, true));

		/* one; two and a missing one; a veth without program; a dummy */
		ASSERT_EQ(send_n(e, 37, 64), 0);
		set(e, "nr_keys", 5);
		ASSERT_EQ(send_n(e, 64, 128), 0);
		set(e, "nr_keys", 1);
		set(e, "first_key", 2);
		ASSERT_EQ(send_n(e, 20, 64), 0);
		set(e, "first_key", 3);
		ASSERT_EQ(send_n(e, 5, 64), 0);
		/* too long, down */
		set(e, "first_key", 1);
		ASSERT_EQ(send_n(e, 18, 1519), 0);
		ASSERT_TRUE(ip("link set t1 down\n"));
		ASSERT_EQ(send_n(e, 18, 64), 0);
		ASSERT_TRUE(ip("link set t1 up\n"));
		ASSERT_EQ(send_n(e, 18, 64), 0);
		/* redirects of failed lookups, and of none */
		set(e, "first_key", 7);
		ASSERT_EQ(send_to(e, "redirect_anyway", 3, 64), 0);
		ASSERT_EQ(send_to(e, "redirect_bare", 3, 64), 0);
		/* another first key and last lookup */
		set(e, "second_key", 0);
		ASSERT_EQ(send_to(e, "redirect_twice", 17, 64), 0);

		note(self->note[claimed], "r0 got %llu, r1 %llu\n",
		     received(e, "r0"), received(e, "r1"));
		for (i = 0; devs[i]; i++)
			note_stats(self->note[claimed], devs[i], &before[i]);
		ASSERT_TRUE(set_programs(e, peers, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	/* there was something to compare */
	EXPECT_GT(strlen(self->trace[0]), 10000);
	EXPECT_EQ(strstr(self->note[0], "r0 got 0"), NULL);
}

/* Which of a veth's transmit queues generic XDP takes: by flow. */
TEST_F(compare, veth_queues_by_flow)
{
	static const char * const devs[] = { "t0", NULL };
	struct env *e = &self->e;
	int claimed, q, used = 0;

	if (!variant->generic)
		SKIP(return, "generic only");
	ASSERT_TRUE(make_veth("t0", "r0", "numtxqueues 4 numrxqueues 4"));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_EQ(send_n(e, 100, 64), 0);
		EXPECT_EQ(settled(e, "r0", 100), 100);
		for (q = 0; q < QUEUES; q++) {
			note(self->note[claimed], "%llu\n", received_on(e, "r0", q));
			used += !!received_on(e, "r0", q);
		}

		/* fewer queues in use */
		ASSERT_TRUE(sh("ethtool -L t0 tx 2"));
		forget_received(e);
		ASSERT_EQ(send_n(e, 100, 64), 0);
		EXPECT_EQ(settled(e, "r0", 100), 100);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "%llu\n", received_on(e, "r0", q));
		EXPECT_EQ(received_on(e, "r0", 2) + received_on(e, "r0", 3), 0);

		ASSERT_TRUE(sh("ethtool -L t0 tx 1"));
		forget_received(e);
		ASSERT_EQ(send_n(e, 20, 64), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_EQ(received_on(e, "r0", 0), 20);

		ASSERT_TRUE(sh("ethtool -L t0 tx 4"));
		ASSERT_TRUE(attach(e, "r0", NULL, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_GE(used, 4);
}

/* The same for frames whose receive queue is known: it is the hint. */
TEST_F(compare, veth_queues_by_rx_queue)
{
	static const char * const devs[] = { "t0", NULL };
	unsigned char frame[FRAME_MAX];
	struct env *e = &self->e;
	int claimed, q, i;

	if (!variant->generic)
		SKIP(return, "generic only");
	ASSERT_TRUE(make_veth("t0", "r0", "numtxqueues 4 numrxqueues 4"));
	ASSERT_TRUE(make_tap("tap", e->tap, QUEUES));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_TRUE(attach(e, "tap", "redirect", true));
		for (q = 0; q < QUEUES; q++) {
			forget_received(e);
			for (i = 0; i < 10; i++) {
				make_frame(frame, i, 64);
				ASSERT_EQ(write(e->tap[q], frame, 64), 64);
			}
			EXPECT_EQ(settled(e, "r0", 10), 10);
			EXPECT_EQ(received_on(e, "r0", q), 10);
			for (i = 0; i < QUEUES; i++)
				note(self->note[claimed], "%d to %d: %llu\n", q, i,
				     received_on(e, "r0", i));
		}
		ASSERT_TRUE(attach(e, "tap", NULL, true));
		ASSERT_TRUE(attach(e, "r0", NULL, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
}

/* A driver with a ndo_select_queue of its own; and its queues when full. */
TEST_F(compare, tap_queues)
{
	static const char * const devs[] = { "tap", NULL };
	struct rtnl_link_stats before;
	struct env *e = &self->e;
	int claimed, q;

	ASSERT_TRUE(make_tap("tap", e->tap, QUEUES));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_EQ(link_stats("tap", &before), 0);
		ASSERT_EQ(send_n(e, 100, 64), 0);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "queue %d: %d\n", q, drain_tap(e->tap[q]));

		ASSERT_TRUE(ip("link set tap txqueuelen 10\n"));
		ASSERT_EQ(send_n(e, 100, 64), 0);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "queue %d: %d\n", q, drain_tap(e->tap[q]));
		ASSERT_TRUE(ip("link set tap txqueuelen 500\n"));
		note_stats(self->note[claimed], "tap", &before);
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_EQ(strstr(self->note[0], "dropped 0 "), NULL);
}

/*
 * A driver that says "busy" and stops its queue (veth of 6.12; older ones
 * drop): what comes then is dropped and counted by core, until the queue is
 * woken. The receiver's NAPI thread shares a CPU with us and is not let run.
 */
TEST_F(compare, stopped_queue)
{
	static const char * const devs[] = { "t0", NULL };
	struct rtnl_link_stats before;
	struct env *e = &self->e;
	int claimed, err;

	if (!variant->generic)
		SKIP(return, "generic only");
	for (claimed = 0; claimed < 2; claimed++) {
		/* with the same ifindexes both times */
		ASSERT_TRUE(ip("link add t0 index 100 group %d type veth peer name r0 index 101\n"
			       "link set t0 up\nlink set r0 up\n", GROUP));
		ASSERT_TRUE(sh("tc qdisc replace dev t0 root pfifo"));
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_TRUE(thread_napi("r0", 0));
		ASSERT_EQ(link_stats("t0", &before), 0);

		ASSERT_TRUE(hog_cpu(true));
		err = send_n(e, 300, 64);
		ASSERT_TRUE(hog_cpu(false));
		ASSERT_EQ(err, 0);
		EXPECT_EQ(settled(e, "r0", 256), 256);
		note_stats(self->note[claimed], "t0", &before);

		ASSERT_EQ(send_n(e, 10, 64), 0);
		EXPECT_EQ(settled(e, "r0", 266), 266);
		note_stats(self->note[claimed], "t0", &before);
		ASSERT_TRUE(ip("link del t0\n"));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_NE(strstr(self->note[0], "dropped 44 "), NULL);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
