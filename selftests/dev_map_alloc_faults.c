// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation of an operation: the first allocation
 * fails, then the second one, and so on until no allocation is left. Each time
 * the operation either fails with ENOMEM and changes nothing, or succeeds.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "egresslib.h"
#include "faultlib.h"
#include "harness.h"

#define KEYS 4

FIXTURE(faults)
{
	int map;
	int prog;
	__u32 dev;	/* the device of the keys */
	int refs;
};

FIXTURE_VARIANT(faults)
{
	struct kind kind;
};

MAP_KINDS(faults);

FIXTURE_SETUP(faults)
{
	__u32 key;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	ASSERT_TRUE(sh("ip link add d0 type dummy"));
	self->dev = if_nametoindex("d0");
	self->map = new_map(&variant->kind, KEYS);
	ASSERT_GE(self->map, 0);
	self->prog = make_egress(XDP_PASS);
	ASSERT_GE(self->prog, 0);
	for (key = 0; key < KEYS - 1; key++)
		ASSERT_EQ(put_value(self->map, key, self->dev, -1), 0);
	self->refs = module_refs();
}

FIXTURE_TEARDOWN(faults)
{
	__u32 id = prog_id(self->prog);

	close(self->map);
	close(self->prog);
	EXPECT_TRUE(prog_goes(id));
	EXPECT_TRUE(module_refs_become(0));
}

/*
 * The device is a new one each time, so the module has nothing allocated for it
 * except at its registration. Nor does the kernel's xarray have a node for its
 * ifindex, which is far from all others.
 */
static void update_each(struct __test_metadata *_metadata, int map, __u32 key, int prog,
			__u32 before)
{
	struct faults faults = {};
	__u32 new;
	int err;

	while (faults_next(&faults)) {
		ASSERT_TRUE(sh("ip link add new index %d type dummy", 1000 * faults.n));
		new = if_nametoindex("new");

		faults_begin(&faults);
		err = put_value(map, key, new, prog);
		faults_end(&faults, err);

		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(err, -ENOMEM);
			EXPECT_EQ(value_ifindex(map, key), before ? (int)before : -ENOENT);
		} else {
			EXPECT_EQ(value_ifindex(map, key), new);
			EXPECT_EQ(value_id(map, key), prog < 0 ? 0 : prog_id(prog));
		}
		/*
		 * The next attempt has the same result as without the failure.
		 */
		ASSERT_EQ(put_value(map, key, new, prog), 0);
		if (before) {
			ASSERT_EQ(put_value(map, key, before, -1), 0);
		} else {
			ASSERT_EQ(bpf_map_delete_elem(map, &key), 0);
		}
		ASSERT_TRUE(sh("ip link del new"));
	}
	EXPECT_FAULTS(&faults, 1);
}

TEST_F(faults, insert)
{
	update_each(_metadata, self->map, KEYS - 1, -1, 0);
}

TEST_F(faults, replace)
{
	update_each(_metadata, self->map, 1, -1, self->dev);
}

TEST_F(faults, insert_with_program)
{
	update_each(_metadata, self->map, KEYS - 1, self->prog, 0);
}

TEST_F(faults, replace_with_program)
{
	update_each(_metadata, self->map, 1, self->prog, self->dev);
}

/* The device's second program: the memory from its registration is in use. */
TEST_F(faults, another_program)
{
	struct faults faults = {};
	int err, prog;
	__u32 id;

	while (faults_next(&faults)) {
		prog = make_egress(XDP_PASS);
		ASSERT_GE(prog, 0);
		id = prog_id(prog);
		faults_begin(&faults);
		err = put_value(self->map, 1, self->dev, prog);
		faults_end(&faults, err);
		if (err) {
			EXPECT_EQ(err, -ENOMEM);
			EXPECT_EQ(value_id(self->map, 1), 0);
		}
		ASSERT_EQ(put_value(self->map, 1, self->dev, -1), 0);
		close(prog);
		EXPECT_TRUE(prog_goes(id));
	}
	EXPECT_FAULTS(&faults, 1);
}

TEST_F(faults, create)
{
	struct faults faults = {};
	int map;

	while (faults_next(&faults)) {
		faults_begin(&faults);
		map = bpf_map_create(variant->kind.type,
				     variant->kind.claimed ? "rm_fault" : "st_fault", 4, 8,
				     KEYS, NULL);
		faults_end(&faults, map < 0);
		if (map < 0) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(map, -ENOMEM);
			EXPECT_TRUE(module_refs_become(self->refs));
			continue;
		}
		EXPECT_EQ(put_value(map, 1, self->dev, -1), 0);
		close(map);
		EXPECT_TRUE(module_refs_become(self->refs));
	}
	EXPECT_FAULTS(&faults, 1);
}

/* Several entries, for two targets, in one call: claimed maps only. */
TEST_F(faults, batch)
{
	struct bpf_devmap_val vals[KEYS] = {};
	__u32 keys[KEYS], count, key;
	struct faults faults = {};
	int err;

	if (!variant->kind.claimed)
		SKIP(return, "stock maps know no batches");
	while (faults_next(&faults)) {
		ASSERT_TRUE(sh("ip link add new index %d type dummy", 1000 * faults.n));
		for (key = 0; key < KEYS; key++) {
			keys[key] = key;
			vals[key].ifindex = if_nametoindex("new");
			vals[key].bpf_prog.fd = key & 1 ? self->prog : -1;
		}
		count = KEYS;
		faults_begin(&faults);
		err = bpf_map_update_batch(self->map, keys, vals, &count, NULL);
		faults_end(&faults, err);
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(err, -ENOMEM);
			/* Memory after count has not been changed. */
			for (key = count; key < KEYS - 1; key++)
				EXPECT_EQ(value_ifindex(self->map, key), self->dev);
		} else {
			EXPECT_EQ(count, KEYS);
		}
		for (key = 0; key < KEYS - 1; key++)
			ASSERT_EQ(put_value(self->map, key, self->dev, -1), 0);
		bpf_map_delete_elem(self->map, &key);
		ASSERT_TRUE(sh("ip link del new"));
	}
	EXPECT_FAULTS(&faults, 1);
}

int main(int argc, char **argv)
{
	printf("# allow-log: ref_tracker: memory allocation failure\n");
	fflush(stdout);
	return can_test() ? can_fail() ?: test_harness_run(argc, argv) : KSFT_SKIP;
}
