// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts to members that cannot get their copy: they are down, have too
 * small an MTU, no room, or a driver that cannot send. They lose their copies
 * only, the other members get all frames, and no page is leaked.
 *
 * Every test runs on a stock and on a claimed map. INTENDED DIFFERENCE: in
 * generic XDP a stock map stops at a member that is down or has too small an
 * MTU, so the members after it get nothing.
 */
#define _GNU_SOURCE
#include "castlib.h"
#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define FRAMES 100
#define N 4

FIXTURE(members)
{
	struct cast c;
	bool stops;
};

FIXTURE_VARIANT(members)
{
	struct kind kind;
};

ALL_KINDS(members);

/* Keys 0 to 3 lead to m0 to m3; a stock map sends in this order. */
FIXTURE_SETUP(members)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(cast_begin(c, &variant->kind, CAST_LIVE, 8));
	ASSERT_TRUE(cast_members(c, 0, N));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, N));
	self->stops = variant->kind.generic && !variant->kind.claimed;
}

FIXTURE_TEARDOWN(members)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/*
 * Do all members but one get all frames? If the map stops there, only those
 * before it.
 */
static bool others_get(struct cast *c, int but, bool stops, int err, int len)
{
	char text[40], dev[16];
	bool ok;
	int i;

	ok = trace_start(&c->e) && !cast_send(c, FRAMES, len);
	for (i = 0; i < N; i++) {
		snprintf(dev, sizeof(dev), "p%d", i);
		if (i == but || (stops && i > but))
			ok = cast_got(c, dev, 0, 0) && ok;
		else
			ok = cast_got(c, dev, FRAMES, 1) && ok;
	}
	snprintf(text, sizeof(text), "err=%d map_id=OURS", err);
	ok = traced(&c->e, "xdp_redirect_err", text, stops ? FRAMES : 0) && ok;
	return traced(&c->e, "xdp_redirect", "", stops ? 0 : FRAMES) && ok;
}

/* The first member, one in between, and the last one. */
TEST_F(members, down)
{
	struct cast *c = &self->c;
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_TRUE(ip("link set m%d down\n", i));
		EXPECT_TRUE(others_get(c, i, self->stops, -100, 64));
		ASSERT_TRUE(ip("link set m%d up\n", i));
		ASSERT_EQ(cast_send(c, FRAMES, 64), 0);
		EXPECT_TRUE(cast_all_got(c, 0, N, FRAMES, 1));
	}
}

TEST_F(members, all_down)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(ip("link set m0 down\nlink set m1 down\n"
		       "link set m2 down\nlink set m3 down\n"));
	ASSERT_TRUE(trace_start(&c->e));
	ASSERT_EQ(cast_send(c, FRAMES, 64), 0);
	EXPECT_TRUE(cast_all_got(c, 0, N, 0, 0));
	/* an error only if the map stops */
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "err=-100", self->stops ? FRAMES : 0));
	EXPECT_TRUE(traced(&c->e, "xdp_redirect", "", self->stops ? 0 : FRAMES));
	EXPECT_TRUE(traced(&c->e, "xdp_devmap_xmit", "sent=16", 0));
}

TEST_F(members, too_small)
{
	struct cast *c = &self->c;
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_TRUE(ip("link set m%d mtu 600\n", i));
		EXPECT_TRUE(others_get(c, i, self->stops, -90, 619));
		/* 600, header 14, tag 4 */
		ASSERT_EQ(cast_send(c, FRAMES, 618), 0);
		EXPECT_TRUE(cast_all_got(c, 0, N, FRAMES, 1));
		ASSERT_TRUE(ip("link set m%d mtu 3300\n", i));
	}
}

/*
 * Some frames of a batch are too long: those with even numbers, including 0,
 * are shortened.
 */
TEST_F(members, too_small_for_some)
{
	struct cast *c = &self->c;
	__u32 (*got)[NUMBERS];
	char dev[16];
	int i, k, nr;

	if (c->from == CAST_WIRE) {
		ASSERT_TRUE(attach(&c->e, "g1", "broadcast_resize", variant->kind.generic));
	}
	for (i = 0; i < N; i++) {
		ASSERT_TRUE(ip("link set m%d mtu 600\n", i));
		cast_forget(c);
		set_var(&c->e, "want_len", 0);
		ASSERT_EQ(c->from == CAST_WIRE ? send_packets(&c->e, FRAMES, 700) :
			  send_live(&c->e, "broadcast_resize", FRAMES, 700), 0);
		got = global(&c->e, "got");
		for (k = 0; k < N; k++) {
			bool half = k == i || (self->stops && k > i);
			int wrong = 0;

			snprintf(dev, sizeof(dev), "p%d", k);
			EXPECT_EQ(settled(&c->e, dev, half ? FRAMES / 2 : FRAMES),
				  half ? FRAMES / 2 : FRAMES);
			for (nr = 0; nr < FRAMES; nr++)
				wrong += got[if_nametoindex(dev)][nr] != !(half && nr % 2);
			EXPECT_EQ(wrong, 0);
			EXPECT_EQ(cast_counted(c, "bad", dev), 0);
		}
		ASSERT_TRUE(ip("link set m%d mtu 3300\n", i));
	}
}

