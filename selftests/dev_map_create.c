// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creation of device maps: attributes, names, capabilities, charges; and a
 * failed creation leaves nothing.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both,
 * except for memory, which is marked "intended" below.
 */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "harness.h"
#include "maplib.h"

#define PIN "/sys/fs/bpf/redirmap_map_create"
#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP CGROUP_ROOT "/redirmap_map_create"

#define CAP(name) (1ULL << CAP_##name)

static const char *const names[] = { "st_test", "rm_test" };

static int map_create(const union bpf_attr *attr)
{
	int fd = syscall(__NR_bpf, BPF_MAP_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

/*
 * Creates and closes a map. 0 or -errno; -ESTALE if the map is of the wrong
 * kind, or a reference was leaked.
 */
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

/*
 * The capabilities of the process. The process can restore them after it has
 * dropped them.
 */
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

FIXTURE(create) {
	union bpf_attr attr;
};

FIXTURE_VARIANT(create) {
	struct kind kind;
};

MAP_KINDS(create);

FIXTURE_SETUP(create)
{
	self->attr.map_type = variant->kind.type;
	self->attr.key_size = 4;
	self->attr.value_size = 4;
	self->attr.max_entries = 4;
	strcpy(self->attr.map_name, names[variant->kind.claimed]);
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

	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	self->attr.value_size = 8;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));

	for (i = 0; i < ARRAY_SIZE(value_sizes); i++) {
		self->attr.value_size = value_sizes[i];
		EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr)) {
			TH_LOG("value size %u", value_sizes[i]);
		}
	}
	self->attr.value_size = 4;
	for (i = 0; i < ARRAY_SIZE(key_sizes); i++) {
		self->attr.key_size = key_sizes[i];
		EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr)) {
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
		/* A flag that 6.9 removes before it asks the map. */
		if (bit == 16)
			continue;
		EXPECT_EQ(good & (1U << bit) ? 0 : -EINVAL,
			  try_create(variant->kind.claimed, &self->attr)) {
			TH_LOG("flags 0x%x", 1U << bit);
		}
	}
	/* Not both. */
	self->attr.map_flags = BPF_F_RDONLY | BPF_F_WRONLY;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
}

TEST_F(create, numa_node)
{
	self->attr.map_flags = BPF_F_NUMA_NODE;
	self->attr.numa_node = 0;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	self->attr.max_entries = 1 << 16;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	self->attr.numa_node = 1023;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
	self->attr.numa_node = 0x7fffffff;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
	/* Without the flag the node is not read. */
	self->attr.map_flags = 0;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
}

/*
 * The number of vmalloc() pages on a node that were allocated for device maps.
 */
static int vmalloc_pages(int node)
{
	char line[512], name[16], *at;
	int pages = 0, n;
	FILE *f;

	f = fopen("/proc/vmallocinfo", "r");
	if (!f)
		return -1;
	snprintf(name, sizeof(name), " N%d=", node);
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, " dev_map_") && !strstr(line, "[redirmap]"))
			continue;
		at = strstr(line, name);
		if (at && sscanf(at + strlen(name), "%d", &n) == 1)
			pages += n;
	}
	fclose(f);
	return pages;
}

/* Maps are freed by work items, some time after the last close. */
static bool vmalloc_pages_become(int node, int want)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (vmalloc_pages(node) == want)
			return true;
		usleep(1000);
	}
	return false;
}

static bool node_is_there(int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	return !access(path, F_OK);
}

/*
 * A table of more than some pages is allocated by vmalloc(), on the requested
 * node. dev_map_numa.sh runs this on a machine with two nodes.
 */
TEST_F(create, numa_node_pages)
{
	int node, fd;

	if (!node_is_there(0))
		SKIP(return, "a kernel without CONFIG_NUMA");
	self->attr.max_entries = 1 << 16;
	self->attr.map_flags = BPF_F_NUMA_NODE;
	for (node = 0; node_is_there(node); node++) {
		/* Maps of earlier tests are freed a little later. */
		ASSERT_TRUE(vmalloc_pages_become(0, 0));
		self->attr.numa_node = node;
		fd = map_create(&self->attr);
		ASSERT_LE(0, fd);
		/* The least memory of a slot. */
		EXPECT_LE((8 << 16) / sysconf(_SC_PAGESIZE), vmalloc_pages(node));
		if (node)
			EXPECT_EQ(0, vmalloc_pages(0));
		close(fd);
		EXPECT_TRUE(vmalloc_pages_become(node, 0));
	}
}

TEST_F(create, other_attributes)
{
	union bpf_attr good = self->attr;

	self->attr.map_extra = 1;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
	self->attr = good;
	self->attr.inner_map_fd = 1;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	/* Offload to a device. */
	self->attr = good;
	self->attr.map_ifindex = 1;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
}

