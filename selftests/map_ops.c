// SPDX-License-Identifier: GPL-2.0-only
/*
 * What bpf(2) does with device maps: creation, the operations on elements,
 * and the same from several threads.
 *
 * Every test runs on the kernel's own maps ("stock") and on claimed ones, and
 * expects the same of both, but for these, marked "intended" below:
 *
 *  - BPF_EXIST for a key that a hash does not have: stock inserts it, claimed
 *    says ENOENT, as bpf(2) documents.
 */
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness.h"
#include "maplib.h"

#define PIN "/sys/fs/bpf/redirmap_map_ops"
#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP CGROUP_ROOT "/redirmap_map_ops"

#define CAP(name) (1ULL << CAP_##name)

/* As in map_ops.bpf.c. */
#define MAP_OPS_KEYS 16
struct map_ops_packet {
	__u32 want[MAP_OPS_KEYS];
	__u32 hits;
	__u32 wrong;
	__u32 missed;
	__u32 last;
};

static const char *const names[] = { "st_test", "rm_test" };

static int map_create(const union bpf_attr *attr)
{
	int fd = syscall(__NR_bpf, BPF_MAP_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

/* Create and close. 0 or -errno; -ESTALE: the wrong kind, or a reference leaks. */
static int try_create(bool claimed, const union bpf_attr *attr)
{
	int fd = map_create(attr);
	int refs = module_refs();

	if (fd < 0)
		return module_refs_become(base_refs) ? fd : -ESTALE;
	close(fd);
	if (refs != base_refs + claimed || !module_refs_become(base_refs))
		return -ESTALE;
	return 0;
}

/* What the process may do; what it has lost so it can take again. */
static bool set_caps(__u64 caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(__NR_capget, &head, data))
		return false;
	data[0].effective = data[0].permitted & (__u32)caps;
	data[1].effective = data[1].permitted & (__u32)(caps >> 32);
	return !syscall(__NR_capset, &head, data);
}

/* One program of map_ops.bpf.o on a map; NULL if the kernel refuses it. */
static struct bpf_object *load_program(const char *name, int map_fd)
{
	struct bpf_object *obj = bpf_object__open(beside("map_ops.bpf.o"));
	struct bpf_program *prog;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "devs"), map_fd) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static int program_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

static int run_lookup_all(int prog_fd, int repeat, struct map_ops_packet *packet)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(*packet),
		.data_out = packet,
		.data_size_out = sizeof(*packet),
		.repeat = repeat,
	);
	int err = bpf_prog_test_run_opts(prog_fd, &opts);

	return err ?: (int)opts.retval;
}

/* --- creation ------------------------------------------------------------- */

FIXTURE(create) {
	union bpf_attr attr;
};

FIXTURE_VARIANT(create) {
	bool claimed;
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(create, stock_array) { false, BPF_MAP_TYPE_DEVMAP };
FIXTURE_VARIANT_ADD(create, stock_hash) { false, BPF_MAP_TYPE_DEVMAP_HASH };
FIXTURE_VARIANT_ADD(create, claimed_array) { true, BPF_MAP_TYPE_DEVMAP };
FIXTURE_VARIANT_ADD(create, claimed_hash) { true, BPF_MAP_TYPE_DEVMAP_HASH };

FIXTURE_SETUP(create)
{
	self->attr.map_type = variant->type;
	self->attr.key_size = 4;
	self->attr.value_size = 4;
	self->attr.max_entries = 4;
	strcpy(self->attr.map_name, names[variant->claimed]);
	ASSERT_TRUE(module_refs_become(base_refs));
}

FIXTURE_TEARDOWN(create)
{
}

TEST_F(create, sizes)
{
	static const __u32 key_sizes[] = { 0, 1, 2, 3, 5, 8, 0x10004, ~0U };
	static const __u32 value_sizes[] = { 0, 1, 2, 3, 5, 6, 7, 9, 12, 16, 0x10008, ~0U };
	int i;

	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	self->attr.value_size = 8;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));

	for (i = 0; i < ARRAY_SIZE(value_sizes); i++) {
		self->attr.value_size = value_sizes[i];
		EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr)) {
			TH_LOG("value size %u", value_sizes[i]);
		}
	}
	self->attr.value_size = 4;
	for (i = 0; i < ARRAY_SIZE(key_sizes); i++) {
		self->attr.key_size = key_sizes[i];
		EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr)) {
			TH_LOG("key size %u", key_sizes[i]);
		}
	}
}

TEST_F(create, flags)
{
	static const __u32 good = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		self->attr.map_flags = 1U << bit;
		/* A flag that 6.9 takes away before it asks the map. */
		if (bit == 16)
			continue;
		EXPECT_EQ(good & (1U << bit) ? 0 : -EINVAL,
			  try_create(variant->claimed, &self->attr)) {
			TH_LOG("flags 0x%x", 1U << bit);
		}
	}
	/* Not both. */
	self->attr.map_flags = BPF_F_RDONLY | BPF_F_WRONLY;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
}

TEST_F(create, numa_node)
{
	self->attr.map_flags = BPF_F_NUMA_NODE;
	self->attr.numa_node = 0;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	self->attr.max_entries = 1 << 16;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	self->attr.numa_node = 1023;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
	self->attr.numa_node = 0x7fffffff;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
	/* Without the flag nobody looks at it. */
	self->attr.map_flags = 0;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
}

