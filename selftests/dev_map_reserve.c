// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reserve of claimed maps for their next entries: it has all that a batch
 * needs, including the groups of its map. Of many empty maps only a few have
 * sets. The kernel's tracepoint for per-CPU memory shows that. And who pays for
 * the sets.
 */
#define _GNU_SOURCE
#include <linux/redirmap.h>
#include <sys/stat.h>

#include "cglib.h"
#include "harness.h"
#include "holdlib.h"
#include "netlib.h"
#include "testlib.h"
#include "xdplib.h"

/* Entries of a batch's chunk. */
#define CHUNK 64

/*
 * Empty maps; those whose reserve is filled with another map's; sets of each.
 */
#define EMPTY 400
#define AT_ONCE 64
#define GROUPS 2

/* Maps that run low at once: more than the work item settles in two runs. */
#define LOW 300

#define TRACE "/sys/kernel/tracing/instances/rm_reserve"

/*
 * Size of a bulk queue's set, larger than other per-CPU memory of devices, and
 * the same on all kernels.
 */
#define SETS "percpu_alloc_percpu", "size=384 "
#define ATOMIC_SETS "percpu_alloc_percpu", "is_atomic=1 size=384 "
#define SLEEPING_SETS "percpu_alloc_percpu", "is_atomic=0 size=384 "

static bool trace_on(void)
{
	return (!mkdir(TRACE, 0700) || errno == EEXIST) && write_str(TRACE "/trace", "") &&
	       write_str(TRACE "/events/percpu/percpu_alloc_percpu/filter", "size==384") &&
	       write_str(TRACE "/events/percpu/percpu_alloc_percpu/enable", "1") &&
	       write_str(TRACE "/events/workqueue/workqueue_execute_end/enable", "1");
}

static bool trace_forget(void)
{
	int fd = open(TRACE "/trace", O_WRONLY | O_TRUNC);

	return fd >= 0 && !close(fd);
}

#define MARK "from here on"

static bool trace_mark(void)
{
	return write_str(TRACE "/trace_marker", MARK);
}

/* The number of events with some text; only those after the mark, if any. */
static int told(const char *event, const char *with)
{
	FILE *f = fopen(TRACE "/trace", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		n += strstr(line, event) && strstr(line, with);
		if (strstr(line, MARK))
			n = 0;
	}
	if (f)
		fclose(f);
	return f ? n : -1;
}

FIXTURE(reserve)
{
	__u32 dev;
};

FIXTURE_VARIANT(reserve)
{
	enum bpf_map_type type;
	__u32 value_size;
};

FIXTURE_VARIANT_ADD(reserve, array) { BPF_MAP_TYPE_DEVMAP, 4 };
FIXTURE_VARIANT_ADD(reserve, array_counters) {
	BPF_MAP_TYPE_DEVMAP, sizeof(struct redirmap_val)
};
FIXTURE_VARIANT_ADD(reserve, hash) { BPF_MAP_TYPE_DEVMAP_HASH, 4 };
FIXTURE_VARIANT_ADD(reserve, hash_counters) {
	BPF_MAP_TYPE_DEVMAP_HASH, sizeof(struct redirmap_val)
};

FIXTURE_SETUP(reserve)
{
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(enter_net());
	ASSERT_TRUE(ip("link add d0 type dummy\n"));
	self->dev = if_nametoindex("d0");
	ASSERT_TRUE(trace_on());
}

FIXTURE_TEARDOWN(reserve)
{
	write_str(HOLDUP "hold", "0");
	sh("rmmod holdup 2>&-");
	EXPECT_EQ(rmdir(TRACE), 0);
	EXPECT_TRUE(module_refs_become(0));
}

#define MAKE_MAP(max_entries)							\
	make_map_flags(true, variant->type, variant->value_size, max_entries, 0)

/* Fills all keys of a new map in one batch. */
static int fill(int fd, __u32 value_size, __u32 n, __u32 dev)
{
	struct redirmap_val vals[CHUNK] = {};
	__u32 keys[CHUNK], i, *ifindexes = (void *)vals;

	for (i = 0; i < n; i++) {
		keys[i] = i;
		if (value_size == sizeof(*vals)) {
			vals[i].entry.ifindex = dev;
			vals[i].entry.bpf_prog.fd = -1;
		} else {
			ifindexes[i] = dev;
		}
	}
	return bpf_map_update_batch(fd, keys, vals, &i, NULL) ? -errno : 0;
}

