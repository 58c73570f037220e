// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP_XMIT_FLUSH is a doorbell for NICs: a port passes it on once a poll, with
 * the last frames, as stock maps do for a device, and no frame waits for a
 * flush that does not come. That includes egress programs that drop all frames
 * of the last call, members of a broadcast that get none of the last frames or
 * leave the map between two calls of a poll, drivers that take nothing, and
 * devices below a bond.
 *
 * Every test runs on a stock and on a claimed map.
 *
 * INTENDED DIFFERENCES: with stock maps frames wait if an egress program drops
 * all frames of the last call, and below a bond. Claimed maps need one more
 * call in a poll, for the kept frame, if a driver gets as many frames as fill
 * bulks of 16, through a program or a broadcast. A broadcast goes to the
 * members that the map has when a bulk is flushed. Stock maps flush a device
 * once a poll, claimed maps once for each of its ports (entries with counters,
 * programs) and for each group.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define LEN 200
#define LONGER 1000
#define POLL 64
#define BULK 16
#define N 4

FIXTURE(flushes)
{
	struct cast c;
	bool claimed;
};

FIXTURE_VARIANT(flushes)
{
	struct kind kind;
};

NATIVE_KINDS(flushes);

/* Keys 0 to 3 lead to f0 to f3. */
FIXTURE_SETUP(flushes)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(faulty_begin(c, &variant->kind, N));
	ASSERT_TRUE(put_faulty(&c->e, 0, N));
	self->claimed = variant->kind.claimed;
	set_var(&c->e, "pass_below", 1000);
}

FIXTURE_TEARDOWN(flushes)
{
	EXPECT_TRUE(finish(&self->c.e));
}

static bool forget_calls(void)
{
	bool ok = true;
	int i;

	for (i = 0; i < N; i++) {
		const char *dev = faulty_name(i);

		ok = turn(dev, "calls", 0) && turn(dev, "flushes", 0) &&
		     turn(dev, "waiting", 0) && ok;
	}
	return ok;
}

/* Prints the calls of the driver if they are not the expected ones. */
static bool is(const char *dev, const char *name, int want)
{
	int is = knob(dev, name);

	if (is != want)
		fprintf(stderr, "# %s: %s %d, not %d\n", dev, name, is, want);
	return is == want;
}

static bool none_waits(void)
{
	return is("f0", "waiting", 0) && is("f1", "waiting", 0) &&
	       is("f2", "waiting", 0) && is("f3", "waiting", 0);
}

/*
 * Calls for so many frames, 64 a poll, and the number of those with the flag.
 */
static int calls_for(int n, bool keeps)
{
	int calls = 0, poll;

	for (; n > 0; n -= POLL) {
		poll = n < POLL ? n : POLL;
		calls += (poll + BULK - 1) / BULK;
		if (keeps && poll > BULK && poll % BULK == 0)
			calls++;
	}
	return calls;
}

TEST_F(flushes, once_a_poll)
{
	static const int amounts[] = { 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128, 200 };
	struct cast *c = &self->c;
	unsigned int i;
	int way, n;

	/* plain; with a program; broadcast; broadcast, all with a program */
	for (way = 0; way < 4; way++) {
		bool to_all = way & 2, keeps = way && self->claimed;
		const char *prog = way & 1 ? "below" : NULL;

		set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
		ASSERT_EQ(put_entry(&c->e, 0, "f0", prog), 0);
		ASSERT_EQ(put_entry(&c->e, 3, "f3", prog), 0);
		for (i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
			n = amounts[i];
			ASSERT_TRUE(forget_calls());
			ASSERT_EQ(faulty_send(c, n, LEN), 0);
			EXPECT_TRUE(cast_got(c, "f0", n, 1));
			EXPECT_TRUE(cast_got(c, "f3", to_all ? n : 0, 1));
			EXPECT_TRUE(is("f0", "flushes", (n + POLL - 1) / POLL));
			EXPECT_TRUE(is("f0", "calls", calls_for(n, keeps)));
			EXPECT_TRUE(is("f3", "flushes", to_all ? (n + POLL - 1) / POLL : 0));
			EXPECT_TRUE(is("f3", "calls", to_all ? calls_for(n, keeps) : 0));
			EXPECT_TRUE(none_waits()) {
				TH_LOG("way %d, %d frames", way, n);
			}
		}
	}
}

/*
 * Each entry with counters has a port, which flushes a queue of its own, and so
 * has each group of a map. Stock maps have one queue per device.
 */