TEST_F(create, other_attributes)
{
	union bpf_attr good = self->attr;

	self->attr.map_extra = 1;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
	self->attr = good;
	self->attr.inner_map_fd = 1;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	/* Offload to a device. */
	self->attr = good;
	self->attr.map_ifindex = 1;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
}

TEST_F(create, max_entries)
{
	static const __u32 counts[] = { 1, 2, 3, 7, 64, 1000, 65536, 1000003 };
	bool is_array = variant->type == BPF_MAP_TYPE_DEVMAP;
	int i, err;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		self->attr.max_entries = counts[i];
		EXPECT_EQ(0, try_create(variant->claimed, &self->attr)) {
			TH_LOG("%u entries", counts[i]);
		}
	}
	self->attr.max_entries = 0;
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));

	/* 16 GiB and more. There are machines that have them. */
	self->attr.max_entries = 1U << 31;
	err = try_create(variant->claimed, &self->attr);
	EXPECT_TRUE(err == -ENOMEM || err == 0);
	self->attr.max_entries = (1U << 31) + 1;
	err = try_create(variant->claimed, &self->attr);
	EXPECT_TRUE(is_array ? err == -ENOMEM || err == 0 : err == -EINVAL);
	self->attr.max_entries = ~0U;
	err = try_create(variant->claimed, &self->attr);
	EXPECT_TRUE(is_array ? err == -ENOMEM || err == 0 : err == -EINVAL);
}

TEST_F(create, names)
{
	static const char *const bad[] = { "-", " ", "/", "*", "\x7f", "\n" };
	char *name = self->attr.map_name;
	int i;

	/* The longest one. */
	snprintf(name, BPF_OBJ_NAME_LEN, "%.3s456789.bcde_", names[variant->claimed]);
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	/* No room for the end: made, and found to be no good afterwards. */
	memset(name + 3, 'x', BPF_OBJ_NAME_LEN - 3);
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));
	/* Something behind the end, where nobody looks. */
	memset(name + 3, 0, BPF_OBJ_NAME_LEN - 3);
	name[BPF_OBJ_NAME_LEN - 1] = '!';
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));
	name[BPF_OBJ_NAME_LEN - 1] = '\0';

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		strcpy(name + 3, bad[i]);
		EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr)) {
			TH_LOG("name \"%s\"", name);
		}
	}
}

/* Creation that fails with the map already there: it goes as the kernel's. */
TEST_F(create, fails_late)
{
	struct rlimit limit, old;
	union bpf_attr good = self->attr;
	int fd;

	self->attr.btf_fd = -1;
	self->attr.btf_key_type_id = 1;
	self->attr.btf_value_type_id = 1;
	EXPECT_EQ(-EBADF, try_create(variant->claimed, &self->attr));
	self->attr = good;
	self->attr.max_entries = 65536;
	self->attr.map_name[3] = '!';
	EXPECT_EQ(-EINVAL, try_create(variant->claimed, &self->attr));

	/* And the last step: no file descriptor to be had. */
	fd = dup(0);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = fd;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	fd = map_create(&good);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, fd);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* Kernels differ in what they ask for; a claimed map is to ask for the same. */
TEST_F(create, capabilities)
{
	static const __u64 caps[] = {
		0,
		CAP(BPF),
		CAP(NET_ADMIN),
		CAP(SYS_ADMIN),
		CAP(BPF) | CAP(SYS_ADMIN),
		~(CAP(NET_ADMIN) | CAP(SYS_ADMIN)),
		~CAP(NET_ADMIN),
	};
	union bpf_attr stock = self->attr;
	int i, bad, want;

	strcpy(stock.map_name, names[0]);
	ASSERT_TRUE(set_caps(CAP(BPF) | CAP(NET_ADMIN)));
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));

	for (bad = 0; bad < 2; bad++) {
		self->attr.max_entries = bad ? 0 : 4;
		stock.max_entries = self->attr.max_entries;
		for (i = 0; i < ARRAY_SIZE(caps); i++) {
			ASSERT_TRUE(set_caps(caps[i]));
			want = try_create(false, &stock);
			EXPECT_EQ(want, try_create(variant->claimed, &self->attr)) {
				TH_LOG("capabilities 0x%llx", caps[i]);
			}
			if (!bad && !(caps[i] & (CAP(NET_ADMIN) | CAP(SYS_ADMIN))))
				EXPECT_EQ(-EPERM, want);
		}
	}
	set_caps(~0ULL);
}

TEST_F(create, info)
{
	struct bpf_map_info info, by_id;
	__u32 len = sizeof(info);
	int fd, fd2;

	self->attr.map_flags = BPF_F_NUMA_NODE | BPF_F_RDONLY;
	self->attr.value_size = 8;
	self->attr.max_entries = 77;
	fd = map_create(&self->attr);
	ASSERT_LE(0, fd);

	memset(&info, 0, sizeof(info));
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(fd, &info, &len));
	EXPECT_EQ(variant->type, info.type);
	EXPECT_EQ(4, info.key_size);
	EXPECT_EQ(8, info.value_size);
	EXPECT_EQ(77, info.max_entries);
	EXPECT_EQ(0, info.ifindex);
	EXPECT_EQ(0, info.map_extra);
	EXPECT_STREQ(names[variant->claimed], info.name);
	/* Programs may never write; BPF_F_RDONLY is of the descriptor. */
	EXPECT_EQ(BPF_F_NUMA_NODE | BPF_F_RDONLY_PROG, info.map_flags);

	fd2 = bpf_map_get_fd_by_id(info.id);
	ASSERT_LE(0, fd2);
	close(fd);
	len = sizeof(by_id);
	memset(&by_id, 0, sizeof(by_id));
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(fd2, &by_id, &len));
	EXPECT_EQ(0, memcmp(&info, &by_id, sizeof(info)));
	/* This one may write. */
	EXPECT_EQ(0, set8(fd2, 0, devs[0], 0));
	close(fd2);
	EXPECT_TRUE(module_refs_become(base_refs));
	EXPECT_EQ(-ENOENT, bpf_map_get_fd_by_id(info.id));
}

