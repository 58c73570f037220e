// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads of several real-time priorities on one CPU that redirect to the same
 * devices, through the same bulk queues. The thread with the highest priority
 * runs as soon as its sleep ends, wherever the others are.
 *
 * A bulk queue has no lock: bottom halves are off from the first frame to the
 * flush. On a PREEMPT_RT kernel tasks are preempted there nevertheless, but
 * local_bh_disable() takes a lock of the CPU, which keeps other tasks off the
 * queue. Otherwise frames would be lost, sent twice or freed twice. Newer
 * kernels (7.3) have a lock of each queue instead, and claimed maps a lock of
 * flushes; see dev_preempt_driver.c.
 *
 * Only PREEMPT_RT shows that threads do meet there: a thread that waits for the
 * lock sleeps more often than its own sleeps. How often depends on the clock,
 * so the number is logged, and only the sum over all threads must not be 0.
 * (The newer kernels have no /sys/kernel/realtime. There, threads preempt each
 * other in the middle of polls, and rarely wait.)
 */
#define _GNU_SOURCE
#include <linux/if_ether.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "testlib.h"
#include "xdplib.h"
#include "harness.h"

#define TARGETS 3
#define THREADS 5
/* Frames per call, a third of the size of a veth's ring. */
#define BATCH 80
#define CALLS 2000

struct sender {
	struct env *e;
	const char *prog;
	int priority;		/* 0: not real-time, never sleeps */
	pthread_t thread;
	unsigned long sent;
	long waits;		/* voluntary switches, without its own sleeps */
	long preempted;
	int err;
};

static volatile bool lowest_done;

static bool preempt_rt(void)
{
	return read_int("/sys/kernel/realtime") == 1;
}

static long used_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/*
 * The next priority after a thread that was disturbed. Threads sleep longer on
 * a slow machine: each of the four uses an eighth of the CPU. Otherwise they
 * would starve the kernel's threads that free memory.
 */
static void nap(unsigned int *seed, long used)
{
	long ns = 50000 + rand_r(seed) % 2000000 + 7 * used;
	struct timespec ts = {
		.tv_sec = ns / 1000000000,
		.tv_nsec = ns % 1000000000,
	};

	nanosleep(&ts, NULL);
}

static void *send_frames(void *arg)
{
	struct sender *s = arg;
	struct sched_param param = { .sched_priority = s->priority };
	unsigned int seed = s->priority + 1;
	struct rusage before, after;
	long naps = 0, used = 0;
	int i;

	run_on_cpu(0);
	if (s->priority && sched_setscheduler(0, SCHED_FIFO, &param))
		s->err = -errno;

	getrusage(RUSAGE_THREAD, &before);
	for (i = 0; !s->err && (s->priority ? !lowest_done : i < CALLS); i++) {
		if (s->priority) {
			nap(&seed, used);
			naps++;
		}
		used = -used_ns();
		s->err = send_live(s->e, s->prog, BATCH, 64);
		if (!s->err)
			s->sent += BATCH;
		used += used_ns();
	}
	getrusage(RUSAGE_THREAD, &after);

	if (!s->priority)
		lowest_done = true;
	s->waits = after.ru_nvcsw - before.ru_nvcsw - naps;
	s->preempted = after.ru_nivcsw - before.ru_nivcsw;
	return NULL;
}

FIXTURE(preempt)
{
	struct env e;
};

FIXTURE_VARIANT(preempt)
{
	struct kind kind;
};

NATIVE_KINDS(preempt);

FIXTURE_SETUP(preempt)
{
	struct env *e = &self->e;
	char dev[16], peer[16];
	int i;

	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "preempt.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map(variant->kind.claimed,
						   variant->kind.type, 8)));
	ASSERT_TRUE(load_object(e));
	set_var(e, "nr_keys", TARGETS);
	for (i = 0; i < TARGETS; i++) {
		snprintf(dev, sizeof(dev), "t%d", i);
		snprintf(peer, sizeof(peer), "r%d", i);
		ASSERT_TRUE(make_target(e, dev, peer));
		ASSERT_TRUE(put(e, i, dev));
	}
	/*
	 * The XDP dispatcher would learn of a program without a device at each
	 * call, which patches text under a mutex. Threads should not meet
	 * there.
	 */
	ASSERT_TRUE(make_veth("p0", "p1", ""));
	ASSERT_TRUE(attach(e, "p0", "unicast", false));
	ASSERT_TRUE(attach(e, "p1", "broadcast", false));
}

FIXTURE_TEARDOWN(preempt)
{
	EXPECT_TRUE(finish(&self->e));
}

/*
 * All frames that a ring has taken arrive, each once, whichever threads have
 * met.
 */
TEST_F_TIMEOUT(preempt, one_cpu, 300)
{
	/* Copies of a stock map have wrong bytes there: see netlib.h. */
	bool cast = variant->kind.claimed || live_frames_in_place();
	const char *all = cast ? "broadcast" : "unicast";
	struct sender senders[THREADS] = {
		{ .prog = "unicast", .priority = 0 },
		{ .prog = all, .priority = 10 },
		{ .prog = "unicast", .priority = 20 },
		{ .prog = all, .priority = 30 },
		{ .prog = "unicast", .priority = 40 },
	};
	__u64 want = 0, got = 0, left = 0;
	struct rtnl_link_stats stats;
	char dev[16], peer[16];
	long waits = 0;
	int i;

	lowest_done = false;
	for (i = 0; i < THREADS; i++) {
		senders[i].e = &self->e;
		ASSERT_EQ(pthread_create(&senders[i].thread, NULL, send_frames, &senders[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(senders[i].thread, NULL);
		EXPECT_EQ(senders[i].err, 0);
		EXPECT_GT(senders[i].sent, 0);
		want += senders[i].sent * (strcmp(senders[i].prog, "unicast") ? TARGETS : 1);
		TH_LOG("priority %d: %lu frames by %s, waited %ld times, preempted %ld times",
		       senders[i].priority, senders[i].sent, senders[i].prog,
		       senders[i].waits, senders[i].preempted);
		waits += senders[i].priority ? senders[i].waits : 0;
	}

	/* The thread that empties the rings has the lowest priority of all. */
	for (i = 0; i < TARGETS; i++) {
		snprintf(dev, sizeof(dev), "t%d", i);
		ASSERT_EQ(link_stats(dev, &stats), 0);
		left += stats.tx_dropped;
	}
	TH_LOG("%llu of %llu found a ring full", left, want);
	want -= left;

	for (i = 0; i < 300 && got < want; i++) {
		usleep(10000);
		got = received(&self->e, "r0") + received(&self->e, "r1") +
		      received(&self->e, "r2");
	}
	EXPECT_EQ(got, want);
	for (i = 0; i < TARGETS; i++) {
		snprintf(peer, sizeof(peer), "r%d", i);
		EXPECT_GT(received(&self->e, peer), 0);
	}
	if (preempt_rt())
		EXPECT_GT(waits, 0);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
