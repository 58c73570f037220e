// SPDX-License-Identifier: GPL-2.0-only
/*
 * Information about maps, and freezing.
 *
 * The kernel reports a stock and a claimed map with the same text, except for
 * names and ids and, intended, on kernels that ask the map, memory. A claimed
 * hash allocates its nodes at creation; entries need no further memory.
 */
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

/* Lines of fdinfo about the map itself begin with these words. */
static const char *const own[] = { "map_id:", "ino:" };

struct fdinfo {
	char text[2048];	/* without these, and without memory */
	unsigned long long memlock;
};

static bool read_fdinfo(int fd, struct fdinfo *info)
{
	char path[64], line[256];
	size_t i, len = 0;
	FILE *f;

	info->memlock = 0;
	info->text[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memlock: %llu", &info->memlock) == 1)
			continue;
		for (i = 0; i < ARRAY_SIZE(own); i++)
			if (!strncmp(line, own[i], strlen(own[i])))
				break;
		if (i == ARRAY_SIZE(own))
			len += snprintf(info->text + len, sizeof(info->text) - len, "%s", line);
	}
	fclose(f);
	return len && len < sizeof(info->text);
}

static unsigned long long memlock(int fd)
{
	struct fdinfo info;

	return read_fdinfo(fd, &info) ? info.memlock : 0;
}

/* --- one map of each kind ------------------------------------------------- */

FIXTURE(pair) {
	int fd[2];		/* stock, claimed */
};

FIXTURE_VARIANT(pair) {
	enum bpf_map_type type;
	__u32 value_size;
	__u32 flags;
};

FIXTURE_VARIANT_ADD(pair, array) { BPF_MAP_TYPE_DEVMAP, 4, 0 };
FIXTURE_VARIANT_ADD(pair, hash) { BPF_MAP_TYPE_DEVMAP_HASH, 4, 0 };
FIXTURE_VARIANT_ADD(pair, array_of_8) { BPF_MAP_TYPE_DEVMAP, 8, BPF_F_NUMA_NODE };
FIXTURE_VARIANT_ADD(pair, hash_of_8) { BPF_MAP_TYPE_DEVMAP_HASH, 8, BPF_F_NUMA_NODE };

FIXTURE_SETUP(pair)
{
	int i;

	ASSERT_TRUE(module_refs_become(0));
	for (i = 0; i < 2; i++) {
		self->fd[i] = make_map_flags(i, variant->type, variant->value_size, 77,
					     variant->flags);
		ASSERT_LE(0, self->fd[i]);
	}
}

FIXTURE_TEARDOWN(pair)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

#define EXPECT_SAME_FDINFO()						\
	do {								\
		struct fdinfo _info[2];					\
									\
		ASSERT_TRUE(read_fdinfo(self->fd[0], &_info[0]));	\
		ASSERT_TRUE(read_fdinfo(self->fd[1], &_info[1]));	\
		EXPECT_STREQ(_info[0].text, _info[1].text);		\
	} while (0)

static int set_both(int *fd, __u32 key, __u32 ifindex, int prog_fd)
{
	struct bpf_devmap_val val = { .ifindex = ifindex, .bpf_prog.fd = prog_fd };

	return bpf_map_update_elem(fd[0], &key, &val, 0) ?:
	       bpf_map_update_elem(fd[1], &key, &val, 0);
}

/* An XDP program that uses a map; its fd. */
static int load_user(int map_fd)
{
	const struct bpf_insn insns[] = {
		/* r1 = map; return XDP_PASS */
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "user", "GPL", insns, 4, NULL);
}

TEST_F(pair, info)
{
	static const char *const names[] = { "st_test", "rm_test" };
	struct bpf_map_info info[2];
	__u32 len, ids[2];
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2; i++) {
			len = sizeof(info[i]);
			memset(&info[i], 0, sizeof(info[i]));
			ASSERT_EQ(0, bpf_obj_get_info_by_fd(self->fd[i], &info[i], &len));
			EXPECT_STREQ(names[i], info[i].name);
			ids[i] = info[i].id;
			memset(info[i].name, 0, sizeof(info[i].name));
			info[i].id = 0;
		}
		EXPECT_NE(ids[0], ids[1]);
		EXPECT_EQ(0, memcmp(&info[0], &info[1], sizeof(info[0])));
		EXPECT_EQ(77, info[1].max_entries);
		EXPECT_EQ(variant->flags | BPF_F_RDONLY_PROG, info[1].map_flags);

		/* Entries and freezing do not change the text. */
		if (!round)
			ASSERT_EQ(0, set_both(self->fd, 1, if_nametoindex("lo"), 0));
		for (i = 0; i < 2 && round == 1; i++)
			ASSERT_EQ(0, bpf_map_freeze(self->fd[i]));
	}
}