TEST_F(create, pin)
{
	int fd = map_create(&self->attr);

	ASSERT_LE(0, fd);
	unlink(PIN);
	if (bpf_obj_pin(fd, PIN))
		SKIP(return, "no bpf file system at /sys/fs/bpf");
	EXPECT_EQ(0, set(fd, 1, devs[1], 0));
	close(fd);
	usleep(100000);
	EXPECT_EQ(base_refs + variant->claimed, module_refs());

	fd = bpf_obj_get(PIN);
	EXPECT_LE(0, fd);
	EXPECT_EQ(devs[1], get(fd, 1));
	close(fd);
	EXPECT_EQ(0, unlink(PIN));
	EXPECT_TRUE(module_refs_become(base_refs));
}

static long memory_current(void)
{
	return read_int(CGROUP "/memory.current");
}

/* Maps are freed some time after the last close. */
static bool memory_falls_below(long bytes)
{
	int i;

	for (i = 0; i < 500; i++) {
		if (memory_current() < bytes)
			return true;
		usleep(10000);
	}
	return false;
}

/* The table is charged to whoever creates the map, and more than its limit is refused. */
TEST_F(create, memory_cgroup)
{
	bool is_array = variant->type == BPF_MAP_TYPE_DEVMAP;
	const long mib = 1 << 20;
	/* Intended: the claimed hash has its nodes from the start: 16 + 8 bytes. */
	long want = is_array || !variant->claimed ? 8 * mib : 24 * mib;
	char limit[32];
	long before, grown;
	int fd;

	write_str(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		SKIP(return, "no cgroup2 at " CGROUP_ROOT);
	if (memory_current() < 0) {
		rmdir(CGROUP);
		SKIP(return, "no memory controller in cgroup2");
	}
	/* As an earlier test may have left it. */
	ASSERT_TRUE(write_str(CGROUP "/memory.max", "max"));
	ASSERT_TRUE(write_str(CGROUP "/cgroup.procs", "0"));

	self->attr.max_entries = 1 << 20;
	before = memory_current();
	fd = map_create(&self->attr);
	grown = memory_current() - before;
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_TRUE(module_refs_become(base_refs));
	EXPECT_LT(want * 9 / 10, grown);
	EXPECT_GT(want * 11 / 10 + mib, grown);

	ASSERT_TRUE(memory_falls_below(before + mib));
	snprintf(limit, sizeof(limit), "%ld", before + 4 * mib);
	EXPECT_TRUE(write_str(CGROUP "/memory.max", limit));
	EXPECT_EQ(-ENOMEM, try_create(variant->claimed, &self->attr));
	self->attr.max_entries = 1024;
	EXPECT_EQ(0, try_create(variant->claimed, &self->attr));

	EXPECT_TRUE(write_str(CGROUP "/memory.max", "max"));
	EXPECT_TRUE(write_str(CGROUP_ROOT "/cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* --- elements ------------------------------------------------------------- */

FIXTURE(elems) {
	int fd;		/* four entries of four bytes */
	bool is_array;
};

FIXTURE_VARIANT(elems) {
	bool claimed;
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(elems, stock_array) { false, BPF_MAP_TYPE_DEVMAP };
FIXTURE_VARIANT_ADD(elems, stock_hash) { false, BPF_MAP_TYPE_DEVMAP_HASH };
FIXTURE_VARIANT_ADD(elems, claimed_array) { true, BPF_MAP_TYPE_DEVMAP };
FIXTURE_VARIANT_ADD(elems, claimed_hash) { true, BPF_MAP_TYPE_DEVMAP_HASH };

FIXTURE_SETUP(elems)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_array = variant->type == BPF_MAP_TYPE_DEVMAP;
	self->fd = make_map(variant->claimed, variant->type, 4);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(base_refs + variant->claimed, module_refs());
}

FIXTURE_TEARDOWN(elems)
{
	close(self->fd);
}

#define MAKE_MAP(value_size, n, flags)						\
({										\
	int _refs = module_refs();						\
	int _fd = make_map_flags(variant->claimed, variant->type, value_size,	\
				 n, flags);					\
										\
	ASSERT_LE(0, _fd);							\
	ASSERT_EQ(_refs + variant->claimed, module_refs());			\
	_fd;									\
})

TEST_F(elems, update)
{
	__u32 key;

	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set(self->fd, key, devs[key], BPF_ANY));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(devs[key], get(self->fd, key));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set(self->fd, key, devs[3 - key], BPF_EXIST));
	/* The same device once more. */
	EXPECT_EQ(0, set(self->fd, 0, devs[3], BPF_ANY));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(devs[3 - key], get(self->fd, key));
	/* Any device will do, also one that cannot transmit XDP frames. */
	EXPECT_EQ(0, set(self->fd, 0, if_nametoindex("lo"), BPF_ANY));
	EXPECT_EQ(if_nametoindex("lo"), get(self->fd, 0));
}

TEST_F(elems, update_bad_flags)
{
	static const __u64 bad[] = { 3, 4, 5, 8, 1ULL << 32, 1ULL << 63, ~0ULL };
	int i;

	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set(self->fd, 0, devs[1], bad[i])) {
			TH_LOG("flags 0x%llx", bad[i]);
		}
		/* Before anything else is looked at. */
		EXPECT_EQ(-EINVAL, set(self->fd, 9, devs[1], bad[i]));
		EXPECT_EQ(-EINVAL, set(self->fd, 0, NO_DEV, bad[i]));
	}
	EXPECT_EQ(devs[0], get(self->fd, 0));
}

