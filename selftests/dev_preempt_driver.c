// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two threads of different priority on one CPU flush while a driver's
 * ndo_xdp_xmit() is running: a device of faultylib.h lingers there, and the
 * thread of the higher priority runs as soon as its sleep ends.
 *
 * Only PREEMPT_RT preempts a flush. On older kernels (6.12), local_bh_disable()
 * keeps other threads out of it. On newer ones (7.3), each queue has a lock,
 * and claimed maps one for all flushes of a CPU. Without the latter, a flush
 * finds the lengths and kept frames of another one: bytes are counted that were
 * not sent, and frames are freed twice. So no call of a claimed map meets
 * another one, while calls of a stock map do, on 7.3. (On kernels without
 * PREEMPT_RT no call does, of any map.)
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define LOW 10
#define HIGH 40
#define SHORT 64
#define LONGER 1000
#define BATCH 64
#define CALLS 100
/* Microseconds; the sleeps of the higher priority are of the same order. */
#define LINGER 400

struct sender {
	struct env *e;
	const char *prog;
	int priority;
	int len;
	pthread_t thread;
	unsigned long sent;
	int err;
};

static volatile bool low_done;

static void nap(unsigned int *seed)
{
	struct timespec ts = { .tv_nsec = 50000 + rand_r(seed) % 1000000 };

	nanosleep(&ts, NULL);
}

/* The low priority sends a number of batches, the other one until then. */
static void *send_frames(void *arg)
{
	struct sender *s = arg;
	struct sched_param param = { .sched_priority = s->priority };
	bool low = s->priority == LOW;
	unsigned int seed = s->priority;
	int i;

	run_on_cpu(0);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		s->err = -errno;
	for (i = 0; !s->err && (low ? i < CALLS : !low_done); i++) {
		/* The low one leaves time for other tasks. */
		nap(&seed);
		s->err = send_live(s->e, s->prog, BATCH, s->len);
		if (!s->err)
			s->sent += BATCH;
	}
	if (low)
		low_done = true;
	return NULL;
}

FIXTURE(driver)
{
	struct env e;
};

FIXTURE_VARIANT(driver)
{
	struct kind kind;
};

NATIVE_KINDS(driver);

/* Key 0 leads to f0, which lingers, and key 1 to f1. */
FIXTURE_SETUP(driver)
{
	struct env *e = &self->e;
	const struct kind *kind = &variant->kind;

	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "preempt.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map_flags(kind->claimed, kind->type,
							 counting_size(kind), 8, 0)));
	ASSERT_TRUE(load_object(e));
	ASSERT_TRUE(make_faulty("f0"));
	ASSERT_TRUE(make_faulty("f1"));
	ASSERT_TRUE(turn("f0", "linger", LINGER));
	/* See dev_preempt.c. */
	ASSERT_TRUE(make_veth("p0", "p1", ""));
	ASSERT_TRUE(make_veth("p2", "p3", ""));
	ASSERT_TRUE(attach(e, "p0", "to_first", false));
	ASSERT_TRUE(attach(e, "p1", "to_second", false));
	ASSERT_TRUE(attach(e, "p2", "broadcast", false));
}

FIXTURE_TEARDOWN(driver)
{
	EXPECT_TRUE(finish(&self->e));
}

/* Send with both priorities; true if all batches were sent. */
static bool send_both(struct sender *low, struct sender *high)
{
	low_done = false;
	if (pthread_create(&low->thread, NULL, send_frames, low) ||
	    pthread_create(&high->thread, NULL, send_frames, high))
		return false;
	pthread_join(low->thread, NULL);
	pthread_join(high->thread, NULL);
	fprintf(stderr, "# %lu and %lu frames, %d and %d calls met another one\n", low->sent,
		high->sent, knob("f0", "met"), knob("f1", "met"));
	return !low->err && !high->err && low->sent && high->sent;
}

static bool none_met(void)
{
	return !knob("f0", "met") && !knob("f1", "met");
}

/* f0 takes some frames of each call: the bytes of these are counted. */
TEST_F_TIMEOUT(driver, lengths, 300)
{
	struct env *e = &self->e;
	struct sender low = { e, "to_first", LOW, SHORT };
	struct sender high = { e, "to_second", HIGH, LONGER };
	struct redirmap_stats stats;

	ASSERT_EQ(put_entry(e, 0, "f0", NULL), 0);
	ASSERT_EQ(put_entry(e, 1, "f1", NULL), 0);
	ASSERT_TRUE(turn("f0", "take", 5));
	ASSERT_TRUE(send_both(&low, &high));
	if (!variant->kind.claimed)
		return;
	EXPECT_TRUE(none_met());
	EXPECT_TRUE(entry_counted(e, 1, high.sent, LONGER, REDIRMAP_DROP_RING_FULL, 0));
	stats = entry_stats(e, 0);
	EXPECT_EQ(stats.packets, low.sent / BATCH * 4 * 5);
	EXPECT_EQ(stats.bytes, stats.packets * SHORT);
	EXPECT_EQ(stats.drops[REDIRMAP_DROP_RING_FULL], low.sent - stats.packets);
}

/*
 * The priorities share a port that keeps frames, because it has a program, and
 * because it is a member. Its driver takes all frames, or refuses all.
 */
TEST_F_TIMEOUT(driver, kept_frames, 300)
{
	/* Copies of a stock map have wrong bytes there: see netlib.h. */
	bool cast = variant->kind.claimed || live_frames_in_place();
	struct env *e = &self->e;
	__u64 all = 0, taken = 0;
	int error;

	ASSERT_EQ(put_entry(e, 0, "f0", "pass"), 0);
	for (error = 0; error <= EIO; error += EIO) {
		struct sender low = { e, cast ? "broadcast" : "to_first", LOW, SHORT };
		struct sender high = { e, "to_first", HIGH, SHORT };
		struct redirmap_stats stats;

		ASSERT_TRUE(turn("f0", "error", error));
		ASSERT_TRUE(send_both(&low, &high));
		if (!variant->kind.claimed)
			continue;
		EXPECT_TRUE(none_met());
		EXPECT_EQ(knob("f0", "waiting"), 0);
		all += low.sent + high.sent;
		if (!error)
			taken = all;
		stats = entry_stats(e, 0);
		EXPECT_EQ(stats.packets, taken);
		EXPECT_EQ(stats.bytes, taken * SHORT);
		EXPECT_EQ(stats.drops[REDIRMAP_DROP_DRIVER_ERROR], all - taken);
	}
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
