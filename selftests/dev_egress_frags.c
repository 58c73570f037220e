// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egress programs and frames with fragments, which are longer than a page: the
 * program sees the whole frame, can cut off its end, and can drop it.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 * Kernels before 6.3 do not redirect such frames in native XDP, and make them
 * linear for generic XDP.
 */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "harness.h"
#include "egresslib.h"
#include "faultylib.h"

#define LONG_FRAME 8000
#define FRAMES 20

struct long_sight {
	__u32 len, tail;
};

FIXTURE(frags)
{
	struct env e;
	bool works;
};

FIXTURE_VARIANT(frags)
{
	struct kind kind;
};

ALL_KINDS(frags);
FAULTY_KINDS(frags);

FIXTURE_SETUP(frags)
{
	struct env *e = &self->e;

	e->generic = variant->kind.generic;
	e->faulty = variant->kind.faulty;
	self->works = e->generic || have_peer_feature();
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "egress_frags.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", new_map(&variant->kind, 8)));
	ASSERT_TRUE(load_object(e));
	ASSERT_TRUE(make_veth("f0", "f1", "mtu 9000"));
	ASSERT_TRUE(attach(e, "f1", "redirect", e->generic));
	ASSERT_TRUE(make_looker(e, "t0", "r0", "mtu 9000"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "reshape"));
	set_var(e, "flags", XDP_DROP);
}

FIXTURE_TEARDOWN(frags)
{
	EXPECT_TRUE(finish(&self->e));
}

static int send_long_on(struct env *e, const char *dev)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(dev),
		.sll_halen = 6,
	};
	unsigned char frame[LONG_FRAME];
	int i;

	forget_received(e);
	set_var(e, "nr_runs", 0);
	set_var(e, "nr_sights", 0);
	set_var(e, "unshaped", 0);
	for (i = 0; i < FRAMES; i++) {
		make_frame(frame, i, LONG_FRAME);
		if (sendto(e->sock, frame, LONG_FRAME, 0, (void *)&to, sizeof(to)) != LONG_FRAME)
			return -errno;
	}
	return 0;
}

static int send_long(struct env *e)
{
	return send_long_on(e, "f0");
}

/*
 * Have so many frames of that length arrived, with the program's bytes at the
 * end?
 */
static bool have_come(struct env *e, __u64 n, __u32 len)
{
	struct long_sight *sight = global(e, "sights");
	__u64 i;

	if (settled(e, "r0", n) != n)
		return false;
	for (i = 0; i < n; i++)
		if (sight[i].len != len || sight[i].tail != TAIL)
			return false;
	return true;
}

/*
 * Pages go to the pool of the receiver f1, which has one if it receives
 * redirected frames.
 */
static bool all_pages_back(FIXTURE_DATA(frags) *self)
{
	struct env *e = &self->e;
	bool ok = ip("link del f0\n");

	if (self->works && !e->generic)
		ok = pages_are_back(e) && ok;
	e->tracing = false;
	return ok;
}

TEST_F(frags, whole_frame_is_seen)
{
	__u64 n = self->works ? FRAMES : 0;
	struct env *e = &self->e;
	__u64 *len = global(e, "run_len");
	int i;

	ASSERT_EQ(send_long(e), 0);
	EXPECT_TRUE(have_come(e, n, LONG_FRAME));
	EXPECT_EQ(get_var(e, "nr_runs"), n);
	for (i = 0; i < n; i++)
		EXPECT_EQ(len[i], LONG_FRAME);
}

/* Cuts within the last fragment, the whole last fragment, and all of them. */
TEST_F(frags, tail)
{
	static const int by[] = { -10, -4200, -7900 };
	__u64 n = self->works ? FRAMES : 0;
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(trace_start(e));
	for (i = 0; i < ARRAY_SIZE(by); i++) {
		/*
		 * INTENDED DIFFERENCE: if a packet's pages are from a
		 * page_pool, as all are since 6.9, the built-in returns cut-off
		 * pages to the page allocator, which reports "Bad page state".
		 */
		if (i && e->generic && !variant->kind.claimed)
			break;
		set_var(e, "tail_by", by[i]);
		ASSERT_EQ(send_long(e), 0);
		EXPECT_TRUE(have_come(e, n, LONG_FRAME + by[i]));
		EXPECT_EQ(get_var(e, "unshaped"), 0);
	}
	EXPECT_TRUE(all_pages_back(self));
}

/*
 * The same with a driver whose fragments are pages of a pool; in native XDP,
 * those of veth are pages of the packet.
 */
TEST_F(frags, tail_of_pages_of_a_pool)
{
	static const int by[] = { -10, -4200, -7900 };
	struct env *e = &self->e;
	int i;

	if (e->generic)
		SKIP(return, "native only");
	if (!self->works)
		SKIP(return, "this kernel redirects no such frames");
	ASSERT_TRUE(make_faulty("s0"));
	ASSERT_TRUE(ip("link set s0 mtu 9000\n"));
	ASSERT_TRUE(attach(e, "s0", "redirect", false));
	ASSERT_TRUE(trace_start(e));
	for (i = 0; i < ARRAY_SIZE(by); i++) {
		/*
		 * INTENDED DIFFERENCE: as above; here the page_pool is the
		 * driver's.
		 */
		if (i && !variant->kind.claimed)
			break;
		set_var(e, "tail_by", by[i]);
		ASSERT_EQ(send_long_on(e, "s0"), 0);
		EXPECT_TRUE(have_come(e, FRAMES, LONG_FRAME + by[i]));
		EXPECT_EQ(get_var(e, "unshaped"), 0);
	}
	EXPECT_TRUE(ip("link del s0\n"));
	EXPECT_TRUE(all_pages_back(self));
}

/* A frame is dropped with all its fragments: the pool gets its pages back. */
TEST_F(frags, drops)
{
	__u64 n = self->works ? FRAMES : 0;
	struct env *e = &self->e;

	ASSERT_TRUE(trace_start(e));
	set_var(e, "drop_second", 1);
	ASSERT_EQ(send_long(e), 0);
	EXPECT_TRUE(have_come(e, n / 2, LONG_FRAME));
	EXPECT_EQ(get_var(e, "nr_runs"), n);
	EXPECT_TRUE(all_pages_back(self));
}

/* Frames to a device without support for them, with a program and without. */
TEST_F(frags, device_takes_none)
{
	struct env *e = &self->e;

	if (e->generic)
		SKIP(return, "native only");
	ASSERT_TRUE(make_tap("tap", e->tap, 1));
	ASSERT_TRUE(ip("link set tap mtu 9000\n"));
	ASSERT_TRUE(put_prog(e, 0, "tap", "reshape"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_long(e), 0);
	/* before 6.3 they are refused without a tracepoint */
	EXPECT_TRUE(traced(e, "xdp_redirect_err", "err=-95", self->works ? FRAMES : 0));
	EXPECT_EQ(get_var(e, "nr_runs"), 0);
	EXPECT_EQ(drain_tap(e->tap[0]), 0);
	e->tracing = false;
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
