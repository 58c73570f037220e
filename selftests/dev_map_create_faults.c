// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creations that fail: at each step, many times in a row, by a caller that
 * holds nothing afterwards. No memory is in use afterwards or meanwhile, and
 * none is charged to the caller's memory cgroup. And the owner of maps pays for
 * all of their memory.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>

#include <linux/redirmap.h>

#include "cglib.h"
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define TRIES 800
/* Failures at the steps after the first one. */
#define MORE_TRIES 100
#define ENTRIES 1024
/* KiB that the kernel's caches may take meanwhile. */
#define SLACK 8192

/* Do maps report their memory? */
static bool maps_tell;

/* A flag since 6.9, which libbpf's headers may lack. */
#define TOKEN_FD (1U << 16)

enum step {
	BAD_NAME, BAD_BTF, BAD_TOKEN, FORBIDDEN, NO_DESCRIPTOR, NO_TABLE, NO_TABLE_OF_NODE, STEPS
};

static const struct {
	const char *what;
	int err;
} steps[STEPS] = {
	[BAD_NAME] = { "a bad name", -EINVAL },
	[BAD_BTF] = { "no such BTF", -EBADF },
	[BAD_TOKEN] = { "a file that is no token, or an unknown flag", -EINVAL },
	[FORBIDDEN] = { "a security module", -EPERM },
	[NO_DESCRIPTOR] = { "no descriptor", -EMFILE },
	[NO_TABLE] = { "no memory for the table", -ENOMEM },
	[NO_TABLE_OF_NODE] = { "no memory for the table in a node", -ENOMEM },
};

/* A figure of /proc/meminfo, in KiB. */
static long meminfo(const char *name)
{
	char line[128], is[64];
	long val, found = -1;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %ld", is, &val) == 2 && !strcmp(is, name))
			found = val;
	if (f)
		fclose(f);
	return found;
}

static long kernel_memory(void)
{
	return meminfo("Percpu") + meminfo("SUnreclaim");
}

/* The memory that was allocated since the boot, freed or not, in KiB. */
static long long allocated(void)
{
	long long pages, sum = 0;
	char line[128];
	FILE *f;

	f = fopen("/proc/vmstat", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "pgalloc_%*s %lld", &pages) == 1)
			sum += pages;
	if (f)
		fclose(f);
	return sum * getpagesize() / 1024;
}

static bool memory_comes_back(long before)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (kernel_memory() <= before + SLACK)
			return true;
		usleep(10000);
	}
	fprintf(stderr, "# %ld KiB are in use, %ld were\n", kernel_memory(), before);
	return false;
}

/* One attempt, which must fail. Returns the error. */
static int try_step(const struct kind *kind, __u32 value_size, enum step step, int last_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	const char *name = kind->claimed ? "rm_fault" : "st_fault";
	__u32 entries = ENTRIES;
	struct rlimit old, none;
	int fd, err;

	switch (step) {
	case BAD_NAME:
		name = kind->claimed ? "rm_bad name!" : "st_bad name!";
		break;
	case BAD_BTF:
		opts.btf_fd = 100000;
		opts.btf_key_type_id = 1;
		opts.btf_value_type_id = 2;
		break;
	case BAD_TOKEN:
		/* The token is descriptor 0, which main() has opened. */
		opts.map_flags = TOKEN_FD;
		break;
	case FORBIDDEN:
		name = kind->claimed ? "rm_no" : "st_no";
		break;
	case NO_TABLE_OF_NODE:
		opts.map_flags = BPF_F_NUMA_NODE;
		opts.numa_node = 0;
		entries = 1U << 31;
		break;
	case NO_TABLE:
		entries = 1U << 31;
		break;
	default:
		break;
	}

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = last_fd;
	if (step == NO_DESCRIPTOR)
		setrlimit(RLIMIT_NOFILE, &none);
	fd = bpf_map_create(kind->type, name, 4, value_size, entries, &opts);
	err = fd < 0 ? -errno : 0;
	setrlimit(RLIMIT_NOFILE, &old);
	if (!err)
		close(fd);
	return err;
}

