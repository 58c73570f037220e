// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF tokens (6.9): root of a container makes maps with what the machine's root
 * has delegated, and no other ones. The memory is charged to the container's
 * cgroup, also the table of a claimed map, which the module allocates.
 *
 * The container is a child that shares the test's descriptors.
 */
#define _GNU_SOURCE
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "cglib.h"
#include "harness.h"
#include "kinds.h"
#include "netlib.h"
#include "testlib.h"
#include "userlib.h"

/* Older headers lack these parts of bpf(2)'s interface. */
#define TOKEN_CREATE 36
#define TOKEN_FD (1U << 16)

struct map_attr {
	__u32 type, key_size, value_size, entries, flags, inner, node;
	char name[16];
	__u32 unused[8];
	__s32 token;		/* at byte 76, as in union bpf_attr */
};

#define ENTRIES (1 << 18)
/* A half of the pointers: CPUs may have charged some bytes before. */
#define LEAST (ENTRIES * sizeof(void *) / 2)

/* Shared with the container. */
struct plan {
	struct map_attr attr;
	int begins, goes_on;		/* eventfds */
	int bpffs, mount;		/* descriptors, or -errno */
	int token, map, without;	/* descriptors, or -errno */
	int update;			/* 0 or -errno */
	__u32 ifindex;			/* what the map then has */
};

FIXTURE(token) {
	struct plan *plan;
	pid_t child;
	bool cgroup;
};

FIXTURE_VARIANT(token) {
	struct kind kind;
};

MAP_KINDS(token);

static int or_errno(long ret)
{
	return ret < 0 ? -errno : ret;
}

static int make(const struct map_attr *attr)
{
	return or_errno(syscall(__NR_bpf, BPF_MAP_CREATE, attr, sizeof(*attr)));
}

static int make_token(int mount)
{
	struct { __u32 flags, bpffs; } attr = { .bpffs = openat(mount, ".", O_RDONLY) };
	int ret = or_errno(syscall(__NR_bpf, TOKEN_CREATE, &attr, sizeof(attr)));

	close(attr.bpffs);
	return ret;
}

/* Runs as root of the container. */
static bool contained(struct plan *plan)
{
	struct map_attr attr = plan->attr;
	__u32 key = 1, lo = 1;
	eventfd_t n;

	plan->bpffs = or_errno(syscall(SYS_fsopen, "bpf", 0));
	if (eventfd_write(plan->begins, 1) || eventfd_read(plan->goes_on, &n))
		return false;
	plan->token = make_token(plan->mount);
	attr.token = plan->token;
	plan->map = make(&attr);
	attr.flags = 0;
	attr.token = 0;
	plan->without = make(&attr);
	plan->update = or_errno(bpf_map_update_elem(plan->map, &key, &lo, BPF_ANY));
	bpf_map_lookup_elem(plan->map, &key, &plan->ifindex);
	return true;
}

FIXTURE_SETUP(token)
{
	struct plan *plan;

	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(enter_net());
	self->cgroup = cg_make();
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, plan);
	self->plan = plan;
	plan->attr = (struct map_attr){
		.type = variant->kind.type, .key_size = 4, .value_size = 4, .entries = ENTRIES,
		.flags = TOKEN_FD,
	};
	strcpy(plan->attr.name, variant->kind.claimed ? "rm_test" : "st_test");
	plan->begins = eventfd(0, 0);
	plan->goes_on = eventfd(0, 0);
	plan->bpffs = -1;
	plan->map = -1;
}

FIXTURE_TEARDOWN(token)
{
	struct plan *plan = self->plan;

	close(plan->begins);
	close(plan->goes_on);
	munmap(plan, sizeof(*plan));
	EXPECT_TRUE(module_refs_become(0));
	if (self->cgroup)
		EXPECT_TRUE(cg_remove());
}

/*
 * Root of the machine delegates the types of maps in the mask to a container,
 * which makes a map.
 */
static void delegate(struct __test_metadata *_metadata, FIXTURE_DATA(token) *self,
		     unsigned long types)
{
	struct plan *plan = self->plan;
	eventfd_t n;
	int status;
	char mask[32];

	if (self->cgroup)
		ASSERT_TRUE(cg_pays(true));
	self->child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0UL);
	if (!self->child) {
		bool good = become(CONTAINED) && contained(plan);

		/* The test does not wait for a container that has failed. */
		eventfd_write(plan->begins, 1);
		_exit(!good);
	}
	ASSERT_LT(0, self->child);
	if (self->cgroup)
		ASSERT_TRUE(cg_pays(false));
	ASSERT_EQ(0, eventfd_read(plan->begins, &n));
	ASSERT_LE(0, plan->bpffs);
	snprintf(mask, sizeof(mask), "0x%lx", types);
	EXPECT_EQ(0, syscall(SYS_fsconfig, plan->bpffs, FSCONFIG_SET_STRING, "delegate_cmds",
			     "any", 0));
	EXPECT_EQ(0, syscall(SYS_fsconfig, plan->bpffs, FSCONFIG_SET_STRING, "delegate_maps",
			     mask, 0));
	EXPECT_EQ(0, syscall(SYS_fsconfig, plan->bpffs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	plan->mount = or_errno(syscall(SYS_fsmount, plan->bpffs, 0, 0));
	EXPECT_LE(0, plan->mount);
	ASSERT_EQ(0, eventfd_write(plan->goes_on, 1));
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	EXPECT_EQ(0, status);
	close(plan->bpffs);
	close(plan->mount);
}

TEST_F(token, delegated)
{
	struct plan *plan = self->plan;
	long before = self->cgroup ? cg_current() : 0;

	delegate(_metadata, self, 1UL << variant->kind.type);
	ASSERT_LE(0, plan->token);
	ASSERT_LE(0, plan->map);
	EXPECT_EQ(-EPERM, plan->without);
	EXPECT_EQ(variant->kind.claimed, is_claimed(plan->map));
	EXPECT_EQ(0, plan->update);
	EXPECT_EQ(1, plan->ifindex);
	if (self->cgroup) {
		EXPECT_LE((long)(before + LEAST), cg_current());
	} else {
		TH_LOG("no memory cgroups");
	}
	close(plan->map);
	close(plan->token);
	if (self->cgroup)
		EXPECT_TRUE(cg_gives_back(before));
}

/* Another type was delegated. */
TEST_F(token, not_delegated)
{
	struct plan *plan = self->plan;

	delegate(_metadata, self, 1UL << BPF_MAP_TYPE_ARRAY);
	ASSERT_LE(0, plan->token);
	EXPECT_EQ(-EPERM, plan->map);
	EXPECT_EQ(-EPERM, plan->without);
	close(plan->token);
}

int main(int argc, char **argv)
{
	if (!can_test())
		return KSFT_SKIP;
	/* Other kernels do not know the command. */
	if (make_token(-1) != -EBADF) {
		printf("1..0 # SKIP this kernel has no tokens\n");
		return KSFT_SKIP;
	}
	return users_setup() ?: test_harness_run(argc, argv);
}