TEST_F(create, max_entries)
{
	static const __u32 counts[] = { 1, 2, 3, 7, 64, 1000, 65536, 1000003 };
	bool is_array = variant->kind.type == BPF_MAP_TYPE_DEVMAP;
	int i, err;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		self->attr.max_entries = counts[i];
		EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr)) {
			TH_LOG("%u entries", counts[i]);
		}
	}
	self->attr.max_entries = 0;
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));

	/* 16 GiB and more, which some machines have. */
	self->attr.max_entries = 1U << 31;
	err = try_create(variant->kind.claimed, &self->attr);
	EXPECT_TRUE(err == -ENOMEM || err == 0);
	self->attr.max_entries = (1U << 31) + 1;
	err = try_create(variant->kind.claimed, &self->attr);
	EXPECT_TRUE(is_array ? err == -ENOMEM || err == 0 : err == -EINVAL);
	self->attr.max_entries = ~0U;
	err = try_create(variant->kind.claimed, &self->attr);
	EXPECT_TRUE(is_array ? err == -ENOMEM || err == 0 : err == -EINVAL);
}

TEST_F(create, names)
{
	static const char *const bad[] = { "-", " ", "/", "*", "\x7f", "\n" };
	char *name = self->attr.map_name;
	int i;

	/* The longest one. */
	snprintf(name, BPF_OBJ_NAME_LEN, "%.3s456789.bcde_", names[variant->kind.claimed]);
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	/* No terminating NUL: refused after the map was made. */
	memset(name + 3, 'x', BPF_OBJ_NAME_LEN - 3);
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));
	/* Bytes after the NUL, which are not read. */
	memset(name + 3, 0, BPF_OBJ_NAME_LEN - 3);
	name[BPF_OBJ_NAME_LEN - 1] = '!';
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));
	name[BPF_OBJ_NAME_LEN - 1] = '\0';

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		strcpy(name + 3, bad[i]);
		EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr)) {
			TH_LOG("name \"%s\"", name);
		}
	}
}

/* A creation that fails after the map was made frees it like a stock map. */
TEST_F(create, fails_late)
{
	struct rlimit limit, old;
	union bpf_attr good = self->attr;
	int fd;

	self->attr.btf_fd = -1;
	self->attr.btf_key_type_id = 1;
	self->attr.btf_value_type_id = 1;
	EXPECT_EQ(-EBADF, try_create(variant->kind.claimed, &self->attr));
	self->attr = good;
	self->attr.max_entries = 65536;
	self->attr.map_name[3] = '!';
	EXPECT_EQ(-EINVAL, try_create(variant->kind.claimed, &self->attr));

	/* And the last step: there is no free file descriptor. */
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

/*
 * Kernels require different capabilities; a claimed map must require the same.
 */
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
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));

	for (bad = 0; bad < 2; bad++) {
		self->attr.max_entries = bad ? 0 : 4;
		stock.max_entries = self->attr.max_entries;
		for (i = 0; i < ARRAY_SIZE(caps); i++) {
			ASSERT_TRUE(set_caps(caps[i]));
			want = try_create(false, &stock);
			EXPECT_EQ(want, try_create(variant->kind.claimed, &self->attr)) {
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
	EXPECT_EQ(variant->kind.type, info.type);
	EXPECT_EQ(4, info.key_size);
	EXPECT_EQ(8, info.value_size);
	EXPECT_EQ(77, info.max_entries);
	EXPECT_EQ(0, info.ifindex);
	EXPECT_EQ(0, info.map_extra);
	EXPECT_STREQ(names[variant->kind.claimed], info.name);
	/* Programs may never write; BPF_F_RDONLY applies to the descriptor. */
	EXPECT_EQ(BPF_F_NUMA_NODE | BPF_F_RDONLY_PROG, info.map_flags);

	fd2 = bpf_map_get_fd_by_id(info.id);
	ASSERT_LE(0, fd2);
	close(fd);
	len = sizeof(by_id);
	memset(&by_id, 0, sizeof(by_id));
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(fd2, &by_id, &len));
	EXPECT_EQ(0, memcmp(&info, &by_id, sizeof(info)));
	/* This one may write. */
	EXPECT_EQ(0, set_elem8(fd2, 0, devs[0], 0));
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
	EXPECT_EQ(0, set_elem(fd, 1, devs[1], 0));
	close(fd);
	usleep(100000);
	EXPECT_EQ(base_refs + variant->kind.claimed, module_refs());

	fd = bpf_obj_get(PIN);
	EXPECT_LE(0, fd);
	EXPECT_EQ(devs[1], get_elem(fd, 1));
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

/*
 * The table is charged to the creator of the map, and a table above the limit
 * is refused.
 */
TEST_F(create, memory_cgroup)
{
	bool is_array = variant->kind.type == BPF_MAP_TYPE_DEVMAP;
	const long mib = 1 << 20;
	/*
	 * Intended: the claimed hash allocates its nodes at creation: 16 + 8
	 * bytes.
	 */
	long want = is_array || !variant->kind.claimed ? 8 * mib : 24 * mib;
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
	/* An earlier test may have left the cgroup. */
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
	EXPECT_EQ(-ENOMEM, try_create(variant->kind.claimed, &self->attr));
	self->attr.max_entries = 1024;
	EXPECT_EQ(0, try_create(variant->kind.claimed, &self->attr));

	EXPECT_TRUE(write_str(CGROUP "/memory.max", "max"));
	EXPECT_TRUE(write_str(CGROUP_ROOT "/cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(CGROUP));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