FIXTURE(faults)
{
	bool cgroup;
	__u32 dev;
};

FIXTURE_VARIANT(faults)
{
	struct kind kind;
	__u32 value_size;
};

FIXTURE_VARIANT_ADD(faults, stock_array) {
	.kind = { false, BPF_MAP_TYPE_DEVMAP }, .value_size = 8,
};

FIXTURE_VARIANT_ADD(faults, claimed_array) {
	.kind = { true, BPF_MAP_TYPE_DEVMAP }, .value_size = 8,
};

FIXTURE_VARIANT_ADD(faults, claimed_array_counters) {
	.kind = { true, BPF_MAP_TYPE_DEVMAP }, .value_size = sizeof(struct redirmap_val),
};

FIXTURE_VARIANT_ADD(faults, stock_hash) {
	.kind = { false, BPF_MAP_TYPE_DEVMAP_HASH }, .value_size = 8,
};

FIXTURE_VARIANT_ADD(faults, claimed_hash_counters) {
	.kind = { true, BPF_MAP_TYPE_DEVMAP_HASH }, .value_size = sizeof(struct redirmap_val),
};

FIXTURE_SETUP(faults)
{
	ASSERT_TRUE(module_refs_become(0));
	hurry(true);
	ASSERT_TRUE(enter_net());
	ASSERT_TRUE(ip("link add d0 type dummy\n"));
	self->dev = if_nametoindex("d0");
	self->cgroup = cg_make();
	/* Otherwise pages of the test itself would be charged as well. */
	ASSERT_EQ(mlockall(MCL_CURRENT | MCL_FUTURE), 0);
}

FIXTURE_TEARDOWN(faults)
{
	if (self->cgroup) {
		EXPECT_TRUE(cg_remove());
	}
	EXPECT_TRUE(module_refs_become(0));
	hurry(false);
}

static void fail_all(struct __test_metadata *_metadata, const struct kind *kind,
		     __u32 value_size)
{
	int i, fd, wrong, tries, err = 0;
	long long allocated_before;
	enum step step;
	long before;

	/* The next descriptor, which is above the limit. */
	fd = dup(0);
	ASSERT_GE(fd, 0);
	close(fd);
	for (step = 0; step < STEPS; step++) {
		tries = fewer(step ? MORE_TRIES : TRIES);
		before = kernel_memory();
		allocated_before = allocated();
		for (i = 0, wrong = 0; i < tries; i++) {
			err = try_step(kind, value_size, step, fd);
			wrong += err != steps[step].err;
			/* Complete maps are freed later. */
			if (step == NO_DESCRIPTOR && i % 50 == 49)
				EXPECT_TRUE(module_refs_become(0));
		}
		EXPECT_EQ(wrong, 0) {
			TH_LOG("%s: %d", steps[step].what, err);
		}
		/* Not even for a moment was most of the memory in use. */
		EXPECT_LT(allocated() - allocated_before, meminfo("MemTotal")) {
			TH_LOG("%s", steps[step].what);
		}
		EXPECT_TRUE(memory_comes_back(before)) {
			TH_LOG("%s", steps[step].what);
		}
	}
}

TEST_F(faults, in_a_loop)
{
	fail_all(_metadata, &variant->kind, variant->value_size);
}

TEST_F(faults, in_a_small_cgroup)
{
	long before;

	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	before = cg_current();
	ASSERT_TRUE(cg_limit(32 << 20));
	ASSERT_TRUE(cg_pays(true));
	fail_all(_metadata, &variant->kind, variant->value_size);
	ASSERT_TRUE(cg_pays(false));
	/*
	 * 6.1 keeps some charges of tables that it failed to allocate, also for
	 * stock maps.
	 */
	EXPECT_TRUE(cg_gives_back(before + SLACK * 1024L));
}

