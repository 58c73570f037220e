// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts: bpf_redirect_map() with BPF_F_BROADCAST. Every member gets every
 * frame, once for each key that leads to it, with all bytes.
 *
 * Every test runs on a stock and on a claimed map and expects the same of both.
 * See also dev_broadcast_exclude.c for BPF_F_EXCLUDE_INGRESS,
 * dev_broadcast_members.c for members that cannot get their copy, and
 * dev_broadcast_frags.c for frames with fragments.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

static const int lens[] = { 60, 64, 65, 128, 1000, 1500, 3000 };

#define NR_LENS (sizeof(lens) / sizeof(lens[0]))

FIXTURE(broadcast)
{
	struct cast c;
};

FIXTURE_VARIANT(broadcast)
{
	struct kind kind;
};

ALL_KINDS(broadcast);

/* Each test begins with a map of its own. */
FIXTURE_SETUP(broadcast)
{
}

FIXTURE_TEARDOWN(broadcast)
{
	EXPECT_TRUE(finish(&self->c.e));
}

#define BEGIN(from, capacity)							\
	ASSERT_TRUE(cast_begin(&self->c, &variant->kind, from, capacity))

/* No member, one, two, ...: the last one gets the original. */
TEST_F(broadcast, members)
{
	/* bulks of 16: none full, one full, one and a part, many and a part */
	static const int counts[] = { 1, 15, 16, 17, 100 };
	struct cast *c = &self->c;
	unsigned int i;
	int members;

	BEGIN(CAST_LIVE, 4);
	ASSERT_TRUE(cast_members(c, 0, 4));
	for (members = 0; members <= 4; members++) {
		if (members) {
			ASSERT_TRUE(cast_put(c, members - 1, 1, members - 1, 1));
		}
		for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			ASSERT_EQ(cast_send(c, counts[i], 64), 0);
			EXPECT_TRUE(cast_all_got(c, 0, members, counts[i], 1));
			EXPECT_TRUE(cast_all_got(c, members, 4 - members, 0, 0));
			EXPECT_EQ(get_var(&c->e, "seen"), counts[i]);
		}
	}
	/* without a member the frame is consumed, which is not an error */
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
}

TEST_F(broadcast, lengths)
{
	struct cast *c = &self->c;
	unsigned int i;

	BEGIN(CAST_LIVE, 8);
	ASSERT_TRUE(cast_members(c, 0, 3));
	ASSERT_TRUE(cast_put(c, 1, 3, 0, 3));
	for (i = 0; i < NR_LENS; i++) {
		ASSERT_EQ(cast_send(c, 35, lens[i]), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 3, 35, 1));
	}
}

/* Frames of a driver, whose pages differ from those of live frames. */
TEST_F(broadcast, from_a_driver)
{
	struct cast *c = &self->c;
	unsigned int i;

	BEGIN(CAST_WIRE, 8);
	ASSERT_TRUE(cast_members(c, 0, 3));
	ASSERT_TRUE(cast_put(c, 1, 3, 0, 3));
	for (i = 0; i < NR_LENS; i++) {
		ASSERT_EQ(cast_send(c, 35, lens[i]), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 3, 35, 1));
	}
}

TEST_F(broadcast, capacity_1)
{
	struct cast *c = &self->c;

	BEGIN(CAST_LIVE, 1);
	ASSERT_EQ(cast_send(c, 20, 64), 0);
	ASSERT_TRUE(cast_members(c, 0, 1));
	ASSERT_TRUE(put(&c->e, 0, "m0"));
	ASSERT_EQ(cast_send(c, 20, 64), 0);
	EXPECT_TRUE(cast_got(c, "p0", 20, 1));
	ASSERT_TRUE(del(&c->e, 0));
	ASSERT_EQ(cast_send(c, 20, 64), 0);
	EXPECT_TRUE(cast_got(c, "p0", 0, 0));
}

