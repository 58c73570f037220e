// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracepoints redirmap:*: their fields, and the occurrence of each event.
 * Stock maps have none, so only claimed maps are tested.
 */
#define _GNU_SOURCE
#include "egresslib.h"
#include "harness.h"

#define FRAMES 40

static const char * const names[] = {
	"redirmap_claim", "redirmap_release", "redirmap_target_add",
	"redirmap_target_remove", "redirmap_flush", "redirmap_drop",
	"redirmap_miss",
};

FIXTURE(tracepoints)
{
	struct env e;
};

FIXTURE_VARIANT(tracepoints)
{
	struct kind kind;
};

ALL_CLAIMED_KINDS(tracepoints);

FIXTURE_SETUP(tracepoints)
{
	struct env *e = &self->e;
	char event[60];
	size_t i;

	ASSERT_TRUE(start_egress(e, variant->kind));
	ASSERT_TRUE(trace_start(e));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(event, sizeof(event), "redirmap/%s", names[i]);
		ASSERT_TRUE(trace_event(e, event));
	}
}

FIXTURE_TEARDOWN(tracepoints)
{
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(tracepoints, map_comes_and_goes)
{
	struct env *e = &self->e;
	char text[100], max[30];
	int map = new_map(&variant->kind, 17);

	ASSERT_GE(map, 0);
	snprintf(text, sizeof(text), "name=rm_test type=%d value_size=8 max_entries=17",
		 variant->kind.type);
	EXPECT_TRUE(traced(e, "redirmap_claim", text, 1));
	close(map);
	EXPECT_TRUE(traced(e, "redirmap_release", text, 1));
	snprintf(max, sizeof(max), "max_entries=17");
	EXPECT_TRUE(traced(e, "redirmap_claim", max, 1));
}

TEST_F(tracepoints, entry_is_changed)
{
	struct env *e = &self->e;
	char t0[60], t1[60], cause[100];

	ASSERT_TRUE(make_target(e, "t1", "r1"));
	snprintf(t0, sizeof(t0), "map_id=OURS key=3 ifindex=%u ", if_nametoindex("t0"));
	snprintf(t1, sizeof(t1), "map_id=OURS key=3 ifindex=%u ", if_nametoindex("t1"));
	ASSERT_TRUE(put_prog(e, 3, "t0", NULL));
	EXPECT_TRUE(traced(e, "redirmap_target_add", t0, 1));
	ASSERT_TRUE(put_prog(e, 3, "t1", "mark_a"));
	EXPECT_TRUE(traced(e, "redirmap_target_add", t1, 1));
	snprintf(cause, sizeof(cause), "%s cause=update", t0);
	EXPECT_TRUE(traced(e, "redirmap_target_remove", cause, 1));
	ASSERT_TRUE(del(e, 3));
	snprintf(cause, sizeof(cause), "%s cause=delete", t1);
	EXPECT_TRUE(traced(e, "redirmap_target_remove", cause, 1));
	EXPECT_TRUE(traced(e, "redirmap_target_add", "map_id=OURS", 2));
	EXPECT_TRUE(traced(e, "redirmap_target_remove", "map_id=OURS", 2));
}

/* Each entry of a deleted device is traced. */
TEST_F(tracepoints, device_goes)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 1, "t0", NULL));
	ASSERT_TRUE(put_prog(e, 4, "t0", "mark_a"));
	ASSERT_TRUE(ip("link del t0\n"));
	EXPECT_TRUE(traced(e, "redirmap_target_remove", "cause=unregister", 3));
	EXPECT_TRUE(traced(e, "redirmap_target_remove", "map_id=OURS key=4", 1));
}

TEST_F(tracepoints, device_moves)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 4, "t0", NULL));
	ASSERT_TRUE(sh("ip netns add rm_trace && ip link set t0 netns rm_trace"));
	EXPECT_TRUE(traced(e, "redirmap_target_remove", "cause=netns_move", 2));
	EXPECT_TRUE(sh("ip netns del rm_trace"));
}

TEST_F(tracepoints, all_sent)
{
	struct env *e = &self->e;
	char text[60];

	ASSERT_EQ(send_new(e, FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_TRUE(traced(e, "redirmap_drop", "", 0));
	if (e->generic)
		return;
	/* Bulks of 16. */
	snprintf(text, sizeof(text), "ifindex=%u dev=t0  frames=16 sent=16 ring_full=0 ",
		 if_nametoindex("t0"));
	EXPECT_TRUE(traced(e, "redirmap_flush", text, 2));
	EXPECT_TRUE(traced(e, "redirmap_flush", "frames=8 sent=8 ", 1));
}

TEST_F(tracepoints, program_drops)
{
	struct env *e = &self->e;
	__u64 *verdict = global(e, "verdict");
	int i;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = i % 4 == 1 ? XDP_DROP : i % 4 == 2 ? XDP_ABORTED : XDP_PASS;
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	ASSERT_EQ(send_new(e, 16, 64), 0);
	EXPECT_EQ(settled(e, "r0", 8), 8);
	/* in native XDP once per flush */
	EXPECT_TRUE(traced(e, "redirmap_drop", e->generic ?
			   "dev=t0 map_id=0 reason=prog_drop packets=1" :
			   "dev=t0 map_id=0 reason=prog_drop packets=4", e->generic ? 4 : 1));
	EXPECT_TRUE(traced(e, "redirmap_drop", "reason=prog_aborted packets=1", 4));
	if (!e->generic)
		EXPECT_TRUE(traced(e, "redirmap_flush", "frames=16 sent=8 ring_full=0 "
				   "driver_error=0 error=0 prog_drop=4 prog_aborted=4", 1));
}

TEST_F(tracepoints, device_is_down)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link set t0 down\n"));
	ASSERT_EQ(send_new(e, FRAMES, 64), 0);
	EXPECT_TRUE(traced(e, "redirmap_drop", "dev=t0 map_id=0 reason=dev_down packets=1",
			   FRAMES));
	EXPECT_TRUE(traced(e, "redirmap_flush", "", 0));
}

TEST_F(tracepoints, map_has_none)
{
	struct env *e = &self->e;

	set_var(e, "first_key", 5);
	set_var(e, "flags", XDP_ABORTED);
	ASSERT_EQ(send_new(e, FRAMES, 64), 0);
	EXPECT_TRUE(traced(e, "redirmap_miss", "map_id=OURS action=aborted", FRAMES));
	set_var(e, "flags", XDP_PASS);
	ASSERT_EQ(send_new(e, 1, 64), 0);
	EXPECT_TRUE(traced(e, "redirmap_miss", "map_id=OURS action=pass", 1));
	EXPECT_TRUE(traced(e, "redirmap_drop", "", 0));
	ASSERT_TRUE(del(e, 0));
	set_var(e, "flags", BPF_F_BROADCAST);
	ASSERT_EQ(send_new(e, 1, 64), 0);
	EXPECT_TRUE(traced(e, "redirmap_drop", "map_id=OURS reason=no_member packets=1", 1));
}

/* Printed with the names of devices and reasons, according to the format. */
TEST(tools)
{
	/* with the two of socket maps: see sock_trace.py */
	EXPECT_TRUE(sh("test $(bpftrace -l 'tracepoint:redirmap:*' | wc -l) = 9"));
	EXPECT_TRUE(sh("perf list tracepoint 2>/dev/null | grep -q redirmap:redirmap_drop"));
	EXPECT_TRUE(sh("grep -q '{ 3, \"ring_full\" }' "
		       "/sys/kernel/tracing/events/redirmap/redirmap_drop/format"));
}

TEST_HARNESS_MAIN
