// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters in values: every frame that was sent is in one of them, for the
 * reason that the test has caused.
 *
 * The built-in has no such values, so there are claimed maps only, and a test
 * that stock maps refuse such values. dev_driver_faults.c and
 * dev_broadcast_no_memory.c test the reasons that need a special driver: frames
 * without headroom, drivers that are busy in generic XDP, no memory for a copy.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "countlib.h"
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define FRAMES 100
#define LEN 64
#define SIZE 8

FIXTURE(counters)
{
	struct env e;
};

FIXTURE_VARIANT(counters)
{
	struct kind kind;
};

ALL_CLAIMED_KINDS(counters);

static bool counted(struct env *e, __u32 key, __u64 sent, int reason, __u64 lost)
{
	return entry_counted(e, key, sent, LEN, reason, lost);
}

FIXTURE_SETUP(counters)
{
	struct env *e = &self->e;

	e->generic = variant->kind.generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "counters.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map_flags(true, variant->kind.type,
							 sizeof(struct redirmap_val), SIZE, 0)));
	ASSERT_TRUE(load_object(e));
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
}

FIXTURE_TEARDOWN(counters)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(counters, sent)
{
	struct env *e = &self->e;

	EXPECT_TRUE(counted(e, 0, 0, 0, 0));
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES, 0, 0));
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	ASSERT_EQ(send_to(e, "redirect", 1, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES + 1, 0, 0));
}

/* A device in two entries: each entry has its own counters. */
TEST_F(counters, entries_of_one_device)
{
	struct env *e = &self->e;

	ASSERT_EQ(put_entry(e, 1, "t0", NULL), 0);
	set_var(e, "nr_keys", 2);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES / 2, 0, 0));
	EXPECT_TRUE(counted(e, 1, FRAMES / 2, 0, 0));
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);

	/* The counters of a new entry are 0, also if it equals the old one. */
	ASSERT_EQ(put_entry(e, 1, "t0", NULL), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES / 2, 0, 0));
	EXPECT_TRUE(counted(e, 1, 0, 0, 0));
}

TEST_F(counters, read_by_program)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct env *e = &self->e;
	struct redirmap_stats *read, now;
	char frame[LEN] = {};

	opts.data_in = frame;
	opts.data_size_in = sizeof(frame);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES, 0, 0));
	read = global(e, "read");
	ASSERT_EQ(bpf_prog_test_run_opts(prog(e, "read_entry"), &opts), 0);
	EXPECT_EQ(opts.retval, XDP_PASS);
	now = entry_stats(e, 0);
	EXPECT_EQ(memcmp(read, &now, sizeof(now)), 0);
	EXPECT_EQ(read->packets, FRAMES);
}

TEST_F(counters, device_down)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link set t0 down\n"));
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_DEV_DOWN, FRAMES));
}

TEST_F(counters, too_large)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link set t0 mtu 100\n"));
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 500), 0);
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_TOO_LARGE, FRAMES));
}

/* Generic XDP needs no ndo_xdp_xmit. */
TEST_F(counters, no_xmit)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_EQ(put_entry(e, 0, "d0", NULL), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(e->generic ? counted(e, 0, FRAMES, 0, 0) :
		    counted(e, 0, 0, REDIRMAP_DROP_NO_XMIT, FRAMES));
}

/* A tap's queue without a reader takes as many frames as it has room for. */
TEST_F(counters, ring_full)
{
	struct env *e = &self->e;
	int queue[1];

	ASSERT_TRUE(make_tap("tap0", queue, 1));
	ASSERT_TRUE(ip("link set tap0 txqueuelen 40\n"));
	ASSERT_EQ(put_entry(e, 0, "tap0", NULL), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, 40, e->generic ? REDIRMAP_DROP_XMIT_DROP :
			    REDIRMAP_DROP_RING_FULL, FRAMES - 40));
	EXPECT_EQ(drain_tap(queue[0]), 40);
	close(queue[0]);
}

