// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of devices without an event of the kernel: devices above another one
 * follow its MTU, header length and features by themselves. Frames that are
 * redirected to such a device depend on its present state, not on its former
 * one.
 *
 * Generic XDP only, because none of these devices supports native XDP.
 * Tracepoints show how the redirect treats each frame.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both.
 */
#define _GNU_SOURCE

#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define FRAMES 10

FIXTURE(quiet)
{
	struct env e;
};

FIXTURE_VARIANT(quiet)
{
	bool claimed;
};

FIXTURE_VARIANT_ADD(quiet, stock) { .claimed = false };
FIXTURE_VARIANT_ADD(quiet, claimed) { .claimed = true };

FIXTURE_SETUP(quiet)
{
	struct env *e = &self->e;

	e->generic = true;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "redirect.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map(variant->claimed, BPF_MAP_TYPE_DEVMAP, 8)));
	ASSERT_TRUE(load_object(e));
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	ASSERT_TRUE(make_veth("t0", "r0", "mtu 1500"));
	ASSERT_TRUE(make_veth("t1", "r1", "mtu 1500"));
}

FIXTURE_TEARDOWN(quiet)
{
	EXPECT_TRUE(finish(&self->e));
}

/* Are frames of a length redirected, all or none? */
static bool goes(struct env *e, int len, bool want)
{
	return trace_start(e) && !send_to(e, "redirect", FRAMES, len) &&
	       traced(e, "xdp_redirect", "err=0", want ? FRAMES : 0) &&
	       traced(e, "xdp_redirect_err", "err=-90", want ? 0 : FRAMES);
}

/* Can a kind of device be created? The kernel may be built without it. */
static bool make_upper(struct env *e, const char *args)
{
	return ip("link add u0 group %d %s\nlink set u0 up\n", GROUP, args) &&
	       put(e, 0, "u0");
}

/* The longest frame that a device accepts. */
static int longest(const char *dev)
{
	char path[100];
	int mtu;

	snprintf(path, sizeof(path), SYS "/class/net/%s/mtu", dev);
	mtu = read_int(path);
	return mtu < 0 ? -1 : mtu + 14 + 4;
}

/*
 * Frames follow the state of the upper device: before and after, up and down.
 */
static bool follows(struct env *e, const char *change, int len, bool before, bool after)
{
	if ((longest("u0") >= len) != before || !goes(e, len, before))
		return false;
	if (!ip("%s", change))
		return false;
	return (longest("u0") >= len) == after && goes(e, len, after);
}

TEST_F(quiet, ipvlan)
{
	struct env *e = &self->e;

	if (!make_upper(e, "link t0 type ipvlan mode l2"))
		SKIP(return, "this kernel has no ipvlan");
	EXPECT_TRUE(follows(e, "link set t0 mtu 3000\n", 2000, false, true));
	EXPECT_TRUE(follows(e, "link set t0 mtu 1500\n", 2000, true, false));
}

TEST_F(quiet, macvlan)
{
	struct env *e = &self->e;

	if (!make_upper(e, "link t0 type macvlan mode bridge"))
		SKIP(return, "this kernel has no macvlan");
	EXPECT_TRUE(follows(e, "link set t0 mtu 1000\n", 1200, true, false));
	EXPECT_TRUE(follows(e, "link set t0 mtu 1500\nlink set u0 mtu 1500\n", 1200, false,
			    true));
}

TEST_F(quiet, vlan)
{
	struct env *e = &self->e;

	if (!make_upper(e, "link t0 type vlan id 7"))
		SKIP(return, "this kernel has no VLANs");
	EXPECT_TRUE(follows(e, "link set t0 mtu 1000\n", 1200, true, false));
	EXPECT_TRUE(follows(e, "link set t0 mtu 1500\nlink set u0 mtu 1500\n", 1200, false,
			    true));
}

/* Two levels above the device that changes. */
TEST_F(quiet, ipvlan_on_vlan)
{
	struct env *e = &self->e;

	if (!ip("link add v0 group %d link t0 type vlan id 7\nlink set v0 up\n", GROUP) ||
	    !make_upper(e, "link v0 type ipvlan mode l2"))
		SKIP(return, "this kernel has no VLANs or no ipvlan");
	EXPECT_TRUE(follows(e, "link set t0 mtu 1000\n", 1200, true, false));
	EXPECT_TRUE(follows(e, "link set t0 mtu 1500\nlink set v0 mtu 1500\n", 1200, false,
			    true));
}

TEST_F(quiet, hsr)
{
	struct env *e = &self->e;

	if (!make_upper(e, "type hsr slave1 t0 slave2 t1 supervision 45 version 1"))
		SKIP(return, "this kernel has no HSR");
	EXPECT_TRUE(follows(e, "link set t0 mtu 1000\n", 1200, true, false));
	EXPECT_TRUE(follows(e, "link set t0 mtu 1500\n", 1200, false, true));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
