// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts while the map changes, is closed or was freed: cases that devmap
 * has handled wrongly in some version.
 *
 * Every test runs on a stock and on a claimed map and expects the same of both.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

FIXTURE(races)
{
	struct cast c;
};

FIXTURE_VARIANT(races)
{
	struct kind kind;
};

ALL_KINDS(races);

FIXTURE_SETUP(races)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(cast_begin(c, &variant->kind, CAST_LIVE, 16));
	ASSERT_TRUE(cast_members(c, 0, 2));
}

FIXTURE_TEARDOWN(races)
{
	EXPECT_TRUE(finish(&self->c.e));
}

struct load {
	struct cast *c;
	int cpu;
	volatile bool stop;
	unsigned long done, failed;
};

/* Sends frames from both CPUs. */
static void *send_frames(void *arg)
{
	struct load *load = arg;
	struct cast *c = load->c;
	int err;

	run_on_cpu(load->cpu);
	while (!load->stop) {
		if (c->from == CAST_LIVE)
			err = send_live(&c->e, "broadcast", 64, 64);
		else
			err = send_on(c->e.sock, load->cpu ? "h0" : "g0", 0, 64, 64);
		/*
		 * the ingress ring may be full, because of earlier broadcasts
		 */
		load->failed += err && err != -ENOBUFS;
		load->done += 64;
		usleep(1000);
	}
	return NULL;
}

/*
 * Keys of two permanent members, of one that is added and deleted, and of lo.
 */
static void *change_map(void *arg)
{
	static const char * const devs[] = { "m0", "m1", "x0", "lo" };
	struct load *load = arg;
	unsigned int seed = 1;

	run_on_cpu(load->cpu);
	while (!load->stop) {
		__u32 key = rand_r(&seed) % 16;

		if (rand_r(&seed) % 3)
			put(&load->c->e, key, devs[rand_r(&seed) % 4]);
		else
			del(&load->c->e, key);
		load->done++;
		if (!(load->done % 32))
			usleep(100);
	}
	return NULL;
}

static void *change_devices(void *arg)
{
	struct load *load = arg;

	run_on_cpu(load->cpu);
	while (!load->stop) {
		ip("link add x0 type veth peer name x1\nlink set x0 up\nlink set x1 up\n");
		usleep(2000);
		ip("link set x0 mtu 900\nlink set x0 down\nlink del x0\n");
		load->done++;
	}
	return NULL;
}

/* Attaches the sender's program to g1 and h1, if frames come from there. */
static bool attach_senders(struct cast *c)
{
	return c->from == CAST_LIVE || (attach(&c->e, "g1", "broadcast", c->e.generic) &&
					attach(&c->e, "h1", "broadcast", c->e.generic));
}

/*
 * All changes at once on two CPUs. Generic XDP once walked through a hash
 * without RCU.
 */
TEST_F(races, everything_changes)
{
	void *(*const func[])(void *) = {
		send_frames, send_frames, change_map, change_map, change_devices,
	};
	struct cast *c = &self->c;
	struct load load[5];
	pthread_t thread[5];
	int i;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	ASSERT_TRUE(attach_senders(c));
	/* deletions must be distinguished from lost frames */
	for (i = 0; i < 5; i++) {
		load[i] = (struct load) { .c = c, .cpu = i % 2 };
		ASSERT_EQ(pthread_create(&thread[i], NULL, func[i], &load[i]), 0);
	}
	while (load[0].done < 960 || load[1].done < 960 || load[4].done < 5)
		usleep(10000);
	for (i = 0; i < 5; i++)
		load[i].stop = true;
	for (i = 0; i < 5; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(load[0].failed + load[1].failed, 0);

	/* and then all frames arrive */
	for (i = 0; i < 16; i++)
		del(&c->e, i);
	ASSERT_TRUE(cast_put(c, 3, 4, 0, 2));
	ASSERT_TRUE(backlogs_are_empty());
	usleep(20000);
	ASSERT_EQ(cast_send(c, 50, 64), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, 50, 1));
}

/*
 * The map is freed with its programs before its frames have come to their
 * receivers, which do not process frames until then.
 */
