// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that leave at a bad time: while their target is being freed, which is
 * held, or so slowly that another device gets their ifindex meanwhile.
 *
 * KASAN or the kernel's own checks report faults.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "egresslib.h"
#include "harness.h"
#include "holdlib.h"

#define A "redirmap-life-a"
#define C "redirmap-life-c"
#define INDEX 4711

/* Waits until the device is not in this namespace. */
static bool vanishes(const char *name)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (!if_nametoindex(name))
			return true;
		usleep(1000);
	}
	return false;
}

FIXTURE(life)
{
	int here, map;
};

FIXTURE_VARIANT(life)
{
	struct kind kind;
};

CLAIMED_KINDS(life);

FIXTURE_SETUP(life)
{
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	self->here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->here, 0);
	self->map = new_map(&variant->kind, 4);
	ASSERT_GE(self->map, 0);
}

FIXTURE_TEARDOWN(life)
{
	close(self->map);
	close(self->here);
	sh("for n in " A " " C "; do ip netns del $n; done 2>&-; rmmod holdup");
	EXPECT_TRUE(module_refs_become(0));
}

/* Sets an entry for a device of another namespace; 0 or -errno. */
static int put_in(int map, int here, const char *netns, __u32 ifindex)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		return -errno;
	close(fd);
	err = put_value(map, 0, ifindex, -1);
	return setns(here, CLONE_NEWNET) ? -errno : err;
}

/*
 * Makes a namespace with one end of a veth. The other end, in this namespace,
 * is deleted with it.
 */
static bool make_netns(const char *netns, const char *sign)
{
	return sh("ip netns add %s && ip link add name %s type veth peer name peer netns %s",
		  netns, sign, netns);
}

/*
 * Deletes a namespace, and waits until it is cleaned up. Namespaces are cleaned
 * up one after the other, so this waits for another one that is deleted later.
 */
static bool delete_netns(const char *netns, const char *sign)
{
	return sh("ip netns del %s", netns) && vanishes(sign) && make_netns(C, "sign_c") &&
	       sh("ip netns del " C) && vanishes("sign_c");
}

/*
 * The last entry for a device was deleted, and its target is out of the table,
 * when the device moves to another namespace, and its former namespace ends.
 */
TEST_F(life, namespace_dies_while_target_is_freed)
{
	__u32 key = 0, index;

	ASSERT_TRUE(load_holdup("func=rmap_target_table_put_id"));
	ASSERT_TRUE(make_netns(A, "sign_a"));
	ASSERT_TRUE(sh("ip -n " A " link add d0 index %d type dummy", INDEX));
	ASSERT_EQ(put_in(self->map, self->here, A, INDEX), 0);

	ASSERT_TRUE(write_str(HOLDUP "hold", "1"));
	ASSERT_EQ(bpf_map_delete_elem(self->map, &key), 0);
	ASSERT_TRUE(becomes(HOLDUP "held", 1));
	EXPECT_TRUE(sh("ip -n " A " link set d0 netns %d", getpid()));
	EXPECT_TRUE(delete_netns(A, "sign_a"));
	ASSERT_TRUE(write_str(HOLDUP "hold", "0"));

	/* The device can be used as before, and deleted. */
	index = if_nametoindex("d0");
	ASSERT_NE(index, 0);
	EXPECT_EQ(put_value(self->map, 0, index, -1), 0);
	EXPECT_EQ(value_ifindex(self->map, 0), index);
	EXPECT_TRUE(sh("ip link del d0"));
	EXPECT_EQ(value_ifindex(self->map, 0), -ENOENT);
}

/* The same, but the device stays in its namespace until it is deleted. */
TEST_F(life, device_is_deleted_while_target_is_freed)
{
	__u32 key = 0;

	ASSERT_TRUE(load_holdup("func=rmap_target_table_put_id"));
	ASSERT_TRUE(sh("ip link add d0 type dummy"));
	ASSERT_EQ(put_value(self->map, 0, if_nametoindex("d0"), -1), 0);

	ASSERT_TRUE(write_str(HOLDUP "hold", "1"));
	ASSERT_EQ(bpf_map_delete_elem(self->map, &key), 0);
	ASSERT_TRUE(becomes(HOLDUP "held", 1));
	/* The deletion waits for the target's reference. */
	ASSERT_TRUE(sh("ip link del d0 & sleep 0"));
	EXPECT_TRUE(vanishes("d0"));
	ASSERT_TRUE(write_str(HOLDUP "hold", "0"));
}

