// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts with BPF_F_EXCLUDE_INGRESS: frames do not go back where they have
 * come from, be it through the ingress device or through a device above it.
 *
 * The ingress is g1, where programs run in the driver's poll; its peer g0 would
 * see whatever is sent back. m0 and m1 are members that have to get all.
 *
 * Every test runs on a map of the kernel's and on a claimed one. INTENDED
 * DIFFERENCES: stock maps know the devices right above the ingress, claimed
 * ones those further up as well; stock maps know eight, and drop frames if
 * there are more; native XDP on a stock map takes a device of another namespace
 * for the ingress when it has the same ifindex.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define FRAMES 40

FIXTURE(exclude)
{
	struct cast c;
};

FIXTURE_VARIANT(exclude)
{
	struct kind kind;
};

ALL_KINDS(exclude);

/* Excluding or not. */
static void exclude(struct cast *c, bool on)
{
	set_var(&c->e, "flags", BPF_F_BROADCAST | (on ? BPF_F_EXCLUDE_INGRESS : 0));
}

FIXTURE_SETUP(exclude)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(cast_begin(c, &variant->kind, CAST_WIRE, 16));
	ASSERT_TRUE(cast_look(c, "g0"));
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 0, 8, 0, 2));
	exclude(c, true);
}

FIXTURE_TEARDOWN(exclude)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Sends frames: m0 and m1 get them, and so many come back to g0 for each. */
static bool comes_back(struct cast *c, int times)
{
	return !cast_send(c, FRAMES, 100) && cast_all_got(c, 0, 2, FRAMES, 1) &&
	       cast_got(c, "g0", times ? FRAMES : 0, times);
}

TEST_F(exclude, ingress_device)
{
	struct cast *c = &self->c;

	EXPECT_TRUE(comes_back(c, 0));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));

	/*
	 * under several keys, the first and the last one of the map among them
	 */
	exclude(c, true);
	ASSERT_TRUE(put(&c->e, 15, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 3));
}

/* A frame without a remaining member is consumed, and is no error. */
TEST_F(exclude, nobody_else)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(del(&c->e, 0));
	ASSERT_TRUE(del(&c->e, 8));
	ASSERT_TRUE(put(&c->e, 0, "g1"));
	ASSERT_EQ(cast_send(c, FRAMES, 100), 0);
	EXPECT_TRUE(traced(&c->e, "xdp_redirect", "err=0 map_id=OURS", FRAMES));
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
	EXPECT_TRUE(cast_got(c, "g0", 0, 0));
	EXPECT_TRUE(cast_all_got(c, 0, 2, 0, 0));
}

/*
 * Devices above the ingress. In generic XDP anything goes through them and down
 * to g0; of those that are tried here, only a bond takes XDP frames natively.
 */
static bool excludes_upper(struct cast *c, const char *upper, bool xmits)
{
	bool ok;

	exclude(c, true);
	if (!put(&c->e, 3, upper) || !put(&c->e, 5, "g1"))
		return false;
	ok = comes_back(c, 0);
	/* without the flag, or that would not be worth much */
	exclude(c, false);
	return comes_back(c, xmits ? 2 : 1) && ok;
}

TEST_F(exclude, below_bridge)
{
	ASSERT_TRUE(ip("link add br0 group %d type bridge\n"
		       "link set g1 master br0\nlink set br0 up\n", GROUP));
	EXPECT_TRUE(excludes_upper(&self->c, "br0", variant->kind.generic));
}

TEST_F(exclude, below_macvlan)
{
	ASSERT_TRUE(ip("link add mv0 link g1 group %d type macvlan mode bridge\n"
		       "link set mv0 up\n", GROUP));
	EXPECT_TRUE(excludes_upper(&self->c, "mv0", variant->kind.generic));
}

TEST_F(exclude, below_vlan)
{
	ASSERT_TRUE(ip("link add g1.10 link g1 group %d type vlan id 10\n"
		       "link set g1.10 up\n", GROUP));
	EXPECT_TRUE(excludes_upper(&self->c, "g1.10", variant->kind.generic));
}

static bool make_bond(const char *bond, const char *slave)
{
	return ip("link add %s mtu 3300 group %d type bond mode balance-rr\n"
		  "link set %s down\nlink set %s master %s\nlink set %s up\n",
		  bond, GROUP, slave, slave, bond, bond);
}

