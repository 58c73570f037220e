// SPDX-License-Identifier: GPL-2.0-only
/*
 * The return value of bpf_redirect_map() for keys and flags of all kinds.
 *
 * Every test runs on a stock and on a claimed map and expects the same of both.
 * Each test has a network namespace of its own.
 */
#define _GNU_SOURCE

#include "harness.h"
#include "redirect.h"
#include "testlib.h"
#include "xdplib.h"

FIXTURE(lookup)
{
	struct env e;
};

FIXTURE_VARIANT(lookup)
{
	struct kind kind;
};

MAP_KINDS(lookup);

FIXTURE_SETUP(lookup)
{
	int map;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(&self->e));
	map = make_map(variant->kind.claimed, variant->kind.type, MAP_SIZE);
	ASSERT_GE(map, 0);
	ASSERT_TRUE(load(&self->e, map));
	ASSERT_TRUE(put(&self->e, 1, "lo"));
}

FIXTURE_TEARDOWN(lookup)
{
	unload(&self->e);
	EXPECT_TRUE(del_net(&self->e));
	EXPECT_TRUE(module_refs_become(0));
}

static int retval_of(struct env *e, const char *name, __u64 key, __u64 flags)
{
	unsigned char frame[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = 64,
	);
	int err;

	make_frame(frame, 0, 64);
	set_var(e, "first_key", key);
	set_var(e, "flags", flags);
	err = bpf_prog_test_run_opts(prog(e, name), &opts);
	return err ? err : (int)opts.retval;
}

static int helper(struct env *e, __u64 key, __u64 flags)
{
	return retval_of(e, "redirect", key, flags);
}

/*
 * The low two bits select the result of a failed lookup; a successful lookup
 * ignores them.
 */
TEST_F(lookup, fallback)
{
	static const __u64 missing[] = { 0, 7, 8, 9, 0x80000000, 0xffffffff };
	unsigned int i, action;

	for (action = XDP_ABORTED; action <= XDP_TX; action++) {
		for (i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
			EXPECT_EQ(helper(&self->e, missing[i], action), action);
		EXPECT_EQ(helper(&self->e, 1, action), XDP_REDIRECT);
	}
	/* Keys have 32 bits, for any content of the register. */
	EXPECT_EQ(helper(&self->e, 1ULL << 32 | 1, XDP_DROP), XDP_REDIRECT);
	EXPECT_EQ(helper(&self->e, 1ULL << 32, XDP_DROP), XDP_DROP);
}

TEST_F(lookup, follows_update_and_delete)
{
	__u32 key = 1;

	ASSERT_EQ(bpf_map_delete_elem(self->e.map, &key), 0);
	EXPECT_EQ(helper(&self->e, 1, XDP_PASS), XDP_PASS);
	ASSERT_TRUE(put(&self->e, 1, "lo"));
	EXPECT_EQ(helper(&self->e, 1, XDP_PASS), XDP_REDIRECT);
}

TEST_F(lookup, invalid_flags)
{
	int bit;

	for (bit = 2; bit < 64; bit++) {
		if (1ULL << bit == BPF_F_BROADCAST || 1ULL << bit == BPF_F_EXCLUDE_INGRESS)
			continue;
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit | XDP_PASS), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 0, 1ULL << bit | XDP_TX), XDP_ABORTED);
		EXPECT_EQ(helper(&self->e, 1, 1ULL << bit | BPF_F_BROADCAST), XDP_ABORTED);
	}
}

/* A broadcast ignores the key. For its receivers see dev_broadcast*.c. */
TEST_F(lookup, broadcast)
{
	unsigned int action;

	for (action = XDP_ABORTED; action <= XDP_TX; action++) {
		EXPECT_EQ(helper(&self->e, 0, BPF_F_BROADCAST | action), XDP_REDIRECT);
		EXPECT_EQ(helper(&self->e, 1, BPF_F_BROADCAST | action), XDP_REDIRECT);
		EXPECT_EQ(helper(&self->e, 1, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS | action),
			  XDP_REDIRECT);
	}
	/*
	 * Without BPF_F_BROADCAST the other flag has no effect, with both
	 * kinds.
	 */
	EXPECT_EQ(helper(&self->e, 1, BPF_F_EXCLUDE_INGRESS), XDP_REDIRECT);
	EXPECT_EQ(helper(&self->e, 0, BPF_F_EXCLUDE_INGRESS | XDP_TX), XDP_TX);
}

TEST_F(lookup, last_one_counts)
{
	set_var(&self->e, "second_key", 1);
	EXPECT_EQ(retval_of(&self->e, "redirect_twice", 0, XDP_PASS), XDP_REDIRECT);
	set_var(&self->e, "second_key", 2);
	EXPECT_EQ(retval_of(&self->e, "redirect_twice", 1, XDP_PASS), XDP_PASS);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