TEST_F(elems, update_noexist)
{
	/* All slots of an array exist. */
	int want = self->is_array ? -EEXIST : 0;

	EXPECT_EQ(want, set(self->fd, 0, devs[0], BPF_NOEXIST));
	EXPECT_EQ(self->is_array ? -ENOENT : (int)devs[0], get(self->fd, 0));
	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EEXIST, set(self->fd, 0, devs[1], BPF_NOEXIST));
	/* Whatever else is wrong. */
	EXPECT_EQ(-EEXIST, set(self->fd, 0, NO_DEV, BPF_NOEXIST));
	EXPECT_EQ(devs[0], get(self->fd, 0));
	EXPECT_EQ(0, del(self->fd, 0));
	EXPECT_EQ(want, set(self->fd, 0, devs[1], BPF_NOEXIST));
}

TEST_F(elems, update_exist)
{
	/* Intended: stock ignores the flag and inserts. */
	bool inserts = self->is_array || !variant->claimed;

	EXPECT_EQ(inserts ? 0 : -ENOENT, set(self->fd, 0, devs[0], BPF_EXIST));
	EXPECT_EQ(inserts ? (int)devs[0] : -ENOENT, get(self->fd, 0));
	EXPECT_EQ(0, set(self->fd, 0, devs[1], BPF_ANY));
	EXPECT_EQ(0, set(self->fd, 0, devs[2], BPF_EXIST));
	EXPECT_EQ(devs[2], get(self->fd, 0));
	EXPECT_EQ(-EINVAL, set(self->fd, 0, NO_DEV, BPF_EXIST));
	EXPECT_EQ(devs[2], get(self->fd, 0));
}

TEST_F(elems, update_no_device)
{
	static const __u32 bad[] = { NO_DEV, 0x7fffffff, 0x80000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set(self->fd, 0, bad[i], BPF_ANY));
		EXPECT_EQ(-ENOENT, get(self->fd, 0));
	}
	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set(self->fd, 0, bad[i], BPF_ANY));
		EXPECT_EQ(devs[0], get(self->fd, 0));
	}
}

TEST_F(elems, update_ifindex_0)
{
	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	if (self->is_array) {
		/* Another way to delete. */
		EXPECT_EQ(0, set(self->fd, 0, 0, BPF_ANY));
		EXPECT_EQ(-ENOENT, get(self->fd, 0));
		EXPECT_EQ(0, set(self->fd, 0, 0, BPF_EXIST));
		EXPECT_EQ(-EEXIST, set(self->fd, 0, 0, BPF_NOEXIST));
	} else {
		EXPECT_EQ(-EINVAL, set(self->fd, 0, 0, BPF_ANY));
		EXPECT_EQ(-EINVAL, set(self->fd, 0, 0, BPF_EXIST));
		EXPECT_EQ(-EINVAL, set(self->fd, 0, 0, BPF_NOEXIST));
		EXPECT_EQ(-EINVAL, set(self->fd, 1, 0, BPF_EXIST));
		EXPECT_EQ(devs[0], get(self->fd, 0));
	}
}

TEST_F(elems, key_range)
{
	static const __u32 keys[] = { 4, 5, 65536, 0x7fffffff, 0x80000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (self->is_array) {
			EXPECT_EQ(-E2BIG, set(self->fd, keys[i], devs[0], BPF_ANY));
			EXPECT_EQ(-E2BIG, set(self->fd, keys[i], devs[0], BPF_NOEXIST));
			EXPECT_EQ(-E2BIG, set(self->fd, keys[i], NO_DEV, BPF_ANY));
			EXPECT_EQ(-ENOENT, get(self->fd, keys[i]));
			EXPECT_EQ(-EINVAL, del(self->fd, keys[i]));
		} else {
			EXPECT_EQ(-ENOENT, get(self->fd, keys[i]));
			EXPECT_EQ(-ENOENT, del(self->fd, keys[i]));
			EXPECT_EQ(0, set(self->fd, keys[i], devs[0], BPF_ANY));
			EXPECT_EQ(devs[0], get(self->fd, keys[i]));
			EXPECT_EQ(0, del(self->fd, keys[i]));
			EXPECT_EQ(-ENOENT, get(self->fd, keys[i]));
		}
	}
}

TEST_F(elems, delete)
{
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, del(self->fd, 0));
	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(0, set(self->fd, 1, devs[0], BPF_ANY));
	EXPECT_EQ(0, del(self->fd, 0));
	EXPECT_EQ(-ENOENT, get(self->fd, 0));
	EXPECT_EQ(devs[0], get(self->fd, 1));
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, del(self->fd, 0));
}

