// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers that refuse frames: the batch leaves as packets, if the driver has
 * taken and changed none of it.
 *
 * The drivers are devices of faultylib.h. They receive what they send, so the
 * test sees packets arrive like frames. Counters are exact: offered is sent
 * plus lost. Stock maps lose all these frames: see dev_driver_faults.c, which
 * also tests the same faults on claimed maps without packets.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

/* Frames come in polls of 64 and 36: bulks of 16, 16, 16, 16; 16, 16, 4. */
#define FRAMES 100
#define LEN 200
/* Frames of this length have fragments if less is in the linear part. */
#define LONGER 1000
#define LINEAR 500
#define POLL 64
#define N 4

FIXTURE(refused)
{
	struct cast c;
};

FIXTURE_VARIANT(refused)
{
	struct kind kind;
};

CLAIMED_KINDS(refused);

/* Keys 0 to 3 lead to f0 to f3, which change no frame that they refuse. */
FIXTURE_SETUP(refused)
{
	struct cast *c = &self->c;
	char dev[16];
	int i;

	c->frags = true;
	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	for (i = 0; i < N; i++) {
		snprintf(dev, sizeof(dev), "f%d", i);
		ASSERT_TRUE(turn(dev, "spoil", 0));
		ASSERT_EQ(put_entry(&c->e, i, dev, NULL), 0);
	}
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* On some CPUs, or until a program is attached, or for good. */
TEST_F(refused, with_an_error)
{
	static const int errors[] = { ENXIO, EOPNOTSUPP, EINVAL, ENODEV };
	struct cast *c = &self->c;
	unsigned int i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		ASSERT_TRUE(turn("f0", "error", errors[i]));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", FRAMES));
		EXPECT_TRUE(entry_counted(&c->e, 0, FRAMES * (i + 1), LEN, 0, 0));
		EXPECT_EQ(entry_stats(&c->e, 0).error, 0);
	}
	ASSERT_TRUE(turn("f0", "error", 0));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(some_got(c, "f0", FRAMES));
}

/* More CPUs than rings: each CPU has a way of its own. */
TEST_F(refused, on_a_cpu_without_a_ring)
{
	struct cast *c = &self->c;
	int i, calls = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "there is only one CPU");
	ASSERT_TRUE(turn("f0", "rings", 1));
	for (i = 0; i < 4; i++) {
		run_on_cpu(i & 1);
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", FRAMES));
		EXPECT_TRUE(entry_counted(&c->e, 0, FRAMES * (i + 1), LEN, 0, 0));
		EXPECT_EQ(entry_stats(&c->e, 0).error, 0);
		/*
		 * The driver is asked each time, also where it has refused
		 * before.
		 */
		EXPECT_GT(knob("f0", "calls"), calls);
		calls = knob("f0", "calls");
	}
	run_on_cpu(0);
}

/* One by one, in polls with a single frame. */
TEST_F(refused, single_frames)
{
	struct cast *c = &self->c;
	int i;

	ASSERT_TRUE(turn("f0", "error", ENXIO));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(faulty_send(c, 1, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", 1));
	}
	EXPECT_TRUE(entry_counted(&c->e, 0, 3, LEN, 0, 0));
}

/*
 * The driver has taken nothing because its ring is full or stopped, or because
 * the device is down: packets would overtake frames, or have no other fate.
 */
TEST_F(refused, as_it_is_full_or_down)
{
	static const int errors[] = { EIO, EBUSY, EAGAIN, ENOSPC, ENOMEM, EPERM, ENETDOWN };
	struct cast *c = &self->c;
	unsigned int i;

	/* Two CPUs' errnos within a few jiffies have no order. */
	run_on_cpu(0);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		ASSERT_TRUE(turn("f0", "error", errors[i]));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", 0));
		EXPECT_TRUE(entry_counted(&c->e, 0, 0, LEN, REDIRMAP_DROP_DRIVER_ERROR,
					  FRAMES * (i + 1)));
		EXPECT_EQ(entry_stats(&c->e, 0).error, errors[i]);
	}
}

/* A frame with the driver's header in front of it must not leave. */
TEST_F(refused, and_changed)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(turn("f0", "spoil", 1));
	ASSERT_TRUE(turn("f0", "error", ENXIO));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(some_got(c, "f0", 0));
	EXPECT_TRUE(entry_counted(&c->e, 0, 0, LEN, REDIRMAP_DROP_DRIVER_ERROR, FRAMES));
}

