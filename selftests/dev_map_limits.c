// SPDX-License-Identifier: GPL-2.0-only
/*
 * Limits of the caller that makes and fills maps: no free file descriptor for a
 * new map, and no memory in the memory cgroup that pays for it. Each call
 * either fails with bpf(2)'s errno for that, or succeeds. A failed call changes
 * nothing, and leaves no charge and no allocation.
 *
 * Every test runs on a stock and on a claimed map. A claimed map allocates
 * nothing for most updates, so fewer of its updates fail.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/redirmap.h>

#include "cglib.h"
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define TRIES 64
#define BIG (1 << 18)
#define MANY 16384

#define DEVS 4
static __u32 devs[DEVS];

FIXTURE(limits)
{
	bool cgroup;
};

FIXTURE_VARIANT(limits)
{
	struct kind kind;
};

MAP_KINDS(limits);

FIXTURE_SETUP(limits)
{
	char name[16];
	int i;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(enter_net());
	for (i = 0; i < DEVS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		ASSERT_TRUE(ip("link add %s type dummy\n", name));
		devs[i] = if_nametoindex(name);
	}
	self->cgroup = cg_make();
	/* Otherwise pages of the test itself would be charged as well. */
	ASSERT_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_TRUE(module_refs_become(0));
	if (self->cgroup) {
		EXPECT_TRUE(cg_remove());
	}
}

static int create(const struct kind *kind, __u32 value_size, __u32 entries)
{
	int fd = bpf_map_create(kind->type, kind->claimed ? "rm_limit" : "st_limit", 4,
				value_size, entries, NULL);

	return fd < 0 ? -errno : fd;
}

/* Sets the largest size of values; 0 or -errno. */
static int put_dev(int fd, __u32 key, __u32 ifindex)
{
	struct redirmap_val val = { .entry.ifindex = ifindex, .entry.bpf_prog.fd = -1 };

	return bpf_map_update_elem(fd, &key, &val, BPF_ANY) ? -errno : 0;
}

/* The ifindex, or -errno. */
static int dev_of(int fd, __u32 key)
{
	struct redirmap_val val;

	return bpf_map_lookup_elem(fd, &key, &val) ? -errno : (int)val.entry.ifindex;
}

/* The number of maps of all kinds. */
static int count_maps(void)
{
	__u32 id = 0;
	int n = 0;

	while (!bpf_map_get_next_id(id, &id))
		n++;
	return n;
}

/* The map is complete, and has its id, when no fd is available. */
TEST_F(limits, no_descriptor)
{
	struct rlimit old, none;
	int i, fd, maps = count_maps();
	long before;

	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	/* The next descriptor, which is above the limit. */
	fd = dup(0);
	ASSERT_GE(fd, 0);
	close(fd);
	none = old;
	none.rlim_cur = fd;

	before = memory_in_use();
	for (i = 0; i < TRIES; i++) {
		ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
		fd = create(&variant->kind, 8, BIG);
		ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
		ASSERT_EQ(fd, -EMFILE);
	}
	EXPECT_TRUE(module_refs_become(0));
	for (i = 0; i < 2000 && count_maps() != maps; i++)
		usleep(5000);
	EXPECT_EQ(count_maps(), maps);
	/*
	 * All of them would take at least 128 MiB; some may not be freed yet.
	 */
	for (i = 0; i < 1000 && memory_in_use() - before > 64 << 10; i++)
		usleep(20000);
	EXPECT_LT(memory_in_use() - before, 64 << 10);

	fd = create(&variant->kind, 8, BIG);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(put_dev(fd, 1, devs[0]), 0);
	close(fd);
}

/* More than the limit of the cgroup: no process is killed for it. */
TEST_F(limits, create_too_big)
{
	long before;
	int i, fd;

	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	before = cg_current();
	ASSERT_TRUE(cg_limit(1 << 20));
	for (i = 0; i < TRIES; i++) {
		ASSERT_TRUE(cg_pays(true));
		fd = create(&variant->kind, 8, BIG);
		ASSERT_TRUE(cg_pays(false));
		ASSERT_EQ(fd, -ENOMEM);
	}
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(cg_gives_back(before));

	ASSERT_TRUE(cg_pays(true));
	fd = create(&variant->kind, 8, 16);
	ASSERT_TRUE(cg_pays(false));
	ASSERT_GE(fd, 0);
	EXPECT_EQ(put_dev(fd, 1, devs[0]), 0);
	close(fd);
}

