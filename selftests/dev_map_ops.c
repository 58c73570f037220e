// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf(2) on the elements of device maps, one at a time.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both,
 * except for this difference, marked "intended" below:
 *
 *  - BPF_EXIST for a key that a hash does not have: a stock hash inserts it, a
 *    claimed one returns ENOENT, as bpf(2) documents.
 */
#include "elems.h"

TEST_F(elems, update)
{
	__u32 key;

	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set_elem(self->fd, key, devs[key], BPF_ANY));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(devs[key], get_elem(self->fd, key));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set_elem(self->fd, key, devs[3 - key], BPF_EXIST));
	/* The same device again. */
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[3], BPF_ANY));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(devs[3 - key], get_elem(self->fd, key));
	/* Any device is accepted, also one that cannot transmit XDP frames. */
	EXPECT_EQ(0, set_elem(self->fd, 0, if_nametoindex("lo"), BPF_ANY));
	EXPECT_EQ(if_nametoindex("lo"), get_elem(self->fd, 0));
}

TEST_F(elems, update_bad_flags)
{
	static const __u64 bad[] = { 3, 4, 5, 8, 1ULL << 32, 1ULL << 63, ~0ULL };
	int i;

	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, devs[1], bad[i])) {
			TH_LOG("flags 0x%llx", bad[i]);
		}
		/* Flags are checked before all else. */
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 9, devs[1], bad[i]));
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, NO_DEV, bad[i]));
	}
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
}

TEST_F(elems, update_noexist)
{
	/* All slots of an array exist. */
	int want = self->is_array ? -EEXIST : 0;

	EXPECT_EQ(want, set_elem(self->fd, 0, devs[0], BPF_NOEXIST));
	EXPECT_EQ(self->is_array ? -ENOENT : (int)devs[0], get_elem(self->fd, 0));
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EEXIST, set_elem(self->fd, 0, devs[1], BPF_NOEXIST));
	/* With any other error. */
	EXPECT_EQ(-EEXIST, set_elem(self->fd, 0, NO_DEV, BPF_NOEXIST));
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
	EXPECT_EQ(0, del_elem(self->fd, 0));
	EXPECT_EQ(want, set_elem(self->fd, 0, devs[1], BPF_NOEXIST));
}

TEST_F(elems, update_exist)
{
	/* Intended: stock ignores the flag and inserts. */
	bool inserts = self->is_array || !variant->kind.claimed;

	EXPECT_EQ(inserts ? 0 : -ENOENT, set_elem(self->fd, 0, devs[0], BPF_EXIST));
	EXPECT_EQ(inserts ? (int)devs[0] : -ENOENT, get_elem(self->fd, 0));
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[1], BPF_ANY));
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[2], BPF_EXIST));
	EXPECT_EQ(devs[2], get_elem(self->fd, 0));
	EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, NO_DEV, BPF_EXIST));
	EXPECT_EQ(devs[2], get_elem(self->fd, 0));
}

TEST_F(elems, update_no_device)
{
	static const __u32 bad[] = { NO_DEV, 0x7fffffff, 0x80000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, bad[i], BPF_ANY));
		EXPECT_EQ(-ENOENT, get_elem(self->fd, 0));
	}
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, bad[i], BPF_ANY));
		EXPECT_EQ(devs[0], get_elem(self->fd, 0));
	}
}

TEST_F(elems, update_ifindex_0)
{
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	if (self->is_array) {
		/* Another way to delete. */
		EXPECT_EQ(0, set_elem(self->fd, 0, 0, BPF_ANY));
		EXPECT_EQ(-ENOENT, get_elem(self->fd, 0));
		EXPECT_EQ(0, set_elem(self->fd, 0, 0, BPF_EXIST));
		EXPECT_EQ(-EEXIST, set_elem(self->fd, 0, 0, BPF_NOEXIST));
	} else {
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, 0, BPF_ANY));
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, 0, BPF_EXIST));
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 0, 0, BPF_NOEXIST));
		EXPECT_EQ(-EINVAL, set_elem(self->fd, 1, 0, BPF_EXIST));
		EXPECT_EQ(devs[0], get_elem(self->fd, 0));
	}
}

TEST_F(elems, key_range)
{
	static const __u32 keys[] = { 4, 5, 65536, 0x7fffffff, 0x80000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (self->is_array) {
			EXPECT_EQ(-E2BIG, set_elem(self->fd, keys[i], devs[0], BPF_ANY));
			EXPECT_EQ(-E2BIG, set_elem(self->fd, keys[i], devs[0], BPF_NOEXIST));
			EXPECT_EQ(-E2BIG, set_elem(self->fd, keys[i], NO_DEV, BPF_ANY));
			EXPECT_EQ(-ENOENT, get_elem(self->fd, keys[i]));
			EXPECT_EQ(-EINVAL, del_elem(self->fd, keys[i]));
		} else {
			EXPECT_EQ(-ENOENT, get_elem(self->fd, keys[i]));
			EXPECT_EQ(-ENOENT, del_elem(self->fd, keys[i]));
			EXPECT_EQ(0, set_elem(self->fd, keys[i], devs[0], BPF_ANY));
			EXPECT_EQ(devs[0], get_elem(self->fd, keys[i]));
			EXPECT_EQ(0, del_elem(self->fd, keys[i]));
			EXPECT_EQ(-ENOENT, get_elem(self->fd, keys[i]));
		}
	}
}