/* No allocation is needed in code that may not sleep. */
TEST_F(reserve, first_batch)
{
	static const int sizes[] = { 1, 2, 3, CHUNK - 1, CHUNK };
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fd = MAKE_MAP(sizes[i]);
		ASSERT_GE(fd, 0);
		ASSERT_TRUE(trace_forget());
		EXPECT_EQ(fill(fd, variant->value_size, sizes[i], self->dev), 0);
		EXPECT_GE(told(SETS), GROUPS);
		EXPECT_EQ(told(ATOMIC_SETS), 0) {
			TH_LOG("%d entries", sizes[i]);
		}
		close(fd);
		EXPECT_TRUE(module_refs_become(0));
	}
}

/*
 * One update makes the reserves of a few other maps be filled: the next ones.
 */
TEST_F(reserve, few_at_once)
{
	struct redirmap_val val = { .entry.ifindex = self->dev, .entry.bpf_prog.fd = -1 };
	int fds[EMPTY], i, sets = 0;
	__u32 key = 0;

	for (i = 0; i < EMPTY; i++) {
		fds[i] = MAKE_MAP(CHUNK);
		ASSERT_GE(fds[i], 0);
	}
	ASSERT_TRUE(trace_forget());
	EXPECT_EQ(bpf_map_update_elem(fds[0], &key, &val, BPF_ANY), 0);

	/* The work item has done it, in at most two runs. */
	for (i = 0; i < 2000 && sets < (AT_ONCE - 1) * GROUPS; i++) {
		usleep(10000);
		sets = told("workqueue_execute_end", "bulkq_settle_due") ? told(SETS) : 0;
	}
	EXPECT_GE(sets, (AT_ONCE - 1) * GROUPS);
	/* The updated map may have a few more sets. */
	EXPECT_LE(sets, 2 * AT_ONCE * GROUPS + 8);
	for (i = 0; i < EMPTY; i++)
		close(fds[i]);
}

static bool has_reserve(int fd, long empty, bool has)
{
	int i;

	for (i = 0; i < 2000 && (map_memlock(fd) != empty) != has; i++)
		usleep(10000);
	return (map_memlock(fd) != empty) == has;
}

/* A map whose sets were not used has lost them, and gets them again. */
TEST_F(reserve, idle_neighbour)
{
	struct redirmap_val val = { .entry.ifindex = self->dev, .entry.bpf_prog.fd = -1 };
	__u32 key = 0;
	int fds[3], i;
	long empty;

	if (!kernel_has_member("bpf_map_ops", "map_mem_usage"))
		SKIP(return, "this kernel does not ask maps for their memory");
	for (i = 0; i < 3; i++) {
		fds[i] = MAKE_MAP(CHUNK);
		ASSERT_GE(fds[i], 0);
	}
	empty = map_memlock(fds[2]);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(bpf_map_update_elem(fds[i], &key, &val, BPF_ANY), 0);
		EXPECT_TRUE(has_reserve(fds[2], empty, true));
		EXPECT_TRUE(has_reserve(fds[2], empty, false));
	}
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/*
 * All reserves are filled, also those that need several runs of the work item.
 */
TEST_F(reserve, many_are_low)
{
	struct redirmap_val val = { .entry.ifindex = self->dev, .entry.bpf_prog.fd = -1 };
	int fds[LOW], i, sets = 0;
	__u32 key = 0;

	if (variant->value_size != sizeof(val))
		SKIP(return, "entries need sets for groups only");
	for (i = 0; i < LOW; i++) {
		fds[i] = MAKE_MAP(CHUNK);
		ASSERT_GE(fds[i], 0);
	}
	ASSERT_TRUE(load_holdup("func=bulkq_settle_due"));
	EXPECT_TRUE(write_str(HOLDUP "hold", "1"));
	for (i = 0; i < LOW; i++) {
		/*
		 * Some may find no memory, which makes the reserve low as well.
		 */
		bpf_map_update_elem(fds[i], &key, &val, BPF_ANY);
		if (!i)
			EXPECT_TRUE(becomes(HOLDUP "held", 1));
	}
	ASSERT_TRUE(trace_forget());
	EXPECT_TRUE(write_str(HOLDUP "hold", "0"));
	for (i = 0; i < 2000 && sets < LOW - 1; i++) {
		usleep(10000);
		sets = told(SLEEPING_SETS);
	}
	/* The first one uses the spare set of the device, and needs none. */
	EXPECT_GE(sets, LOW - 1);
	for (i = 0; i < LOW; i++)
		close(fds[i]);
}