TEST_F(flushes, once_a_port)
{
	struct cast *c = &self->c;
	int keys, i;

	set_var(&c->e, "flags", 0);
	for (keys = 1; keys <= 8; keys *= 2) {
		for (i = 0; i < keys; i++)
			ASSERT_EQ(put_entry(&c->e, i, "f0", NULL), 0);
		set_var(&c->e, "nr_keys", keys);
		ASSERT_TRUE(forget_calls());
		ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
		EXPECT_TRUE(cast_got(c, "f0", POLL, 1));
		EXPECT_TRUE(is("f0", "flushes", self->claimed ? keys : 1));
		EXPECT_TRUE(is("f0", "calls", self->claimed && keys == 8 ? 8 : POLL / BULK));
		EXPECT_TRUE(none_waits());
	}
	set_var(&c->e, "nr_keys", 0);
}

/* In turn: to all members, to all except the ingress, and to f0. */
TEST_F(flushes, once_a_group)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(attach(&c->e, "s0", NULL, false));
	ASSERT_TRUE(attach(&c->e, "s0", "broadcast_mixed", false));
	ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
	EXPECT_TRUE(some_got(c, "f0", POLL));
	EXPECT_TRUE(is("f0", "flushes", self->claimed ? 3 : 1));
	EXPECT_TRUE(is("f1", "flushes", self->claimed ? 2 : 1));
	EXPECT_TRUE(is("f3", "flushes", self->claimed ? 2 : 1));
	EXPECT_TRUE(none_waits());
}

/* The program drops all frames of the last call, or all others. */
TEST_F(flushes, program_drops_the_last)
{
	static const int limits[] = { 0, 1, 2, 15, 16, 17, 18, 31, 32, 33, 47, 48, 49, 63, 64 };
	struct cast *c = &self->c;
	unsigned int i, to_all;
	int limit;

	for (to_all = 0; to_all <= 1; to_all++) {
		set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
		ASSERT_EQ(put_entry(&c->e, 0, "f0", "below"), 0);
		ASSERT_EQ(put_entry(&c->e, 3, "f3", "below"), 0);
		for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			limit = limits[i];
			set_var(&c->e, "pass_below", limit);
			ASSERT_TRUE(trace_start(&c->e));
			ASSERT_TRUE(forget_calls());
			ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
			EXPECT_TRUE(cast_got(c, "f0", limit, 1));
			EXPECT_TRUE(cast_got(c, "f3", to_all ? limit : 0, 1));
			EXPECT_TRUE(cast_got(c, "f1", to_all ? POLL : 0, 1));
			EXPECT_EQ(cast_drops(c, "f0", 0), POLL - limit);
			if (self->claimed) {
				EXPECT_TRUE(is("f0", "flushes", !!limit));
				EXPECT_TRUE(none_waits()) {
					TH_LOG("the first %d pass", limit);
				}
			} else {
				/* the kernel's maps, so the module sees it */
				EXPECT_TRUE(is("f0", "waiting", limit <= 48 ? limit : 0));
			}
		}
	}
}

/*
 * A member's MTU is too small for the frames of the last call, or for all
 * others.
 */
TEST_F(flushes, member_too_small)
{
	struct cast *c = &self->c;
	int member, times;
	char dev[16];

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	for (member = 0; member < N; member++) {
		snprintf(dev, sizeof(dev), "f%d", member);
		ASSERT_TRUE(ip("link set %s mtu 300\n", dev));
		for (times = 1; times <= 3; times++) {
			ASSERT_TRUE(forget_calls());
			ASSERT_EQ(faulty_send_two(c, LEN, times * BULK, 5, LONGER), 0);
			EXPECT_TRUE(some_got(c, dev, times * BULK));
			EXPECT_EQ(settled(&c->e, member ? "f0" : "f3", times * BULK + 5),
				  times * BULK + 5);
			EXPECT_TRUE(is(dev, "flushes", 1));
			EXPECT_TRUE(none_waits()) {
				TH_LOG("%s, %d times", dev, times);
			}
		}
		ASSERT_TRUE(ip("link set %s mtu 3300\n", dev));
	}
}