TEST_F(pair, fdinfo)
{
	struct fdinfo info;
	int i, prog[2];

	EXPECT_SAME_FDINFO();
	ASSERT_TRUE(read_fdinfo(self->fd[1], &info));
	EXPECT_NE(NULL, strstr(info.text, "max_entries:\t77\n"));
	EXPECT_NE(NULL, strstr(info.text, "frozen:\t0\n"));
	EXPECT_EQ(NULL, strstr(info.text, "owner_prog_type"));

	ASSERT_EQ(0, set_both(self->fd, 1, if_nametoindex("lo"), 0));
	EXPECT_SAME_FDINFO();

	/*
	 * Further programs that use an array must be like the first one; not so
	 * for a hash.
	 */
	for (i = 0; i < 2; i++) {
		prog[i] = load_user(self->fd[i]);
		ASSERT_LE(0, prog[i]);
	}
	EXPECT_SAME_FDINFO();
	ASSERT_TRUE(read_fdinfo(self->fd[1], &info));
	EXPECT_EQ(variant->type == BPF_MAP_TYPE_DEVMAP,
		  !!strstr(info.text, "owner_prog_type:\t6\n"));

	for (i = 0; i < 2; i++) {
		close(prog[i]);
		ASSERT_EQ(0, bpf_map_freeze(self->fd[i]));
	}
	EXPECT_SAME_FDINFO();
	ASSERT_TRUE(read_fdinfo(self->fd[1], &info));
	EXPECT_NE(NULL, strstr(info.text, "frozen:\t1\n"));
}

/* So must the programs in it; the first one decides for all. */
TEST_F(pair, fdinfo_with_program)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP_DEVMAP);
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct fdinfo info;
	int prog;

	if (variant->value_size < 8)
		return;
	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "egress", "GPL", insns, 2, &opts);
	ASSERT_LE(0, prog);
	ASSERT_EQ(0, set_both(self->fd, 1, if_nametoindex("lo"), prog));
	EXPECT_SAME_FDINFO();
	ASSERT_TRUE(read_fdinfo(self->fd[1], &info));
	EXPECT_NE(NULL, strstr(info.text, "owner_prog_type:\t6\n"));
	close(prog);
}

/* The programs' information lists the maps. */
TEST_F(pair, maps_of_a_program)
{
	struct bpf_prog_info info;
	struct bpf_map_info map;
	__u32 len, id;
	int i, prog;

	for (i = 0; i < 2; i++) {
		prog = load_user(self->fd[i]);
		ASSERT_LE(0, prog);
		memset(&info, 0, sizeof(info));
		id = 0;
		info.nr_map_ids = 1;
		info.map_ids = (unsigned long)&id;
		len = sizeof(info);
		ASSERT_EQ(0, bpf_obj_get_info_by_fd(prog, &info, &len));
		EXPECT_EQ(1, info.nr_map_ids);
		memset(&map, 0, sizeof(map));
		len = sizeof(map);
		ASSERT_EQ(0, bpf_obj_get_info_by_fd(self->fd[i], &map, &len));
		EXPECT_EQ(map.id, id);
		close(prog);
	}
}

/* --- memory --------------------------------------------------------------- */

/* Since 6.4 maps report their memory; before, the kernel estimates it. */
static bool maps_tell(void)
{
	return kernel_has_member("bpf_map_ops", "map_mem_usage");
}

TEST_F(pair, memory)
{
	/* Less than 1 KiB, and the ports of broadcasts with the first entry. */
	const unsigned long long own = 32768;
	bool hash = variant->type == BPF_MAP_TYPE_DEVMAP_HASH;
	__u32 max, key, last = 0;
	unsigned long long bytes[2], before[2] = {}, empty[2], filled[2];
	int fd[2], i;

	for (max = 1; max <= 1 << 20; max *= 32) {
		for (i = 0; i < 2; i++) {
			fd[i] = make_map_flags(i, variant->type, variant->value_size, max,
					       variant->flags);
			ASSERT_LE(0, fd[i]);
			bytes[i] = memlock(fd[i]);
			EXPECT_LE(before[i], bytes[i]);
			/* At least a slot for each entry. */
			EXPECT_LE((max - last) * 8ULL, bytes[i] - before[i] + own);
			before[i] = bytes[i];
		}
		last = max;
		if (maps_tell()) {
			EXPECT_LE((hash ? 24ULL : 8ULL) * max, bytes[1]);
			EXPECT_GE((hash ? 32ULL : 8ULL) * max + own, bytes[1]);
		} else {
			EXPECT_EQ(bytes[0], bytes[1]);
		}
		close(fd[0]);
		close(fd[1]);
		ASSERT_TRUE(module_refs_become(1));
	}

	/* The memory that entries add. */
	for (i = 0; i < 2; i++) {
		fd[i] = make_map_flags(i, variant->type, variant->value_size, 1000, variant->flags);
		ASSERT_LE(0, fd[i]);
		empty[i] = memlock(fd[i]);
	}
	for (key = 0; key < 1000; key++)
		ASSERT_EQ(0, set_both(fd, key, if_nametoindex("lo"), 0));
	for (i = 0; i < 2; i++) {
		filled[i] = memlock(fd[i]);
		EXPECT_LE(empty[i], filled[i]);
	}
	if (maps_tell()) {
		EXPECT_LT(empty[0] + 32 * 1000, filled[0]);
		/* Intended: devices add memory, entries do not. */
		EXPECT_LT(empty[1], filled[1]);
		EXPECT_GT(empty[1] + own, filled[1]);
	} else {
		EXPECT_EQ(filled[0], filled[1]);
	}
	for (key = 0; key < 1000; key++)
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, bpf_map_delete_elem(fd[i], &key));
	for (i = 0; i < 2; i++) {
		EXPECT_LE(empty[i], memlock(fd[i]));
		EXPECT_GE(filled[i], memlock(fd[i]));
		close(fd[i]);
	}
}

