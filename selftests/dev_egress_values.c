// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values with egress programs: the programs that an entry accepts, the errnos
 * for others, and the values that a lookup returns. For the effects of programs
 * see dev_egress.c, for their lifetime dev_egress_life.c.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>

#include "egress_map.h"

#define NO_DEV 1000000

static int put_flags(int map, __u32 key, __u32 ifindex, int prog, __u64 flags)
{
	struct bpf_devmap_val val = { .ifindex = ifindex, .bpf_prog.fd = prog };

	return bpf_map_update_elem(map, &key, &val, flags) ? -errno : 0;
}

TEST_F(egress_map, lookup_returns_id)
{
	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	EXPECT_EQ(value_ifindex(self->map, 3), self->dev[0]);
	EXPECT_EQ(value_id(self->map, 3), self->id);

	/* the same value again */
	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	EXPECT_EQ(value_id(self->map, 3), self->id);
	/* other entries of the device do not change */
	ASSERT_EQ(put_value(self->map, 4, self->dev[0], 0), 0);
	EXPECT_EQ(value_id(self->map, 3), self->id);
	EXPECT_EQ(value_id(self->map, 4), 0);
	EXPECT_EQ(value_id(self->map, 5), -ENOENT);
}

/* An fd that is not above 0 means no program, even if fd 0 is a program. */
TEST_F(egress_map, no_program)
{
	static const int none[] = { 0, -1, -2, INT_MIN };
	int i, stdin_copy;

	stdin_copy = fcntl(0, F_DUPFD_CLOEXEC, 100);
	ASSERT_EQ(dup2(self->prog, 0), 0);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
		EXPECT_EQ(put_value(self->map, 3, self->dev[1], none[i]), 0);
		EXPECT_EQ(value_ifindex(self->map, 3), self->dev[1]);
		EXPECT_EQ(value_id(self->map, 3), 0);
	}
	close(0);
	if (stdin_copy >= 0)
		dup2(stdin_copy, 0);
}

/* Programs that are not for device maps are refused, and the entry stays. */
TEST_F(egress_map, wrong_programs)
{
	int i, bad[6];

	bad[0] = make_prog(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0, 0, 0);
	bad[1] = make_prog(BPF_PROG_TYPE_XDP, 0, 0, 0, XDP_PASS);
	bad[2] = make_prog(BPF_PROG_TYPE_XDP, BPF_XDP, 0, 0, XDP_PASS);
	bad[3] = make_prog(BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, 0, 0, XDP_PASS);
	bad[4] = self->map;
	bad[5] = open("/dev/null", O_RDONLY);
	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_GT(bad[i], 0);
		EXPECT_EQ(put_value(self->map, 3, self->dev[1], bad[i]), -EINVAL) {
			TH_LOG("bad program %d", i);
		}
		EXPECT_EQ(put_value(self->map, 4, self->dev[1], bad[i]), -EINVAL);
		if (bad[i] == self->map)
			continue;
		/* a closed fd */
		close(bad[i]);
		EXPECT_EQ(put_value(self->map, 3, self->dev[1], bad[i]), -EINVAL);
	}
	EXPECT_EQ(put_value(self->map, 3, self->dev[1], 1 << 30), -EINVAL);
	EXPECT_EQ(put_value(self->map, 3, self->dev[1], INT_MAX), -EINVAL);
	EXPECT_EQ(value_ifindex(self->map, 3), self->dev[0]);
	EXPECT_EQ(value_id(self->map, 3), self->id);
	EXPECT_EQ(value_id(self->map, 4), -ENOENT);
}

/* A program without a device. */
TEST_F(egress_map, wrong_devices)
{
	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	EXPECT_EQ(put_value(self->map, 3, 0, self->prog), -EINVAL);
	EXPECT_EQ(put_value(self->map, 3, 0, 1 << 30), -EINVAL);
	EXPECT_EQ(put_value(self->map, 3, NO_DEV, self->prog), -EINVAL);
	EXPECT_EQ(put_value(self->map, 4, NO_DEV, self->prog), -EINVAL);
	EXPECT_EQ(value_ifindex(self->map, 3), self->dev[0]);
	EXPECT_EQ(value_id(self->map, 3), self->id);
	EXPECT_EQ(value_id(self->map, 4), -ENOENT);
	/* without both, an array's slot is emptied */
	EXPECT_EQ(put_value(self->map, 3, 0, -1), self->hash ? -EINVAL : 0);
	EXPECT_EQ(value_id(self->map, 3), self->hash ? (int)self->id : -ENOENT);
}