TEST_F(exclude, below_bond)
{
	ASSERT_TRUE(make_bond("bond0", "g1"));
	EXPECT_TRUE(excludes_upper(&self->c, "bond0", true));
}

/* INTENDED DIFFERENCE: stock maps do not know the upper one of two levels. */
TEST_F(exclude, below_vlan_over_bond)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(make_bond("bond0", "g1"));
	ASSERT_TRUE(ip("link add bond0.10 link bond0 group %d type vlan id 10\n"
		       "link set bond0.10 up\n", GROUP));
	ASSERT_TRUE(put(&c->e, 3, "bond0.10"));
	if (variant->kind.generic && !variant->kind.claimed) {
		EXPECT_TRUE(comes_back(c, 1));
	} else {
		EXPECT_TRUE(excludes_upper(c, "bond0.10", variant->kind.generic));
	}
}

/* The same for one that takes XDP frames, so that native XDP has to know it. */
TEST_F(exclude, below_bond_over_bond)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(make_bond("bond0", "g1"));
	ASSERT_TRUE(make_bond("bond1", "bond0"));
	ASSERT_TRUE(put(&c->e, 3, "bond1"));
	if (!variant->kind.claimed) {
		EXPECT_TRUE(comes_back(c, 1));
	} else {
		EXPECT_TRUE(excludes_upper(c, "bond1", true));
	}
}

/*
 * INTENDED DIFFERENCE: with more than eight devices above the ingress, stock
 * maps refuse to broadcast (EOVERFLOW; once they wrote past the end of a list
 * of nine).
 */
TEST_F(exclude, many_uppers)
{
	struct cast *c = &self->c;
	int i, n;

	for (n = 0; n < 8; n++) {
		if (n % 2) {
			ASSERT_TRUE(ip("link add u%d link g1 group %d type vlan id %d\n"
				       "link set u%d up\n", n, GROUP, n + 1, n));
		} else {
			ASSERT_TRUE(ip("link add u%d link g1 group %d type macvlan mode bridge\n"
				       "link set u%d up\n", n, GROUP, n));
		}
	}
	ASSERT_TRUE(put(&c->e, 3, "u0"));
	ASSERT_TRUE(put(&c->e, 4, "u5"));
	ASSERT_TRUE(put(&c->e, 5, "u7"));
	ASSERT_TRUE(put(&c->e, 6, "g1"));
	EXPECT_TRUE(comes_back(c, 0));

	for (; n < 12; n++)
		ASSERT_TRUE(ip("link add u%d link g1 group %d type macvlan mode bridge\n"
			       "link set u%d up\n", n, GROUP, n));
	ASSERT_TRUE(put(&c->e, 7, "u8"));
	ASSERT_TRUE(put(&c->e, 9, "u11"));
	ASSERT_TRUE(trace_start(&c->e));
	if (variant->kind.claimed) {
		EXPECT_TRUE(comes_back(c, 0));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
		/* and 41, which no list on a stack would take */
		ASSERT_TRUE(sh("for i in $(seq 12 41); do echo link add u$i link g1 "
			       "group %d type macvlan mode bridge; echo link set u$i up; "
			       "done | ip -batch -", GROUP));
		ASSERT_TRUE(put(&c->e, 10, "u41"));
		EXPECT_TRUE(comes_back(c, 0));
	} else {
		ASSERT_EQ(cast_send(c, FRAMES, 100), 0);
		EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "err=-75 map_id=OURS", FRAMES));
		EXPECT_TRUE(cast_all_got(c, 0, 2, 0, 0));
	}
	exclude(c, false);
	for (i = 0; i < 16; i++)
		del(&c->e, i);
	ASSERT_TRUE(cast_put(c, 0, 8, 0, 2));
	EXPECT_TRUE(comes_back(c, 0));
}

/* A device below the ingress, or beside it, is one like any other. */
TEST_F(exclude, only_what_is_above)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(make_bond("bond0", "g1"));
	/* the other slave */
	ASSERT_TRUE(cast_members(c, 2, 1));
	ASSERT_TRUE(ip("link set m2 down\nlink set m2 master bond0\nlink set m2 up\n"));
	ASSERT_TRUE(put(&c->e, 3, "bond0"));
	ASSERT_TRUE(put(&c->e, 4, "g1"));
	ASSERT_TRUE(put(&c->e, 5, "m2"));
	EXPECT_TRUE(comes_back(c, 0));
	EXPECT_TRUE(cast_got(c, "p2", FRAMES, 1));
}