/* --- freezing ------------------------------------------------------------- */

FIXTURE(frozen) {
	struct env e;
};

FIXTURE_VARIANT(frozen) {
	struct kind kind;
};

ALL_KINDS(frozen);

/* This kernel's errno when any map is frozen for the n-th time. */
static int freeze_any(__u32 flags, int n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "any", 4, 4, 1, &opts);
	int err = 0;

	while (n--)
		err = bpf_map_freeze(fd);
	close(fd);
	return err;
}

/* Makes the map's key 0 lead to t0, whose peer r0 counts frames. */
FIXTURE_SETUP(frozen)
{
	struct env *e = &self->e;

	e->generic = variant->kind.generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "redirect.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map(variant->kind.claimed, variant->kind.type, 8)));
	ASSERT_TRUE(load_object(e));
	set_var(e, "nr_keys", 1);
	if (e->generic)
		ASSERT_TRUE(attach(e, "g1", "redirect", true));
	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_TRUE(put(e, 0, "t0"));
}

FIXTURE_TEARDOWN(frozen)
{
	EXPECT_TRUE(finish(&self->e));
}

/* User space can change nothing from then on; packets and devices continue. */
TEST_F(frozen, redirect)
{
	__u32 key = 0, value = 0, next;
	struct env *e = &self->e;

	ASSERT_EQ(0, bpf_map_freeze(e->map));
	EXPECT_EQ(freeze_any(0, 2), bpf_map_freeze(e->map));

	value = if_nametoindex("t0");
	EXPECT_EQ(-EPERM, bpf_map_update_elem(e->map, &key, &value, BPF_ANY));
	EXPECT_EQ(-EPERM, bpf_map_delete_elem(e->map, &key));
	EXPECT_EQ(0, bpf_map_lookup_elem(e->map, &key, &value));
	EXPECT_EQ(if_nametoindex("t0"), value);
	EXPECT_EQ(0, bpf_map_get_next_key(e->map, NULL, &next));
	EXPECT_EQ(0, next);

	ASSERT_EQ(0, send_to(e, "redirect", 20, 64));
	EXPECT_EQ(20, settled(e, "r0", 20));
	set_var(e, "flags", BPF_F_BROADCAST);
	ASSERT_EQ(0, send_to(e, "redirect", 20, 64));
	EXPECT_EQ(40, settled(e, "r0", 40));

	ASSERT_TRUE(ip("link del t0"));
	EXPECT_EQ(-ENOENT, bpf_map_lookup_elem(e->map, &key, &value));
}

/* Another descriptor of the map permits no changes either. */
TEST_F(frozen, other_descriptor)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), key = 0;
	int fd;

	ASSERT_EQ(0, bpf_map_freeze(self->e.map));
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(self->e.map, &info, &len));
	fd = bpf_map_get_fd_by_id(info.id);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, bpf_map_delete_elem(fd, &key));
	close(fd);
}

/* On newer kernels a descriptor without write permission cannot freeze. */
TEST(read_only)
{
	int fd = make_map_flags(true, BPF_MAP_TYPE_DEVMAP, 4, 4, BPF_F_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(freeze_any(BPF_F_RDONLY, 1), bpf_map_freeze(fd));
	close(fd);
	fd = make_map_flags(false, BPF_MAP_TYPE_DEVMAP, 4, 4, BPF_F_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(freeze_any(BPF_F_RDONLY, 1), bpf_map_freeze(fd));
	close(fd);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
