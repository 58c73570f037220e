// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egress programs of the members of a broadcast: each has a copy of the frame
 * that it may write to, reshape, or drop. For other broadcasts see
 * dev_broadcast*.c, for egress programs without broadcasts dev_egress*.c.
 *
 * One of these tests is for a fault that devmap had: in generic XDP copies were
 * clones, which share the packet's data, so a program that wrote to its copy
 * changed data that other members still had to send. Frames of one member then
 * had marks of another member's program.
 *
 * Every test runs on stock and on claimed maps and expects the same of both. If
 * a difference is intended, the test says so.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "harness.h"
#include "egresslib.h"
#include "faultylib.h"

FIXTURE(broadcast)
{
	struct env e;
};

FIXTURE_VARIANT(broadcast)
{
	struct kind kind;
};

ALL_KINDS(broadcast);

FIXTURE_SETUP(broadcast)
{
	const struct kind *kind = &variant->kind;
	struct env *e = &self->e;

	e->wire = !kind->claimed && !kind->generic && !live_frames_in_place();
	ASSERT_TRUE(start_egress(e, *kind));
	ASSERT_TRUE(make_checker(e, "t1", "r1", "mtu 1500"));
	ASSERT_TRUE(make_looker(e, "t2", "r2", "mtu 1500"));
	set_var(e, "flags", BPF_F_BROADCAST);
}

FIXTURE_TEARDOWN(broadcast)
{
	EXPECT_TRUE(finish(&self->e));
}

/* Two members that write, and one that does not, in any order. */
TEST_F(broadcast, own_copies)
{
	static const char * const devs[] = { "t0", "t1", "t2" };
	struct env *e = &self->e;
	int i, k;

	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(put_prog(e, i, devs[i], "mark_a"));
		ASSERT_TRUE(put_prog(e, (i + 1) % 3, devs[(i + 1) % 3], "mark_b"));
		ASSERT_TRUE(put_prog(e, (i + 2) % 3, devs[(i + 2) % 3], NULL));
		ASSERT_EQ(send_new(e, 50, 64), 0);
		for (k = 0; k < 3; k++) {
			static const char * const peers[] = { "r0", "r1", "r2" };
			static const char marks[] = { 'A', 'B', 0 };

			EXPECT_EQ(settled(e, peers[(i + k) % 3], 50), 50);
			EXPECT_TRUE(seen_in_order(e, peers[(i + k) % 3], marks[k], 0, 1, 50));
		}
		EXPECT_EQ(get_var(e, "nr_runs"), 100);
	}
}

/* Each run of a program is for the device of its own member. */
TEST_F(broadcast, devices)
{
	struct env *e = &self->e;
	const char *from = e->generic || e->wire ? "g1" : "lo";
	int i, n[2] = {};

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t1", "mark_a"));
	ASSERT_EQ(send_new(e, 50, 64), 0);
	EXPECT_EQ(settled(e, "r0", 50), 50);
	EXPECT_EQ(settled(e, "r1", 50), 50);
	EXPECT_EQ(get_var(e, "nr_runs"), 100);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex(from));
		EXPECT_EQ(run_of(e, i)->len, 64);
		n[0] += run_of(e, i)->egress == if_nametoindex("t0");
		n[1] += run_of(e, i)->egress == if_nametoindex("t1");
	}
	EXPECT_EQ(n[0], 50);
	EXPECT_EQ(n[1], 50);
}

/* If a member drops its copy, the others get theirs. */
TEST_F(broadcast, one_drops)
{
	static const char * const devs[] = { "t0", "t1", "t2" };
	struct env *e = &self->e;
	__u64 *verdict = global(e, "verdict");
	int i, k;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = XDP_DROP;
	for (i = 0; i < 3; i++) {
		for (k = 0; k < 3; k++)
			ASSERT_TRUE(put_prog(e, k, devs[k], i == k ? "verdicts" : "mark_a"));
		ASSERT_EQ(send_new(e, 50, 64), 0);
		EXPECT_EQ(settled(e, "r0", i == 0 ? 0 : 50), i == 0 ? 0 : 50);
		EXPECT_EQ(settled(e, "r1", i == 1 ? 0 : 50), i == 1 ? 0 : 50);
		EXPECT_EQ(settled(e, "r2", i == 2 ? 0 : 50), i == 2 ? 0 : 50);
		EXPECT_EQ(marked(e, "r0", 'A'), i == 0 ? 0 : 50);
	}
}