TEST_F(races, map_goes_first)
{
	struct cast *c = &self->c, own;
	int round, n = 40;

	if (variant->kind.generic) {
		/* NAPI of its own needs a native program */
		ASSERT_TRUE(attach(&c->e, "p0", NULL, true));
		ASSERT_TRUE(attach(&c->e, "p1", NULL, true));
		ASSERT_TRUE(attach(&c->e, "p0", "look_at", false));
		ASSERT_TRUE(attach(&c->e, "p1", "look_at", false));
	}
	ASSERT_TRUE(thread_napi("p0", 0));
	ASSERT_TRUE(cast_is_faulty(c, 1) || thread_napi("p1", 0));
	for (round = 0; round < 5; round++) {
		/* receivers keep their programs, senders get new ones */
		own = *c;
		ASSERT_TRUE(cast_load(&own, &variant->kind, 16));
		ASSERT_TRUE(cast_put(&own, 0, 1, 0, 2));
		ASSERT_TRUE(cast_attach(&own, 0));
		cast_forget(c);
		set_var(&c->e, "want_len", 64);
		set_var(&c->e, "numbered_here", own.from == CAST_LIVE);

		ASSERT_TRUE(!cast_is_faulty(c, 1) || turn("m1", "hold", 1));
		ASSERT_TRUE(hog_cpu(true));
		if (own.from == CAST_LIVE)
			send_live(&own.e, "broadcast", n, 64);
		else
			send_packets(&own.e, n, 64);
		if (own.from == CAST_WIRE)
			attach(&own.e, "g1", NULL, variant->kind.generic);
		unload(&own.e);
		/* grace periods need this CPU as well */
		ASSERT_TRUE(hog_cpu(false));
		EXPECT_TRUE(module_refs_become(variant->kind.claimed));
		ASSERT_TRUE(!cast_is_faulty(c, 1) || turn("m1", "hold", 0));
		EXPECT_TRUE(cast_all_got(c, 0, 2, n, 1));
	}
}

/*
 * A broadcast that was looked up and not used, and then a redirect of a program
 * without a lookup: while the map exists, and after it was freed.
 */
TEST_F(races, broadcast_not_used)
{
	struct cast *c = &self->c, own = *c;
	int round, n = 20;

	for (round = 0; round < 2; round++) {
		ASSERT_TRUE(cast_load(&own, &variant->kind, 16));
		ASSERT_TRUE(cast_put(&own, 0, 1, 0, 2));
		ASSERT_TRUE(trace_start(&c->e));
		cast_forget(c);
		ASSERT_EQ(send_to(&own.e, "broadcast_unused", n, 64), 0);
		if (round) {
			if (variant->kind.generic) {
				ASSERT_TRUE(attach(&own.e, "g1", NULL, true));
			}
			unload(&own.e);
			ASSERT_TRUE(module_refs_become(variant->kind.claimed));
		}
		ASSERT_EQ(send_to(&c->e, "redirect_bare", n, 64), 0);
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", n));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect", "", 0));
		EXPECT_TRUE(cast_all_got(c, 0, 2, 0, 0));
		if (!round)
			unload(&own.e);
	}
}

/*
 * Maps are created and freed under one program after the other, while frames
 * run.
 */
TEST_F(races, maps_come_and_go)
{
	struct cast *c = &self->c, own;
	struct load load = { .c = c, .cpu = 1 };
	pthread_t thread;
	int round;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	ASSERT_TRUE(attach_senders(c));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 2));
	ASSERT_EQ(pthread_create(&thread, NULL, send_frames, &load), 0);
	for (round = 0; round < 10; round++) {
		own = *c;
		ASSERT_TRUE(cast_load(&own, &variant->kind, 16));
		ASSERT_TRUE(cast_put(&own, 0, 1, 0, 2));
		ASSERT_TRUE(attach_senders(&own));
		ASSERT_EQ(own.from == CAST_LIVE ? send_live(&own.e, "broadcast", 100, 64) :
			  send_packets(&own.e, 100, 64), 0);
		ASSERT_TRUE(attach_senders(c));
		unload(&own.e);
	}
	load.stop = true;
	pthread_join(thread, NULL);
	EXPECT_GT(load.done, 0);
	EXPECT_EQ(load.failed, 0);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