TEST_F(elems, value_of_8)
{
	struct bpf_devmap_val val;
	int fd = MAKE_MAP(8, 4, 0);
	__u32 key = 0;

	EXPECT_EQ(0, set8(fd, 0, devs[0], 0));
	memset(&val, 0xff, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[0], val.ifindex);
	EXPECT_EQ(0, val.bpf_prog.id);

	/* No program either. */
	EXPECT_EQ(0, set8(fd, 0, devs[1], -1));
	memset(&val, 0xff, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[1], val.ifindex);
	EXPECT_EQ(0, val.bpf_prog.id);

	EXPECT_EQ(-EINVAL, set8(fd, 0, 0, 1));
	EXPECT_EQ(-EINVAL, set8(fd, 0, NO_DEV, 0));
	EXPECT_EQ(-EINVAL, set8(fd, 0, NO_DEV, 1));
	memset(&val, 0, sizeof(val));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[1], val.ifindex);
	EXPECT_EQ(self->is_array ? 0 : -EINVAL, set8(fd, 0, 0, 0));
	EXPECT_EQ(self->is_array ? 0 : -EINVAL, set8(fd, 0, 0, -1));
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
	EXPECT_EQ(0, set8(fd, 0, devs[0], 0));

	EXPECT_EQ(-EINVAL, set8(fd, 0, devs[1], other));
	EXPECT_EQ(-EINVAL, set8(fd, 0, devs[1], 999999));
	EXPECT_EQ(-EINVAL, set8(fd, 0, devs[1], fd));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &key, &val));
	EXPECT_EQ(devs[0], val.ifindex);
	EXPECT_EQ(0, set8(fd, 0, devs[1], prog));
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
		EXPECT_EQ(0, set(self->fd, key, devs[0], BPF_ANY));
	if (self->is_array)
		return;

	EXPECT_EQ(-E2BIG, set(self->fd, 77, devs[0], BPF_ANY));
	EXPECT_EQ(-E2BIG, set(self->fd, 77, devs[0], BPF_NOEXIST));
	EXPECT_EQ(-EINVAL, set(self->fd, 77, NO_DEV, BPF_ANY));
	EXPECT_EQ(-ENOENT, get(self->fd, 77));
	/* What is there can be replaced. */
	EXPECT_EQ(0, set(self->fd, 2, devs[1], BPF_ANY));
	EXPECT_EQ(0, set(self->fd, 2, devs[2], BPF_EXIST));
	EXPECT_EQ(-EEXIST, set(self->fd, 2, devs[1], BPF_NOEXIST));
	EXPECT_EQ(-E2BIG, set(self->fd, 77, devs[0], BPF_ANY));
	EXPECT_EQ(0, del(self->fd, 2));
	EXPECT_EQ(0, set(self->fd, 77, devs[0], BPF_NOEXIST));
	EXPECT_EQ(-E2BIG, set(self->fd, 2, devs[0], BPF_ANY));
	EXPECT_EQ(devs[0], get(self->fd, 77));
	EXPECT_EQ(4, count_keys(self->fd, 4));
	for (key = 0; key < 100; key++)
		del(self->fd, key);
	EXPECT_EQ(0, count_keys(self->fd, 4));
	for (key = 0; key < 4; key++)
		EXPECT_EQ(0, set(self->fd, key + 100, devs[1], BPF_ANY));
	EXPECT_EQ(-E2BIG, set(self->fd, 0, devs[0], BPF_ANY));
}

TEST_F(elems, full_of_one)
{
	int fd = MAKE_MAP(4, 1, 0);

	if (self->is_array) {
		EXPECT_EQ(0, set(fd, 0, devs[0], BPF_ANY));
		EXPECT_EQ(-E2BIG, set(fd, 1, devs[0], BPF_ANY));
		EXPECT_EQ(1, count_keys(fd, 4));
	} else {
		EXPECT_EQ(0, set(fd, 5, devs[0], BPF_ANY));
		EXPECT_EQ(-E2BIG, set(fd, 6, devs[0], BPF_ANY));
		EXPECT_EQ(0, set(fd, 5, devs[1], BPF_ANY));
		EXPECT_EQ(0, del(fd, 5));
		EXPECT_EQ(0, set(fd, 6, devs[0], BPF_ANY));
		EXPECT_EQ(-ENOENT, get(fd, 5));
		EXPECT_EQ(1, count_keys(fd, 4));
	}
	close(fd);
}