/* A tap that no process has open returns an error. */
TEST_F(counters, driver_error)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("tuntap add tap1 mode tap\nlink set tap1 group %d up\n", GROUP));
	ASSERT_EQ(put_entry(e, 0, "tap1", NULL), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	if (e->generic) {
		EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_XMIT_DROP, FRAMES));
		return;
	}
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_DRIVER_ERROR, FRAMES));
	EXPECT_EQ(entry_stats(e, 0).error, ENXIO);
}

/* A veth takes frames, and drops them, if its peer is down. */
TEST_F(counters, peer_is_down)
{
	struct env *e = &self->e;

	if (!e->generic)
		SKIP(return, "native XDP: see driver_error");
	ASSERT_TRUE(ip("link set r0 down\n"));
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_XMIT_DROP, FRAMES));
	/* With a program as well, which is another path through the port. */
	ASSERT_EQ(put_entry(e, 0, "t0", "grow"), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_XMIT_DROP, FRAMES));
	/* In a broadcast, only the member. */
	ASSERT_TRUE(make_target(e, "t1", "r1"));
	ASSERT_EQ(put_entry(e, 1, "t1", NULL), 0);
	set_var(e, "flags", BPF_F_BROADCAST);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, 0, REDIRMAP_DROP_XMIT_DROP, 2 * FRAMES));
	EXPECT_TRUE(counted(e, 1, FRAMES, 0, 0));
	EXPECT_EQ(settled(e, "r1", FRAMES), FRAMES);
}

/* A queue below the device drops frames for which it has no room. */
TEST_F(counters, queue_below)
{
	struct env *e = &self->e;
	struct redirmap_stats stats;

	if (!e->generic)
		SKIP(return, "a VLAN transmits no XDP frames");
	ASSERT_TRUE(ip("link add link t0 name v0 group %d type vlan id 5\nlink set v0 up\n",
		       GROUP));
	ASSERT_TRUE(sh("tc qdisc add dev t0 root tbf rate 8kbit burst 1540 limit 1540"));
	ASSERT_EQ(put_entry(e, 0, "v0", NULL), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	ASSERT_TRUE(all_seen(e, FRAMES));
	stats = entry_stats(e, 0);
	EXPECT_EQ(stats.packets + stats.drops[REDIRMAP_DROP_XMIT_DROP], FRAMES);
	EXPECT_GT(stats.packets, 0);
	EXPECT_GT(stats.drops[REDIRMAP_DROP_XMIT_DROP], 0);
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | grep -q 'dropped %llu,'",
		       stats.drops[REDIRMAP_DROP_XMIT_DROP]));
}

/* One frame passes, and each of the others is lost for another reason. */
TEST_F(counters, verdicts)
{
	struct env *e = &self->e;
	struct redirmap_stats stats;
	__u64 *verdict = global(e, "verdict");

	printf("# allow-log: (Illegal|Unsupported).* XDP return value\n");
	fflush(stdout);
	verdict[0] = XDP_PASS;
	verdict[1] = XDP_DROP;
	verdict[2] = XDP_ABORTED;
	verdict[3] = XDP_TX;
	ASSERT_EQ(put_entry(e, 0, "t0", "verdicts"), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES / 4), FRAMES / 4);

	stats = entry_stats(e, 0);
	EXPECT_EQ(stats.packets, FRAMES / 4);
	EXPECT_EQ(stats.bytes, LEN * FRAMES / 4);
	EXPECT_EQ(all_drops(&stats), 3 * FRAMES / 4);
	EXPECT_EQ(stats.drops[REDIRMAP_DROP_PROG_DROP], FRAMES / 4);
	EXPECT_EQ(stats.drops[REDIRMAP_DROP_PROG_ABORTED], FRAMES / 4);
	EXPECT_EQ(stats.drops[REDIRMAP_DROP_PROG_INVALID], FRAMES / 4);
}

