// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that lose ndo_xdp_xmit and get it back: between polls, in the middle
 * of a poll, and all the time, with an event or without one, and before an
 * entry is made. Frames that they cannot send are lost for that reason; all
 * others are sent.
 *
 * INTENDED DIFFERENCE: claimed maps only. The kernel's own code calls the
 * function of each device that has queued frames, even if there is none, and
 * oopses.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define LEN 200
#define POLL 64
#define BULK 16
#define N 3

/* Values of the file no_ndo. */
#define LOST 1
#define EVENT 2

/* Paths of a frame: bits. */
#define PROGRAM 1
#define TO_ALL 2
#define WAYS 4

FIXTURE(ndo)
{
	struct cast c;
};

FIXTURE_VARIANT(ndo)
{
	struct kind kind;
};

CLAIMED_KINDS(ndo);

FIXTURE_SETUP(ndo)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	ASSERT_TRUE(put_faulty(&c->e, 1, N));
	set_var(&c->e, "pass_below", 1000);
}

FIXTURE_TEARDOWN(ndo)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Key 0 leads to f0 again, with counters that are 0. */
static bool begin(struct cast *c, int way)
{
	set_var(&c->e, "flags", way & TO_ALL ? BPF_F_BROADCAST : 0);
	return !put_entry(&c->e, 0, "f0", way & PROGRAM ? "below" : NULL);
}

/*
 * Has f0 got so many frames of a poll, and the other members all, with none on
 * its way?
 */
static bool all_got(struct cast *c, int way, int got)
{
	return some_got(c, "f0", got) &&
	       cast_got(c, "f1", way & TO_ALL ? POLL : 0, 1) &&
	       cast_got(c, "f2", way & TO_ALL ? POLL : 0, 1);
}

static bool sends(struct cast *c, int way, int got)
{
	return !faulty_send(c, POLL, LEN) && all_got(c, way, got);
}

static bool counted(struct cast *c, int sent, int lost)
{
	return entry_counted(&c->e, 0, sent, LEN, REDIRMAP_DROP_NO_XMIT, lost) &&
	       !entry_stats(&c->e, 0).error;
}

TEST_F(ndo, between_polls)
{
	struct cast *c = &self->c;
	int way, event;

	for (way = 0; way < WAYS; way++)
		for (event = 0; event <= EVENT; event += EVENT) {
			ASSERT_TRUE(begin(c, way));
			EXPECT_TRUE(sends(c, way, POLL));
			ASSERT_TRUE(turn("f0", "no_ndo", LOST | event));
			EXPECT_TRUE(sends(c, way, 0));
			EXPECT_TRUE(counted(c, POLL, POLL)) {
				TH_LOG("way %d, event %d", way, event);
			}
			ASSERT_TRUE(turn("f0", "no_ndo", event));
			EXPECT_TRUE(sends(c, way, POLL));
			EXPECT_TRUE(counted(c, 2 * POLL, POLL));
		}
}

/*
 * The function is lost, or comes back, before a frame of a poll; earlier bulks
 * are complete.
 */
TEST_F(ndo, within_a_poll)
{
	int way, stop, comes, done, sent;
	struct cast *c = &self->c;
	pthread_t thread;

	for (way = 0; way < WAYS; way++)
		for (stop = 10; stop < POLL; stop += 20)
			for (comes = 0; comes <= 1; comes++) {
				done = (stop - 1) / BULK * BULK;
				/* One frame is kept for the next call. */
				if (way && done)
					done--;
				sent = comes ? POLL - done : done;

				ASSERT_TRUE(begin(c, way));
				ASSERT_TRUE(turn("f0", "no_ndo", comes ? LOST : 0));
				ASSERT_TRUE(faulty_send_until(c, &thread, POLL, LEN, stop));
				ASSERT_TRUE(turn("f0", "no_ndo", comes ? 0 : LOST));
				ASSERT_TRUE(faulty_go_on(c, thread, POLL));
				EXPECT_TRUE(all_got(c, way, sent));
				EXPECT_TRUE(counted(c, sent, POLL - sent)) {
					TH_LOG("way %d, before frame %d it %s", way, stop,
					       comes ? "comes" : "goes");
				}
				ASSERT_TRUE(turn("f0", "no_ndo", 0));
				EXPECT_TRUE(sends(c, way, POLL));
				EXPECT_TRUE(counted(c, sent + POLL, POLL - sent));
			}
}