TEST_F(elems, frozen)
{
	EXPECT_EQ(0, set(self->fd, 1, devs[1], BPF_ANY));
	ASSERT_EQ(0, bpf_map_freeze(self->fd));
	EXPECT_EQ(-EPERM, set(self->fd, 1, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, set(self->fd, 2, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, del(self->fd, 1));
	EXPECT_EQ(devs[1], get(self->fd, 1));
	EXPECT_EQ(self->is_array ? 4 : 1, count_keys(self->fd, 10));
}

TEST_F(elems, read_only_fd)
{
	int fd = MAKE_MAP(4, 4, BPF_F_RDONLY);
	__u32 key;

	EXPECT_EQ(-EPERM, set(fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, del(fd, 0));
	EXPECT_EQ(-ENOENT, get(fd, 0));
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, next_key(fd, NULL, &key));
	close(fd);
}

TEST_F(elems, write_only_fd)
{
	int fd = MAKE_MAP(4, 4, BPF_F_WRONLY);
	__u32 key;

	EXPECT_EQ(0, set(fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-EPERM, get(fd, 0));
	EXPECT_EQ(-EPERM, next_key(fd, NULL, &key));
	EXPECT_EQ(0, del(fd, 0));
	close(fd);
}

/* What the built-in has no operation for; batches, which ours has: map_batch.c. */
TEST_F(elems, unsupported)
{
	__u32 keys[4] = { 0, 1, 2, 3 }, values[4] = { devs[0] };

	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(-ENOTSUPP, bpf_map_lookup_and_delete_elem(self->fd, keys, values));
	EXPECT_EQ(devs[0], get(self->fd, 0));
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

	/* It looks for 16 keys: in an array most of them are out of range. */
	for (key = 0; key < 3; key++) {
		EXPECT_EQ(0, set(self->fd, key, devs[key], BPF_ANY));
		packet.want[key] = devs[key];
	}
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(3, packet.hits);
	EXPECT_EQ(0, packet.wrong);
	EXPECT_EQ(devs[2], packet.last);

	EXPECT_EQ(0, del(self->fd, 2));
	packet.hits = 0;
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(2, packet.hits);
	bpf_object__close(obj);
}

/* A map that lives only in a program. */
TEST_F(elems, program_keeps_map)
{
	struct map_ops_packet packet = { .want = { devs[0] } };
	struct bpf_object *obj;
	int fd;

	EXPECT_EQ(0, set(self->fd, 0, devs[0], BPF_ANY));
	obj = load_program("lookup_all", self->fd);
	ASSERT_NE(NULL, obj);
	fd = dup(program_fd(obj, "lookup_all"));
	bpf_object__close(obj);
	close(self->fd);
	self->fd = -1;

	usleep(100000);
	EXPECT_EQ(base_refs + variant->claimed, module_refs());
	EXPECT_EQ(XDP_PASS, run_lookup_all(fd, 1, &packet));
	EXPECT_EQ(1, packet.hits);
	EXPECT_EQ(0, packet.wrong);
	close(fd);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* --- many elements -------------------------------------------------------- */

#define MANY 65536

TEST_F(elems, many_in_random_order)
{
	static __u32 order[MANY], shadow[MANY];
	__u64 state = 1;
	__u32 i, key, wrong = 0;
	int fd = MAKE_MAP(4, MANY, 0);

	for (i = 0; i < MANY; i++)
		order[i] = i;

	shuffle(order, MANY, &state);
	for (i = 0; i < MANY; i++) {
		key = order[i];
		shadow[key] = devs[rnd(&state) % NDEVS];
		wrong += !!set(fd, key, shadow[key], BPF_ANY);
	}
	EXPECT_EQ(0, wrong);
	if (!self->is_array)
		EXPECT_EQ(-E2BIG, set(fd, MANY, devs[0], BPF_ANY));

	/* Half of them go, in another order; some are replaced. */
	shuffle(order, MANY, &state);
	for (i = 0; i < MANY / 2; i++) {
		wrong += !!del(fd, order[i]);
		shadow[order[i]] = 0;
	}
	for (; i < MANY * 3 / 4; i++) {
		shadow[order[i]] = devs[rnd(&state) % NDEVS];
		wrong += !!set(fd, order[i], shadow[order[i]], BPF_EXIST);
	}
	EXPECT_EQ(0, wrong);
	for (key = 0; key < MANY; key++)
		wrong += get(fd, key) != (shadow[key] ? (int)shadow[key] : -ENOENT);
	EXPECT_EQ(0, wrong);
	if (!self->is_array)
		EXPECT_EQ(MANY / 2, count_keys(fd, MANY));
	close(fd);
}

FIXTURE(hash) {
	int fd;
};

FIXTURE_VARIANT(hash) {
	bool claimed;
};

FIXTURE_VARIANT_ADD(hash, stock) { false };
FIXTURE_VARIANT_ADD(hash, claimed) { true };

FIXTURE_SETUP(hash)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->fd = make_map(variant->claimed, BPF_MAP_TYPE_DEVMAP_HASH, 1024);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(base_refs + variant->claimed, module_refs());
}

FIXTURE_TEARDOWN(hash)
{
	close(self->fd);
}

/* Among them those that all fall into one bucket of the built-in. */
TEST_F(hash, strides)
{
	static const __u32 strides[] = { 1, 256, 1024, 65536, 1 << 22, 0x9e3779b1 };
	__u32 s, i, key, wrong = 0;

	for (s = 0; s < ARRAY_SIZE(strides); s++) {
		for (i = 0; i < 1024; i++)
			wrong += !!set(self->fd, i * strides[s], devs[i % NDEVS], BPF_NOEXIST);
		wrong += set(self->fd, 0xfffffff1, devs[0], BPF_ANY) != -E2BIG;
		for (i = 0; i < 1024; i++)
			wrong += get(self->fd, i * strides[s]) != (int)devs[i % NDEVS];
		for (i = 0; i < 1024; i++)
			wrong += !!del(self->fd, i * strides[s]);
		EXPECT_EQ(0, wrong) {
			TH_LOG("stride %u", strides[s]);
		}
		EXPECT_EQ(-ENOENT, next_key(self->fd, NULL, &key));
	}
}

/* The only entry for a device comes and goes: no error, however fast. */
TEST_F(elems, one_entry_in_a_loop)
{
	__u32 i, wrong = 0;
	int err;

	for (i = 0; i < 20000; i++) {
		err = set(self->fd, 1, devs[0], BPF_ANY);
		if (err && !wrong++)
			TH_LOG("update %u: %d", i, err);
		err = del(self->fd, 1);
		if (err && !wrong++)
			TH_LOG("delete %u: %d", i, err);
	}
	EXPECT_EQ(0, wrong);
}

#define MANY_DEVS 256

/* A switch of many ports, set up at once. */
TEST_F(elems, many_devices)
{
	int fd = MAKE_MAP(4, MANY_DEVS, 0);
	__u32 ifindex[MANY_DEVS];
	char name[IFNAMSIZ];
	int i, err, wrong = 0;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_TRUE(sh("seq -f 'link add many%%g type dummy' 0 %d | ip -batch -", MANY_DEVS - 1));
	for (i = 0; i < MANY_DEVS; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		ifindex[i] = if_nametoindex(name);
	}
	for (i = 0; i < MANY_DEVS; i++) {
		err = set(fd, i, ifindex[i], BPF_ANY);
		if (err && !wrong++)
			TH_LOG("update %d: %d", i, err);
	}
	EXPECT_EQ(0, wrong);
	for (i = 0; i < MANY_DEVS; i++)
		wrong += get(fd, i) != (int)ifindex[i];
	EXPECT_EQ(0, wrong);
	close(fd);
}

/* --- threads -------------------------------------------------------------- */

struct churn {
	int fd;
	__u32 first, keys;
	__u64 seed;
	volatile bool *stop;
	unsigned long done;
	unsigned long failed;
	int error;		/* the last one */
};

/* Key k leads to device k % NDEVS or nowhere. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	__u64 state = c->seed;
	int err, fine;
	__u32 key;

	run_on_cpu(1);
	while (!*c->stop) {
		key = c->first + rnd(&state) % c->keys;
		if (rnd(&state) % 2) {
			err = set(c->fd, key, devs[key % NDEVS], BPF_ANY);
			fine = -E2BIG;
		} else {
			err = del(c->fd, key);
			fine = -ENOENT;
		}
		if (err && err != fine) {
			c->failed++;
			c->error = err;
		}
		c->done++;
	}
	return NULL;
}

#define STABLE 2
#define MOVING 6

/*
 * Few places for many keys: nodes change hands all the time. A key leads to
 * its own device or nowhere; those that nobody touches are always there.
 */
TEST_F(elems, lookups_while_recycling)
{
	int fd = MAKE_MAP(4, self->is_array ? MAP_OPS_KEYS : MOVING + STABLE, 0);
	struct map_ops_packet packet;
	unsigned long hits = 0, wrong = 0, missed = 0;
	volatile bool stop = false;
	struct churn churns[2];
	struct bpf_object *obj;
	pthread_t threads[2];
	int i, prog, value;
	double end;
	__u32 key;

	obj = load_program("lookup_all", fd);
	ASSERT_NE(NULL, obj);
	prog = program_fd(obj, "lookup_all");
	for (i = 0; i < MAP_OPS_KEYS; i++)
		packet.want[i] = devs[i % NDEVS];
	for (key = 0; key < STABLE; key++)
		ASSERT_EQ(0, set(fd, key, devs[key % NDEVS], BPF_ANY));

	for (i = 0; i < 2; i++) {
		churns[i] = (struct churn){
			.fd = fd, .first = STABLE, .keys = MAP_OPS_KEYS - STABLE,
			.seed = i + 1, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &churns[i]));
	}
	run_on_cpu(0);

	end = now() + 3;
	while (now() < end) {
		/* From a program, where nearly all the time is in the look-up... */
		packet.hits = 0;
		packet.wrong = 0;
		packet.missed = 0;
		if (run_lookup_all(prog, 2000, &packet) != XDP_PASS)
			break;
		hits += packet.hits;
		wrong += packet.wrong;
		missed += packet.missed;
		/* ...and by bpf(2). */
		for (key = 0; key < MAP_OPS_KEYS; key++) {
			value = get(fd, key);
			wrong += value != -ENOENT && value != (int)devs[key % NDEVS];
			missed += value == -ENOENT && key < STABLE;
		}
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, churns[i].failed) {
			TH_LOG("error %d", churns[i].error);
		}
		EXPECT_LT(100, churns[i].done);
	}
	EXPECT_LE(end, now());
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, missed);
	EXPECT_LT(100, hits);
	TH_LOG("%lu hits, %lu updates and deletes", hits, churns[0].done + churns[1].done);

	/* And nothing got lost. */
	for (key = 0; key < MAP_OPS_KEYS; key++)
		del(fd, key);
	if (!self->is_array) {
		EXPECT_EQ(0, count_keys(fd, 100));
		for (key = 100; key < 100 + MOVING + STABLE; key++)
			EXPECT_EQ(0, set(fd, key, devs[0], BPF_NOEXIST));
		EXPECT_EQ(-E2BIG, set(fd, key, devs[0], BPF_NOEXIST));
	}
	bpf_object__close(obj);
	close(fd);
}

