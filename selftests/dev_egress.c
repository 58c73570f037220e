// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egress programs: their context, and the changes that they may make to a
 * frame. One device and one program at a time; for several see
 * dev_egress_multi.c, for return values dev_egress_verdicts.c, for the programs
 * that a map accepts dev_egress_values.c.
 *
 * Every test runs on stock and on claimed maps and expects the same of both. If
 * a difference is intended, the test says so.
 */
#include "egress.h"

/* --- context -------------------------------------------------------------- */

/* The program runs once per frame, and sees its ingress and egress devices. */
TEST_F(egress, devices)
{
	struct env *e = &self->e;
	const char *from = e->generic ? "g1" : "i0";
	int i;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(make_veth("i0", "i1", ""));
	forget_logs(e);
	ASSERT_EQ(e->generic ? send_to(e, "redirect", 40, 64) :
		  send_live_from(e, "redirect", from, 40, 64), 0);
	EXPECT_EQ(settled(e, "r0", 40), 40);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 40));
	EXPECT_EQ(get_var(e, "nr_runs"), 40);
	for (i = 0; i < 40; i++) {
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex(from));
		EXPECT_EQ(run_of(e, i)->egress, if_nametoindex("t0"));
		EXPECT_EQ(run_of(e, i)->queue, 0);
		EXPECT_EQ(run_of(e, i)->nr, i);
		EXPECT_EQ(run_of(e, i)->len, 64);
	}
}

/* The same in the poll of a real driver: frames come through veth's NAPI. */
TEST_F(egress, devices_in_napi)
{
	struct env *e = &self->e;
	int i;

	if (e->generic)
		SKIP(return, "the other tests of generic XDP do that");
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(make_veth("g0", "g1", "numtxqueues 4 numrxqueues 4"));
	ASSERT_TRUE(attach(e, "g1", "redirect", false));
	ASSERT_EQ(send_packets(e, 40, 64), 0);
	EXPECT_EQ(settled(e, "r0", 40), 40);
	EXPECT_EQ(marked(e, "r0", 'A'), 40);
	for (i = 0; i < 40; i++) {
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex("g1"));
		EXPECT_EQ(run_of(e, i)->egress, if_nametoindex("t0"));
		/* 0 for any queue: the kernel does not pass the queue on */
		EXPECT_EQ(run_of(e, i)->queue, 0);
	}
}

/* Generic XDP knows the queue: here of a tap, whose queues are used in turn. */
TEST_F(egress, queues)
{
	unsigned char frame[64];
	struct env *e = &self->e;
	int i;

	if (!e->generic)
		SKIP(return, "native XDP knows no queue");
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(make_tap("tap", e->tap, QUEUES));
	ASSERT_TRUE(attach(e, "tap", "redirect", true));
	forget_logs(e);
	for (i = 0; i < 40; i++) {
		make_frame(frame, i, sizeof(frame));
		ASSERT_EQ(write(e->tap[i % QUEUES], frame, sizeof(frame)), sizeof(frame));
	}
	EXPECT_EQ(settled(e, "r0", 40), 40);
	EXPECT_EQ(get_var(e, "nr_runs"), 40);
	for (i = 0; i < 40; i++) {
		EXPECT_EQ(run_of(e, i)->queue, i % QUEUES);
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex("tap"));
		EXPECT_EQ(run_of(e, i)->egress, if_nametoindex("t0"));
	}
}

/*
 * A program that redirects can read the same values as a lookup in user space.
 */
TEST_F(egress, entry_read_by_program)
{
	unsigned char frame[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame, .data_size_in = sizeof(frame),
		.data_out = frame, .data_size_out = sizeof(frame),
	);
	struct bpf_devmap_val *val = (void *)frame;
	struct env *e = &self->e;

	make_frame(frame, 0, sizeof(frame));
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_EQ(bpf_prog_test_run_opts(prog(e, "read_entry"), &opts), 0);
	EXPECT_EQ(opts.retval, XDP_PASS);
	EXPECT_EQ(val->ifindex, if_nametoindex("t0"));
	EXPECT_EQ(val->bpf_prog.id, prog_id(prog(e, "mark_a")));

	ASSERT_TRUE(put_prog(e, 0, "t0", NULL));
	ASSERT_EQ(bpf_prog_test_run_opts(prog(e, "read_entry"), &opts), 0);
	EXPECT_EQ(val->bpf_prog.id, 0);
	ASSERT_TRUE(del(e, 0));
	ASSERT_EQ(bpf_prog_test_run_opts(prog(e, "read_entry"), &opts), 0);
	EXPECT_EQ(opts.retval, XDP_DROP);
}