/* Members are removed or added between two calls of a poll. */
TEST_F(flushes, members_change)
{
	int member, stop, last, i, got;
	struct cast *c = &self->c;
	pthread_t thread;
	char dev[16];

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	/* one of them, or all */
	for (member = 0; member <= N; member++)
		for (stop = 20; stop < POLL; stop += 20) {
			last = member == N ? N - 1 : member;
			for (i = 0; i < N; i++) {
				snprintf(dev, sizeof(dev), "f%d", i);
				ASSERT_EQ(put_entry(&c->e, i, dev, i % 2 ? "below" : NULL), 0);
			}
			ASSERT_TRUE(forget_calls());
			ASSERT_TRUE(faulty_send_until(c, &thread, POLL, LEN, stop));
			for (i = member % N; i <= last; i++)
				EXPECT_TRUE(del(&c->e, i));
			ASSERT_TRUE(faulty_go_on(c, thread, POLL));
			/*
			 * Stock: the frames up to then; claimed: whole bulks.
			 */
			got = self->claimed ? (stop - 1) / BULK * BULK : stop;
			for (i = 0; i < N; i++) {
				snprintf(dev, sizeof(dev), "f%d", i);
				EXPECT_TRUE(some_got(c, dev, i >= member % N && i <= last ?
						     got : POLL));
			}
			EXPECT_TRUE(none_waits()) {
				TH_LOG("member %d leaves before frame %d", member, stop);
			}
		}
}

/* An entry with a program is deleted or replaced between two calls. */
TEST_F(flushes, entry_changes)
{
	struct cast *c = &self->c;
	pthread_t thread;
	int stop, how;

	set_var(&c->e, "flags", 0);
	for (how = 0; how < 3; how++)
		for (stop = 20; stop < POLL; stop += 20) {
			ASSERT_EQ(put_entry(&c->e, 0, "f0", "below"), 0);
			ASSERT_TRUE(forget_calls());
			ASSERT_TRUE(faulty_send_until(c, &thread, POLL, LEN, stop));
			if (how == 0) {
				EXPECT_TRUE(del(&c->e, 0));
			} else if (how == 1) {
				EXPECT_EQ(put_entry(&c->e, 0, "f1", "below"), 0);
			} else {
				EXPECT_EQ(put_entry(&c->e, 0, "f0", "even_only"), 0);
			}
			ASSERT_TRUE(faulty_go_on(c, thread, POLL));
			if (how < 2) {
				EXPECT_TRUE(some_got(c, "f0", stop));
			}
			EXPECT_TRUE(some_got(c, "f1", how == 1 ? POLL - stop : 0));
			EXPECT_TRUE(none_waits());
		}
}

/*
 * Drivers that take few frames or none get the flag as well, and no frame is
 * counted as lost twice.
 */
TEST_F(flushes, faults)
{
	static const struct fault {
		const char *knob;
		int value, before;
	} faults[] = {
		{ "take", 0, 1000 }, { "take", 1, 1000 }, { "take", 15, 1000 },
		{ "error", EIO, 0 },
		{ "room", 0, -1 }, { "room", 1, -1 }, { "room", 14, -1 }, { "room", 15, -1 },
		{ "room", 16, -1 }, { "room", 17, -1 }, { "room", 47, -1 }, { "room", 48, -1 },
		{ "room", 63, -1 },
	};
	static const int amounts[] = { 1, 16, 17, 40, 64 };
	struct cast *c = &self->c;
	unsigned int i, j, to_all;

	for (to_all = 0; to_all <= 1; to_all++)
		for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
			for (j = 0; j < sizeof(amounts) / sizeof(amounts[0]); j++) {
				const struct fault *f = &faults[i];
				int err = strcmp(f->knob, "error") ? 0 : EIO;
				int n = amounts[j], sent;

				set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
				ASSERT_EQ(put_entry(&c->e, 0, "f0", "below"), 0);
				ASSERT_TRUE(forget_calls());
				ASSERT_TRUE(trace_start(&c->e));
				ASSERT_TRUE(turn("f0", f->knob, f->value));
				ASSERT_EQ(faulty_send(c, n, LEN), 0);
				ASSERT_TRUE(turn("f0", f->knob, f->before));
				EXPECT_EQ(settled(&c->e, "f3", to_all ? n : 0), to_all ? n : 0);
				sent = n - cast_drops(c, "f0", -err);
				EXPECT_EQ(settled(&c->e, "f0", sent), sent) {
					TH_LOG("%s %d, %d frames, to all %u", f->knob, f->value, n,
					       to_all);
				}
				if (!strcmp(f->knob, "room")) {
					EXPECT_EQ(sent, n < f->value ? n : f->value);
				} else if (!f->value || err) {
					EXPECT_EQ(sent, 0);
				} else {
					EXPECT_GT(sent, 0);
				}
				EXPECT_TRUE(is("f0", "flushes", 1));
				EXPECT_TRUE(none_waits());
				if (self->claimed) {
					EXPECT_TRUE(entry_counted(&c->e, 0, sent, LEN, err ?
								  REDIRMAP_DROP_DRIVER_ERROR :
								  REDIRMAP_DROP_RING_FULL,
								  n - sent));
				}
			}
}