/*
 * Without ndo_xdp_xmit a member gets nothing natively, but all of generic XDP.
 */
TEST_F(members, driver_without_xdp)
{
	struct rtnl_link_stats stats;
	struct cast *c = &self->c;
	int key;

	ASSERT_TRUE(ip("link add d0 mtu 3300 group %d type dummy\nlink set d0 up\n", GROUP));
	/* the first one, one in between, the last one, and all of these */
	for (key = 0; key < 4; key++) {
		ASSERT_TRUE(put(&c->e, key * 2, "d0"));
		ASSERT_EQ(cast_send(c, FRAMES, 64), 0);
		EXPECT_TRUE(cast_got(c, "p1", FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "p3", FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "p0", 0, 0));
	}
	ASSERT_EQ(link_stats("d0", &stats), 0);
	EXPECT_EQ(stats.tx_packets, variant->kind.generic ? (1 + 2 + 3 + 4) * FRAMES : 0);
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
}

/*
 * A veth accepts XDP frames only while its peer has a program. 6.1 learns that
 * from the driver, newer kernels from the device's XDP features.
 */
TEST_F(members, peer_without_program)
{
	struct cast *c = &self->c;
	bool known = have_peer_feature();
	char dev[16], peer[16];
	int i;

	for (i = 0; i < N; i++) {
		snprintf(dev, sizeof(dev), "m%d", i);
		snprintf(peer, sizeof(peer), "p%d", i);
		if (cast_is_faulty(c, i))
			continue;
		ASSERT_TRUE(attach(&c->e, peer, NULL, variant->kind.generic));
		EXPECT_TRUE(others_get(c, i, false, 0, 64));
		if (!variant->kind.generic) {
			EXPECT_EQ(cast_drops(c, dev, -6), known ? 0 : FRAMES);
		}
		ASSERT_TRUE(cast_look(c, peer));
	}
}

/* Makes a driver take no frames, or all again: a veth whose peer is down. */
static bool let_fail(struct cast *c, int member, bool fail)
{
	char dev[16];

	snprintf(dev, sizeof(dev), "m%d", member);
	return cast_is_faulty(c, member) ? turn(dev, "error", fail ? ENXIO : 0) :
	       ip("link set p%d %s\n", member, fail ? "down" : "up");
}

/* A driver that takes no frame: the copies are freed. */
TEST_F(members, driver_fails)
{
	struct cast *c = &self->c;
	char dev[16];
	int i;

	for (i = 0; i < N; i++) {
		ASSERT_TRUE(let_fail(c, i, true));
		EXPECT_TRUE(others_get(c, i, false, 0, 64));
		if (!variant->kind.generic) {
			snprintf(dev, sizeof(dev), "m%d", i);
			EXPECT_EQ(cast_drops(c, dev, -6), FRAMES);
		}
		ASSERT_TRUE(let_fail(c, i, false));
	}
}

/* A driver that takes some frames of a batch: the kernel frees the others. */
TEST_F(members, full_ring)
{
	struct cast *c = &self->c;
	int key;

	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	ASSERT_TRUE(ip("link set tap txqueuelen 10\n"));
	for (key = 0; key < N; key++) {
		ASSERT_TRUE(put(&c->e, key, "tap"));
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_EQ(cast_send(c, FRAMES, 64), 0);
		EXPECT_EQ(drain_tap(c->e.tap[0]), 10);
		EXPECT_TRUE(cast_all_got(c, 0, key, FRAMES, 1));
		EXPECT_TRUE(cast_got(c, key < N - 1 ? "p3" : "p2", FRAMES, 1));
		if (!variant->kind.generic) {
			EXPECT_EQ(cast_drops(c, "tap", 0), FRAMES - 10);
		}
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
		ASSERT_TRUE(cast_put(c, key, 1, key, 1));
	}
}

/*
 * A receiver that does not process its frames. In native XDP its ring is full
 * after 256 frames. In generic XDP its queue is stopped (6.12, with a qdisc;
 * 6.1 drops).
 */