/*
 * A map whose cgroup has almost no memory left. Entries are added and replaced,
 * one by one, and in a claimed map in batches as well: each failure is ENOMEM.
 */
static int fill(struct __test_metadata *_metadata, int fd, int entries)
{
	int err, failed = 0;
	__u32 key;

	for (key = 0; key < (__u32)entries; key++) {
		err = put_dev(fd, key, devs[key % 2]);
		if (err) {
			failed++;
			ASSERT_EQ(err, -ENOMEM);
		}
		ASSERT_EQ(dev_of(fd, key), err ? -ENOENT : (int)devs[key % 2]);
	}
	for (key = 0; key < (__u32)entries; key += 7) {
		int before = dev_of(fd, key);

		err = put_dev(fd, key, devs[2]);
		if (err) {
			failed++;
			ASSERT_EQ(err, -ENOMEM);
		}
		ASSERT_EQ(dev_of(fd, key), err ? before : (int)devs[2]);
	}
	return failed;
}

/* As many as possible; those after count have not been changed. */
static int fill_batches(struct __test_metadata *_metadata, int fd, int entries)
{
	struct redirmap_val vals[64] = {};
	__u32 keys[64], first, i, count;
	int err, before[64], failed = 0;

	for (first = 0; first + 64 <= (__u32)entries; first += 64) {
		for (i = 0; i < 64; i++) {
			keys[i] = first + i;
			before[i] = dev_of(fd, keys[i]);
		}
		/* Consecutive in memory, if the map's values are shorter. */
		for (i = 0; i < 64; i++) {
			vals[i].entry.ifindex = devs[3];
			vals[i].entry.bpf_prog.fd = -1;
		}
		count = 64;
		err = bpf_map_update_batch(fd, keys, vals, &count, NULL);
		if (err) {
			failed++;
			ASSERT_EQ(err, -ENOMEM);
			ASSERT_LT(count, 64);
		} else {
			ASSERT_EQ(count, 64);
		}
		for (i = 0; i < 64; i++)
			ASSERT_EQ(dev_of(fd, keys[i]), i < count ? (int)devs[3] : before[i]);
	}
	return failed;
}

static void fill_at_limit(struct __test_metadata *_metadata, const struct kind *kind,
			  __u32 value_size, int entries, bool must_fail)
{
	bool counts = value_size == sizeof(struct redirmap_val);
	int fd, failed, in_batches = 0;
	long before = cg_current();
	__u32 key;

	ASSERT_TRUE(cg_limit(-1));
	ASSERT_TRUE(cg_pays(true));
	fd = create(kind, value_size, entries);
	ASSERT_TRUE(cg_pays(false));
	ASSERT_GE(fd, 0);
	ASSERT_TRUE(cg_limit(cg_current() + 4096));

	failed = fill(_metadata, fd, entries);
	if (counts)
		in_batches = fill_batches(_metadata, fd, entries);
	TH_LOG("%d updates and %d batches failed", failed, in_batches);
	if (must_fail) {
		EXPECT_GT(failed, 0);
		EXPECT_TRUE(!counts || in_batches);
	}

	/* As soon as there is memory, all calls succeed. */
	ASSERT_TRUE(cg_limit(-1));
	for (key = 0; key < (__u32)entries; key += 64)
		EXPECT_EQ(put_dev(fd, key, devs[1]), 0);
	for (key = 0; key < (__u32)entries; key++) {
		bpf_map_delete_elem(fd, &key);
		EXPECT_EQ(dev_of(fd, key), -ENOENT);
	}
	close(fd);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(cg_gives_back(before));
}

TEST_F(limits, update)
{
	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	fill_at_limit(_metadata, &variant->kind, 8, MANY, !variant->kind.claimed);
}

/* Values with counters have targets of their own, which are charged. */
TEST_F(limits, update_with_counters)
{
	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	if (!variant->kind.claimed)
		SKIP(return, "stock maps do not count");
	fill_at_limit(_metadata, &variant->kind, sizeof(struct redirmap_val), 4096, true);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