TEST_F(elems, delete)
{
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, del_elem(self->fd, 0));
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(0, set_elem(self->fd, 1, devs[0], BPF_ANY));
	EXPECT_EQ(0, del_elem(self->fd, 0));
	EXPECT_EQ(-ENOENT, get_elem(self->fd, 0));
	EXPECT_EQ(devs[0], get_elem(self->fd, 1));
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, del_elem(self->fd, 0));
}

TEST_F(elems, value_of_8)
{
	struct bpf_devmap_val val;
	int fd = MAKE_MAP(8, 4, 0);
	__u32 key = 0;

	EXPECT_EQ(0, set_elem8(fd, 0, devs[0], 0));
	memset(&val, 0xff, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[0], val.ifindex);
	EXPECT_EQ(0, val.bpf_prog.id);

	/* And without a program. */
	EXPECT_EQ(0, set_elem8(fd, 0, devs[1], -1));
	memset(&val, 0xff, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[1], val.ifindex);
	EXPECT_EQ(0, val.bpf_prog.id);

	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, 0, 1));
	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, NO_DEV, 0));
	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, NO_DEV, 1));
	memset(&val, 0, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[1], val.ifindex);
	EXPECT_EQ(self->is_array ? 0 : -EINVAL, set_elem8(fd, 0, 0, 0));
	EXPECT_EQ(self->is_array ? 0 : -EINVAL, set_elem8(fd, 0, 0, -1));
	close(fd);
}

TEST_F(elems, value_with_program)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP_DEVMAP);
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_prog_info info = {};
	struct bpf_devmap_val val;
	__u32 len = sizeof(info);
	__u32 key = 0;
	int fd = MAKE_MAP(8, 4, 0);
	int prog, other;

	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "egress", "GPL", insns, 2, &opts);
	ASSERT_LE(0, prog);
	other = bpf_prog_load(BPF_PROG_TYPE_XDP, "ingress", "GPL", insns, 2, NULL);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(prog, &info, &len));
	EXPECT_EQ(0, set_elem8(fd, 0, devs[0], 0));

	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, devs[1], other));
	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, devs[1], 999999));
	EXPECT_EQ(-EINVAL, set_elem8(fd, 0, devs[1], fd));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[0], val.ifindex);
	EXPECT_EQ(0, set_elem8(fd, 0, devs[1], prog));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[1], val.ifindex);
	EXPECT_EQ(info.id, val.bpf_prog.id);
	close(fd);
	close(prog);
	close(other);
}

TEST_F(elems, full)
{
	__u32 key;

	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set_elem(self->fd, key, devs[0], BPF_ANY));
	if (self->is_array)
		return;

	EXPECT_EQ(-E2BIG, set_elem(self->fd, 77, devs[0], BPF_ANY));
	EXPECT_EQ(-E2BIG, set_elem(self->fd, 77, devs[0], BPF_NOEXIST));
	EXPECT_EQ(-EINVAL, set_elem(self->fd, 77, NO_DEV, BPF_ANY));
	EXPECT_EQ(-ENOENT, get_elem(self->fd, 77));
	/* Existing elements can be replaced. */
	EXPECT_EQ(0, set_elem(self->fd, 2, devs[1], BPF_ANY));
	EXPECT_EQ(0, set_elem(self->fd, 2, devs[2], BPF_EXIST));
	EXPECT_EQ(-EEXIST, set_elem(self->fd, 2, devs[1], BPF_NOEXIST));
	EXPECT_EQ(-E2BIG, set_elem(self->fd, 77, devs[0], BPF_ANY));
	EXPECT_EQ(0, del_elem(self->fd, 2));
	EXPECT_EQ(0, set_elem(self->fd, 77, devs[0], BPF_NOEXIST));
	EXPECT_EQ(-E2BIG, set_elem(self->fd, 2, devs[0], BPF_ANY));
	EXPECT_EQ(devs[0], get_elem(self->fd, 77));
	EXPECT_EQ(4, count_keys(self->fd, 4));
	for (key = 0; key < 100; key++)
		del_elem(self->fd, key);
	EXPECT_EQ(0, count_keys(self->fd, 4));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set_elem(self->fd, key + 100, devs[1], BPF_ANY));
	EXPECT_EQ(-E2BIG, set_elem(self->fd, 0, devs[0], BPF_ANY));
}

