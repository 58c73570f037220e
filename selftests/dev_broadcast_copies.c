// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copies that a broadcast makes, as drivers and the stack see them: their
 * position in memory, and the flags and sizes of their memory. Native XDP only:
 * in generic XDP the stack makes the copies.
 *
 * INTENDED DIFFERENCE: stock maps refuse to broadcast frames with fragments to
 * more than one member.
 */
#define _GNU_SOURCE
#include <linux/if_link.h>

#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

/* Frames in one poll of native XDP. */
#define FRAMES 64
#define N 5

/* Frames that fit into a page, with and without room for another frame. */
static const int lens[] = { 60, 64, 300, 700, 1000, 1514, 1600, 2000, 2500, 3000, 3300 };

#define NR_LENS (sizeof(lens) / sizeof(lens[0]))

FIXTURE(pages)
{
	struct cast c;
};

FIXTURE_VARIANT(pages)
{
	struct kind kind;
};

NATIVE_KINDS(pages);

FIXTURE_SETUP(pages)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	ASSERT_TRUE(put_faulty(&c->e, 0, N));
	set_var(&c->e, "flags", BPF_F_BROADCAST);
}

FIXTURE_TEARDOWN(pages)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/*
 * The number of frames, of all members, that cross a page boundary needlessly.
 */
static int crossed(void)
{
	int i, sum = 0;

	for (i = 0; i < N; i++)
		sum += knob(faulty_name(i), "crossed");
	return sum;
}

/*
 * Some drivers map one page of 4 KiB for a frame (xen-netfront), or have one
 * descriptor for it (sfc).
 */
TEST_F(pages, one_for_each_frame)
{
	struct cast *c = &self->c;
	unsigned int i;
	int room, k;

	/* Less headroom than most drivers need in front of a frame. */
	for (k = 0; k < N; k++)
		ASSERT_TRUE(turn(faulty_name(k), "wants", 0));
	for (room = 64; room <= 256; room += 64) {
		ASSERT_TRUE(turn("s0", "headroom", room));
		for (i = 0; i < NR_LENS; i++) {
			ASSERT_EQ(faulty_send(c, FRAMES, lens[i]), 0);
			for (k = 0; k < N; k++)
				EXPECT_TRUE(cast_got(c, faulty_name(k), FRAMES, 1));
		}
	}
	EXPECT_EQ(crossed(), 0);
}

/*
 * The same with all lengths in turn, so that copies of all sizes are adjacent.
 */
TEST_F(pages, mixed_lengths)
{
	struct cast *c = &self->c;
	unsigned int i;
	int round, k;

	ASSERT_TRUE(turn("s0", "hold", 1));
	cast_forget(c);
	set_var(&c->e, "want_len", 0);
	for (round = 0; round < 10; round++)
		for (i = 0; i < NR_LENS; i++)
			ASSERT_EQ(send_on(c->e.sock, "s0", round * NR_LENS + i, 1, lens[i]), 0);
	ASSERT_TRUE(turn("s0", "hold", 0));
	for (k = 0; k < N; k++)
		EXPECT_TRUE(cast_got(c, faulty_name(k), round * NR_LENS, 1));
	EXPECT_EQ(crossed(), 0);
}

/*
 * Members hold more copies than rings have memory for, 8 MiB. All copies
 * arrive, and those with pages of their own cross no page boundary either.
 */
TEST_F(pages, more_than_are_kept)
{
	struct cast *c = &self->c;
	int i, k, n;

	for (k = 0; k < N; k++)
		ASSERT_TRUE(turn(faulty_name(k), "hold", 1));
	for (i = 0, n = 0; n < 2000; i++, n += FRAMES)
		ASSERT_EQ(faulty_send(c, FRAMES, lens[i % NR_LENS]), 0);
	set_var(&c->e, "want_len", 0);
	for (k = 0; k < N; k++) {
		ASSERT_TRUE(turn(faulty_name(k), "hold", 0));
		EXPECT_TRUE(some_got(c, faulty_name(k), n));
	}
	EXPECT_EQ(crossed(), 0);
}

