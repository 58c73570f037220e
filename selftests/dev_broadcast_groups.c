// SPDX-License-Identifier: GPL-2.0-only
/*
 * Multicast groups: devmaps inside an array or a hash of maps, to which
 * programs broadcast. A group changes, or is replaced by another one, while
 * frames run: each frame goes to all members of one group.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "faultylib.h"
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define GROUPS 2
#define PER_GROUP 3
/* A number of frames that a veth's ring holds, in several bulks. */
#define BURST 50

FIXTURE(groups)
{
	struct env e;
	int outer;
	int group[GROUPS];
};

FIXTURE_VARIANT(groups)
{
	struct kind kind;
};

ALL_KINDS(groups);

FIXTURE_SETUP(groups)
{
	self->e.generic = variant->kind.generic;
	self->e.wire = !variant->kind.claimed && !self->e.generic && !live_frames_in_place();
	ASSERT_TRUE(make_net(&self->e));
}

FIXTURE_TEARDOWN(groups)
{
	int i;

	for (i = 0; i < GROUPS; i++)
		close(self->group[i]);
	EXPECT_TRUE(finish(&self->e));
}

/*
 * Loads programs over an outer map of this type, and makes groups 0 and 1 with
 * 3 members each.
 */
static bool begin(struct env *e, const struct kind *kind, enum bpf_map_type outer_type,
		  int *group, int *outer)
{
	struct bpf_map *map;
	char dev[16], peer[16];
	__u32 ifindex, key;
	int g, m;

	for (g = 0; g < GROUPS; g++) {
		group[g] = make_map(kind->claimed, kind->type, 8);
		if (group[g] < 0)
			return false;
	}
	if (!open_object(e, "broadcast_groups.bpf.o"))
		return false;
	map = bpf_object__find_map_by_name(e->obj, "groups");
	if (bpf_map__set_type(map, outer_type) || bpf_map__set_inner_map_fd(map, group[0]) ||
	    !load_object(e))
		return false;
	*outer = bpf_map__fd(map);

	for (g = 0; g < GROUPS; g++) {
		for (m = 0; m < PER_GROUP; m++) {
			snprintf(dev, sizeof(dev), "t%d%d", g, m);
			snprintf(peer, sizeof(peer), "r%d%d", g, m);
			/*
			 * in native XDP one member asserts what drivers assume
			 */
			e->faulty = !kind->generic && m == 1;
			if (!make_target(e, dev, peer))
				return false;
			ifindex = if_nametoindex(dev);
			key = 2 * m;
			if (bpf_map_update_elem(group[g], &key, &ifindex, BPF_ANY))
				return false;
		}
	}
	return true;
}

#define BEGIN(outer_type)							\
	ASSERT_TRUE(begin(&self->e, &variant->kind, outer_type, self->group,	\
			  &self->outer))

static bool choose(int outer, int group)
{
	__u32 key = 0;

	return !bpf_map_update_elem(outer, &key, &group, BPF_ANY);
}

/* Have all members of a group got so many frames? */
static bool group_got(struct env *e, int group, __u64 want)
{
	char peer[16];
	int m;

	for (m = 0; m < PER_GROUP; m++) {
		snprintf(peer, sizeof(peer), "r%d%d", group, m);
		if (settled(e, peer, want) != want)
			return false;
	}
	return true;
}

static void one_after_the_other(struct __test_metadata *_metadata, struct env *e, int outer,
				const int *group)
{
	__u32 key = 0;
	int i;

	ASSERT_EQ(send_to(e, "to_group", BURST, 64), 0);
	EXPECT_EQ(get_var(e, "without_group"), BURST);

	for (i = 0; i < 4; i++) {
		forget_received(e);
		ASSERT_TRUE(choose(outer, group[i % GROUPS]));
		ASSERT_EQ(send_to(e, "to_group", BURST, 64), 0);
		EXPECT_TRUE(group_got(e, i % GROUPS, BURST));
		EXPECT_TRUE(group_got(e, !(i % GROUPS), 0));
	}

	/* The group of the last round loses a member, and gets it back. */
	key = 2;
	ASSERT_EQ(bpf_map_delete_elem(group[1], &key), 0);
	forget_received(e);
	ASSERT_EQ(send_to(e, "to_group", BURST, 64), 0);
	EXPECT_EQ(settled(e, "r10", BURST), BURST);
	EXPECT_EQ(settled(e, "r11", 0), 0);
	EXPECT_EQ(settled(e, "r12", BURST), BURST);
}

TEST_F(groups, in_array)
{
	BEGIN(BPF_MAP_TYPE_ARRAY_OF_MAPS);
	one_after_the_other(_metadata, &self->e, self->outer, self->group);
}

TEST_F(groups, in_hash)
{
	BEGIN(BPF_MAP_TYPE_HASH_OF_MAPS);
	one_after_the_other(_metadata, &self->e, self->outer, self->group);
}

struct swap {
	int outer;
	const int *group;
	atomic_bool stop;
	int done;
	int failed;
};

static void *swap_groups(void *arg)
{
	struct swap *s = arg;

	run_on_cpu(1);
	while (!s->stop)
		s->failed += !choose(s->outer, s->group[s->done++ % GROUPS]);
	return NULL;
}

TEST_F(groups, swapped_under_traffic)
{
	struct env *e = &self->e;
	struct swap s = { .group = self->group };
	__u64 first, second;
	pthread_t thread;
	int round, wait;

	BEGIN(BPF_MAP_TYPE_HASH_OF_MAPS);
	s.outer = self->outer;
	ASSERT_TRUE(choose(s.outer, s.group[0]));
	ASSERT_EQ(pthread_create(&thread, NULL, swap_groups, &s), 0);
	for (round = 0; round < 10 || s.done < 100; round++) {
		forget_received(e);
		ASSERT_EQ(send_to(e, "to_group", BURST, 64), 0);
		/*
		 * Each frame goes to one group, and to all members of that
		 * group.
		 */
		for (wait = 0; wait < 300; wait++) {
			first = received(e, "r00");
			second = received(e, "r10");
			if (first + second >= BURST)
				break;
			usleep(10000);
		}
		EXPECT_EQ(first + second, BURST);
		EXPECT_TRUE(group_got(e, 0, first));
		EXPECT_TRUE(group_got(e, 1, second));
	}
	s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(s.failed, 0);
	EXPECT_EQ(get_var(e, "without_group"), 0);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