static int put_first(int fd, __u32 dev)
{
	struct redirmap_val val = { .entry.ifindex = dev, .entry.bpf_prog.fd = -1 };
	__u32 key = 0;

	return bpf_map_update_elem(fd, &key, &val, BPF_ANY) ? -errno : 0;
}

/*
 * Sets of bulk queues that one memory cgroup pays for are not for the maps of
 * others. They are the last resort, when no set can be allocated.
 */
TEST_F(reserve, of_another_cgroup)
{
	int other, mine, again;
	__u32 d1, d2;

	if (!cg_make())
		SKIP(return, "no memory cgroups");
	ASSERT_TRUE(ip("link add d1 type dummy\nlink add d2 type dummy\n"));
	d1 = if_nametoindex("d1");
	d2 = if_nametoindex("d2");
	ASSERT_TRUE(load_holdup("func=rmap_bulkq_alloc"));

	other = MAKE_MAP(1);
	ASSERT_GE(other, 0);
	ASSERT_TRUE(cg_pays(true));
	mine = MAKE_MAP(1);
	ASSERT_GE(mine, 0);
	ASSERT_TRUE(cg_pays(false));
	ASSERT_TRUE(write_str(HOLDUP "fail", "1"));
	EXPECT_EQ(put_first(other, d1), -ENOMEM);
	/* The groups take these sets; the entry has the device's spare set. */
	EXPECT_EQ(put_first(mine, d1), 0);

	/* The next map has sets again, whoever has paid for the last ones. */
	ASSERT_TRUE(write_str(HOLDUP "fail", "0"));
	ASSERT_TRUE(cg_pays(true));
	close(MAKE_MAP(1));
	ASSERT_TRUE(cg_pays(false));
	again = MAKE_MAP(1);
	ASSERT_GE(again, 0);
	ASSERT_TRUE(write_str(HOLDUP "fail", "1"));
	EXPECT_EQ(put_first(again, d2), 0);

	close(other);
	close(mine);
	close(again);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(cg_remove());
}

/*
 * A map that was closed, but is not freed yet, gets no more sets, for which
 * nobody would pay.
 */
TEST_F(reserve, closed_map)
{
	int fd, i;

	if (variant->value_size != sizeof(struct redirmap_val))
		SKIP(return, "entries need sets for groups only");
	fd = MAKE_MAP(CHUNK);
	ASSERT_GE(fd, 0);
	ASSERT_TRUE(load_holdup("func=rmap_bulkq_reserve_exit"));
	ASSERT_TRUE(write_str(HOLDUP "hold", "1"));
	ASSERT_EQ(fill(fd, variant->value_size, CHUNK, self->dev), 0);
	for (i = 0; i < 2000 && !told("workqueue_execute_end", "bulkq_settle_due"); i++)
		usleep(10000);

	/*
	 * The work item visits the reserve a second after the batch. Let it
	 * lack some sets by then, less than half, and have lost them lately.
	 */
	usleep(500000);
	for (i = 0; i < CHUNK / 4; i++)
		EXPECT_EQ(put_first(fd, self->dev), 0);
	close(fd);
	ASSERT_TRUE(becomes(HOLDUP "held", 1));
	ASSERT_TRUE(trace_mark());
	/* If the work item has run before the mark, there is no other run. */
	for (i = 0; i < 200 && !told("workqueue_execute_end", "bulkq_look_at_filled"); i++)
		usleep(10000);
	EXPECT_EQ(told(SLEEPING_SETS), 0);
	ASSERT_TRUE(write_str(HOLDUP "hold", "0"));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
