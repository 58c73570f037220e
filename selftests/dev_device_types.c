// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices of several types as targets and as ingress devices. Drivers differ in
 * where they run XDP, in how they transmit, and in how they handle the frames'
 * memory. Each frame must arrive once, with all its bytes.
 */
#define _GNU_SOURCE
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "harness.h"
#include "sinks.h"

FIXTURE(devices)
{
	struct env e;
	struct sink r0, r1, r2;		/* peers of t0, t1, t2 */
};

FIXTURE_VARIANT(devices)
{
	struct kind kind;
};

MODE_KINDS(devices);

FIXTURE_SETUP(devices)
{
	struct env *e = &self->e;

	e->generic = variant->kind.generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(start(e, &variant->kind));
	ASSERT_TRUE(make_sink(e, &self->r0, "t0", "r0"));
	ASSERT_TRUE(make_sink(e, &self->r1, "t1", "r1"));
	ASSERT_TRUE(make_sink(e, &self->r2, "t2", "r2"));
}

FIXTURE_TEARDOWN(devices)
{
	sink_close(&self->r0);
	sink_close(&self->r1);
	sink_close(&self->r2);
	EXPECT_TRUE(finish(&self->e));
}

/*
 * Are frames redirected through g1 to a device, and do they arrive at a sink?
 */
static bool sent_to(struct env *e, const char *dev, struct sink *sink)
{
	return put_all(e, 0, dev) && arrive(e, "g0", sink);
}

/* In native XDP, is a device refused as a target, with this error? */
static bool refused(struct env *e, const char *dev, const char *err)
{
	return trace_start(e) && put_all(e, 0, dev) && !send_numbered(e, "g0", 0, FRAMES) &&
	       traced(e, "xdp_redirect_err", err, FRAMES) &&
	       traced(e, "xdp_redirect", "map_id=OURS", 0);
}

TEST_F(devices, veth)
{
	static const int len[] = { 60, 61, 64, 127, 128, 500, 1000, 1513, 1514 };
	struct env *e = &self->e;
	unsigned int i;
	char bulk[80];

	ASSERT_TRUE(put_all(e, 0, "t0"));
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		sink_expect(&self->r0, 100 * i, 40, len[i]);
		ASSERT_EQ(send_on(e->sock, "g0", 100 * i, 40, len[i]), 0);
	}
	EXPECT_TRUE(sink_ok(&self->r0));

	/* in native XDP, in bulks of full size */
	EXPECT_TRUE(sent_to(e, "t0", &self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));
	snprintf(bulk, sizeof(bulk), "to_ifindex=%d action=REDIRECT sent=16 drops=0 err=0",
		 if_nametoindex("t0"));
	EXPECT_EQ(traced_now(e, "xdp_devmap_xmit", bulk) > 0, !e->generic);
}

/* Writes frames to the tap, as the program that has it open. */
static bool write_tap(struct env *e, int skip)
{
	unsigned char frame[64 + LEN] = {};
	int nr;

	/* tun's header contains a protocol */
	frame[2] = 0x88;
	frame[3] = 0xb5;
	for (nr = 0; nr < FRAMES; nr++) {
		make_frame(frame + skip, nr, LEN);
		if (write(e->tap[0], frame, skip + LEN) != skip + LEN)
			return false;
	}
	return true;
}

TEST_F(devices, tap)
{
	struct env *e = &self->e;
	struct sink tap;

	ASSERT_TRUE(make_tap("tap", e->tap, 1));
	sink_use(&tap, "tap", e->tap[0], 0);
	EXPECT_TRUE(sent_to(e, "tap", &tap));

	ASSERT_TRUE(attach(e, "tap", "redirect_both", e->generic));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	sink_expect(&self->r0, 0, FRAMES, LEN);
	ASSERT_TRUE(write_tap(e, 0));
	EXPECT_TRUE(sink_ok(&self->r0));

	/* and back to the ingress device */
	ASSERT_TRUE(put_all(e, 0, "tap"));
	sink_expect(&tap, 0, FRAMES, LEN);
	ASSERT_TRUE(write_tap(e, 0));
	EXPECT_TRUE(sink_ok(&tap));
}

