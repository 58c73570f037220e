// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers that fail: they take some frames of a bulk, or none, return errors,
 * are busy, have a stopped queue, or make frames with little headroom. Frames
 * that they have taken arrive, others are freed and counted one by one; members
 * of a broadcast lose only their own copies, and egress programs run before the
 * driver.
 *
 * Every test runs on a stock and on a claimed map. Stock maps have no counters;
 * their tracepoints report the same.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

/* Frames come in polls of 64 and 36: bulks of 16, 16, 16, 16; 16, 16, 4. */
#define FRAMES 100
#define BULKS 7
#define LEN 200
#define N 4

FIXTURE(faults)
{
	struct cast c;
	bool counts;
};

FIXTURE_VARIANT(faults)
{
	struct kind kind;
};

ALL_KINDS(faults);

/* Keys 0 to 3 lead to f0 to f3. */
FIXTURE_SETUP(faults)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	ASSERT_TRUE(put_faulty(&c->e, 0, N));
	self->counts = variant->kind.claimed;
}

FIXTURE_TEARDOWN(faults)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* A ring that becomes full, and a driver that is busy after some packets. */
TEST_F(faults, full)
{
	struct cast *c = &self->c;
	bool generic = variant->kind.generic;
	int room;

	for (room = 0; room < FRAMES; room += 33) {
		ASSERT_EQ(put_entry(&c->e, 0, "f0", NULL), 0);
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_TRUE(turn("f0", "room", room));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(cast_got(c, "f0", room, 1));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
		EXPECT_TRUE(traced(&c->e, "xdp_exception", "", generic ? FRAMES - room : 0));
		EXPECT_EQ(cast_drops(c, "f0", 0), generic ? 0 : FRAMES - room);
		EXPECT_TRUE(!self->counts ||
			    entry_counted(&c->e, 0, room, LEN, generic ? REDIRMAP_DROP_GENERIC :
					  REDIRMAP_DROP_RING_FULL, FRAMES - room));
		EXPECT_TRUE(!self->counts || !entry_stats(&c->e, 0).error);
	}
}

/* The first frames of each bulk are taken. */
TEST_F(faults, takes_some)
{
	struct cast *c = &self->c;
	int take, taken;

	if (variant->kind.generic)
		SKIP(return, "packets come one by one");
	for (take = 0; take < 16; take += 3) {
		taken = take * (BULKS - 1) + (take < 4 ? take : 4);
		ASSERT_EQ(put_entry(&c->e, 0, "f0", NULL), 0);
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_TRUE(turn("f0", "take", take));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", taken));
		EXPECT_EQ(cast_drops(c, "f0", 0), FRAMES - taken);
		EXPECT_TRUE(!self->counts ||
			    entry_counted(&c->e, 0, taken, LEN, REDIRMAP_DROP_RING_FULL,
					  FRAMES - taken));
	}
}

/* All frames of a bulk are lost, and the last errno is kept. */
TEST_F(faults, error)
{
	static const int errors[] = { ENXIO, EIO, ENOBUFS, ENETDOWN, ENOMEM, EINVAL };
	struct cast *c = &self->c;
	unsigned int i;

	if (variant->kind.generic)
		SKIP(return, "ndo_xdp_xmit() is for native XDP");
	/* Two CPUs' errnos within a few jiffies have no order. */
	run_on_cpu(0);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_TRUE(turn("f0", "error", errors[i]));
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
		EXPECT_TRUE(some_got(c, "f0", 0));
		EXPECT_EQ(cast_drops(c, "f0", -errors[i]), FRAMES);
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
		if (self->counts) {
			EXPECT_TRUE(entry_counted(&c->e, 0, 0, LEN, REDIRMAP_DROP_DRIVER_ERROR,
						  FRAMES * (i + 1)));
			EXPECT_EQ(entry_stats(&c->e, 0).error, errors[i]);
		}
	}
	ASSERT_TRUE(turn("f0", "error", 0));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", FRAMES, 1));
	EXPECT_TRUE(!self->counts ||
		    entry_counted(&c->e, 0, FRAMES, LEN, REDIRMAP_DROP_DRIVER_ERROR, FRAMES * i));
}

