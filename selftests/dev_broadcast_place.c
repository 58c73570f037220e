// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts and namespaces: tracers that look at the devices of frames find
 * none that is in another namespace than the frames, and a map keeps no
 * namespace.
 *
 * INTENDED DIFFERENCE: each flush of a claimed map shows one more device, the
 * map's group. The group is in the namespace in which the map's first entry was
 * made or, if that namespace was deleted, in the initial one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "holdlib.h"
#include "testlib.h"

#define FRAMES 40
#define N 2

FIXTURE(place)
{
	struct cast c;
	struct bpf_object *obj;
	struct bpf_link *link;
	__u32 own, initial;
};

FIXTURE_VARIANT(place)
{
	struct kind kind;
};

NATIVE_KINDS(place);

static __u32 inode(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

FIXTURE_SETUP(place)
{
	self->initial = inode("/proc/1/ns/net");
	ASSERT_NE(self->initial, 0);
	ASSERT_TRUE(cast_begin(&self->c, &variant->kind, CAST_LIVE, 8));
	ASSERT_TRUE(cast_members(&self->c, 0, N));
	self->own = inode("/proc/thread-self/ns/net");
	ASSERT_NE(self->own, 0);
	ASSERT_NE(self->own, self->initial);

	self->obj = bpf_object__open(beside("broadcast_place.bpf.o"));
	ASSERT_NE(self->obj, NULL);
	ASSERT_EQ(bpf_object__load(self->obj), 0);
	self->link = bpf_program__attach(bpf_object__find_program_by_name(self->obj, "flush"));
	ASSERT_NE(self->link, NULL);
}

FIXTURE_TEARDOWN(place)
{
	bpf_link__destroy(self->link);
	bpf_object__close(self->obj);
	EXPECT_TRUE(finish(&self->c.e));
}

/* Counts flushes to devices in a namespace, and in any. */
static void count(struct bpf_object *obj, const char *name, __u32 inum, __u64 *here,
		  __u64 *anywhere)
{
	int map = bpf_object__find_map_fd_by_name(obj, name);
	__u32 key, *last = NULL;
	__u64 value;

	*here = 0;
	*anywhere = 0;
	for (; !bpf_map_get_next_key(map, last, &key); last = &key) {
		if (bpf_map_lookup_elem(map, &key, &value))
			continue;
		*anywhere += value;
		if (key == inum)
			*here = value;
	}
}

/*
 * Do all members get all frames, and are all devices and groups in the expected
 * namespaces?
 */
static bool goes_to(FIXTURE_DATA(place) *self, bool claimed, __u32 group)
{
	__u64 here, anywhere;

	if (cast_send(&self->c, FRAMES, 64) || !cast_all_got(&self->c, 0, N, FRAMES, 1))
		return false;
	count(self->obj, "devices", self->own, &here, &anywhere);
	if (here < N * FRAMES / 16 || here != anywhere) {
		fprintf(stderr, "# %llu of %llu flushes to devices were here\n", here, anywhere);
		return false;
	}
	count(self->obj, "groups", group, &here, &anywhere);
	if (here != anywhere || claimed != !!here) {
		fprintf(stderr, "# %llu of %llu flushes to groups were there\n", here, anywhere);
		return false;
	}
	return true;
}

TEST_F(place, own_namespace)
{
	ASSERT_TRUE(cast_put(&self->c, 0, 1, 0, N));
	EXPECT_TRUE(goes_to(self, variant->kind.claimed, self->own));
}

/* The namespace of the map's first entry was deleted. */
TEST_F(place, namespace_dies)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), i;

	ASSERT_GE(own, 0);
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	ASSERT_TRUE(make_veth("far", "near", ""));
	ASSERT_TRUE(put(&self->c.e, 7, "far"));
	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	close(own);
	/* Makes ip(8) start again in this namespace. */
	ASSERT_TRUE(ip("link set m0 up\n"));

	/*
	 * The device is deleted with its namespace, and the entry with the
	 * device.
	 */
	for (i = 0; i < 20000 && leads_to(&self->c.e, 7) > 0; i++)
		usleep(1000);
	ASSERT_EQ(leads_to(&self->c.e, 7), -ENOENT);

	ASSERT_TRUE(cast_put(&self->c, 0, 1, 0, N));
	EXPECT_TRUE(goes_to(self, variant->kind.claimed, self->initial));
}

/*
 * In another namespace: an entry for a device there, which is deleted
 * afterwards.
 */
static void *put_elsewhere(void *arg)
{
	struct env *e = arg;

	run_on_cpu(1);
	if (unshare(CLONE_NEWNET) || !sh("ip link add far type dummy") || !put(e, 7, "far"))
		return NULL;
	return arg;
}

/*
 * Two namespaces make the first entry at once: one has a group ready when the
 * other comes. Both groups are in the namespace of the task that was the first
 * to have both ready.
 */
TEST_F(place, two_first_entries)
{
	pthread_t thread;
	void *ok;
	int i;

	/* Updates of a hash, and batches, run one after the other. */
	if (!variant->kind.claimed || variant->kind.type != BPF_MAP_TYPE_DEVMAP)
		SKIP(return, "updates of claimed arrays run beside each other");
	ASSERT_TRUE(load_holdup("func=rmap_bulkq_reserve_take after=1 spin=1"));
	ASSERT_TRUE(write_str(HOLDUP "hold", "1"));
	ASSERT_EQ(pthread_create(&thread, NULL, put_elsewhere, &self->c.e), 0);
	EXPECT_TRUE(becomes(HOLDUP "held", 1));
	EXPECT_TRUE(cast_put(&self->c, 0, 1, 0, N));
	EXPECT_TRUE(write_str(HOLDUP "hold", "0"));
	EXPECT_EQ(pthread_join(thread, &ok), 0);
	EXPECT_NE(ok, NULL);
	EXPECT_TRUE(sh("rmmod holdup"));

	/*
	 * The device is deleted with its namespace, and the entry with the
	 * device.
	 */
	for (i = 0; i < 20000 && leads_to(&self->c.e, 7) > 0; i++)
		usleep(1000);
	EXPECT_TRUE(goes_to(self, true, self->own));
	set_var(&self->c.e, "flags", BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	EXPECT_TRUE(goes_to(self, true, self->own));
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