/* The other type of tun, for packets without an Ethernet header. */
TEST_F(devices, tun)
{
	struct ifreq req = { .ifr_name = "tun", .ifr_flags = IFF_TUN };
	const int skip = sizeof(struct tun_pi);
	struct env *e = &self->e;
	struct sink tun;

	ASSERT_TRUE(sh("modprobe tun"));
	e->tap[0] = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	ASSERT_GE(e->tap[0], 0);
	ASSERT_EQ(ioctl(e->tap[0], TUNSETIFF, &req), 0);
	ASSERT_TRUE(ip("link set tun up\n"));
	sink_use(&tun, "tun", e->tap[0], skip);

	/* A tun device has neither ndo_xdp_xmit nor native XDP. */
	if (!e->generic) {
		EXPECT_TRUE(refused(e, "tun", "err=-95"));
		EXPECT_TRUE(sink_ok(&tun));
		return;
	}
	EXPECT_TRUE(sent_to(e, "tun", &tun));

	ASSERT_TRUE(attach(e, "tun", "redirect_both", true));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	sink_expect(&self->r0, 0, FRAMES, LEN);
	ASSERT_TRUE(write_tap(e, skip));
	EXPECT_TRUE(sink_ok(&self->r0));
}

/* Makes a bond b0 of t0 and t1. */
static bool make_bond(const char *mode)
{
	/* otherwise it makes a bond in the machine's own namespace */
	return sh("modprobe bonding max_bonds=0") &&
	       ip("link set t0 down\nlink set t1 down\n"
		  "link add b0 group %d type bond mode %s\n"
		  "link set t0 master b0\nlink set t1 master b0\nlink set b0 up\n",
		  GROUP, mode);
}

TEST_F(devices, bond_active_backup)
{
	struct env *e = &self->e;
	int round;

	ASSERT_TRUE(make_bond("active-backup"));
	/* without a program on the bond, and with one */
	for (round = 0; round < 2; round++) {
		ASSERT_TRUE(ip("link set b0 type bond active_slave t0\n"));
		EXPECT_TRUE(sent_to(e, "b0", &self->r0));
		EXPECT_TRUE(sink_ok(&self->r1));
		ASSERT_TRUE(ip("link set b0 type bond active_slave t1\n"));
		EXPECT_TRUE(sent_to(e, "b0", &self->r1));
		EXPECT_TRUE(sink_ok(&self->r0));
		/* a slave can be a target like any other device */
		EXPECT_TRUE(sent_to(e, "t0", &self->r0));
		EXPECT_TRUE(sink_ok(&self->r1));
		ASSERT_TRUE(attach(e, "b0", "pass", e->generic));
	}
}

/* The bond takes its slaves in turn; the first one is not predictable. */
TEST_F(devices, bond_balance_rr)
{
	struct env *e = &self->e;
	int round;

	ASSERT_TRUE(make_bond("balance-rr"));
	self->r0.also = &self->r1;
	for (round = 0; round < 2; round++) {
		EXPECT_TRUE(sent_to(e, "b0", &self->r0));
		EXPECT_EQ(self->r0.n, FRAMES / 2);
		EXPECT_EQ(self->r1.n, FRAMES / 2);
		ASSERT_TRUE(attach(e, "b0", "pass", e->generic));
	}
}

/*
 * The bond selects the slave by a hash of the addresses, of which there is one
 * pair.
 */
TEST_F(devices, bond_balance_xor)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_bond("balance-xor"));
	self->r0.also = &self->r1;
	EXPECT_TRUE(sent_to(e, "b0", &self->r0));
	EXPECT_TRUE(self->r0.n == FRAMES || self->r1.n == FRAMES);
}

/* In native XDP the drivers of its slaves run a bond's program. */
TEST_F(devices, bond_ingress)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_bond("active-backup"));
	ASSERT_TRUE(ip("link set b0 type bond active_slave t0\n"));
	ASSERT_TRUE(attach(e, "b0", "redirect_both", e->generic));
	ASSERT_TRUE(put_all(e, 0, "t2"));
	EXPECT_TRUE(arrive(e, "r0", &self->r2));

	/*
	 * Generic XDP runs after the bond, which drops packets from a backup.
	 */
	if (e->generic) {
		ASSERT_EQ(send_numbered(e, "r1", 0, FRAMES), 0);
		EXPECT_TRUE(sink_ok(&self->r2));
	} else {
		EXPECT_TRUE(arrive(e, "r1", &self->r2));
	}

	/* into the bond and out of it */
	ASSERT_TRUE(put_all(e, 0, "b0"));
	EXPECT_TRUE(arrive(e, "r0", &self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));
}

/*
 * XDP_TX of a bond's program becomes a redirect to the slave that the bond
 * selects (xdp_master_redirect()): among redirects through the map, and after a
 * lookup in the map that must have no effect.
 */
