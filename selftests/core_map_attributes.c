// SPDX-License-Identifier: GPL-2.0-only
/*
 * What newer kernels offer for all types of maps: exclusive maps, which only
 * one program may use; a hash of the contents; a log of the creation. Claimed
 * maps behave as stock ones. On a kernel that does not offer it for arrays
 * either, the test is skipped.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "harness.h"
#include "maplib.h"

#define HASH_SIZE 32

/* The kernel's flag of a command: there are two more arguments. */
#define COMMON_ATTRS (1 << 16)

/* The attributes of BPF_MAP_CREATE up to those of an exclusive map. */
union create_attr {
	union bpf_attr attr;
	struct {
		__u8 before[80];
		__u64 hash;
		__u32 hash_size;
	} excl;
	__u8 all[sizeof(union bpf_attr) > 96 ? sizeof(union bpf_attr) : 96];
};

/* The attributes that all commands may have. */
struct common_attr {
	__u64 log;
	__u32 log_size;
	__u32 log_level;
	__u32 log_true_size;
};

/* Information about a map, up to the hash of its contents. */
union map_info {
	struct {
		__u8 before[88];
		__u64 hash;
		__u32 hash_size;
		__u32 pad;
	} contents;
	__u8 all[104];
};

static int map_create(const union create_attr *attr, struct common_attr *common)
{
	int fd = syscall(__NR_bpf, BPF_MAP_CREATE | (common ? COMMON_ATTRS : 0),
			 attr, sizeof(*attr), common, common ? sizeof(*common) : 0);

	return fd < 0 ? -errno : fd;
}

static void set_attr(union create_attr *attr, enum bpf_map_type type, const char *name)
{
	memset(attr, 0, sizeof(*attr));
	attr->attr.map_type = type;
	attr->attr.key_size = 4;
	attr->attr.value_size = 4;
	attr->attr.max_entries = 4;
	strcpy(attr->attr.map_name, name);
}

FIXTURE(attributes) {
	union create_attr attr;
	union create_attr other;	/* an array that is never claimed */
};

FIXTURE_VARIANT(attributes) {
	struct kind kind;
};

MAP_KINDS(attributes);

FIXTURE_VARIANT_ADD(attributes, stock_sockmap) {
	.kind = { false, BPF_MAP_TYPE_SOCKMAP },
};

FIXTURE_VARIANT_ADD(attributes, claimed_sockmap) {
	.kind = { true, BPF_MAP_TYPE_SOCKMAP },
};

FIXTURE_VARIANT_ADD(attributes, stock_sockhash) {
	.kind = { false, BPF_MAP_TYPE_SOCKHASH },
};

FIXTURE_VARIANT_ADD(attributes, claimed_sockhash) {
	.kind = { true, BPF_MAP_TYPE_SOCKHASH },
};

FIXTURE_SETUP(attributes)
{
	set_attr(&self->attr, variant->kind.type, variant->kind.claimed ? "rm_test" : "st_test");
	set_attr(&self->other, BPF_MAP_TYPE_ARRAY, "st_array");
	ASSERT_TRUE(module_refs_become(base_refs));
}

FIXTURE_TEARDOWN(attributes)
{
	EXPECT_TRUE(module_refs_become(base_refs));
}

/*
 * Creates and closes a map. 0 or -errno; -ESTALE if the map is of the wrong
 * kind, or a reference was leaked.
 */
static int try_create(bool claimed, const union create_attr *attr, struct common_attr *common)
{
	int fd = map_create(attr, common);
	int refs = module_refs();

	if (fd < 0)
		return module_refs_become(base_refs) ? fd : -ESTALE;
	close(fd);
	if (refs != base_refs + claimed || !module_refs_become(base_refs))
		return -ESTALE;
	return 0;
}

static void set_exclusive(union create_attr *attr, const void *hash, __u32 size)
{
	attr->excl.hash = (unsigned long)hash;
	attr->excl.hash_size = size;
}

static bool has_exclusive(union create_attr attr)
{
	static const __u8 hash[HASH_SIZE];

	set_exclusive(&attr, hash, sizeof(hash));
	return !try_create(false, &attr, NULL);
}

TEST_F(attributes, exclusive_hash)
{
	static const __u8 hash[2 * HASH_SIZE];

	if (!has_exclusive(self->other))
		SKIP(return, "a kernel without exclusive maps");
	set_exclusive(&self->attr, hash, HASH_SIZE);
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr, NULL));

	/* The kernel refuses these after it has allocated the map. */
	set_exclusive(&self->attr, hash, HASH_SIZE - 1);
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr, NULL));
	set_exclusive(&self->attr, hash, 2 * HASH_SIZE);
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr, NULL));
	set_exclusive(&self->attr, hash, 0);
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr, NULL));
	set_exclusive(&self->attr, NULL, HASH_SIZE);
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr, NULL));
	set_exclusive(&self->attr, (void *)1, HASH_SIZE);
	EXPECT_EQ(-EFAULT, try_create(variant->kind.claimed, &self->attr, NULL));
}

#define PROG_LEN 4

/* A program that loads a map and returns a number. */
static void make_prog(struct bpf_insn insns[PROG_LEN], int map, int ret)
{
	const struct bpf_insn prog[PROG_LEN] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = ret },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	memcpy(insns, prog, sizeof(prog));
}