struct load {
	int prog;
	volatile bool *stop;
	unsigned long runs;
};

static void *run_load(void *arg)
{
	struct map_ops_packet packet = {};
	struct load *l = arg;

	run_on_cpu(0);
	while (!*l->stop && run_lookup_all(l->prog, 50000, &packet) == XDP_PASS)
		l->runs++;
	return NULL;
}

/*
 * The only entry for a device comes and goes while a CPU is busy with BPF
 * programs, so that what was deleted is freed late. No update fails for that.
 */
TEST_F(elems, one_entry_under_load)
{
	volatile bool stop = false;
	struct load l = { .stop = &stop };
	struct churn c = {
		.fd = self->fd, .keys = 1, .seed = 11, .stop = &stop,
	};
	pthread_t threads[2];
	struct bpf_object *obj;

	obj = load_program("lookup_all", self->fd);
	ASSERT_NE(NULL, obj);
	l.prog = program_fd(obj, "lookup_all");
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, run_load, &l));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, churn, &c));
	usleep(1000000);
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_LT(0, l.runs);
	EXPECT_LT(100, c.done);
	EXPECT_EQ(0, c.failed) {
		TH_LOG("%lu of %lu failed, with %d", c.failed, c.done, c.error);
	}
	bpf_object__close(obj);
}