/* The latest of several CPUs' last errors is reported, whichever CPU had it. */
TEST_F(faults, last_error)
{
	static const int errors[] = { EIO, ENXIO, ENOBUFS };
	struct cast *c = &self->c;
	unsigned int i;
	int times;

	if (variant->kind.generic || !self->counts)
		SKIP(return, "native XDP through maps that count");
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		run_on_cpu(i % 2);
		ASSERT_TRUE(turn("f0", "error", errors[i]));
		/* Events within a few jiffies have no order. */
		for (times = 0; times < 1000; times++) {
			ASSERT_EQ(faulty_send(c, 1, LEN), 0);
			if ((int)entry_stats(&c->e, 0).error == errors[i])
				break;
		}
		EXPECT_EQ(entry_stats(&c->e, 0).error, errors[i]);
	}
}

/* XDP frames do not depend on the state of the stack's queue. */
TEST_F(faults, stopped)
{
	int sent = variant->kind.generic ? 0 : FRAMES;
	struct cast *c = &self->c;

	ASSERT_TRUE(turn("f0", "stopped", 1));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", sent, 1));
	EXPECT_TRUE(traced(&c->e, "xdp_exception", "", FRAMES - sent));
	EXPECT_TRUE(!self->counts ||
		    entry_counted(&c->e, 0, sent, LEN, REDIRMAP_DROP_GENERIC, FRAMES - sent));

	ASSERT_TRUE(turn("f0", "stopped", 0));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", FRAMES, 1));
	EXPECT_TRUE(!self->counts ||
		    entry_counted(&c->e, 0, sent + FRAMES, LEN, REDIRMAP_DROP_GENERIC,
				  FRAMES - sent));
}

/*
 * A driver whose frames have no room for struct xdp_frame, which is 40 bytes;
 * in generic XDP the kernel makes room. In a broadcast the loss is counted for
 * the map, because the frame does not reach the members.
 */
TEST_F(faults, no_headroom)
{
	struct cast *c = &self->c;
	int i, room, sent, to_all;
	char dev[16];

	if (self->counts) {
		ASSERT_TRUE(trace_event(&c->e, "redirmap/redirmap_drop"));
	}
	/* A driver that needs more headroom would not get these frames. */
	for (i = 0; i < N; i++) {
		snprintf(dev, sizeof(dev), "f%d", i);
		ASSERT_TRUE(turn(dev, "wants", 0));
	}
	for (room = 0; room <= 40; room += 20) {
		sent = room < 40 && !variant->kind.generic ? 0 : FRAMES;
		ASSERT_TRUE(turn("s0", "headroom", room));
		for (to_all = 0; to_all <= 1; to_all++) {
			set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
			ASSERT_EQ(put_entry(&c->e, 0, "f0", NULL), 0);
			ASSERT_TRUE(trace_start(&c->e));
			ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
			EXPECT_TRUE(cast_got(c, "f0", sent, 1));
			EXPECT_TRUE(cast_got(c, "f3", to_all ? sent : 0, 1));
			EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "err=-75", FRAMES - sent));
			if (!self->counts)
				continue;
			EXPECT_TRUE(traced(&c->e, "redirmap_drop", "reason=no_headroom",
					   FRAMES - sent));
			EXPECT_TRUE(entry_counted(&c->e, 0, sent, LEN,
						  REDIRMAP_DROP_NO_HEADROOM,
						  to_all ? 0 : FRAMES - sent));
		}
	}
}

/* The driver withdraws its feature, and announces it again. */
TEST_F(faults, feature)
{
	int sent = variant->kind.generic ? FRAMES : 0;
	struct cast *c = &self->c;

	if (!has_knob("f0", "feature"))
		SKIP(return, "this kernel's devices announce no XDP features");
	ASSERT_TRUE(turn("f0", "feature", 0));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", sent, 1));
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "err=-95", FRAMES - sent));
	EXPECT_TRUE(!self->counts ||
		    entry_counted(&c->e, 0, sent, LEN, REDIRMAP_DROP_NO_XMIT, FRAMES - sent));

	ASSERT_TRUE(turn("f0", "feature", 1));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", FRAMES, 1));
	EXPECT_TRUE(!self->counts ||
		    entry_counted(&c->e, 0, sent + FRAMES, LEN, REDIRMAP_DROP_NO_XMIT,
				  FRAMES - sent));
}