/*
 * sfc starts the NIC only in a call with the flag of which it takes a frame. A
 * stock map's last call has such a frame if the ring has room for more than the
 * bulks before. So has a claimed map's, which is in addition to the kept frame.
 */
TEST_F(flushes, rings_if_taken)
{
	struct cast *c = &self->c;
	int n, room, to_all;

	ASSERT_TRUE(turn("f0", "rings_if_taken", 1));
	ASSERT_EQ(put_entry(&c->e, 0, "f0", "below"), 0);
	for (to_all = 0; to_all <= 1; to_all++)
		for (n = BULK; n <= POLL; n += BULK)
			for (room = n - BULK + 1; room < n; room++) {
				set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
				ASSERT_TRUE(forget_calls());
				ASSERT_TRUE(turn("f0", "room", room));
				ASSERT_EQ(faulty_send(c, n, LEN), 0);
				EXPECT_TRUE(some_got(c, "f0", room));
				EXPECT_TRUE(some_got(c, "f3", to_all ? n : 0));
				EXPECT_TRUE(none_waits()) {
					TH_LOG("to all %d, %d frames, room for %d", to_all, n,
					       room);
				}
			}
}

/*
 * A driver refuses the kept frame of the last call, because it is too long, and
 * takes the next one. Every other frame is too long, so the driver takes the
 * first frame of a call, or none.
 */
TEST_F(flushes, kept_frame_too_long)
{
	struct cast *c = &self->c;
	int to_all, short_by = 200;

	if (!self->claimed)
		SKIP(return, "the kernel's maps keep no frame");
	ASSERT_TRUE(attach(&c->e, "s0", NULL, false));
	ASSERT_TRUE(attach(&c->e, "s0", "broadcast_resize", false));
	ASSERT_TRUE(turn("f0", "longest", LEN));
	for (to_all = 0; to_all <= 1; to_all++) {
		set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
		ASSERT_EQ(put_entry(&c->e, 0, "f0", "below"), 0);
		ASSERT_TRUE(trace_start(&c->e));
		ASSERT_TRUE(forget_calls());
		ASSERT_EQ(faulty_send(c, POLL, LEN + short_by), 0);
		/* Calls for 15, 16, 16, 1 and 16 frames. */
		EXPECT_EQ(settled(&c->e, "f0", 2), 2);
		EXPECT_EQ(settled(&c->e, "f3", to_all ? POLL : 0), to_all ? POLL : 0);
		EXPECT_TRUE(is("f0", "calls", 5));
		EXPECT_EQ(cast_drops(c, "f0", 0), POLL - 2);
		EXPECT_TRUE(entry_counted(&c->e, 0, 2, LEN, REDIRMAP_DROP_RING_FULL,
					  POLL - 2));
		EXPECT_TRUE(none_waits());
	}
}

/*
 * A driver changes frames before it refuses them. The counted bytes are those
 * of the sent frames before the change, whichever these are.
 */
TEST_F(flushes, spoiled)
{
	struct cast *c = &self->c;
	int way, room, n = 2 * BULK, more = 5;
	struct redirmap_stats stats;

	if (!self->claimed)
		SKIP(return, "the kernel's maps count nothing");
	ASSERT_TRUE(turn("f0", "spoil", 1));
	for (way = 0; way < 4; way++)
		for (room = 0; room <= n + more; room++) {
			set_var(&c->e, "flags", way & 2 ? BPF_F_BROADCAST : 0);
			ASSERT_EQ(put_entry(&c->e, 0, "f0", way & 1 ? "below" : NULL), 0);
			ASSERT_TRUE(turn("f0", "room", room));
			ASSERT_EQ(faulty_send_two(c, LEN, n, more, LONGER), 0);
			EXPECT_EQ(settled(&c->e, "f0", room), room);
			stats = entry_stats(&c->e, 0);
			EXPECT_EQ(stats.packets, room);
			EXPECT_EQ(stats.bytes, room * LEN +
				  (room > n ? (room - n) * (LONGER - LEN) : 0));
			EXPECT_EQ(stats.drops[REDIRMAP_DROP_RING_FULL], n + more - room);
			EXPECT_EQ(all_drops(&stats), n + more - room);
		}
}