/*
 * An entry for a device that has no function at that time. When the device gets
 * one without an event, the first refused frame makes the port look again.
 */
TEST_F(ndo, entry_made_without)
{
	struct redirmap_stats stats;
	struct cast *c = &self->c;
	int way, event, lost;

	for (way = 0; way < WAYS; way++)
		for (event = 0; event <= EVENT; event += EVENT) {
			ASSERT_TRUE(turn("f0", "no_ndo", LOST | event));
			ASSERT_TRUE(begin(c, way));
			EXPECT_TRUE(sends(c, way, 0));
			EXPECT_TRUE(counted(c, 0, POLL));

			ASSERT_TRUE(turn("f0", "no_ndo", event));
			ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
			stats = entry_stats(&c->e, 0);
			lost = stats.drops[REDIRMAP_DROP_NO_XMIT] - POLL;
			EXPECT_TRUE(lost == 0 || (lost == 1 && !event)) {
				TH_LOG("way %d, event %d: %d lost", way, event, lost);
			}
			EXPECT_TRUE(all_got(c, way, POLL - lost));
			EXPECT_TRUE(counted(c, POLL - lost, POLL + lost));
			EXPECT_TRUE(sends(c, way, POLL));
			EXPECT_TRUE(counted(c, 2 * POLL - lost, POLL + lost));
		}
}

struct flips {
	volatile bool stop;
	bool failed;
	int times;
};

static void *flip(void *arg)
{
	struct flips *f = arg;

	run_on_cpu(1);
	while (!f->stop) {
		/* Mostly without an event. */
		f->failed |= !turn("f0", "no_ndo", f->times % 2 + (f->times % 10 > 7 ? EVENT : 0));
		f->times++;
	}
	return NULL;
}

/* In each state, every frame is sent, or lost for this reason. */
TEST_F(ndo, all_the_time)
{
	struct redirmap_stats stats;
	struct cast *c = &self->c;
	int way, i, rounds = fewer(30);
	pthread_t thread;
	__u64 before;

	for (way = 0; way < WAYS; way++) {
		struct flips flips = {};

		ASSERT_TRUE(begin(c, way));
		ASSERT_EQ(pthread_create(&thread, NULL, flip, &flips), 0);
		for (i = 0, before = 0; i < rounds; i++) {
			EXPECT_EQ(faulty_send(c, POLL, LEN), 0);
			stats = entry_stats(&c->e, 0);
			EXPECT_TRUE(all_got(c, way, stats.packets - before));
			before = stats.packets;
		}
		flips.stop = true;
		pthread_join(thread, NULL);
		EXPECT_FALSE(flips.failed);
		EXPECT_GT(flips.times, 0);
		ASSERT_TRUE(turn("f0", "no_ndo", 0));

		stats = entry_stats(&c->e, 0);
		EXPECT_TRUE(counted(c, stats.packets, rounds * POLL - stats.packets));
		EXPECT_TRUE(sends(c, way, POLL));
		TH_LOG("way %d: %d changes, %llu of %d sent", way, flips.times,
		       (unsigned long long)stats.packets, rounds * POLL);
	}
}

int main(int argc, char **argv)
{
	/*
	 * Frames that the device has taken before it lost the function get no
	 * flush.
	 */
	printf("# allow-log: WARNING: faulty: flush: f0: [0-9]* frames wait for one\n");
	fflush(stdout);
	return with_faulty(test_harness_run, argc, argv);
}