/*
 * The fault of a device, the frames that it sends with it, and the reason for
 * the losses. A claimed map holds the last frame of a call back for the next
 * call in the same poll, so there are calls for 15, 16, 16, 1 and 16 frames;
 * 15, 16 and 5.
 */
struct fault {
	const char *knob;
	int value;
	int before;
	int sent;
	enum redirmap_drop reason;
	int sent_generic;
	int err;
	int sent_claimed;
};

static const struct fault member_faults[] = {
	{ "room", 10, -1, 10, REDIRMAP_DROP_RING_FULL, 10 },
	{ "take", 0, 1000, 0, REDIRMAP_DROP_RING_FULL, FRAMES },
	{ "take", 5, 1000, 6 * 5 + 4, REDIRMAP_DROP_RING_FULL, FRAMES, 0, 7 * 5 + 1 },
	{ "error", EIO, 0, 0, REDIRMAP_DROP_DRIVER_ERROR, FRAMES, EIO },
	{ "stopped", 1, 0, FRAMES, REDIRMAP_DROP_GENERIC, 0 },
};

#define FAULTS (sizeof(member_faults) / sizeof(member_faults[0]))

/* A broadcast with one faulty member: only this member loses frames. */
static bool one_loses(struct cast *c, bool counts, int member, const struct fault *fault)
{
	bool generic = c->e.generic, ok = true;
	int i, sent, reason = generic ? REDIRMAP_DROP_GENERIC : fault->reason;
	char dev[16];

	for (i = 0; i < N; i++) {
		snprintf(dev, sizeof(dev), "f%d", i);
		ok = !put_entry(&c->e, i, dev, NULL) && ok;
		if (i == member)
			ok = turn(dev, fault->knob, fault->value) && ok;
	}
	ok = trace_start(&c->e) && !faulty_send(c, FRAMES, LEN) && ok;
	for (i = 0; i < N; i++) {
		sent = FRAMES;
		if (i == member)
			sent = generic ? fault->sent_generic :
			       counts && fault->sent_claimed ? fault->sent_claimed :
			       fault->sent;
		snprintf(dev, sizeof(dev), "f%d", i);
		if (i == member)
			ok = turn(dev, fault->knob, fault->before) &&
			     some_got(c, dev, sent) && ok;
		else
			ok = cast_got(c, dev, FRAMES, 1) && ok;
		if (!generic)
			ok = cast_drops(c, dev, i == member ? -fault->err : 0) == FRAMES - sent &&
			     ok;
		if (counts)
			ok = entry_counted(&c->e, i, sent, LEN, reason, FRAMES - sent) && ok;
	}
	return traced(&c->e, "xdp_redirect_err", "", 0) &&
	       traced(&c->e, "xdp_redirect", "", FRAMES) && ok;
}

TEST_F(faults, member)
{
	struct cast *c = &self->c;
	unsigned int i;
	int member;

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	for (i = 0; i < FAULTS; i++)
		for (member = 0; member < N; member++) {
			EXPECT_TRUE(one_loses(c, self->counts, member, &member_faults[i])) {
				TH_LOG("%s %d of f%d", member_faults[i].knob,
				       member_faults[i].value, member);
			}
		}
}

/* One member of each kind at once. */
TEST_F(faults, all_members)
{
	bool generic = variant->kind.generic;
	struct cast *c = &self->c;

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	ASSERT_TRUE(turn("f0", "room", 10));
	ASSERT_TRUE(turn("f1", "error", ENXIO));
	ASSERT_TRUE(turn("f2", "take", 0));
	ASSERT_TRUE(turn("f3", "stopped", 1));
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", 10, 1));
	EXPECT_TRUE(cast_got(c, "f1", generic ? FRAMES : 0, 1));
	EXPECT_TRUE(cast_got(c, "f2", generic ? FRAMES : 0, 1));
	EXPECT_TRUE(cast_got(c, "f3", generic ? 0 : FRAMES, 1));
	EXPECT_TRUE(traced(&c->e, "xdp_redirect", "", FRAMES));
	if (!self->counts)
		return;
	EXPECT_TRUE(entry_counted(&c->e, 0, 10, LEN, generic ? REDIRMAP_DROP_GENERIC :
				  REDIRMAP_DROP_RING_FULL, FRAMES - 10));
	EXPECT_TRUE(entry_counted(&c->e, 1, generic ? FRAMES : 0, LEN,
				  REDIRMAP_DROP_DRIVER_ERROR, generic ? 0 : FRAMES));
	EXPECT_TRUE(entry_counted(&c->e, 2, generic ? FRAMES : 0, LEN,
				  REDIRMAP_DROP_RING_FULL, generic ? 0 : FRAMES));
	EXPECT_TRUE(entry_counted(&c->e, 3, generic ? 0 : FRAMES, LEN, REDIRMAP_DROP_GENERIC,
				  generic ? FRAMES : 0));
}