/* Slots that are far apart, and keys of any value. */
TEST_F(broadcast, capacity_65536)
{
	bool hash = variant->kind.type == BPF_MAP_TYPE_DEVMAP_HASH;
	struct cast *c = &self->c;

	BEGIN(CAST_LIVE, 65536);
	ASSERT_TRUE(cast_members(c, 0, 4));
	ASSERT_TRUE(put(&c->e, 0, "m0"));
	ASSERT_TRUE(put(&c->e, hash ? 0xffffffff : 777, "m1"));
	ASSERT_TRUE(put(&c->e, hash ? 0x80000000 : 40000, "m2"));
	ASSERT_TRUE(put(&c->e, hash ? 0x12345678 : 65535, "m3"));
	ASSERT_EQ(cast_send(c, 40, 64), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 4, 40, 1));
}

TEST_F(broadcast, members_64)
{
	/*
	 * A CPU's backlog takes 1000 packets, and may have to take all of them
	 * at once.
	 */
	int n = variant->kind.generic ? 10 : 20;
	struct cast *c = &self->c;

	BEGIN(CAST_LIVE, MEMBERS);
	ASSERT_TRUE(cast_members(c, 0, MEMBERS));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, MEMBERS));
	ASSERT_EQ(cast_send(c, n, 64), 0);
	EXPECT_TRUE(cast_all_got(c, 0, MEMBERS, n, 1));

	/* every other member leaves */
	ASSERT_TRUE(sh("for i in $(seq 0 2 %d); do echo link del m$i; done | ip -batch -",
		       MEMBERS - 1));
	ASSERT_EQ(cast_send(c, n, 64), 0);
	EXPECT_TRUE(cast_got(c, "p1", n, 1));
	EXPECT_TRUE(cast_got(c, "p31", n, 1));
	EXPECT_TRUE(cast_got(c, "p63", n, 1));
}

/* Broadcasts ignore the key, and the flags for a failed lookup. */
TEST_F(broadcast, key_is_ignored)
{
	static const __u64 keys[] = {
		0, 3, 4, 5, 0x80000000, 0xffffffff, 1ULL << 32, ~0ULL,
	};
	struct cast *c = &self->c;
	unsigned int i;

	BEGIN(CAST_LIVE, 4);
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 0, 3, 0, 2));
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		set_var(&c->e, "first_key", keys[i]);
		set_var(&c->e, "flags", BPF_F_BROADCAST | (i & 3));
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 2, 20, 1));
	}
}

/* The ingress device is a member like any other. */
TEST_F(broadcast, to_ingress_device)
{
	struct cast *c = &self->c;

	BEGIN(CAST_WIRE, 4);
	ASSERT_TRUE(cast_look(c, "g0"));
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 0, 2, 0, 2));
	ASSERT_TRUE(put(&c->e, 1, "g1"));
	ASSERT_EQ(cast_send(c, 40, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, 40, 1));
	EXPECT_TRUE(cast_got(c, "g0", 40, 1));

	/* alone */
	ASSERT_TRUE(del(&c->e, 0));
	ASSERT_TRUE(del(&c->e, 2));
	ASSERT_EQ(cast_send(c, 40, 100), 0);
	EXPECT_TRUE(cast_got(c, "g0", 40, 1));
	EXPECT_TRUE(cast_all_got(c, 0, 2, 0, 0));
}

/* The number of copies is the number of keys. */
TEST_F(broadcast, one_device_many_keys)
{
	struct cast *c = &self->c;
	int keys;

	BEGIN(CAST_LIVE, 8);
	ASSERT_TRUE(cast_members(c, 0, 2));
	for (keys = 1; keys <= 5; keys++) {
		ASSERT_TRUE(put(&c->e, keys, "m0"));
		ASSERT_EQ(cast_send(c, 33, 64), 0);
		EXPECT_TRUE(cast_got(c, "p0", 33, keys));
	}
	ASSERT_TRUE(put(&c->e, 0, "m1"));
	ASSERT_EQ(cast_send(c, 33, 64), 0);
	EXPECT_TRUE(cast_got(c, "p0", 33, 5));
	EXPECT_TRUE(cast_got(c, "p1", 33, 1));
	/* one key then leads to the other device */
	ASSERT_TRUE(put(&c->e, 3, "m1"));
	ASSERT_EQ(cast_send(c, 33, 64), 0);
	EXPECT_TRUE(cast_got(c, "p0", 33, 4));
	EXPECT_TRUE(cast_got(c, "p1", 33, 2));
}