/* The address range of the module, whose functions allocate per-CPU memory. */
static bool module_range(__u64 *from, __u64 *to)
{
	unsigned long long at = 0, size = 0;
	char line[256];
	FILE *f;

	f = fopen("/proc/modules", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "redirmap %llu %*s %*s %*s %llx", &size, &at) == 2)
			break;
	if (f)
		fclose(f);
	*from = at;
	*to = at + size;
	return at && size;
}

/* Allocations since memory.bpf.c was attached, not freed, by their callers. */
static int count_sites(struct bpf_object *obj, __u64 from, __u64 to)
{
	int n = 0, map = bpf_object__find_map_fd_by_name(obj, "percpu");
	__u64 site, ptr, *prev = NULL;

	if (map < 0)
		return -1;
	while (!bpf_map_get_next_key(map, prev, &ptr)) {
		prev = &ptr;
		if (!bpf_map_lookup_elem(map, &ptr, &site))
			n += site >= from && site <= to;
	}
	return n;
}

/*
 * Sets of bulk queues. No entry is made meanwhile, so the module allocates no
 * other per-CPU memory.
 */
static int count_sets(struct bpf_object *obj)
{
	__u64 from, to;

	return module_range(&from, &to) ? count_sites(obj, from, to) : -1;
}

/*
 * Does the kernel report the function of its own that modules call, instead of
 * its caller? 6.1 does so if this function does not end in a jump, as with
 * KASAN.
 */
static bool callers_are_hidden(struct bpf_object *obj)
{
	unsigned long long at = 0;
	char line[256], name[128];
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %127s", &at, name) == 2 &&
		    !strcmp(name, "__alloc_percpu_gfp"))
			break;
	if (f)
		fclose(f);
	return count_sites(obj, at, at + 256) > 0;
}

/*
 * A device with a reference continues to leave: core reports it again and
 * again. Meanwhile another device gets its ifindex, and keeps the set that it
 * has brought for its first target.
 */
TEST_F(life, ifindex_of_one_that_is_leaving)
{
	struct bpf_program *prog;
	struct bpf_link *links[2];
	struct bpf_object *obj;
	char text[16];
	int i = 0;

	ASSERT_TRUE(load_holdup(""));
	obj = bpf_object__open_file(beside("memory.bpf.o"), NULL);
	ASSERT_NE(obj, NULL);
	ASSERT_EQ(bpf_object__load(obj), 0);
	bpf_object__for_each_program(prog, obj) {
		links[i] = bpf_program__attach(prog);
		ASSERT_NE(links[i++], NULL);
	}

	ASSERT_TRUE(sh("ip link add old index %d type dummy", INDEX));
	if (callers_are_hidden(obj)) {
		sh("ip link del old");
		bpf_object__close(obj);
		SKIP(return, "this kernel does not report the callers of __alloc_percpu_gfp()");
	}
	EXPECT_EQ(count_sets(obj), 1);
	snprintf(text, sizeof(text), "%d", INDEX);
	ASSERT_TRUE(write_str(HOLDUP "device", text));
	ASSERT_TRUE(sh("ip link del old & sleep 0"));
	ASSERT_TRUE(becomes(HOLDUP "left", 1));
	ASSERT_TRUE(vanishes("old"));
	EXPECT_EQ(count_sets(obj), 0);
	ASSERT_TRUE(sh("ip link add new index %d type dummy", INDEX));
	EXPECT_EQ(count_sets(obj), 1);

	ASSERT_TRUE(becomes(HOLDUP "left", read_int(HOLDUP "left") + 1));
	EXPECT_EQ(count_sets(obj), 1);
	ASSERT_TRUE(write_str(HOLDUP "device", "0"));

	ASSERT_EQ(put_value(self->map, 0, INDEX, -1), 0);
	EXPECT_EQ(value_ifindex(self->map, 0), INDEX);
	EXPECT_TRUE(sh("ip link del new"));
	while (i--)
		bpf_link__destroy(links[i]);
	bpf_object__close(obj);
}

int main(int argc, char **argv)
{
	printf("# allow-log: unregister_netdevice: waiting for\n");
	fflush(stdout);
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