/*
 * An egress program drops odd numbers: half of the frames reach the driver.
 * Unicast, and broadcast, in which the other members have no program.
 */
TEST_F(faults, behind_a_program)
{
	bool generic = variant->kind.generic;
	struct redirmap_stats stats;
	struct cast *c = &self->c;
	unsigned int i, to_all;

	for (to_all = 0; to_all <= 1; to_all++) {
		set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
		for (i = 0; i < FAULTS; i++) {
			const struct fault *fault = &member_faults[i];
			int half = FRAMES / 2, sent = half;

			/*
			 * 8 frames of each bulk reach the driver, and 2 of the
			 * last one; with a claimed map 7, 8, 8 and 9; 7, 8 and
			 * 3.
			 */
			if (generic)
				sent = fault->sent_generic < half ? fault->sent_generic : half;
			else if (!strcmp(fault->knob, "take"))
				sent = fault->value ? 6 * fault->value + 2 + self->counts : 0;
			else if (fault->sent < half)
				sent = fault->sent;
			ASSERT_EQ(put_entry(&c->e, 0, "f0", "even_only"), 0);
			ASSERT_TRUE(turn("f0", fault->knob, fault->value));
			ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
			ASSERT_TRUE(turn("f0", fault->knob, fault->before));
			EXPECT_TRUE(some_got(c, "f0", sent));
			EXPECT_TRUE(cast_got(c, "f3", to_all ? FRAMES : 0, 1));
			if (!self->counts)
				continue;
			stats = entry_stats(&c->e, 0);
			EXPECT_EQ(stats.packets, sent);
			EXPECT_EQ(stats.bytes, sent * LEN);
			EXPECT_EQ(stats.drops[REDIRMAP_DROP_PROG_DROP], FRAMES - half);
			EXPECT_EQ(stats.drops[generic ? REDIRMAP_DROP_GENERIC : fault->reason],
				  half - sent);
			EXPECT_EQ(all_drops(&stats), FRAMES - sent);
			EXPECT_EQ(stats.error, generic ? 0 : fault->err);
		}
	}
}

/*
 * Many frames to members that lose most of them. If a copy of each leaked, that
 * would be 15 MiB. A few MiB are noise, or are kept for the next copies.
 */
TEST_F(faults, memory_does_not_grow)
{
	struct cast *c = &self->c;
	int i, rounds;
	long before = 0;

	ASSERT_TRUE(turn("f0", "error", EIO));
	ASSERT_TRUE(turn("f1", "take", 1));
	ASSERT_TRUE(turn("f2", "room", 5));
	ASSERT_EQ(put_entry(&c->e, 4, "f1", "even_only"), 0);
	ASSERT_TRUE(attach(&c->e, "f1", NULL, true));
	ASSERT_TRUE(attach(&c->e, "f1", "receive", true));
	ASSERT_TRUE(attach(&c->e, "f3", NULL, true));
	ASSERT_TRUE(attach(&c->e, "f3", "receive", true));
	set_var(&c->e, "flags", BPF_F_BROADCAST);
	/* the first time includes memory that is allocated once */
	for (i = 0; i < 2; i++) {
		before = memory_in_use();
		for (rounds = i ? 12 : 2; rounds; rounds--) {
			ASSERT_EQ(faulty_send(c, 320, 3000), 0);
			EXPECT_EQ(settled(&c->e, "f3", 320), 320);
		}
		ASSERT_TRUE(backlogs_are_empty());
	}
	ASSERT_GT(before, 0);
	if (!kmemleak())
		EXPECT_LT(memory_in_use() - before, 12 << 10);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
