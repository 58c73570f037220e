// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory for the copies of a broadcast. While a driver runs its program, and
 * while redirected frames are sent, no page can be allocated: see
 * modules/hoard.c, which makes the page allocator of any kernel fail while one
 * CPU is online. Drivers hold the frames that they take, so no memory of
 * earlier copies is free.
 *
 * INTENDED DIFFERENCE: stock maps take pages for copies from the reserves,
 * which are for tasks that free memory, and continue. Claimed maps do not use
 * the reserves.
 *
 * Native XDP only: in generic XDP a copy is little more than a descriptor of a
 * packet, which the slab allocator has ready.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define N 5
/* Members hold the copies of these frames, so no block of a ring is free. */
#define ROUNDS 5
#define LEN 3000
/* Frames in one poll of native XDP. */
#define FRAMES 64

FIXTURE(memory)
{
	struct cast c;
};

FIXTURE_VARIANT(memory)
{
	struct kind kind;
};

NATIVE_KINDS(memory);

/* Makes members hold the frames that they take, or receive them. */
static bool all_hold(bool yes)
{
	bool ok = true;
	int i;

	for (i = 0; i < N; i++)
		ok = turn(faulty_name(i), "hold", yes) && ok;
	return ok;
}

FIXTURE_SETUP(memory)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	ASSERT_TRUE(put_faulty(&c->e, 0, N));
	set_var(&c->e, "flags", BPF_F_BROADCAST);
	ASSERT_TRUE(all_hold(true));
}

FIXTURE_TEARDOWN(memory)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Sends frames while there is no memory. */
static bool send_without(struct cast *c)
{
	bool ok;

	ok = trace_start(&c->e) && turn("s0", "no_memory", 1) && !faulty_send(c, FRAMES, LEN);
	return turn("s0", "no_memory", 0) && ok;
}

/*
 * Have members got the frames that were counted as sent, and lost the others of
 * @n frames? Returns the number of lost ones over all members, or -1.
 */
static int lost(struct cast *c, int n)
{
	struct redirmap_stats stats;
	bool ok = true;
	int i, sum = 0;

	for (i = 0; i < N; i++) {
		stats = entry_stats(&c->e, i);
		ok = some_got(c, faulty_name(i), stats.packets) && ok;
		ok = entry_counted(&c->e, i, stats.packets, LEN, REDIRMAP_DROP_NO_MEMORY,
				   n - stats.packets) && ok;
		sum += stats.drops[REDIRMAP_DROP_NO_MEMORY];
	}
	return ok ? sum : -1;
}

TEST_F(memory, copies)
{
	struct cast *c = &self->c;
	int i, n = (ROUNDS + 1) * FRAMES;

	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	ASSERT_TRUE(send_without(c));
	ASSERT_TRUE(all_hold(false));
	if (variant->kind.claimed) {
		int all = lost(c, n);

		/*
		 * One of them gets the originals. The block that was added last
		 * may have room for one more copy.
		 */
		EXPECT_LE(all, (N - 1) * FRAMES);
		EXPECT_GE(all, (N - 1) * FRAMES - 1);
	} else {
		for (i = 0; i < N; i++)
			EXPECT_TRUE(some_got(c, faulty_name(i), n));
	}
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));

	/* The member can send as before. */
	ASSERT_EQ(faulty_send(c, FRAMES, LEN), 0);
	for (i = 0; i < N; i++)
		EXPECT_TRUE(cast_got(c, faulty_name(i), FRAMES, 1));
}

/*
 * Takes all CPUs but the first one offline; no other test runs in the machine.
 */
static bool other_cpus(bool online)
{
	int cpu, n = sysconf(_SC_NPROCESSORS_CONF);
	bool ok = true;
	char path[64];

	for (cpu = 1; cpu < n; cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
		ok = write_str(path, online ? "1" : "0") && ok;
	}
	return ok;
}

int main(int argc, char **argv)
{
	int ret;

	printf("# allow-log: page allocation failure|Call Trace\n");
	fflush(stdout);
	if (!can_test())
		return KSFT_SKIP;
	if (!other_cpus(false)) {
		other_cpus(true);
		printf("1..0 # SKIP CPUs cannot be taken offline\n");
		return KSFT_SKIP;
	}
	ret = with_faulty(test_harness_run, argc, argv);
	return other_cpus(true) ? ret : KSFT_FAIL;
}