/* Some copies of one member, and all copies of all members, are dropped. */
TEST_F(broadcast, some_and_all_dropped)
{
	struct env *e = &self->e;
	__u64 *verdict = global(e, "verdict");
	int i;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = i % 2 ? XDP_PASS : XDP_DROP;
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	ASSERT_TRUE(put_prog(e, 1, "t1", NULL));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 50, 64), 0);
	EXPECT_EQ(settled(e, "r0", 25), 25);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 1, 2, 25));
	EXPECT_EQ(settled(e, "r1", 50), 50);
	EXPECT_TRUE(seen_in_order(e, "r1", 0, 0, 1, 50));
	if (!e->generic && !e->wire) {
		/*
		 * each member has its own events; a claimed map keeps one frame
		 * of the first bulk for the next one
		 */
		int full = variant->kind.claimed ? 2 : 3;
		char text[60];

		snprintf(text, sizeof(text), "to_ifindex=%u action=REDIRECT sent=8 drops=8 err=0",
			 if_nametoindex("t0"));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", text, full));
		snprintf(text, sizeof(text), "to_ifindex=%u action=REDIRECT sent=16 drops=0 err=0",
			 if_nametoindex("t1"));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", text, full));
	}

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = XDP_DROP;
	ASSERT_TRUE(put_prog(e, 1, "t1", "verdicts"));
	ASSERT_EQ(send_new(e, 50, 64), 0);
	EXPECT_EQ(settled(e, "r0", 0), 0);
	EXPECT_EQ(settled(e, "r1", 0), 0);
	EXPECT_EQ(get_var(e, "nr_runs"), 100);
}

/* Copies have the same room in front and behind as the frame. */
TEST_F(broadcast, reshape)
{
	static const struct { int head, tail; } by[] = {
		{ -128, 0 }, { 40, 0 }, { 0, 100 }, { 0, -100 }, { -64, 100 },
	};
	struct env *e = &self->e;
	int i, k, len;

	ASSERT_TRUE(put_prog(e, 0, "t0", "reshape"));
	ASSERT_TRUE(put_prog(e, 1, "t1", NULL));
	ASSERT_TRUE(put_prog(e, 2, "t2", "reshape"));
	for (i = 0; i < ARRAY_SIZE(by); i++) {
		set_var(e, "head_by", by[i].head);
		set_var(e, "tail_by", by[i].tail);
		len = 300 - by[i].head + by[i].tail;
		ASSERT_EQ(send_new(e, 40, 300), 0);
		EXPECT_EQ(settled(e, "r0", 40), 40);
		EXPECT_EQ(settled(e, "r1", 40), 40);
		EXPECT_EQ(settled(e, "r2", 40), 40);
		EXPECT_TRUE(seen_in_order(e, "r0", 'R', 0, 1, 40));
		EXPECT_TRUE(seen_in_order(e, "r1", 0, 0, 1, 40));
		EXPECT_TRUE(seen_in_order(e, "r2", 'R', 0, 1, 40));
		EXPECT_EQ(get_var(e, "unshaped"), 0) {
			TH_LOG("head by %d, tail by %d", by[i].head, by[i].tail);
		}
		for (k = 0; k < 120; k++) {
			struct sight *sight = sight_of(e, k);

			ASSERT_EQ(sight->len, sight->mark ? len : 300);
			ASSERT_EQ(sight->tail == TAIL, !!sight->mark);
		}
	}
}

/*
 * A device under two keys gets two copies, each through the program of its key.
 * INTENDED DIFFERENCE: in native XDP the built-in runs one program on both.
 */
TEST_F(broadcast, one_device_two_programs)
{
	bool confuses = !variant->kind.claimed && !variant->kind.generic;
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t0", "mark_b"));
	ASSERT_TRUE(put_prog(e, 2, "t0", NULL));
	ASSERT_EQ(send_new(e, 50, 64), 0);
	EXPECT_EQ(settled(e, "r0", 150), 150);
	if (confuses) {
		EXPECT_EQ(marked(e, "r0", 'A') + marked(e, "r0", 'B') + marked(e, "r0", 0), 150);
		EXPECT_NE(marked(e, "r0", 'A'), 50);
	} else {
		EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 50));
		EXPECT_TRUE(seen_in_order(e, "r0", 'B', 0, 1, 50));
		EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 1, 50));
	}
}