TEST_F(devices, bond_tx)
{
	struct env *e = &self->e;
	unsigned int nr;

	ASSERT_TRUE(make_bond("active-backup"));
	ASSERT_TRUE(ip("link set b0 type bond active_slave t0\n"));
	ASSERT_TRUE(attach(e, "b0", "redirect_or_tx", e->generic));
	ASSERT_TRUE(put_all(e, 0, "t2"));
	for (nr = 0; nr < FRAMES; nr++)
		sink_expect(nr % 2 ? &self->r0 : &self->r2, nr, 1, LEN);
	/*
	 * in native XDP they come in on the backup, and leave by the active
	 * slave
	 */
	ASSERT_EQ(send_numbered(e, e->generic ? "r0" : "r1", 0, FRAMES), 0);
	EXPECT_TRUE(sink_ok(&self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));
	EXPECT_TRUE(sink_ok(&self->r2));
}

/* Copies for several drivers, each of which frees them in its own way. */
TEST_F(devices, broadcast)
{
	struct env *e = &self->e;
	struct sink tap;

	ASSERT_TRUE(make_tap("tap", e->tap, 1));
	sink_use(&tap, "tap", e->tap[0], 0);
	ASSERT_TRUE(make_bond("active-backup"));
	ASSERT_TRUE(ip("link set b0 type bond active_slave t0\n"));
	ASSERT_TRUE(put_all(e, 1, "tap"));
	ASSERT_TRUE(put_all(e, 2, "t2"));
	set_var(e, "flags", BPF_F_BROADCAST);
	sink_expect(&tap, 0, FRAMES, LEN);
	sink_expect(&self->r2, 0, FRAMES, LEN);
	EXPECT_TRUE(sent_to(e, "b0", &self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));
	EXPECT_TRUE(sink_ok(&self->r2));
	EXPECT_TRUE(sink_ok(&tap));
}

/* Makes a bridge br0 with the ports t0 and t1. */
static bool make_bridge(struct sink *bridge)
{
	return ip("link add br0 group %d type bridge\nlink set t0 master br0\n"
		  "link set t1 master br0\nlink set br0 up\n", GROUP) &&
	       sink_open(bridge, "br0");
}

/* The bridge does not see the frames. */
TEST_F(devices, bridge_port)
{
	struct env *e = &self->e;
	struct sink br0;

	ASSERT_TRUE(make_bridge(&br0));
	EXPECT_TRUE(sent_to(e, "t0", &self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));

	ASSERT_TRUE(attach(e, "t1", "redirect_both", e->generic));
	EXPECT_TRUE(arrive(e, "r1", &self->r0));
	EXPECT_TRUE(sink_ok(&self->r1));
	EXPECT_TRUE(sink_ok(&br0));
	sink_close(&br0);
}

TEST_F(devices, bridge)
{
	struct env *e = &self->e;
	struct sink br0;

	ASSERT_TRUE(make_bridge(&br0));
	if (e->generic) {
		sink_expect(&self->r1, 0, FRAMES, LEN);
		EXPECT_TRUE(sent_to(e, "br0", &self->r0));
		EXPECT_TRUE(sink_ok(&self->r1));

		/* packets for the machine itself, and for the other port */
		ASSERT_TRUE(attach(e, "br0", "redirect_both", true));
		ASSERT_TRUE(put_all(e, 0, "t2"));
		sink_expect(&self->r1, 0, FRAMES, LEN);
		EXPECT_TRUE(arrive(e, "r0", &self->r2));
	} else {
		EXPECT_TRUE(refused(e, "br0", "err=-95"));
		EXPECT_TRUE(sink_ok(&self->r0));
	}
	EXPECT_TRUE(sink_ok(&self->r1));
	EXPECT_TRUE(sink_ok(&br0));
	sink_close(&br0);
}

/*
 * More devices without ndo_xdp_xmit. For a dummy, which passes no frames on,
 * see dev_redirect.c.
 */
TEST_F(devices, no_ndo_xdp_xmit)
{
	static const char * const devs[] = { "lo", "v0", "m0" };
	struct sink lo, *sinks[] = { &lo, &self->r0, &self->r1 };
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(ip("link add v0 link t0 group %d type vlan id 5\nlink set v0 up\n"
		       "link add m0 link t1 group %d type macvlan\nlink set m0 up\n"
		       "link set lo up\n", GROUP, GROUP));
	ASSERT_TRUE(sink_open(&lo, "lo"));
	for (i = 0; i < 3; i++) {
		if (e->generic) {
			EXPECT_TRUE(sent_to(e, devs[i], sinks[i]));
		} else {
			EXPECT_TRUE(refused(e, devs[i], "err=-95"));
			EXPECT_TRUE(sink_ok(sinks[i]));
		}
	}
	sink_close(&lo);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