static int put_dev(int fd, __u32 key, __u32 ifindex)
{
	struct redirmap_val val = { .entry.ifindex = ifindex, .entry.bpf_prog.fd = -1 };

	return bpf_map_update_elem(fd, &key, &val, BPF_ANY) ? -errno : 0;
}

static int put_patiently(int fd, __u32 key, __u32 ifindex)
{
	return PATIENTLY(put_dev(fd, key, ifindex));
}

#define EMPTY 400
/* Maps whose reserve is filled together with that of the updated map. */
#define SOME 60

/*
 * Has per-CPU memory been added to @percpu KiB, and are all of it, and at least
 * @least bytes more than @charged, charged?
 */
static bool percpu_charged_now(long percpu, long charged, long least)
{
	long more = (meminfo("Percpu") - percpu) * 1024;
	long paid = cg_stat("percpu") - charged;

	/* Areas are mapped in pages, which others may share. */
	return paid >= least && more <= paid + (1 << 20);
}

/* The same; waits for work items. */
static bool percpu_is_charged(long percpu, long charged, long least)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (percpu_charged_now(percpu, charged, least))
			return true;
		usleep(5000);
	}
	fprintf(stderr, "# %ld bytes more, %ld are charged\n",
		(meminfo("Percpu") - percpu) * 1024, cg_stat("percpu") - charged);
	return false;
}

static long cpus(void)
{
	return sysconf(_SC_NPROCESSORS_CONF);
}

/* Empty maps take little memory, and all of it is charged. */
TEST_F(faults, empty_maps_are_paid_for)
{
	int fds[EMPTY], fd, i, n = fewer(EMPTY), some = n < SOME ? n : SOME;
	long percpu, charged;
	bool paid = false;

	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	percpu = meminfo("Percpu");
	charged = cg_stat("percpu");
	ASSERT_TRUE(cg_limit(32 << 20));
	ASSERT_TRUE(cg_pays(true));
	for (i = 0; i < n; i++) {
		fds[i] = bpf_map_create(variant->kind.type,
					variant->kind.claimed ? "rm_empty" : "st_empty", 4,
					variant->value_size, ENTRIES, NULL);
		ASSERT_GE(fds[i], 0);
	}
	ASSERT_TRUE(cg_pays(false));

	/*
	 * An update makes the reserves of several maps be filled, for a second,
	 * and the kernel may report a charge two seconds late.
	 */
	for (i = 0; i < 500 && !paid; i++) {
		fd = bpf_map_create(variant->kind.type,
				    variant->kind.claimed ? "rm_other" : "st_other", 4,
				    variant->value_size, ENTRIES, NULL);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(put_dev(fd, 0, self->dev), 0);
		close(fd);
		paid = i >= 3 && percpu_charged_now(percpu, charged, variant->kind.claimed ?
						    some * 2 * 256 * cpus() : 0);
		usleep(20000);
	}
	EXPECT_TRUE(paid);
	for (i = 0; i < n; i++)
		close(fds[i]);
}

#define FULL 2