/* Both threads change the same few slots of a map that others share devices with. */
TEST_F(elems, writers_in_two_maps)
{
	int fd = MAKE_MAP(4, 4, 0);
	volatile bool stop = false;
	struct churn churns[2] = {
		{ .fd = self->fd, .keys = 4, .seed = 5, .stop = &stop },
		{ .fd = fd, .keys = 4, .seed = 6, .stop = &stop },
	};
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &churns[i]));
	run_on_cpu(0);
	/* Maps of the same devices that come and go. */
	for (i = 0; i < 20; i++) {
		int other = make_map_flags(variant->claimed, variant->type, 4, 4, 0);

		/* References of earlier ones go at any time. */
		if (other == -ESTALE)
			continue;
		ASSERT_LE(0, other);
		EXPECT_EQ(0, set(other, 0, devs[i % NDEVS], BPF_ANY));
		close(other);
		usleep(30000);
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, churns[i].failed) {
			TH_LOG("error %d", churns[i].error);
		}
		EXPECT_LT(100, churns[i].done);
	}
	close(fd);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* --- side by side --------------------------------------------------------- */

FIXTURE(pair) {
	int fd[2];
};

FIXTURE_VARIANT(pair) {
	enum bpf_map_type type;
	__u32 value_size;
};

FIXTURE_VARIANT_ADD(pair, array) { BPF_MAP_TYPE_DEVMAP, 4 };
FIXTURE_VARIANT_ADD(pair, array_of_8) { BPF_MAP_TYPE_DEVMAP, 8 };
FIXTURE_VARIANT_ADD(pair, hash) { BPF_MAP_TYPE_DEVMAP_HASH, 4 };
FIXTURE_VARIANT_ADD(pair, hash_of_8) { BPF_MAP_TYPE_DEVMAP_HASH, 8 };

FIXTURE_SETUP(pair)
{
	int i;

	ASSERT_TRUE(module_refs_become(base_refs));
	for (i = 0; i < 2; i++) {
		self->fd[i] = make_map_flags(i, variant->type, variant->value_size, 48, 0);
		ASSERT_LE(0, self->fd[i]);
	}
	ASSERT_EQ(base_refs + 1, module_refs());
}

FIXTURE_TEARDOWN(pair)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

/* The same long random story told to both maps: the same answers. */
TEST_F(pair, same_results)
{
	static const __u64 flags[] = {
		BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_NOEXIST, BPF_EXIST, 3, 1ULL << 40,
	};
	struct bpf_devmap_val val, got[2];
	unsigned long wrong = 0, ok = 0;
	int result[2] = {};
	__u32 i, k, op, key, ifindex;
	__u64 state = 7, flag;

	for (i = 0; i < 20000; i++) {
		op = rnd(&state) % 8;
		key = rnd(&state) % 64;
		if (!(rnd(&state) % 64))
			key = 0xfffffff0 + key % 16;
		flag = flags[rnd(&state) % ARRAY_SIZE(flags)];
		ifindex = rnd(&state) % 16;
		if (ifindex)
			ifindex = ifindex == 15 ? NO_DEV : devs[ifindex % NDEVS];
		val = (struct bpf_devmap_val){
			.ifindex = ifindex,
			.bpf_prog.fd = (int)(rnd(&state) % 3) - 2,	/* -2, -1, 0 */
		};
		if (!ifindex && !(rnd(&state) % 4))
			val.bpf_prog.fd = 5;

		/* Intended: see update_exist. */
		if (op < 4 && flag == BPF_EXIST && get(self->fd[1], key) < 0 &&
		    variant->type == BPF_MAP_TYPE_DEVMAP_HASH)
			continue;

		memset(got, 0, sizeof(got));
		for (k = 0; k < 2; k++) {
			if (op < 4)
				result[k] = bpf_map_update_elem(self->fd[k], &key, &val, flag);
			else if (op < 6)
				result[k] = bpf_map_delete_elem(self->fd[k], &key);
			else
				result[k] = bpf_map_lookup_elem(self->fd[k], &key, &got[k]);
		}
		ok += !result[0];
		if (result[0] == result[1] && !memcmp(&got[0], &got[1], sizeof(got[0])))
			continue;
		if (!wrong++)
			TH_LOG("op %u key %u ifindex %u fd %d flags %llu: stock %d, claimed %d", op,
			       key, val.ifindex, val.bpf_prog.fd, flag, result[0], result[1]);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_LT(1000, ok);
	EXPECT_EQ(count_keys(self->fd[0], 100), count_keys(self->fd[1], 100));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