/* The bond's own program: the ingress is the slave natively, else the bond. */
TEST_F(exclude, bond_is_ingress)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(attach(&c->e, "g1", NULL, variant->kind.generic));
	ASSERT_TRUE(make_bond("bond0", "g1"));
	ASSERT_TRUE(attach(&c->e, "bond0", "broadcast", variant->kind.generic));
	ASSERT_TRUE(put(&c->e, 3, "bond0"));
	EXPECT_TRUE(comes_back(c, 0));
	ASSERT_TRUE(put(&c->e, 4, "g1"));
	EXPECT_TRUE(comes_back(c, variant->kind.generic ? 1 : 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 2));
}

/* The ingress changes from frame to frame, as the members do. */
TEST_F(exclude, several_ingress_devices)
{
	struct cast *c = &self->c;
	int round;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	ASSERT_TRUE(cast_look(c, "h0"));
	ASSERT_TRUE(attach(&c->e, "h1", "broadcast", variant->kind.generic));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "h1"));
	for (round = 0; round < 3; round++) {
		EXPECT_TRUE(comes_back(c, 0));
		EXPECT_TRUE(cast_got(c, "h0", FRAMES, 1));
		cast_forget(c);
		ASSERT_EQ(send_on(c->e.sock, "h0", 0, FRAMES, 100), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "h0", 0, 0));
	}
}

/*
 * A member in another namespace, with the ingress device's ifindex.
 *
 * INTENDED DIFFERENCE: claimed maps compare devices, and send.
 */
TEST_F(exclude, same_ifindex_elsewhere)
{
	struct cast *c = &self->c;
	bool sends = variant->kind.claimed;
	int own, other, ifindex = if_nametoindex("g1");

	own = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_GE(own, 0);
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	other = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_GE(other, 0);
	ASSERT_TRUE(ip("link add x0 index %d mtu 3300 type veth peer name x1 mtu 3300 index 200\n"
		       "link set x0 up\nlink set x1 up\n", ifindex));
	ASSERT_TRUE(cast_look(c, "x1"));
	ASSERT_TRUE(put(&c->e, 3, "x0"));

	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	ASSERT_TRUE(put(&c->e, 5, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	ASSERT_EQ(setns(other, CLONE_NEWNET), 0);
	EXPECT_TRUE(cast_got(c, "x1", sends ? FRAMES : 0, sends));

	/* it is not for another reason that nothing comes there */
	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));
	ASSERT_EQ(setns(other, CLONE_NEWNET), 0);
	EXPECT_TRUE(cast_got(c, "x1", FRAMES, 1));
	ASSERT_TRUE(ip("link del x0\n"));
	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	close(own);
	close(other);
}

/* A poll of a thread, which is not a cpumap's. */
TEST_F(exclude, threaded_napi)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(thread_napi("g1", 0));
	EXPECT_TRUE(comes_back(c, 0));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));
}

/* Frames for all, for all but the ingress, and for one, in one batch. */
TEST_F(exclude, mixed)
{
	static const char * const peers[] = { "p0", "p1", "g0" };
	struct cast *c = &self->c;
	__u32 (*got)[NUMBERS];
	int i, nr, n = 90;

	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(attach(&c->e, "g1", "broadcast_mixed", variant->kind.generic));
	/* in the thread's poll there are many at once */
	ASSERT_TRUE(thread_napi("g1", 0));
	ASSERT_EQ(cast_send(c, n, 100), 0);
	for (i = 0; i < 3; i++) {
		int wrong = 0, of_3 = 3 - i;

		/* the first one gets all, the second one is no unicast's */
		EXPECT_EQ(settled(&c->e, peers[i], n / 3 * of_3), n / 3 * of_3);
		got = global(&c->e, "got");
		for (nr = 0; nr < n; nr++)
			wrong += got[if_nametoindex(peers[i])][nr] != (nr % 3 == 2 ? i == 0 :
								       nr % 3 == 1 ? i <= 1 : 1);
		EXPECT_EQ(wrong, 0);
	}
}