/* A full ring is no reason for another way, on which frames would overtake. */
TEST_F(refused, as_the_ring_is_full)
{
	struct cast *c = &self->c;
	int room;

	for (room = 0; room < FRAMES; room += 33) {
		ASSERT_EQ(put_entry(&c->e, 0, "f0", NULL), 0);
		ASSERT_TRUE(turn("f0", "room", room));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", room));
		EXPECT_TRUE(entry_counted(&c->e, 0, room, LEN, REDIRMAP_DROP_RING_FULL,
					  FRAMES - room));
	}
}

/* Without the driver's ndo_xdp_xmit(), and with it again, with no event. */
TEST_F(refused, as_it_has_no_function)
{
	struct cast *c = &self->c;
	int round;

	for (round = 0; round < 4; round++) {
		ASSERT_TRUE(turn("f0", "no_ndo", round & 1 ? 0 : 1));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", FRAMES));
		EXPECT_TRUE(entry_counted(&c->e, 0, FRAMES * (round + 1), LEN, 0, 0));
	}
	/* The driver is called again, not only asked for packets. */
	EXPECT_GT(knob("f0", "calls"), 0);
}

/*
 * A driver without fragments: frames that have some leave as packets. They ring
 * the doorbell for frames without that the driver got before, in the same poll;
 * once each call of the driver has the flag, they leave the driver alone.
 */
TEST_F(refused, with_fragments)
{
	int calls = -1, i, half = POLL / 2, polls = 0;
	struct cast *c = &self->c;
	struct redirmap_stats stats;

	if (!has_knob("f0", "feature"))
		SKIP(return, "this kernel's devices announce no XDP features");
	ASSERT_TRUE(turn("f0", "feature", 2));
	ASSERT_TRUE(turn("s0", "linear", LINEAR));

	/* Bulks: two without fragments, two with. */
	ASSERT_EQ(faulty_send_two(c, LEN, half, half, LONGER), 0);
	EXPECT_EQ(settled(&c->e, "f0", POLL), POLL);
	stats = entry_stats(&c->e, 0);
	EXPECT_EQ(stats.packets, POLL);
	EXPECT_EQ(stats.bytes, half * (LEN + LONGER));
	EXPECT_EQ(all_drops(&stats), 0);
	EXPECT_EQ(knob("f0", "calls"), 4);
	EXPECT_EQ(knob("f0", "flushes"), 2);
	EXPECT_EQ(knob("f0", "waiting"), 0);

	for (i = 0; i < 1000 && knob("f0", "calls") != calls; i++) {
		calls = knob("f0", "calls");
		ASSERT_EQ(faulty_send(c, POLL, LONGER), 0);
		ASSERT_TRUE(some_got(c, "f0", POLL));
		ASSERT_EQ(knob("f0", "waiting"), 0);
		polls++;
	}
	EXPECT_EQ(knob("f0", "calls"), calls);

	/* Frames without fragments still go to the driver. */
	ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
	EXPECT_TRUE(some_got(c, "f0", POLL));
	EXPECT_GT(knob("f0", "calls"), calls);
	calls = knob("f0", "calls");

	/* So do the others when the driver takes fragments. */
	ASSERT_TRUE(turn("f0", "feature", 1));
	ASSERT_EQ(faulty_send(c, POLL, LONGER), 0);
	EXPECT_TRUE(some_got(c, "f0", POLL));
	EXPECT_GT(knob("f0", "calls"), calls);
	stats = entry_stats(&c->e, 0);
	EXPECT_EQ(stats.packets, (polls + 3) * POLL);
	EXPECT_EQ(all_drops(&stats), 0);
}

/* Members with an error, a program, and neither: each gets all frames. */
TEST_F(refused, of_members)
{
	struct cast *c = &self->c;
	int i;

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	ASSERT_TRUE(turn("f1", "error", ENXIO));
	ASSERT_TRUE(turn("f2", "no_ndo", 1));
	ASSERT_TRUE(turn("f3", "error", EINVAL));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	for (i = 0; i < N; i++)
		EXPECT_TRUE(entry_counted(&c->e, i, FRAMES, LEN, 0, 0));
	EXPECT_TRUE(some_got(c, "f0", FRAMES));
	EXPECT_TRUE(some_got(c, "f1", FRAMES));
	EXPECT_TRUE(some_got(c, "f2", FRAMES));
	EXPECT_TRUE(some_got(c, "f3", FRAMES));
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