TEST_F(broadcast, members_come_and_go)
{
	struct cast *c = &self->c;
	int round;

	BEGIN(CAST_LIVE, 8);
	ASSERT_TRUE(cast_members(c, 0, 3));
	ASSERT_TRUE(put(&c->e, 0, "m0"));
	for (round = 0; round < 5; round++) {
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_got(c, "p0", 20, 1));
		EXPECT_TRUE(cast_all_got(c, 1, 2, 0, 0));

		ASSERT_TRUE(put(&c->e, 7, "m1"));
		ASSERT_TRUE(put(&c->e, 3, "m2"));
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 3, 20, 1));

		ASSERT_TRUE(del(&c->e, 7));
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_got(c, "p0", 20, 1));
		EXPECT_TRUE(cast_got(c, "p1", 0, 0));
		EXPECT_TRUE(cast_got(c, "p2", 20, 1));

		/* the device is deleted, and another one gets its name */
		ASSERT_TRUE(ip("link del m2\n"));
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_got(c, "p0", 20, 1));
		ASSERT_TRUE(cast_members(c, 2, 1));
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_got(c, "p2", 0, 0));
	}
}

/* A member that goes down and up, or gets another name, remains a member. */
TEST_F(broadcast, members_change)
{
	struct cast *c = &self->c;

	BEGIN(CAST_LIVE, 8);
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 2));
	ASSERT_TRUE(ip("link set m0 down\nlink set m0 name other\nlink set other up\n"));
	ASSERT_EQ(cast_send(c, 20, 64), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, 20, 1));
	ASSERT_TRUE(ip("link set m1 mtu 1000\nlink set m1 mtu 3300\n"));
	ASSERT_EQ(cast_send(c, 20, 3000), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, 20, 1));
}

/* A member that changes its copy changes no other copy. */
TEST_F(broadcast, copies_are_separate)
{
	struct cast *c = &self->c;
	unsigned int i;

	BEGIN(CAST_WIRE, 4);
	ASSERT_TRUE(cast_members(c, 0, 4));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 4));
	set_var(&c->e, "spoil", 1);
	for (i = 0; i < NR_LENS; i++) {
		ASSERT_EQ(cast_send(c, 35, lens[i]), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 4, 35, 1));
	}

	/* nor the copy of another key of the same device */
	ASSERT_TRUE(put(&c->e, 1, "m0"));
	ASSERT_EQ(cast_send(c, 35, 500), 0);
	EXPECT_TRUE(cast_got(c, "p0", 35, 2));
}

/*
 * Programs of receivers find the same room around each copy as around the
 * original. In generic XDP a packet has the room that its driver and its stack
 * have left.
 */
TEST_F(broadcast, metadata)
{
	struct cast *c = &self->c;
	char peer[16];
	int i;

	BEGIN(CAST_LIVE, 4);
	ASSERT_TRUE(cast_members(c, 0, 3));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 3));
	set_var(&c->e, "meta", 1);
	ASSERT_EQ(cast_send(c, 35, 300), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 3, 35, 1));
	for (i = 0; i < 3; i++) {
		snprintf(peer, sizeof(peer), "p%d", i);
		EXPECT_EQ(cast_counted(c, "with_meta", peer),
			  variant->kind.generic || cast_is_faulty(c, i) ? 0 : 35);
	}
}