/* Live frames come from whatever device the test names. */
TEST_F(exclude, live_frames)
{
	struct cast *c = &self->c;

	if (variant->kind.generic || (!variant->kind.claimed && !live_frames_in_place()))
		SKIP(return, "no live frames");
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	set_var(&c->e, "numbered_here", 1);
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "m0", FRAMES, 100), 0);
	EXPECT_TRUE(cast_got(c, "p0", 0, 0));
	EXPECT_TRUE(cast_got(c, "p1", FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "g1", FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", 0, 0));
	/* a device that is not in the map */
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "p0", FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
}

/* Each number in turn from g0 and from h0; @odd is what h0 has sent. */
static bool got_only(struct cast *c, const char *dev, int n, bool even, bool odd)
{
	__u32 device = if_nametoindex(dev) % DEVICES;
	__u32 (*got)[NUMBERS] = global(&c->e, "got");
	__u64 *bad = global(&c->e, "bad");
	int i, wrong = 0;

	settled(&c->e, dev, (even + odd) * n / 2);
	for (i = 0; i < NUMBERS; i++)
		wrong += got[device][i] != (i < n && (i % 2 ? odd : even));
	if (wrong || bad[device])
		fprintf(stderr, "# %s: %d numbers not as often as they should, %llu bad\n",
			dev, wrong, bad[device]);
	return !wrong && !bad[device];
}

/*
 * Frames of two devices in one batch of a cpumap's thread: each goes to all but
 * where it has come from itself.
 */
TEST_F(exclude, two_devices_through_cpumap)
{
	struct cast *c = &self->c;
	static const char * const receivers[] = { "g0", "h0", "p0", "p1" };
	struct bpf_cpumap_val val = { .qsize = 512 };
	__u32 cpu;
	int i;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	/* Generic XDP leaves packets alone that a cpumap has redirected. */
	for (i = 0; i < 4 && variant->kind.generic; i++) {
		ASSERT_TRUE(attach(&c->e, receivers[i], NULL, true));
		ASSERT_TRUE(attach(&c->e, receivers[i], "look_at", false));
	}
	ASSERT_TRUE(variant->kind.generic || cast_look(c, "h0"));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "h1"));
	val.bpf_prog.fd = prog(&c->e, "broadcast_cpu");
	for (cpu = 0; cpu < 2; cpu++) {
		int cpus = bpf_object__find_map_fd_by_name(c->e.obj, "cpus");

		/*
		 * The thread has this CPU, or shares ours, so that frames pile
		 * up.
		 */
		if (cpu >= (__u32)sysconf(_SC_NPROCESSORS_ONLN))
			break;
		ASSERT_EQ(bpf_map_update_elem(cpus, &cpu, &val, BPF_ANY), 0);
		set_var(&c->e, "to_cpu_nr", cpu);
		ASSERT_TRUE(attach(&c->e, "g1", NULL, variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "g1", "to_cpu", variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "h1", NULL, variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "h1", "to_cpu", variant->kind.generic));
		cast_forget(c);
		set_var(&c->e, "want_len", 100);
		for (i = 0; i < 200; i++) {
			ASSERT_EQ(send_on(c->e.sock, i % 2 ? "h0" : "g0", i, 1, 100), 0);
			/*
			 * Of packets, a cpumap runs a batch's first one only.
			 */
			if (variant->kind.generic) {
				ASSERT_EQ(settled(&c->e, "p1", i + 1), i + 1);
			}
		}
		EXPECT_TRUE(cast_all_got(c, 0, 2, 200, 1));
		EXPECT_TRUE(got_only(c, "g0", 200, false, true));
		EXPECT_TRUE(got_only(c, "h0", 200, true, false));
	}
}

static int write_frames(struct cast *c, int n, int len)
{
	unsigned char frame[FRAME_MAX];
	int i;

	cast_forget(c);
	set_var(&c->e, "want_len", len);
	for (i = 0; i < n; i++) {
		make_frame(frame, i, len);
		if (write(c->e.tap[0], frame, len) != len)
			return -errno;
	}
	return 0;
}

/*
 * A tap, whose driver runs native programs on frames of its own, or on packets,
 * as generic XDP, when it is set to block.
 */
TEST_F(exclude, tap_is_ingress)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	ASSERT_TRUE(attach(&c->e, "tap", "broadcast", variant->kind.generic));
	ASSERT_TRUE(put(&c->e, 3, "tap"));
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_EQ(drain_tap(c->e.tap[0]), 0);

	ASSERT_EQ(fcntl(c->e.tap[0], F_SETFL, 0), 0);
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	ASSERT_EQ(fcntl(c->e.tap[0], F_SETFL, O_NONBLOCK), 0);
	EXPECT_EQ(drain_tap(c->e.tap[0]), 0);

	exclude(c, false);
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_EQ(drain_tap(c->e.tap[0]), FRAMES);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