/* Each entry with counters has a target of its own, with all of its memory. */
TEST_F(faults, full_maps_are_paid_for)
{
	int fds[FULL], i, wrong = 0, entries = fewer(ENTRIES);
	long percpu, charged, before, told = 0, least;
	bool counts = variant->value_size == sizeof(struct redirmap_val);
	__u32 key;

	if (!self->cgroup)
		SKIP(return, "no memory cgroups");
	before = cg_current();
	percpu = meminfo("Percpu");
	charged = cg_stat("percpu");
	ASSERT_TRUE(cg_pays(true));
	for (i = 0; i < FULL; i++) {
		fds[i] = bpf_map_create(variant->kind.type,
					variant->kind.claimed ? "rm_full" : "st_full", 4,
					variant->value_size, entries, NULL);
		ASSERT_GE(fds[i], 0);
	}
	ASSERT_TRUE(cg_pays(false));
	for (i = 0; i < FULL; i++)
		for (key = 0; key < (__u32)entries; key++)
			wrong += !!put_patiently(fds[i], key, self->dev);
	EXPECT_EQ(wrong, 0);

	least = counts ? (long)FULL * entries * 256 * cpus() : 0;
	EXPECT_TRUE(percpu_is_charged(percpu, charged, least));
	for (i = 0; i < FULL; i++)
		told += map_memlock(fds[i]);
	if (counts && maps_tell) {
		TH_LOG("%ld bytes are charged, %ld are reported", cg_current() - before, told);
		/*
		 * Allocators are charged for more than the requested bytes, and
		 * for twice as much with red zones and stacks beside the
		 * object.
		 */
		EXPECT_LE(told, (cg_current() - before) * 11 / 10);
		EXPECT_GE(told, (cg_current() - before) * (fewer(10) < 10 ? 4 : 6) / 10);
	}
	for (i = 0; i < FULL; i++)
		close(fds[i]);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(cg_gives_back(before));
}

/* A map that keeps getting entries has a larger reserve, and soon no longer. */
TEST_F(faults, no_promise_beside_entries)
{
	static const __u32 fill[] = { 1, 2, 100 };
	long told[3];
	int fds[3], i, try;
	__u32 key;

	if (variant->value_size != sizeof(struct redirmap_val) ||
	    !maps_tell)
		SKIP(return, "fdinfo does not report entries");
	for (i = 0; i < 3; i++) {
		fds[i] = bpf_map_create(variant->kind.type, "rm_told", 4, variant->value_size,
					ENTRIES, NULL);
		ASSERT_GE(fds[i], 0);
		for (key = 0; key < fill[i]; key++)
			ASSERT_EQ(put_patiently(fds[i], key, self->dev), 0);
	}
	/* In the end each entry adds as much as the second one. */
	for (try = 0; try < 2000; try++) {
		for (i = 0; i < 3; i++)
			told[i] = map_memlock(fds[i]);
		if (told[2] - told[0] == (told[1] - told[0]) * (fill[2] - 1))
			break;
		usleep(5000);
	}
	EXPECT_LT(try, 2000) {
		TH_LOG("reported: %ld, %ld, %ld", told[0], told[1], told[2]);
	}
	EXPECT_GT(told[1], told[0] + (long)sizeof(struct redirmap_val) + 256 * cpus());
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/* Attaches the program to the hook, which has another name in older kernels. */
static bool attach_lsm(void)
{
	static const char *const hooks[] = { "bpf_map_create", "bpf_map_alloc_security" };
	struct bpf_program *prog;
	struct bpf_object *obj;
	unsigned int i;
	char func[64];

	for (i = 0; i < 2; i++) {
		snprintf(func, sizeof(func), "bpf_lsm_%s", hooks[i]);
		if (libbpf_find_vmlinux_btf_id(func, BPF_TRACE_FENTRY) > 0)
			break;
	}
	obj = bpf_object__open_file(beside("map_create_faults.bpf.o"), NULL);
	prog = obj ? bpf_object__find_program_by_name(obj, "forbid") : NULL;
	return i < 2 && prog && !bpf_program__set_attach_target(prog, 0, hooks[i]) &&
	       !bpf_object__load(obj) && bpf_program__attach(prog);
}

int main(int argc, char **argv)
{
	if (!can_test())
		return KSFT_SKIP;
	/* Once, for all tests, because it takes long. */
	if (!attach_lsm()) {
		printf("Bail out! the security module cannot be attached\n");
		return KSFT_FAIL;
	}
	if (!freopen("/dev/null", "r", stdin))
		return KSFT_FAIL;
	maps_tell = kernel_has_member("bpf_map_ops", "map_mem_usage");
	return test_harness_run(argc, argv);
}