/* Other errors. */
TEST_F(egress_map, other_errors)
{
	int k;

	/* too large a key, or too many keys */
	for (k = 0; k < MAP_SIZE; k++)
		ASSERT_EQ(put_value(self->map, k, self->dev[0], self->prog), 0);
	EXPECT_EQ(put_value(self->map, MAP_SIZE, self->dev[0], self->prog), -E2BIG);
	EXPECT_EQ(put_value(self->map, 0xffffffff, self->dev[0], self->prog), -E2BIG);
	/* a hash checks the value first, an array the key */
	EXPECT_EQ(put_value(self->map, MAP_SIZE, self->dev[0], self->map),
		  self->hash ? -EINVAL : -E2BIG);

	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->prog, BPF_NOEXIST), -EEXIST);
	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->map, BPF_NOEXIST), -EEXIST);
	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->prog, 4), -EINVAL);
	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->map, BPF_EXIST), -EINVAL);
	EXPECT_EQ(value_ifindex(self->map, 3), self->dev[0]);
	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->prog, BPF_EXIST), 0);
	EXPECT_EQ(value_ifindex(self->map, 3), self->dev[1]);
	EXPECT_EQ(value_id(self->map, 3), self->id);

	ASSERT_EQ(del_key(self->map, 3), 0);
	EXPECT_EQ(put_flags(self->map, 3, self->dev[1], self->prog, BPF_NOEXIST),
		  self->hash ? 0 : -EEXIST);
}

/* After errors nothing keeps the program: see the teardown of the fixture. */
TEST_F(egress_map, errors_keep_nothing)
{
	int k;

	for (k = 0; k < MAP_SIZE; k++)
		ASSERT_EQ(put_value(self->map, k, self->dev[0], 0), 0);
	for (k = 0; k < 10; k++) {
		EXPECT_EQ(put_value(self->map, MAP_SIZE, self->dev[0], self->prog), -E2BIG);
		EXPECT_EQ(put_value(self->map, 3, 0, self->prog), -EINVAL);
		EXPECT_EQ(put_value(self->map, 3, NO_DEV, self->prog), -EINVAL);
		EXPECT_EQ(put_flags(self->map, 3, self->dev[0], self->prog, BPF_NOEXIST), -EEXIST);
		EXPECT_EQ(put_flags(self->map, 3, self->dev[0], self->prog, 5), -EINVAL);
	}
	close(self->prog);
	EXPECT_TRUE(prog_goes(self->id));
	EXPECT_TRUE(sh("timeout 20 ip link del d0"));
	self->prog = -1;
}

/*
 * Do programs support fragments? The first program decides for all, as in a map
 * of programs: the first one in an entry, or for an array (but not for a hash)
 * the first one that uses the map.
 */
static int load_user(int map, __u32 flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags);
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "user", "GPL", insns,
			       ARRAY_SIZE(insns), &opts);

	return fd < 0 ? -errno : fd;
}

static bool can_use(int map, __u32 flags)
{
	int fd = load_user(map, flags);

	close(fd);
	return fd >= 0;
}

FIXTURE(frags)
{
	int map, with, without;
	__u32 dev;
	bool hash;
};

FIXTURE_VARIANT(frags)
{
	struct kind kind;
};

MAP_KINDS(frags);

FIXTURE_SETUP(frags)
{
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	self->dev = if_nametoindex("lo");
	self->hash = variant->kind.type == BPF_MAP_TYPE_DEVMAP_HASH;
	self->map = new_map(&variant->kind, MAP_SIZE);
	ASSERT_GE(self->map, 0);
	self->without = make_egress(XDP_PASS);
	ASSERT_GE(self->without, 0);
	self->with = make_prog(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, BPF_F_XDP_HAS_FRAGS, 0,
			       XDP_PASS);
	ASSERT_GE(self->with, 0);
}

FIXTURE_TEARDOWN(frags)
{
	close(self->map);
	close(self->with);
	close(self->without);
	EXPECT_TRUE(module_refs_become(0));
}