TEST_F(broadcast, room)
{
	struct cast *c = &self->c;
	unsigned int i;

	BEGIN(CAST_LIVE, 4);
	if (c->from != CAST_LIVE)
		SKIP(return, "live frames only");
	ASSERT_TRUE(cast_members(c, 0, 3));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 3));
	set_var(&c->e, "head_room", 128);
	set_var(&c->e, "tail_room", 128);
	for (i = 0; i < NR_LENS; i++) {
		ASSERT_EQ(cast_send(c, 35, lens[i]), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 3, 35, 1));
		EXPECT_EQ(cast_counted(c, "with_room", "p0"), 35);
		EXPECT_EQ(cast_counted(c, "with_room", "p1"), 35);
		EXPECT_EQ(cast_counted(c, "with_room", "p2"), 35);
	}
}

/*
 * Entries are added and deleted while frames run. A device that is in the map
 * all the time gets each frame once; no device gets a frame twice.
 */
struct churn {
	struct cast *c;
	volatile bool stop;
	unsigned long done;
};

static void *churn(void *arg)
{
	struct churn *churn = arg;
	unsigned int seed = 1;
	char dev[16];

	run_on_cpu(1);
	while (!churn->stop) {
		__u32 key = 2 + rand_r(&seed) % 14;

		snprintf(dev, sizeof(dev), "m%d", 2 + rand_r(&seed) % 2);
		if (rand_r(&seed) % 2)
			put(&churn->c->e, key, dev);
		else
			del(&churn->c->e, key);
		churn->done++;
		/*
		 * Also on one CPU, with pauses for threads that wait for RCU.
		 */
		if (!(churn->done % 64))
			usleep(100);
	}
	return NULL;
}

TEST_F(broadcast, stable_members_lose_nothing)
{
	struct cast *c = &self->c;
	struct churn load = { .c = c };
	int round, rounds = longer(15, 60);
	pthread_t thread;

	BEGIN(CAST_LIVE, 16);
	ASSERT_TRUE(cast_members(c, 0, 4));
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 2));
	ASSERT_EQ(pthread_create(&thread, NULL, churn, &load), 0);
	for (round = 0; round < rounds; round++) {
		/* no more than rings hold, with several keys for m2 and m3 */
		ASSERT_EQ(cast_send(c, 50, 64), 0);
		ASSERT_TRUE(cast_all_got(c, 0, 2, 50, 1));
	}
	load.stop = true;
	pthread_join(thread, NULL);
	EXPECT_GT(load.done, rounds * 16);
}

/* The same with devices: they are created, added, and deleted. */
static void *device_churn(void *arg)
{
	struct churn *churn = arg;

	run_on_cpu(1);
	while (!churn->stop) {
		ip("link add x0 type veth peer name x1\nlink set x0 up\nlink set x1 up\n");
		put(&churn->c->e, 5, "x0");
		put(&churn->c->e, 7, "x1");
		put(&churn->c->e, 11, "x0");
		ip("link del x0\n");
		churn->done++;
	}
	return NULL;
}

TEST_F(broadcast, devices_come_and_go)
{
	/*
	 * INTENDED DIFFERENCE: devices are down before they are deleted, and
	 * generic XDP on a stock map stops at such a device; see
	 * dev_broadcast_members.c.
	 */
	bool stops = variant->kind.generic && !variant->kind.claimed;
	struct cast *c = &self->c;
	struct churn load = { .c = c };
	int round, rounds = longer(12, 40), came = 0;
	pthread_t thread;

	BEGIN(CAST_LIVE, 16);
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 6, 4, 0, 2));
	ASSERT_EQ(pthread_create(&thread, NULL, device_churn, &load), 0);
	for (round = 0; round < rounds || load.done < rounds / 4; round++) {
		ASSERT_EQ(cast_send(c, 50, 64), 0);
		if (stops) {
			/* Frames of earlier rounds may come late. */
			came += settled(&c->e, "p0", 0);
			ASSERT_LE(came, 50 * (round + 1));
		} else {
			ASSERT_TRUE(cast_all_got(c, 0, 2, 50, 1));
		}
	}
	load.stop = true;
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