/* Loads and closes such a program; 0 or -errno. */
static int try_prog(enum bpf_map_type type, int map, int ret)
{
	bool sockets = type == BPF_MAP_TYPE_SOCKMAP || type == BPF_MAP_TYPE_SOCKHASH;
	struct bpf_insn insns[PROG_LEN];
	int fd;

	make_prog(insns, map, ret);
	fd = bpf_prog_load(sockets ? BPF_PROG_TYPE_SK_MSG : BPF_PROG_TYPE_XDP, NULL, "GPL",
			   insns, PROG_LEN, NULL);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* The hash of a program: SHA-256 of its instructions, without descriptors. */
static bool hash_prog(__u8 hash[HASH_SIZE], int ret)
{
	char path[] = "/tmp/redirmap_prog.XXXXXX", cmd[64];
	struct bpf_insn insns[PROG_LEN];
	int i, n = 0, fd = mkstemp(path);
	FILE *sum;

	make_prog(insns, 0, ret);
	if (fd < 0 || write(fd, insns, sizeof(insns)) != sizeof(insns))
		return false;
	close(fd);
	snprintf(cmd, sizeof(cmd), "sha256sum %s", path);
	sum = popen(cmd, "r");
	for (i = 0; sum && i < HASH_SIZE; i++)
		n += fscanf(sum, "%2hhx", &hash[i]) == 1;
	unlink(path);
	return sum && !pclose(sum) && n == HASH_SIZE;
}

TEST_F(attributes, exclusive_prog)
{
	__u8 hash[HASH_SIZE];
	int fd;

	if (!has_exclusive(self->other))
		SKIP(return, "a kernel without exclusive maps");
	ASSERT_TRUE(hash_prog(hash, 1));
	set_exclusive(&self->attr, hash, sizeof(hash));
	fd = map_create(&self->attr, NULL);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, try_prog(variant->kind.type, fd, 1));
	EXPECT_EQ(-EACCES, try_prog(variant->kind.type, fd, 0));
	close(fd);
}

TEST_F(attributes, exclusive_inner)
{
	static const __u8 hash[HASH_SIZE];
	union create_attr outer;
	int inner, exclusive, fd;
	__u32 key = 0;

	if (!has_exclusive(self->other))
		SKIP(return, "a kernel without exclusive maps");
	inner = map_create(&self->attr, NULL);
	ASSERT_LE(0, inner);
	set_exclusive(&self->attr, hash, sizeof(hash));
	exclusive = map_create(&self->attr, NULL);
	ASSERT_LE(0, exclusive);

	/* An outer map has no exclusive map, neither as template nor inside. */
	set_attr(&outer, BPF_MAP_TYPE_ARRAY_OF_MAPS, "st_outer");
	outer.attr.inner_map_fd = exclusive;
	EXPECT_EQ(-ENOTSUPP, map_create(&outer, NULL));
	outer.attr.inner_map_fd = inner;
	fd = map_create(&outer, NULL);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, bpf_map_update_elem(fd, &key, &inner, BPF_ANY));
	EXPECT_EQ(-ENOTSUPP, bpf_map_update_elem(fd, &key, &exclusive, BPF_ANY));
	close(fd);
	close(exclusive);
	close(inner);
}

/* Asks for a hash of the contents; 0 or -errno. */
static int ask_hash(int fd)
{
	__u8 hash[HASH_SIZE];
	union map_info info = {
		.contents.hash = (unsigned long)hash,
		.contents.hash_size = sizeof(hash),
	};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len);
}

/* Only arrays have a hash of their contents. */
TEST_F(attributes, contents_hash)
{
	int fd, array, err;

	array = map_create(&self->other, NULL);
	ASSERT_LE(0, array);
	err = ask_hash(array);
	if (err == -E2BIG) {
		close(array);
		SKIP(return, "a kernel without hashes of contents");
	}
	/* It is not frozen. */
	EXPECT_EQ(-EPERM, err);
	EXPECT_EQ(0, bpf_map_freeze(array));
	EXPECT_EQ(0, ask_hash(array));
	close(array);

	fd = map_create(&self->attr, NULL);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, ask_hash(fd));
	EXPECT_EQ(0, bpf_map_freeze(fd));
	EXPECT_EQ(-EINVAL, ask_hash(fd));
	close(fd);
}

TEST_F(attributes, creation_log)
{
	union create_attr bad = self->attr;
	char log[256] = "";
	struct common_attr common = {
		.log = (unsigned long)log,
		.log_size = sizeof(log),
		.log_level = 1,
	};
	struct common_attr *readonly;

	if (try_create(false, &self->other, &common))
		SKIP(return, "a kernel without a log of creations");
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr, &common));
	EXPECT_STREQ("", log);

	/* The kernel refuses the name after it has allocated the map. */
	bad.attr.map_name[3] = '!';
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &bad, &common));
	EXPECT_STREQ("Invalid map_name.\n", log);
	EXPECT_EQ(strlen(log) + 1, common.log_true_size);

	/* The creation succeeds, but the size of its log cannot be written. */
	readonly = mmap(NULL, sizeof(common), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, readonly);
	*readonly = common;
	ASSERT_EQ(0, mprotect(readonly, sizeof(common), PROT_READ));
	EXPECT_EQ(-EFAULT, try_create(variant->kind.claimed, &self->attr, readonly));
	munmap(readonly, sizeof(common));
}

int main(int argc, char **argv)
{
	return maps_begin() ?: test_harness_run(argc, argv);
}