/*
 * A bond selects a device for each frame, and passes the flag of a call only to
 * the devices of that call. So frames of a stock map wait, and the devices
 * report that.
 */
TEST_F(flushes, bond)
{
	static const int amounts[] = { 1, 2, 16, 17, 33, 64, 100 };
	struct cast *c = &self->c;
	unsigned int i, to_all;

	if (!self->claimed) {
		printf("# allow-log: WARNING: faulty: flush: f[12]: [0-9]* frames wait\n");
		fflush(stdout);
	}
	ASSERT_TRUE(ip("link add b0 mtu 3300 group %d type bond mode balance-rr\n"
		       "link set f1 down\nlink set f2 down\nlink set f1 master b0\n"
		       "link set f2 master b0\nlink set b0 up\n", GROUP));
	for (i = 1; i < N; i++)
		ASSERT_TRUE(del(&c->e, i));
	ASSERT_EQ(put_entry(&c->e, 0, "b0", "below"), 0);
	for (to_all = 0; to_all <= 1; to_all++) {
		set_var(&c->e, "flags", to_all ? BPF_F_BROADCAST : 0);
		for (i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
			int n = amounts[i];

			ASSERT_TRUE(forget_calls());
			ASSERT_EQ(faulty_send(c, n, LEN), 0);
			EXPECT_EQ(knob("f1", "calls") + knob("f2", "calls"), n);
			if (self->claimed) {
				EXPECT_TRUE(none_waits());
			}
		}
	}
}

/*
 * The same without counters; then entries that lead to one device are one
 * member.
 */
FIXTURE(uses)
{
	struct cast c;
};

FIXTURE_VARIANT(uses)
{
	struct kind kind;
};

NATIVE_KINDS(uses);

FIXTURE_SETUP(uses)
{
	self->c.value_size = sizeof(struct bpf_devmap_val);
	ASSERT_TRUE(faulty_begin(&self->c, &variant->kind, N));
}

FIXTURE_TEARDOWN(uses)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Several keys lead to a member, which gets as many copies, and one flush. */
TEST_F(uses, several_keys)
{
	static const int amounts[] = { 1, 16, 17, 64 };
	struct cast *c = &self->c;
	unsigned int i;
	int key;

	set_var(&c->e, "flags", BPF_F_BROADCAST);
	ASSERT_TRUE(put_faulty(&c->e, 0, N));
	for (key = N; key < 8; key++)
		ASSERT_EQ(put_entry(&c->e, key, key < 6 ? "f0" : "f3", NULL), 0);
	for (i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
		ASSERT_TRUE(forget_calls());
		ASSERT_EQ(faulty_send(c, amounts[i], LEN), 0);
		EXPECT_TRUE(cast_got(c, "f0", amounts[i], 3));
		EXPECT_TRUE(cast_got(c, "f3", amounts[i], 3));
		EXPECT_TRUE(is("f0", "flushes", 1));
		EXPECT_TRUE(is("f1", "flushes", 1));
		EXPECT_TRUE(is("f3", "flushes", 1));
		EXPECT_TRUE(none_waits());
	}
}

/*
 * Entries for a device share a port and its queue, if they have the same
 * program. Stock maps have one queue per device, which runs the program of its
 * first frame.
 */
TEST_F(uses, programs_in_turn)
{
	bool claimed = variant->kind.claimed;
	struct cast *c = &self->c;
	int key;

	set_var(&c->e, "flags", 0);
	set_var(&c->e, "pass_below", 1000);
	set_var(&c->e, "nr_keys", 4);
	for (key = 0; key < 4; key++)
		ASSERT_EQ(put_entry(&c->e, key, "f0", NULL), 0);
	ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", POLL, 1));
	EXPECT_TRUE(is("f0", "flushes", 1));
	EXPECT_TRUE(is("f0", "calls", POLL / BULK));

	ASSERT_EQ(put_entry(&c->e, 1, "f0", "below"), 0);
	ASSERT_EQ(put_entry(&c->e, 2, "f0", "even_only"), 0);
	ASSERT_TRUE(forget_calls());
	ASSERT_EQ(faulty_send(c, POLL, LEN), 0);
	EXPECT_TRUE(cast_got(c, "f0", POLL, 1));
	EXPECT_TRUE(is("f0", "flushes", claimed ? 3 : 1));
	EXPECT_TRUE(none_waits());
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