TEST_F(frags, first_entry_decides)
{
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->with), 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without), -EINVAL);
	EXPECT_EQ(put_value(self->map, 1, self->dev, self->without), -EINVAL);
	EXPECT_EQ(put_value(self->map, 1, self->dev, self->with), 0);
	/* also after it was freed */
	EXPECT_EQ(del_key(self->map, 0), 0);
	EXPECT_EQ(del_key(self->map, 1), 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without), -EINVAL);
	EXPECT_EQ(value_id(self->map, 0), -ENOENT);
	EXPECT_EQ(put_value(self->map, 0, self->dev, 0), 0);

	EXPECT_EQ(can_use(self->map, 0), self->hash);
	EXPECT_TRUE(can_use(self->map, BPF_F_XDP_HAS_FRAGS));
}

TEST_F(frags, first_entry_decides_otherwise)
{
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without), 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->with), -EINVAL);
	EXPECT_EQ(put_value(self->map, 1, self->dev, self->with), -EINVAL);
	EXPECT_EQ(put_value(self->map, 1, self->dev, self->without), 0);

	EXPECT_EQ(can_use(self->map, BPF_F_XDP_HAS_FRAGS), self->hash);
	EXPECT_TRUE(can_use(self->map, 0));
}

TEST_F(frags, first_user_decides)
{
	int user = load_user(self->map, BPF_F_XDP_HAS_FRAGS);

	ASSERT_GE(user, 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without),
		  self->hash ? 0 : -EINVAL);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->with),
		  self->hash ? -EINVAL : 0);
	close(user);
}

TEST_F(frags, first_user_decides_otherwise)
{
	int user = load_user(self->map, 0);

	ASSERT_GE(user, 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->with),
		  self->hash ? 0 : -EINVAL);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without),
		  self->hash ? -EINVAL : 0);
	close(user);
}

/* A program that is refused for another reason decides nothing. */
TEST_F(frags, refused_ones_decide_nothing)
{
	int plain = make_prog(BPF_PROG_TYPE_XDP, 0, BPF_F_XDP_HAS_FRAGS, 0, XDP_PASS);

	ASSERT_GE(plain, 0);
	EXPECT_EQ(put_value(self->map, 0, self->dev, plain), -EINVAL);
	EXPECT_EQ(put_value(self->map, 0, NO_DEV, self->with), -EINVAL);
	EXPECT_EQ(put_value(self->map, 0, self->dev, self->without), 0);
	close(plain);
}

/* Programs that are bound to a device (since 6.3) are refused by all maps. */
TEST_F(egress_map, bound_to_device)
{
	__u32 veth;
	int bound;

	ASSERT_TRUE(sh("ip link add v0 type veth peer name v1"));
	veth = if_nametoindex("v0");
	bound = make_prog(BPF_PROG_TYPE_XDP, BPF_XDP, BPF_F_XDP_DEV_BOUND_ONLY, veth, XDP_PASS);
	if (bound < 0)
		SKIP(return, "this kernel binds no programs");
	EXPECT_EQ(put_value(self->map, 0, veth, bound), -EINVAL);
	close(bound);

	bound = make_prog(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, BPF_F_XDP_DEV_BOUND_ONLY, veth,
			  XDP_PASS);
	ASSERT_GE(bound, 0);
	EXPECT_EQ(put_value(self->map, 0, veth, bound), -EINVAL);
	EXPECT_EQ(put_value(self->map, 0, self->dev[0], bound), -EINVAL);
	EXPECT_EQ(value_id(self->map, 0), -ENOENT);
	close(bound);
}

/* Memory behind a value of 4 bytes is neither read nor written. */
TEST_F(egress_map, value_of_4)
{
	int map = make_map(variant->kind.claimed, variant->kind.type, MAP_SIZE);
	struct bpf_devmap_val val = { .bpf_prog.fd = 0x55555555 };
	__u32 key = 3;

	ASSERT_GE(map, 0);
	EXPECT_EQ(put_value(map, 3, self->dev[0], self->prog), 0);
	EXPECT_EQ(put_value(map, 4, self->dev[0], self->map), 0);
	ASSERT_EQ(bpf_map_lookup_elem(map, &key, &val), 0);
	EXPECT_EQ(val.ifindex, self->dev[0]);
	EXPECT_EQ(val.bpf_prog.fd, 0x55555555);

	close(self->prog);
	self->prog = -1;
	EXPECT_TRUE(prog_goes(self->id));
	close(map);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