TEST_F(elems, full_of_one)
{
	int fd = MAKE_MAP(4, 1, 0);

	if (self->is_array) {
		EXPECT_EQ(0, set_elem(fd, 0, devs[0], BPF_ANY));
		EXPECT_EQ(-E2BIG, set_elem(fd, 1, devs[0], BPF_ANY));
		EXPECT_EQ(1, count_keys(fd, 4));
	} else {
		EXPECT_EQ(0, set_elem(fd, 5, devs[0], BPF_ANY));
		EXPECT_EQ(-E2BIG, set_elem(fd, 6, devs[0], BPF_ANY));
		EXPECT_EQ(0, set_elem(fd, 5, devs[1], BPF_ANY));
		EXPECT_EQ(0, del_elem(fd, 5));
		EXPECT_EQ(0, set_elem(fd, 6, devs[0], BPF_ANY));
		EXPECT_EQ(-ENOENT, get_elem(fd, 5));
		EXPECT_EQ(1, count_keys(fd, 4));
	}
	close(fd);
}

TEST_F(elems, frozen)
{
	EXPECT_EQ(0, set_elem(self->fd, 1, devs[1], BPF_ANY));
	ASSERT_EQ(0, bpf_map_freeze(self->fd));
	EXPECT_EQ(-EPERM, set_elem(self->fd, 1, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, set_elem(self->fd, 2, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, del_elem(self->fd, 1));
	EXPECT_EQ(devs[1], get_elem(self->fd, 1));
	EXPECT_EQ(self->is_array ? 4 : 1, count_keys(self->fd, 10));
}

TEST_F(elems, read_only_fd)
{
	int fd = MAKE_MAP(4, 4, BPF_F_RDONLY);
	__u32 key;

	EXPECT_EQ(-EPERM, set_elem(fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, del_elem(fd, 0));
	EXPECT_EQ(-ENOENT, get_elem(fd, 0));
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, next_key(fd, NULL, &key));
	close(fd);
}

TEST_F(elems, write_only_fd)
{
	int fd = MAKE_MAP(4, 4, BPF_F_WRONLY);
	__u32 key;

	EXPECT_EQ(0, set_elem(fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, get_elem(fd, 0));
	EXPECT_EQ(-EPERM, next_key(fd, NULL, &key));
	EXPECT_EQ(0, del_elem(fd, 0));
	close(fd);
}

/*
 * Commands for which the built-in has no operation. For batches, which claimed
 * maps have, see dev_map_batch.c.
 */
TEST_F(elems, unsupported)
{
	__u32 keys[4] = { 0, 1, 2, 3 }, values[4] = { devs[0] };

	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-ENOTSUPP, bpf_map_lookup_and_delete_elem(self->fd, keys, values));
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
	EXPECT_EQ(-EINVAL, bpf_map_lookup_elem_flags(self->fd, keys, values, 1));
	EXPECT_EQ(-EINVAL, bpf_map_lookup_elem_flags(self->fd, keys, values, BPF_F_LOCK));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENOTSUPP, errno);
}

TEST_F(elems, program_reads)
{
	struct map_ops_packet packet = {};
	struct bpf_object *obj;
	__u32 key;
	int fd;

	obj = load_program("lookup_all", self->fd);
	ASSERT_NE(NULL, obj);
	fd = program_fd(obj, "lookup_all");

	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(0, packet.hits);

	/*
	 * The program looks up 16 keys: in an array most of them are out of
	 * range.
	 */
	for (key = 0; key < 3; key++) {
		EXPECT_EQ(0, set_elem(self->fd, key, devs[key], BPF_ANY));
		packet.want[key] = devs[key];
	}
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(3, packet.hits);
	EXPECT_EQ(0, packet.wrong);
	EXPECT_EQ(devs[2], packet.last);

	EXPECT_EQ(0, del_elem(self->fd, 2));
	packet.hits = 0;
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(2, packet.hits);
	bpf_object__close(obj);
}

/* A map that only a program keeps. */
TEST_F(elems, program_keeps_map)
{
	struct map_ops_packet packet = { .want = { devs[0] } };
	struct bpf_object *obj;
	int fd;

	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	obj = load_program("lookup_all", self->fd);
	ASSERT_NE(NULL, obj);
	fd = dup(program_fd(obj, "lookup_all"));
	bpf_object__close(obj);
	close(self->fd);
	self->fd = -1;

	usleep(100000);
	EXPECT_EQ(base_refs + variant->kind.claimed, module_refs());
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(1, packet.hits);
	EXPECT_EQ(0, packet.wrong);
	close(fd);
	EXPECT_TRUE(module_refs_become(base_refs));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