TEST_F(members, stopped_queue)
{
	struct cast *c = &self->c;
	int key, err, n = 300;
	char dev[16];

	for (key = 0; key < N; key += N - 1) {
		snprintf(dev, sizeof(dev), "p%d", key);
		ASSERT_TRUE(sh("tc qdisc replace dev m%d root pfifo", key));
		if (variant->kind.generic) {
			/* NAPI of its own needs a native program */
			ASSERT_TRUE(attach(&c->e, dev, NULL, true));
			ASSERT_TRUE(attach(&c->e, dev, "look_at", false));
		}
		ASSERT_TRUE(thread_napi(dev, 0));
		cast_forget(c);

		ASSERT_TRUE(hog_cpu(true));
		err = cast_send(c, n, 64);
		ASSERT_TRUE(hog_cpu(false));
		ASSERT_EQ(err, 0);
		EXPECT_EQ(settled(&c->e, dev, 256), 256);
		EXPECT_TRUE(cast_all_got(c, !key, N - 1, n, 1));

		/* the member gets frames again */
		ASSERT_EQ(cast_send(c, FRAMES, 64), 0);
		EXPECT_TRUE(cast_all_got(c, 0, N, FRAMES, 1));

		/* a new device replaces it, without a thread */
		ASSERT_TRUE(ip("link del m%d\n", key));
		ASSERT_TRUE(cast_members(c, key, 1));
		ASSERT_TRUE(cast_put(c, key, 1, key, 1));
	}
}

/*
 * Many frames to all these kinds of members: one that gets them, by two keys,
 * one that is down, one whose driver fails and one with a full ring. If one
 * copy of each frame leaked, that would be at least 30 MiB. A few MiB are
 * noise, or are kept for the next copies.
 */
TEST_F(members, memory_does_not_grow)
{
	struct cast *c = &self->c;
	int i, frames = 64 * (kmemleak() ? 64 : 640);
	long before = 0;

	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	ASSERT_TRUE(put(&c->e, 4, "m0"));
	ASSERT_TRUE(put(&c->e, 5, "tap"));
	ASSERT_TRUE(put(&c->e, 6, "m3"));
	ASSERT_TRUE(ip("link set m2 down\nlink set tap txqueuelen 10\n"));
	ASSERT_TRUE(let_fail(c, 1, true));
	/* A map that stops at m2, which is down, would make few copies. */
	if (self->stops) {
		ASSERT_TRUE(del(&c->e, 2));
	}
	ASSERT_TRUE(attach(&c->e, "p0", NULL, variant->kind.generic));
	ASSERT_TRUE(attach(&c->e, "p0", "receive", variant->kind.generic));
	ASSERT_TRUE(attach(&c->e, "p3", NULL, variant->kind.generic));
	ASSERT_TRUE(attach(&c->e, "p3", "receive", variant->kind.generic));

	/* the first round includes memory that is allocated once */
	for (i = 0; i < 2; i++) {
		before = memory_in_use();
		ASSERT_EQ(cast_send(c, i ? frames : 640, 64), 0);
		/* not all of them, because rings are sometimes full */
		EXPECT_GT(settled(&c->e, "p0", 1), 0);
		ASSERT_TRUE(backlogs_are_empty());
	}
	ASSERT_GT(before, 0);
	if (!kmemleak())
		EXPECT_LT(memory_in_use() - before, 12 << 10);
	TH_LOG("%ld KiB more, m0 got %llu of %d", memory_in_use() - before,
	       received(&c->e, "p0"), 2 * frames);
}

/*
 * In native XDP, a member that refuses some of its frames, and has made them
 * longer before. Its entry and the others count all frames and bytes.
 */
FIXTURE(refused)
{
	struct cast c;
};

FIXTURE_VARIANT(refused)
{
	struct kind kind;
};

NATIVE_KINDS(refused);

FIXTURE_SETUP(refused)
{
	ASSERT_TRUE(faulty_begin(&self->c, &variant->kind, N));
	set_var(&self->c.e, "flags", BPF_F_BROADCAST);
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_TRUE(finish(&self->c.e));
}

TEST_F(refused, offered_is_sent_and_lost)
{
	static const int room[] = { 0, 1, 15, 16, 17, 63, FRAMES };
	struct cast *c = &self->c;
	int member, i, k;
	char dev[16];

	for (member = 0; member < N; member++)
		for (i = 0; i < ARRAY_SIZE(room); i++) {
			for (k = 0; k < N; k++) {
				snprintf(dev, sizeof(dev), "f%d", k);
				ASSERT_EQ(put_entry(&c->e, k, dev, NULL), 0);
				ASSERT_TRUE(turn(dev, "room", k == member ? room[i] : -1));
			}
			ASSERT_EQ(faulty_send(c, FRAMES, 300), 0);
			for (k = 0; k < N; k++) {
				int sent = k == member ? room[i] : FRAMES;

				snprintf(dev, sizeof(dev), "f%d", k);
				EXPECT_TRUE(cast_got(c, dev, sent, 1));
				EXPECT_TRUE(!variant->kind.claimed ||
					    entry_counted(&c->e, k, sent, 300,
							  REDIRMAP_DROP_RING_FULL,
							  FRAMES - sent)) {
					TH_LOG("room for %d at f%d", room[i], member);
				}
			}
		}
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
