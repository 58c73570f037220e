// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unicast redirects through device maps, in native and in generic XDP: the
 * frames that arrive, those that cannot be sent, and maps that follow their
 * devices.
 *
 * Every test runs on a stock and on a claimed map and expects the same of both.
 * If a difference is intended, the test says so.
 *
 * BPF_F_TEST_XDP_LIVE_FRAMES generates frames for native XDP; for generic XDP a
 * packet socket sends them on the peer of a veth. Each test has a network
 * namespace of its own. Targets are veths or, in variants, devices that check
 * each frame.
 */
#define _GNU_SOURCE

#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "redirect.h"
#include "testlib.h"
#include "xdplib.h"

FIXTURE(redirect)
{
	struct env e;
};

FIXTURE_VARIANT(redirect)
{
	struct kind kind;
};

ALL_KINDS(redirect);
FAULTY_KINDS(redirect);

/* Makes the map's key 0 lead to t0, whose peer r0 counts frames. */
static bool start(struct env *e, const struct kind *kind)
{
	int map;

	e->generic = kind->generic;
	e->faulty = kind->faulty;
	if (!module_refs_become(0) || !make_net(e))
		return false;
	map = make_map(kind->claimed, kind->type, MAP_SIZE);
	if (map < 0 || !load(e, map))
		return false;
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	if (kind->generic && !attach(e, "g1", "redirect", true))
		return false;
	return make_target(e, "t0", "r0") && put(e, 0, "t0");
}

FIXTURE_SETUP(redirect)
{
	ASSERT_TRUE(start(&self->e, &variant->kind));
}

FIXTURE_TEARDOWN(redirect)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(redirect, one_target)
{
	/* bulks of 16: none full, one full, one and a part, many and a part */
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
	set_var(&self->e, "nr_keys", 4);

	ASSERT_EQ(send_n(&self->e, 203, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 51), 51);
	EXPECT_EQ(settled(&self->e, "r1", 51), 51);
	EXPECT_EQ(settled(&self->e, "r2", 51), 51);
	EXPECT_EQ(settled(&self->e, "r3", 50), 50);
}

/* Two keys of one device share the objects of the device. */
TEST_F(redirect, two_keys_one_device)
{
	ASSERT_TRUE(put(&self->e, 1, "t0"));
	set_var(&self->e, "nr_keys", 2);
	ASSERT_EQ(send_n(&self->e, 99, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 99), 99);
}

TEST_F(redirect, missing_key)
{
	set_var(&self->e, "nr_keys", 3);
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
	set_var(&self->e, "second_key", 1);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);
	EXPECT_EQ(received(&self->e, "r0"), 0);

	/* the second lookup fails: the frame is dropped */
	set_var(&self->e, "second_key", 2);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 20), 20);
	EXPECT_EQ(received(&self->e, "r0"), 0);

	/* the first lookup has failed: the second one counts */
	set_var(&self->e, "first_key", 2);
	set_var(&self->e, "second_key", 0);
	ASSERT_EQ(send_to(&self->e, "redirect_twice", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 20), 20);
	EXPECT_EQ(received(&self->e, "r1"), 20);
}

TEST_F(redirect, lookup_not_used)
{
	ASSERT_EQ(send_to(&self->e, "redirect_unused", 20, 64), 0);
	EXPECT_EQ(settled(&self->e, "r0", 0), 0);
	/* and then a lookup that is used */
	ASSERT_EQ(send_to(&self->e, "redirect", 20, 64), 0);
	if (!variant->kind.generic) {
		EXPECT_EQ(settled(&self->e, "r0", 20), 20);
	}
}

TEST_F(redirect, two_hops)
{
	ASSERT_TRUE(make_target(&self->e, "t1", "r1"));
	ASSERT_TRUE(put(&self->e, 1, "t1"));
	ASSERT_TRUE(attach(&self->e, "r0", "hop", variant->kind.generic));
	set_var(&self->e, "hop_key", 1);
	ASSERT_EQ(send_n(&self->e, 50, 64), 0);
	EXPECT_EQ(settled(&self->e, "r1", 50), 50);
	EXPECT_EQ(received(&self->e, "r0"), 50);
}