/* Bytes are counted after the egress program. */
TEST_F(counters, program_that_grows)
{
	struct env *e = &self->e;
	struct redirmap_stats stats;

	ASSERT_EQ(put_entry(e, 0, "t0", "grow"), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	stats = entry_stats(e, 0);
	EXPECT_EQ(stats.packets, FRAMES);
	EXPECT_EQ(stats.bytes, FRAMES * (LEN + 4));
}

/* Each member of a broadcast counts its own copy, or the reason of its loss. */
TEST_F(counters, broadcast)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_target(e, "t1", "r1"));
	ASSERT_TRUE(make_target(e, "t2", "r2"));
	ASSERT_EQ(put_entry(e, 1, "t1", NULL), 0);
	ASSERT_EQ(put_entry(e, 2, "t2", NULL), 0);
	ASSERT_EQ(put_entry(e, 3, "t2", NULL), 0);
	ASSERT_TRUE(ip("link set t1 down\n"));
	set_var(e, "flags", BPF_F_BROADCAST);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES, 0, 0));
	EXPECT_TRUE(counted(e, 1, 0, REDIRMAP_DROP_DEV_DOWN, FRAMES));
	EXPECT_TRUE(counted(e, 2, FRAMES, 0, 0));
	EXPECT_TRUE(counted(e, 3, FRAMES, 0, 0));
	EXPECT_EQ(settled(e, "r2", 2 * FRAMES), 2 * FRAMES);
}

/* Batches return the same counters. */
TEST_F(counters, batch)
{
	struct env *e = &self->e;
	struct redirmap_val vals[SIZE];
	__u32 keys[SIZE], n = SIZE, next;

	ASSERT_EQ(put_entry(e, 5, "t0", NULL), 0);
	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	EXPECT_TRUE(counted(e, 0, FRAMES, 0, 0));
	bpf_map_lookup_batch(e->map, NULL, &next, keys, vals, &n, NULL);
	ASSERT_EQ(n, 2);
	EXPECT_EQ(vals[keys[0] == 5].stats.packets, FRAMES);
	EXPECT_EQ(vals[keys[0] != 5].stats.packets, 0);
	EXPECT_EQ(vals[0].entry.ifindex, if_nametoindex("t0"));
}

/*
 * Entries are deleted with their devices, and are new when they are set again.
 */
TEST_F(counters, device_goes)
{
	struct env *e = &self->e;
	__u32 key = 0;
	char val[sizeof(struct redirmap_val)];

	ASSERT_EQ(send_to(e, "redirect", FRAMES, LEN), 0);
	ASSERT_TRUE(ip("link del t0\n"));
	EXPECT_EQ(bpf_map_lookup_elem(e->map, &key, val), -ENOENT);
	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	EXPECT_TRUE(counted(e, 0, 0, 0, 0));
}

static int put_patiently(int map, __u32 key, const struct redirmap_val *val)
{
	return PATIENTLY(bpf_map_update_elem(map, &key, val, BPF_ANY));
}

/* Many entries of a device, replaced again and again. */
TEST_F(counters, many)
{
	int map = make_map_flags(true, variant->kind.type, sizeof(struct redirmap_val), 300, 0);
	struct redirmap_val val = {
		.entry.ifindex = if_nametoindex("t0"),
		.entry.bpf_prog.fd = -1,
	};
	__u32 key;
	int round;

	ASSERT_GE(map, 0);
	for (key = 0; key < 300; key++)
		ASSERT_EQ(put_patiently(map, key, &val), 0);
	/* Replaced ones exist until a grace period has ended. */
	for (round = 0; round < 3; round++)
		for (key = 0; key < 300; key++)
			ASSERT_EQ(put_patiently(map, key, &val), 0);
	ASSERT_TRUE(ip("link del t0\n"));
	for (key = 0; key < 300; key++)
		EXPECT_EQ(bpf_map_lookup_elem(map, &key, &val), -ENOENT);
	close(map);
	EXPECT_TRUE(module_refs_become(1));
}

TEST(not_for_stock)
{
	EXPECT_EQ(make_map_flags(false, BPF_MAP_TYPE_DEVMAP, sizeof(struct redirmap_val), 4, 0),
		  -EINVAL);
	EXPECT_EQ(make_map_flags(true, BPF_MAP_TYPE_DEVMAP, sizeof(struct redirmap_val) - 8, 4, 0),
		  -EINVAL);
}

TEST_HARNESS_MAIN
