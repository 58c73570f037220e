// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames with fragments, and programs for multi-buffer XDP: unicast to devices
 * that support fragments, and broadcasts.
 *
 * INTENDED DIFFERENCE: stock maps refuse to broadcast such frames to more than
 * one member (EOPNOTSUPP; older kernels shared the fragments among copies).
 * With claimed maps each member gets a copy of the whole frame.
 *
 * Kernels before 6.3 do not redirect such frames natively, and no tracepoint
 * reports it. For generic XDP they make packets linear.
 */
#define _GNU_SOURCE
#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define FRAMES 20
#define ERROR "err=-95 map_id=OURS"

/* Lengths with and without fragments: a page has room for about 3500 bytes. */
static const int lens[] = { 60, 3000, 4100, 9000 };

#define NR_LENS (sizeof(lens) / sizeof(lens[0]))

FIXTURE(frags)
{
	struct cast c;
	/* frames can have fragments, and such frames can be redirected */
	bool have_frags, redirects;
};

FIXTURE_VARIANT(frags)
{
	struct kind kind;
};

ALL_KINDS(frags);

FIXTURE_SETUP(frags)
{
	struct cast *c = &self->c;
	bool new = have_peer_feature();

	c->frags = true;
	ASSERT_TRUE(cast_begin(c, &variant->kind, CAST_WIRE, 8));
	ASSERT_TRUE(cast_members(c, 0, 4));
	/* A write to a shared fragment would be found. */
	set_var(&c->e, "spoil", 1);
	self->have_frags = new || !variant->kind.generic;
	self->redirects = new || variant->kind.generic;
}

FIXTURE_TEARDOWN(frags)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Sends frames of all lengths to key 3, which leads to m0. */
static void send_to_m0(struct __test_metadata *_metadata, FIXTURE_DATA(frags) *self)
{
	struct cast *c = &self->c;
	unsigned int i;
	bool ok;

	ASSERT_TRUE(put(&c->e, 3, "m0"));
	for (i = 0; i < NR_LENS; i++) {
		ok = self->redirects || lens[i] < 3500;
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_EQ(cast_send(c, FRAMES, lens[i]), 0);
		EXPECT_TRUE(cast_got(c, "p0", ok ? FRAMES : 0, ok));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", ERROR,
				   ok || !self->redirects ? 0 : FRAMES));
	}
}

TEST_F(frags, unicast)
{
	set_var(&self->c.e, "flags", 0);
	set_var(&self->c.e, "first_key", 3);
	send_to_m0(_metadata, self);
}

TEST_F(frags, one_member)
{
	send_to_m0(_metadata, self);
}

TEST_F(frags, members)
{
	struct cast *c = &self->c;
	unsigned int i;
	bool ok;

	ASSERT_TRUE(cast_put(c, 0, 1, 0, 4));
	for (i = 0; i < NR_LENS; i++) {
		ok = lens[i] < 3500 || !self->have_frags ||
		     (self->redirects && variant->kind.claimed);
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_EQ(cast_send(c, FRAMES, lens[i]), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 4, ok ? FRAMES : 0, ok));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", ERROR,
				   ok || !self->redirects ? 0 : FRAMES));
	}

	/* and the same for several keys of one device */
	ASSERT_TRUE(put(&c->e, 5, "m2"));
	ok = !self->have_frags || (self->redirects && variant->kind.claimed);
	ASSERT_EQ(cast_send(c, FRAMES, 6000), 0);
	EXPECT_TRUE(cast_got(c, "p2", ok ? FRAMES : 0, ok ? 2 : 0));
	EXPECT_TRUE(cast_got(c, "p3", ok ? FRAMES : 0, ok));
}

/*
 * Batches with frames of all lengths: the poll of a thread gets many at once.
 */
TEST_F(frags, mixed)
{
	struct cast *c = &self->c;
	int i, sent = 0;

	if (!self->redirects || (self->have_frags && !variant->kind.claimed))
		SKIP(return, "not redirected, see above");
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 4));
	ASSERT_TRUE(thread_napi("g1", 0));
	cast_forget(c);
	set_var(&c->e, "want_len", 0);
	for (i = 0; i < 100; i++, sent++)
		ASSERT_EQ(send_on(c->e.sock, "g0", i, 1, lens[i % NR_LENS]), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 4, sent, 1));
}

/*
 * A member that accepts frames, but none with fragments: in native XDP it is
 * skipped, and a stock map does not count it as a member. Packets have no such
 * limit.
 */
TEST_F(frags, member_without_fragments)
{
	struct cast *c = &self->c;
	bool generic = variant->kind.generic, ok;
	unsigned int i;

	if (!self->redirects)
		SKIP(return, "no fragments are redirected");
	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	ASSERT_TRUE(ip("link set tap mtu 9000\n"));
	ASSERT_TRUE(put(&c->e, 0, "m0"));
	ASSERT_TRUE(put(&c->e, 1, "tap"));
	for (i = 0; i < NR_LENS; i++) {
		ok = lens[i] < 3500 || !self->have_frags || !generic || variant->kind.claimed;
		ASSERT_EQ(cast_send(c, FRAMES, lens[i]), 0);
		EXPECT_TRUE(cast_got(c, "p0", ok ? FRAMES : 0, ok));
		EXPECT_EQ(drain_tap(c->e.tap[0]),
			  ok && (generic || lens[i] < 3500) ? FRAMES : 0);
	}
	/* unicast to that device fails */
	set_var(&c->e, "flags", 0);
	set_var(&c->e, "first_key", 1);
	ASSERT_TRUE(trace_start(&c->e));
	ASSERT_EQ(cast_send(c, FRAMES, 5000), 0);
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", ERROR, generic ? 0 : FRAMES));
}

/* Frames with fragments that are too long for a member. */
TEST_F(frags, too_small)
{
	struct cast *c = &self->c;

	if (!self->redirects || !variant->kind.claimed)
		SKIP(return, "not redirected, see above");
	ASSERT_TRUE(cast_put(c, 0, 1, 0, 4));
	ASSERT_TRUE(ip("link set m1 mtu 5000\nlink set m3 mtu 4999\n"));
	ASSERT_EQ(cast_send(c, FRAMES, 5018), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 3, FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "p3", 0, 0));
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