/* Frames that the device cannot send do not reach the program. */
TEST_F(egress, not_for_frames_that_fail)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 20, 1519), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-90", 20));
	ASSERT_TRUE(ip("link set t0 down\n"));
	ASSERT_EQ(send_to(e, "redirect", 20, 64), 0);
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-100", 20));
	EXPECT_EQ(get_var(e, "nr_runs"), 0);
}

/* --- changes of frames ---------------------------------------------------- */

TEST_F(egress, program_comes_and_goes)
{
	struct env *e = &self->e;

	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 1, 20));
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_EQ(send_new(e, 70, 64), 0);
	EXPECT_EQ(settled(e, "r0", 70), 70);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 70));
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_b"));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_TRUE(seen_in_order(e, "r0", 'B', 0, 1, 20));
	ASSERT_TRUE(put_prog(e, 0, "t0", NULL));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 1, 20));
}

/*
 * Frames become longer and shorter, in front and behind. They fit into a page.
 */
TEST_F(egress, reshape)
{
	static const struct { int head, tail; } by[] = {
		{ 0, 0 }, { 0, 40 }, { 0, -30 }, { -40, 0 }, { 30, 0 },
		{ -128, 100 }, { 20, -20 }, { -20, -50 }, { 40, 100 },
	};
	struct env *e = &self->e;
	int i, k, len;

	ASSERT_TRUE(put_prog(e, 0, "t0", "reshape"));
	for (i = 0; i < ARRAY_SIZE(by); i++) {
		set_var(e, "head_by", by[i].head);
		set_var(e, "tail_by", by[i].tail);
		len = 300 - by[i].head + by[i].tail;
		/*
		 * one run each, because the page of a live frame is used again
		 * as it is
		 */
		ASSERT_EQ(send_new(e, 40, 300), 0);
		EXPECT_EQ(settled(e, "r0", 40), 40);
		EXPECT_TRUE(seen_in_order(e, "r0", 'R', 0, 1, 40));
		for (k = 0; k < 40; k++) {
			ASSERT_EQ(sight_of(e, k)->len, len) {
				TH_LOG("head by %d, tail by %d", by[i].head, by[i].tail);
			}
			EXPECT_EQ(sight_of(e, k)->tail, TAIL);
		}
		EXPECT_EQ(get_var(e, "unshaped"), 0);
	}
}

/* More than there is room for: the frame does not change. */
TEST_F(egress, reshape_beyond)
{
	static const struct { int head, tail; } by[] = {
		{ -2000, 0 }, { 0, 5000 }, { 290, 0 }, { 0, -290 },
	};
	struct env *e = &self->e;
	int i, k;

	ASSERT_TRUE(put_prog(e, 0, "t0", "reshape"));
	for (i = 0; i < ARRAY_SIZE(by); i++) {
		set_var(e, "head_by", by[i].head);
		set_var(e, "tail_by", by[i].tail);
		set_var(e, "unshaped", 0);
		ASSERT_EQ(send_new(e, 20, 300), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_EQ(get_var(e, "unshaped"), 20);
		for (k = 0; k < 20; k++)
			EXPECT_EQ(sight_of(e, k)->len, 300);
	}
}

/* Four bytes of metadata, which the driver passes to the peer's program. */
TEST_F(egress, metadata)
{
	struct env *e = &self->e;
	int i;

	if (e->generic || e->faulty)
		SKIP(return, "packets do not keep metadata");
	ASSERT_TRUE(put_prog(e, 0, "t0", "prepend"));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(sight_of(e, i)->meta, META);
		EXPECT_EQ(sight_of(e, i)->len, 64);
	}
}

/* A lookup of the program redirects nothing, and has no other effect. */
TEST_F(egress, looks_up)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_checker(e, "t1", "r1", "mtu 1500"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "looks_up"));
	ASSERT_TRUE(put_prog(e, 1, "t1", NULL));
	set_var(e, "other_key", 1);
	ASSERT_EQ(send_new(e, 100, 64), 0);
	EXPECT_EQ(settled(e, "r0", 100), 100);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 1, 100));
	EXPECT_EQ(received(e, "r1"), 0);
	/* a missing key, the entry's own key, and both devices in turn */
	set_var(e, "other_key", 5);
	set_var(e, "nr_keys", 2);
	ASSERT_EQ(send_new(e, 100, 64), 0);
	EXPECT_EQ(settled(e, "r0", 50), 50);
	EXPECT_EQ(settled(e, "r1", 50), 50);
	set_var(e, "other_key", 0);
	ASSERT_EQ(send_new(e, 100, 64), 0);
	EXPECT_EQ(settled(e, "r0", 50), 50);
	EXPECT_EQ(settled(e, "r1", 50), 50);
	EXPECT_EQ(get_var(e, "nr_runs"), 50);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
