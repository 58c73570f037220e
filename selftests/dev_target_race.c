// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two CPUs set entries for the same devices at once, each device for the first
 * time. The module makes a target before it looks whether another CPU has made
 * one, and frees its own then.
 *
 * Kernels with DEBUG_ATOMIC_SLEEP report a function that sleeps where that is
 * forbidden.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "egresslib.h"
#include "harness.h"
#include "netlib.h"

/*
 * Emulated CPUs take turns, about ten in a second. A pass over so many devices
 * takes several turns, and at the end of each one the other CPU overtakes.
 */
#define MANY 400
#define THREADS 2

struct updater {
	int map, prog, cpu;
	pthread_t thread;
	int failed, refused;
};

static __u32 dev[MANY];

static void *update_all(void *arg)
{
	struct updater *u = arg;
	int i, tries, err;

	run_on_cpu(u->cpu);
	for (i = 0; i < MANY; i++) {
		/*
		 * The CPU of the work item that allocates memory may be delayed
		 * by the host.
		 */
		for (tries = 0; tries < 60000; tries++) {
			err = put_value(u->map, i, dev[i], u->prog);
			if (err != -ENOMEM)
				break;
			u->refused++;
			usleep(1000);
		}
		u->failed += !!err;
	}
	return NULL;
}

FIXTURE(race)
{
	struct updater updater[THREADS];
	int prog;
};

FIXTURE_VARIANT(race)
{
	struct kind kind;
};

MAP_KINDS(race);

FIXTURE_SETUP(race)
{
	char name[16];
	int i;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	ASSERT_TRUE(sh("seq -f 'link add d%%g type dummy' 0 %d | ip -batch -", MANY - 1));
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		dev[i] = if_nametoindex(name);
		ASSERT_NE(dev[i], 0);
	}
	self->prog = make_egress(XDP_PASS);
	ASSERT_GE(self->prog, 0);
	for (i = 0; i < THREADS; i++) {
		self->updater[i].cpu = i;
		self->updater[i].prog = -1;
		self->updater[i].map = new_map(&variant->kind, MANY);
		ASSERT_GE(self->updater[i].map, 0);
	}
}

FIXTURE_TEARDOWN(race)
{
	int i;

	for (i = 0; i < THREADS; i++)
		close(self->updater[i].map);
	close(self->prog);
	EXPECT_TRUE(module_refs_become(0));
}

static void update_at_once(struct __test_metadata *_metadata, struct updater *u)
{
	int t, i, wrong = 0;

	for (t = 0; t < THREADS; t++)
		ASSERT_EQ(pthread_create(&u[t].thread, NULL, update_all, &u[t]), 0);
	for (t = 0; t < THREADS; t++) {
		pthread_join(u[t].thread, NULL);
		EXPECT_EQ(u[t].failed, 0);
		if (u[t].refused)
			TH_LOG("CPU %d: %d updates were refused", t, u[t].refused);
		u[t].refused = 0;
		for (i = 0; i < MANY; i++)
			wrong += value_ifindex(u[t].map, i) != (int)dev[i];
	}
	EXPECT_EQ(wrong, 0);
}

TEST_F(race, same_devices)
{
	int i;

	update_at_once(_metadata, self->updater);

	/* Again, with the memory for a second program of each device. */
	for (i = 0; i < THREADS; i++)
		self->updater[i].prog = self->prog;
	update_at_once(_metadata, self->updater);

	/* Each target is used once per map, by these maps only. */
	ASSERT_TRUE(sh("ip link del d0"));
	for (i = 0; i < THREADS; i++) {
		EXPECT_EQ(value_ifindex(self->updater[i].map, 0), -ENOENT);
		EXPECT_EQ(value_ifindex(self->updater[i].map, 1), dev[1]);
		EXPECT_EQ(value_id(self->updater[i].map, 1), prog_id(self->prog));
	}
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