/* Back to the ingress device: frames from r0 leave through r0. */
TEST_F(redirect, to_ingress_device)
{
	if (variant->kind.faulty)
		SKIP(return, "a device that is its own peer");
	ASSERT_TRUE(put(&self->e, 1, "r0"));
	ASSERT_TRUE(attach(&self->e, "t0", "receive", variant->kind.generic));
	ASSERT_TRUE(attach(&self->e, "r0", "hop", variant->kind.generic));
	set_var(&self->e, "hop_key", 1);
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

	/* added while it is down */
	ASSERT_TRUE(make_veth("t1", "r1", "mtu 1500"));
	ASSERT_TRUE(attach(e, "r1", "receive", variant->kind.generic));
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
 * A device whose driver has no ndo_xdp_xmit: EOPNOTSUPP in native XDP; generic
 * XDP does not need the function.
 */
TEST_F(redirect, device_without_xdp)
{
	struct env *e = &self->e;
	struct rtnl_link_stats stats;

	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_TRUE(put(e, 0, "d0"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 20, 64), 0);
	if (variant->kind.generic) {
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

/* Bulks, which only native XDP has. */
FIXTURE(native)
{
	struct env e;
};

FIXTURE_VARIANT(native)
{
	struct kind kind;
};

MAP_KINDS(native);

FIXTURE_SETUP(native)
{
	ASSERT_TRUE(start(&self->e, &variant->kind));
}

FIXTURE_TEARDOWN(native)
{
	EXPECT_TRUE(finish(&self->e));
}

/*
 * A veth accepts XDP frames only while its peer has a program. 6.1 learns that
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

	/* GRO has the same effect as a program */
	ASSERT_TRUE(sh("ethtool -K r1 gro on"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_n(e, 16, 64), 0);
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=16 drops=0 err=0", 1));
}

/* A driver that takes some frames of a bulk: the kernel frees the others. */
TEST_F(native, partial_bulk)
{
	struct env *e = &self->e;

	/* each fifth frame is longer than the peer accepts, unless shortened */
	ASSERT_TRUE(ip("link set r0 mtu 600\n"));
	set_var(e, "keep_every", 5);
	set_var(e, "shorten_by", 100);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_live(e, "redirect_resize", 33, 700), 0);
	/* 1-16: 4 of them before the first big one; 17-32: 3; 33: 1 */
	EXPECT_EQ(settled(e, "r0", 8), 8);
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=4 drops=12 err=0", 1));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=3 drops=13 err=0", 1));
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=1 drops=0 err=0", 1));
}

/*
 * Frames that a driver refuses after it has made them longer. The counters of
 * sent and lost frames, by reason, include all frames, and all bytes that they
 * had before.
 */
FIXTURE(refused)
{
	struct env e;
};

FIXTURE_VARIANT(refused)
{
	struct kind kind;
};

FAULTY_KINDS(refused);

/* All frames come from s0, in one poll. */
FIXTURE_SETUP(refused)
{
	struct env *e = &self->e;
	int map;

	e->faulty = true;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	map = make_map_flags(variant->kind.claimed, variant->kind.type,
			     counting_size(&variant->kind), MAP_SIZE, 0);
	ASSERT_TRUE(load(e, map));
	set_var(e, "nr_keys", 1);
	ASSERT_TRUE(make_faulty("s0"));
	ASSERT_TRUE(attach(e, "s0", "redirect", false));
	ASSERT_TRUE(make_target(e, "t0", "r0"));
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(refused, offered_is_sent_and_lost)
{
	static const struct {
		const char *knob;
		int value, before, sent, reason;
	} faults[] = {
		{ "room", 0, -1, 0, REDIRMAP_DROP_RING_FULL },
		{ "room", 1, -1, 1, REDIRMAP_DROP_RING_FULL },
		{ "room", 15, -1, 15, REDIRMAP_DROP_RING_FULL },
		{ "room", 17, -1, 17, REDIRMAP_DROP_RING_FULL },
		{ "room", 39, -1, 39, REDIRMAP_DROP_RING_FULL },
		{ "take", 5, 1000, 15, REDIRMAP_DROP_RING_FULL },
		{ "error", EIO, 0, 0, REDIRMAP_DROP_DRIVER_ERROR },
	};
	struct env *e = &self->e;
	unsigned int i;
	int n = 40;

	/* bulks of 16, 16 and 8 */
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
		forget_received(e);
		ASSERT_TRUE(turn("t0", faults[i].knob, faults[i].value));
		ASSERT_TRUE(turn("s0", "hold", 1));
		ASSERT_EQ(send_on(e->sock, "s0", 0, n, 700), 0);
		ASSERT_TRUE(turn("s0", "hold", 0));
		ASSERT_TRUE(all_seen(e, n));
		EXPECT_EQ(settled(e, "r0", faults[i].sent), faults[i].sent);
		ASSERT_TRUE(turn("t0", faults[i].knob, faults[i].before));
		EXPECT_TRUE(!variant->kind.claimed ||
			    entry_counted(e, 0, faults[i].sent, 700, faults[i].reason,
					  n - faults[i].sent)) {
			TH_LOG("%s %d", faults[i].knob, faults[i].value);
		}
	}
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