/* A member whose program returns an invalid value loses its own copy only. */
TEST_F(broadcast, invalid_verdict)
{
	struct env *e = &self->e;
	__u64 *verdict = global(e, "verdict");
	char text[60];
	int i;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = i % 2 ? XDP_PASS : XDP_ABORTED;
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	ASSERT_TRUE(put_prog(e, 1, "t1", NULL));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 40, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_EQ(settled(e, "r1", 40), 40);
	EXPECT_TRUE(seen_in_order(e, "r1", 0, 0, 1, 40));
	snprintf(text, sizeof(text), "action=ABORTED ifindex=%u", if_nametoindex("t0"));
	EXPECT_TRUE(traced(e, "xdp_exception", text, 20));
	EXPECT_TRUE(traced(e, "xdp_exception", "", 20));
}

/* Programs are added and removed while members stay. */
TEST_F(broadcast, program_comes_and_goes)
{
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(put_prog(e, 1, "t1", NULL));
	for (i = 0; i < 3; i++) {
		static const char * const names[] = { "mark_a", "mark_b", NULL };
		static const char marks[] = { 'A', 'B', 0 };

		ASSERT_TRUE(put_prog(e, 0, "t0", names[i]));
		ASSERT_EQ(send_new(e, 20, 64), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_EQ(settled(e, "r1", 20), 20);
		EXPECT_EQ(marked(e, "r0", marks[i]), 20);
		EXPECT_EQ(marked(e, "r1", 0), 20);
	}
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(ip("link del t0\n"));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r1", 20), 20);
	EXPECT_EQ(get_var(e, "nr_runs"), 0);
}

/*
 * A driver refuses copies whose length a program has changed, and changes the
 * length again before. The counters have the length after the program.
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

FIXTURE_SETUP(refused)
{
	struct env *e = &self->e;
	int map;

	map = make_map_flags(variant->kind.claimed, variant->kind.type,
			     counting_size(&variant->kind), 8, 0);
	ASSERT_TRUE(start_egress_over(e, variant->kind, map));
	ASSERT_TRUE(make_faulty("s0"));
	ASSERT_TRUE(attach(e, "s0", "redirect", false));
	ASSERT_TRUE(make_looker(e, "t0", "r0", "mtu 1500"));
	ASSERT_TRUE(make_looker(e, "t1", "r1", "mtu 1500"));
	set_var(e, "flags", BPF_F_BROADCAST);
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(refused, offered_is_sent_and_lost)
{
	static const struct { int head, tail; } by[] = { { -64, 0 }, { 20, 100 }, { 0, -100 } };
	static const int room[] = { 0, 1, 16, 17, 39 };
	struct env *e = &self->e;
	int i, k, n = 40, len;

	for (i = 0; i < ARRAY_SIZE(by); i++)
		for (k = 0; k < ARRAY_SIZE(room); k++) {
			len = 300 - by[i].head + by[i].tail;
			set_var(e, "head_by", by[i].head);
			set_var(e, "tail_by", by[i].tail);
			ASSERT_EQ(put_entry(e, 0, "t0", "reshape"), 0);
			ASSERT_EQ(put_entry(e, 1, "t1", NULL), 0);
			forget_logs(e);
			ASSERT_TRUE(turn("t0", "room", room[k]));
			ASSERT_TRUE(turn("s0", "hold", 1));
			ASSERT_EQ(send_on(e->sock, "s0", 0, n, 300), 0);
			ASSERT_TRUE(turn("s0", "hold", 0));
			EXPECT_EQ(settled(e, "r1", n), n);
			EXPECT_EQ(settled(e, "r0", room[k]), room[k]);
			EXPECT_EQ(get_var(e, "unshaped"), 0);
			if (!variant->kind.claimed)
				continue;
			EXPECT_TRUE(entry_counted(e, 0, room[k], len, REDIRMAP_DROP_RING_FULL,
						  n - room[k]));
			EXPECT_TRUE(entry_counted(e, 1, n, 300, REDIRMAP_DROP_RING_FULL, 0));
		}
}

/*
 * In generic XDP, the network header of each copy whose head a program has
 * moved is behind its MAC header: the device complains otherwise.
 */
TEST_F(refused, network_header)
{
	struct env *e = &self->e;
	int n = 40;

	ASSERT_TRUE(sh("ip link set s0 xdpdrv off"));
	ASSERT_TRUE(attach(e, "s0", "redirect", true));
	set_var(e, "head_by", -64);
	ASSERT_EQ(put_entry(e, 0, "t0", "reshape"), 0);
	ASSERT_EQ(put_entry(e, 1, "t1", "reshape"), 0);
	ASSERT_EQ(send_on(e->sock, "s0", 0, n, 300), 0);
	EXPECT_EQ(settled(e, "r0", n), n);
	EXPECT_EQ(settled(e, "r1", n), n);
	EXPECT_EQ(get_var(e, "unshaped"), 0);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