/*
 * Frames with a short linear part, and the rest in fragments that are marked as
 * from the memory reserves. Receivers pass them to the stack.
 */
FIXTURE(fragments)
{
	struct cast c;
	struct env stack;
	struct bpf_link *link;
	int members;
};

FIXTURE_VARIANT(fragments)
{
	struct kind kind;
};

NATIVE_KINDS(fragments);

FIXTURE_SETUP(fragments)
{
	struct cast *c = &self->c;
	char dev[16];
	int i;

	if (!have_peer_feature())
		SKIP(return, "this kernel redirects no frames with fragments natively");
	self->members = variant->kind.claimed ? 4 : 1;
	c->frags = true;
	c->veths = true;
	ASSERT_TRUE(faulty_begin(c, &variant->kind, 0));
	ASSERT_TRUE(ip("link set s0 mtu 9000\n"));
	ASSERT_TRUE(cast_members(c, 0, self->members));
	ASSERT_TRUE(open_object(&self->stack, "broadcast_copies.bpf.o"));
	ASSERT_TRUE(load_object(&self->stack));
	self->link = bpf_program__attach(bpf_object__find_program_by_name(self->stack.obj,
									  "look_at_skb"));
	ASSERT_NE(self->link, NULL);
	for (i = 0; i < self->members; i++) {
		snprintf(dev, sizeof(dev), "p%d", i);
		ASSERT_TRUE(attach(&self->stack, dev, NULL, false));
		ASSERT_TRUE(attach(&self->stack, dev, "pass", false));
		snprintf(dev, sizeof(dev), "m%d", i);
		ASSERT_EQ(put_entry(&c->e, i, dev, NULL), 0);
	}
	set_var(&c->e, "flags", BPF_F_BROADCAST);
}

FIXTURE_TEARDOWN(fragments)
{
	bpf_link__destroy(self->link);
	unload(&self->stack);
	EXPECT_TRUE(finish(&self->c.e));
}

/* Has the stack got so many packets of the test? */
static bool stack_got(struct env *stack, __u64 want)
{
	int i;

	for (i = 0; i < 20000 && get_var(stack, "packets") < want; i++)
		usleep(1000);
	if (get_var(stack, "packets") == want)
		return true;
	fprintf(stderr, "# the stack got %llu packets, not %llu\n", get_var(stack, "packets"),
			want);
	return false;
}

/* Sends frames of a length with @linear bytes in front of their fragments. */
static bool send_fragments(struct cast *c, struct env *stack, int linear, int len)
{
	set_var(stack, "packets", 0);
	set_var(stack, "undersized", 0);
	set_var(stack, "memalloc", 0);
	return turn("s0", "linear", linear) && !faulty_send(c, FRAMES, len);
}

/*
 * When packets are merged, the stack compares their true size with their data.
 */
TEST_F(fragments, true_size)
{
	static const int linear[] = { 60, 100, 1000, 3000 };
	static const int len[] = { 1000, 3000, 5000, 8900 };
	struct env *stack = &self->stack;
	unsigned int i, k;

	for (i = 0; i < sizeof(linear) / sizeof(linear[0]); i++) {
		for (k = 0; k < sizeof(len) / sizeof(len[0]); k++) {
			ASSERT_TRUE(send_fragments(&self->c, stack, linear[i], len[k]));
			ASSERT_TRUE(stack_got(stack, self->members * FRAMES));
			EXPECT_EQ(get_var(stack, "undersized"), 0);
		}
	}
}

/*
 * Most sockets refuse packets from the reserves. Copies are not from there. One
 * member gets the originals.
 */
TEST_F(fragments, reserves)
{
	struct env *stack = &self->stack;

	ASSERT_TRUE(turn("s0", "memalloc", 1));
	ASSERT_TRUE(send_fragments(&self->c, stack, 60, 5000));
	ASSERT_TRUE(stack_got(stack, self->members * FRAMES));
	EXPECT_EQ(get_var(stack, "memalloc"), FRAMES);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
