// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that leave as packets, because the device cannot transmit XDP frames:
 * to each type of device, byte for byte; as members of broadcasts; and while
 * the device gains and loses support for XDP frames.
 *
 * The kernel's own maps deliver no frames to these devices, and report errors:
 * the tests check this in the same networks.
 *
 * Frames have numbers. They come by a veth, in native XDP, one or many in a
 * poll. Sinks check that each arrives once, as it was sent.
 */
#define _GNU_SOURCE

#include "countlib.h"
#include "harness.h"
#include "packetlib.h"
#include "sinklib.h"
#include "testlib.h"
#include "xdplib.h"

#define FRAMES 100

FIXTURE(packets)
{
	struct env e;
	struct sink sink;
};

FIXTURE_VARIANT(packets)
{
	struct kind kind;
};

FIXTURE_VARIANT_ADD(packets, stock_array) {
	.kind = { false, BPF_MAP_TYPE_DEVMAP },
};

CLAIMED_KINDS(packets);

FIXTURE_SETUP(packets)
{
	ASSERT_TRUE(packets_begin(&self->e, &variant->kind, "rm_test"));
	self->sink.fd = -1;
}

FIXTURE_TEARDOWN(packets)
{
	sink_close(&self->sink);
	EXPECT_TRUE(finish(&self->e));
}

/*
 * Sends frames to @dev; all of them arrive at the sink, or, through a map of
 * the kernel's, none. They are @live only if the device writes no header in
 * front of them, because the kernel's generator uses a frame's page again, as
 * it was left.
 */
static bool all_arrive(struct env *e, struct sink *sink, const char *dev, bool live,
		       bool claimed)
{
	static const int counts[] = { 1, 16, 17, 100 };
	unsigned int i, first = 0;
	bool ok = true;

	if (put_entry(e, 0, dev, NULL))
		return false;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (claimed)
			sink_expect(sink, first, counts[i], NUMBERED_LEN);
		ok &= !(live ? send_numbered(e, "g0", first, counts[i]) :
			send_on(e->sock, "g0", first, counts[i], NUMBERED_LEN)) &&
		      sink_ok(sink);
		first += counts[i];
	}
	return ok && (!claimed || entry_counted(e, 0, first, NUMBERED_LEN, 0, 0));
}

/* Frames with numbers that are redirected to @to all arrive at @at. */
#define EXPECT_ARRIVAL(to, at, live)						\
do {										\
	ASSERT_TRUE(sink_open(&self->sink, at));				\
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, to, live,			\
			       variant->kind.claimed));				\
} while (0)

/* Its peer has no program, and GRO off, as the kernel makes it. */
TEST_F(packets, veth_without_program)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link set v0 up\nlink set v1 up\n", GROUP));
	EXPECT_ARRIVAL("v0", "v1", true);
}

TEST_F(packets, bridge)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link set v0 up\nlink set v1 up\n"
		       "link add br0 group %d type bridge\nlink set v0 master br0\n"
		       "link set br0 up\n", GROUP, GROUP));
	EXPECT_ARRIVAL("br0", "v1", true);
}

/* The other side takes the tag off, and does not know frames without one. */
TEST_F(packets, vlan)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link set v0 up\nlink set v1 up\n"
		       "link add link v0 name v0.5 group %d type vlan id 5\n"
		       "link add link v1 name v1.5 group %d type vlan id 5\n"
		       "link set v0.5 up\nlink set v1.5 up\n", GROUP, GROUP, GROUP));
	EXPECT_ARRIVAL("v0.5", "v1.5", false);
}

TEST_F(packets, bond)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond0 group %d type bond mode active-backup\n"
		       "link set v0 master bond0\nlink set v1 up\nlink set bond0 up\n",
		       GROUP, GROUP));
	EXPECT_ARRIVAL("bond0", "v1", true);
}

TEST_F(packets, vlan_on_bond)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond0 group %d type bond mode active-backup\n"
		       "link set v0 master bond0\nlink set v1 up\nlink set bond0 up\n"
		       "link add link bond0 name bond0.5 group %d type vlan id 5\n"
		       "link add link v1 name v1.5 group %d type vlan id 5\n"
		       "link set bond0.5 up\nlink set v1.5 up\n", GROUP, GROUP, GROUP, GROUP));
	EXPECT_ARRIVAL("bond0.5", "v1.5", false);
}

TEST_F(packets, macvlan)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link set v0 up\nlink set v1 up\n"
		       "link add link v0 name m0 group %d type macvlan mode bridge\n"
		       "link set m0 up\n", GROUP, GROUP));
	EXPECT_ARRIVAL("m0", "v1", true);
}

/* Returns true if this kernel cannot create such a device. */
static bool no_type(const char *args)
{
	return sh("ip link add none0 type %s 2>&1 | grep -q 'Unknown device type' && exit; "
		  "ip link del none0; exit 1", args);
}

/* A tunnel that leads to its own other end. */
TEST_F(packets, vxlan)
{
	if (no_type("vxlan id 6 dstport 4788 remote 127.0.0.1"))
		SKIP(return, "the kernel has no device type vxlan");
	ASSERT_TRUE(ip("link set lo up\n"
		       "link add x0 group %d type vxlan id 7 dstport 4789 remote 127.0.0.1\n"
		       "link set x0 up\n", GROUP));
	ASSERT_TRUE(sink_open(&self->sink, "x0"));
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, "x0", false, variant->kind.claimed));
}

/* Begins the test again, with a map that was made with these parameters. */
static bool begin_again(struct env *e, const struct kind *kind, const char *packets,
			const char *qdisc)
{
	bool ok;

	if (!finish(e) || !set_policy("packets", packets) || !set_policy("qdisc", qdisc))
		return false;
	memset(e, 0, sizeof(*e));
	ok = packets_begin(e, kind, "rm_test");
	return set_policy("packets", "*") && set_policy("qdisc", "") && ok;
}

/* No frame arrives, and the kernel reports errors, as for its own maps. */
static bool none_arrives(struct env *e, struct sink *sink, const char *dev, bool claimed)
{
	if (put_entry(e, 0, dev, NULL) || !trace_start(e) ||
	    send_numbered(e, "g0", 0, FRAMES))
		return false;
	return traced(e, "xdp_redirect_err", "err=-95", FRAMES) && sink_ok(sink) &&
	       (!claimed ||
		entry_counted(e, 0, 0, NUMBERED_LEN, REDIRMAP_DROP_NO_XMIT, FRAMES));
}

/*
 * A frame from the wire must not leave through lo, because the machine would
 * accept it as its own packet.
 */
TEST_F(packets, lo)
{
	ASSERT_TRUE(ip("link set lo up\n"));
	ASSERT_TRUE(sink_open(&self->sink, "lo"));
	EXPECT_TRUE(none_arrives(&self->e, &self->sink, "lo", variant->kind.claimed));
}

/* A VRF delivers and routes what it transmits as packets of this machine. */
TEST_F(packets, vrf)
{
	if (no_type("vrf table 10"))
		SKIP(return, "the kernel has no device type vrf");
	ASSERT_TRUE(ip("link add vrf0 group %d type vrf table 10\nlink set vrf0 up\n"
		       "addr add 127.0.0.1/8 dev vrf0\n", GROUP));
	ASSERT_TRUE(sink_open(&self->sink, "vrf0"));
	EXPECT_TRUE(none_arrives(&self->e, &self->sink, "vrf0", variant->kind.claimed));
}

/* So does an ipvlan without layer 2, but for the delivery. */
TEST_F(packets, ipvlan_l3)
{
	if (no_type("ipvlan"))
		SKIP(return, "the kernel has no device type ipvlan");
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link set v0 up\nlink set v1 up\n"
		       "link add link v0 name iv0 group %d type ipvlan mode l3\n"
		       "link set iv0 up\n", GROUP, GROUP));
	ASSERT_TRUE(sink_open(&self->sink, "v1"));
	EXPECT_TRUE(none_arrives(&self->e, &self->sink, "iv0", variant->kind.claimed));
	/* So it cannot be below a bridge. */
	ASSERT_TRUE(ip("link add br0 group %d type bridge\n", GROUP));
	EXPECT_FALSE(ip("link set iv0 master br0\n"));
}

/* Lines in the log of a bond whose mode selects no slave for XDP frames. */
#define COUNT_COMPLAINTS "dmesg | grep -c 'Unknown bonding mode' >"

/*
 * A bond in this mode selects no slave for XDP frames. On 6.1 it announces
 * nothing, and would refuse each batch with a line in the log.
 */
TEST_F(packets, bond_broadcast)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond0 group %d type bond mode broadcast\n"
		       "link set v0 master bond0\nlink set v1 up\nlink set bond0 up\n",
		       GROUP, GROUP));
	ASSERT_TRUE(sh("ethtool -K v1 gro on; " COUNT_COMPLAINTS " /tmp/before; true"));
	EXPECT_ARRIVAL("bond0", "v1", false);
	if (variant->kind.claimed) {
		EXPECT_TRUE(sh(COUNT_COMPLAINTS " /tmp/after; cmp /tmp/before /tmp/after"));
	}
}

/* The same bond is a slave of one that would select it. */
TEST_F(packets, bond_of_bond_broadcast)
{
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond1 group %d type bond mode broadcast\n"
		       "link set v0 master bond1\n"
		       "link add bond0 group %d type bond mode active-backup\n"
		       "link set bond1 master bond0\n"
		       "link set v1 up\nlink set bond0 up\n", GROUP, GROUP, GROUP));
	ASSERT_TRUE(sh("ethtool -K v1 gro on; " COUNT_COMPLAINTS " /tmp/before; true"));
	EXPECT_ARRIVAL("bond0", "v1", false);
	if (variant->kind.claimed) {
		EXPECT_TRUE(sh(COUNT_COMPLAINTS " /tmp/after; cmp /tmp/before /tmp/after"));
	}
}

/*
 * lo receives the packets that it transmits, if the parameter qdisc names the
 * map.
 */
TEST_F(packets, lo_with_qdisc)
{
	ASSERT_TRUE(begin_again(&self->e, &variant->kind, "*", "rm_test"));
	ASSERT_TRUE(ip("link set lo up\n"));
	ASSERT_TRUE(sink_open(&self->sink, "lo"));
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, "lo", true, variant->kind.claimed));
}

/*
 * A dummy device has no peer, so a packet socket on the device receives the
 * packets that leave.
 */
TEST_F(packets, dummy)
{
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, "d0", true, variant->kind.claimed));
}

/* 6.1's bond calls the function that a slave does not have. */
TEST_F(packets, bond_of_dummies)
{
	if (!variant->kind.claimed)
		SKIP(return, "6.1 would oops");
	ASSERT_TRUE(ip("link add d0 group %d type dummy\n"
		       "link add bond0 group %d type bond mode active-backup\n"
		       "link set d0 master bond0\nlink set bond0 up\n", GROUP, GROUP));
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, "bond0", true, true));
}

/* So does the bond below a bond. */
TEST_F(packets, bond_of_bond_of_dummies)
{
	if (!variant->kind.claimed)
		SKIP(return, "6.1 would oops");
	ASSERT_TRUE(ip("link add d0 group %d type dummy\n"
		       "link add bond1 group %d type bond mode active-backup\n"
		       "link set d0 master bond1\n"
		       "link add bond0 group %d type bond mode active-backup\n"
		       "link set bond1 master bond0\nlink set bond0 up\n",
		       GROUP, GROUP, GROUP));
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	EXPECT_TRUE(all_arrive(&self->e, &self->sink, "bond0", true, true));
}

/* A frame that is neither IPv4 nor IPv6 does not pass a tunnel. */
static bool arp_does_not(struct env *e, const char *name)
{
	__u64 before = entry_stats(e, 0).packets;
	unsigned char frame[64];
	int i;

	make_frame(frame, 0, sizeof(frame));
	frame[12] = 0x08;
	frame[13] = 0x06;
	for (i = 0; i < 5; i++)
		if (send_frame_on(e->sock, "g0", frame, sizeof(frame)))
			return false;
	for (i = 0; i < 1000 && entry_stats(e, 0).drops[REDIRMAP_DROP_NO_XMIT] < 5; i++)
		usleep(5000);
	return entry_stats(e, 0).drops[REDIRMAP_DROP_NO_XMIT] == 5 &&
	       entry_stats(e, 0).packets == before;
}

/* A tun has no MAC header. */
TEST_F(packets, tun)
{
	struct env *e = &self->e;

	ASSERT_TRUE(sink_open_tun(&self->sink, "tun0"));
	EXPECT_TRUE(all_arrive(e, &self->sink, "tun0", false, variant->kind.claimed));
	if (!variant->kind.claimed)
		return;
	EXPECT_TRUE(arp_does_not(e, "tun0"));

	/* Its MTU is that of packets; the kernel's test allows for a tag. */
	ASSERT_EQ(put_entry(e, 0, "tun0", NULL), 0);
	ASSERT_TRUE(ip("link set tun0 mtu 500\n"));
	sink_expect(&self->sink, 0, 3, 514);
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 514), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 515), 0);
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 519), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	EXPECT_TRUE(counted_in_all(e, 0, 3, REDIRMAP_DROP_TOO_LARGE, 6));
}

/* The kernel's test allows for a VLAN tag in each frame; the wire does not. */
TEST_F(packets, longer_by_a_tag)
{
	struct env *e = &self->e;
	unsigned char frame[519];

	if (!variant->kind.claimed)
		SKIP(return, "stock maps deliver nothing");
	ASSERT_TRUE(ip("link add d0 group %d mtu 500 type dummy\nlink set d0 up\n", GROUP));
	ASSERT_EQ(put_entry(e, 0, "d0", NULL), 0);
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	sink_expect(&self->sink, 0, 3, 514);
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 514), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 515), 0);
	ASSERT_EQ(send_on(e->sock, "g0", 0, 3, 518), 0);
	EXPECT_TRUE(counted_in_all(e, 0, 3, REDIRMAP_DROP_TOO_LARGE, 6));
	EXPECT_TRUE(sink_ok(&self->sink));

	/* With a tag, in place of the type: one byte more is too long again. */
	make_frame(frame, 0, sizeof(frame));
	frame[12] = 0x81;
	frame[13] = 0x00;
	ASSERT_EQ(send_frame_on(e->sock, "g0", frame, 518), 0);
	EXPECT_TRUE(counted_in_all(e, 0, 4, REDIRMAP_DROP_TOO_LARGE, 6));
	ASSERT_EQ(send_frame_on(e->sock, "g0", frame, 519), 0);
	EXPECT_TRUE(counted_in_all(e, 0, 4, REDIRMAP_DROP_TOO_LARGE, 7));
}

/* The device adds a second header: IPv4 in IPv4. */
TEST_F(packets, ipip)
{
	struct env *e = &self->e;

	if (no_type("ipip local 10.0.0.3 remote 10.0.0.4"))
		SKIP(return, "the kernel has no device type ipip");
	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "addr add 10.0.0.1/24 dev v0\nlink set v0 up\nlink set v1 up\n"
		       "link set v1 arp off\nneigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0\n"
		       "link add i0 group %d type ipip local 10.0.0.1 remote 10.0.0.2\n"
		       "link set i0 up\n", GROUP, GROUP));
	ASSERT_TRUE(sink_open_ipip(&self->sink, "v1"));
	EXPECT_TRUE(all_arrive(e, &self->sink, "i0", false, variant->kind.claimed));
	EXPECT_TRUE(!variant->kind.claimed || arp_does_not(e, "i0"));
}

/*
 * Five devices: t0 takes frames. t1 and t2 are not ready for frames, because
 * their peers have no program of native XDP, and the entry of t2 has a program.
 * d0 has no ndo_xdp_xmit. g1 is the ingress, and gets no copy.
 */
TEST_F(packets, broadcast)
{
	struct env *e = &self->e;
	bool claimed = variant->kind.claimed;
	struct sink sinks[3];
	int i;

	ASSERT_TRUE(make_veth("t0", "r0", ""));
	ASSERT_TRUE(make_veth("t1", "r1", ""));
	ASSERT_TRUE(make_veth("t2", "r2", ""));
	ASSERT_TRUE(attach(e, "r0", "pass", false));
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_EQ(put_entry(e, 1, "t1", NULL), 0);
	ASSERT_EQ(put_entry(e, 2, "t2", "pass_on"), 0);
	ASSERT_EQ(put_entry(e, 3, "d0", NULL), 0);
	ASSERT_EQ(put_entry(e, 4, "g1", NULL), 0);
	set_var(e, "flags", BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);

	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(sink_open(&sinks[i], i == 0 ? "r0" : i == 1 ? "r1" : "r2"));
		if (claimed || !i)
			sink_expect(&sinks[i], 0, FRAMES, NUMBERED_LEN);
	}
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(sink_ok(&sinks[i]));
		sink_close(&sinks[i]);
		EXPECT_TRUE(!claimed || entry_counted(e, i, FRAMES, NUMBERED_LEN, 0, 0));
	}
	EXPECT_TRUE(!claimed || entry_counted(e, 3, FRAMES, NUMBERED_LEN, 0, 0));
	EXPECT_TRUE(!claimed || entry_counted(e, 4, 0, NUMBERED_LEN, 0, 0));
}

/* The program comes first, and runs on frames. */
TEST_F(packets, program_drops_some)
{
	struct env *e = &self->e;

	if (!variant->kind.claimed)
		SKIP(return, "stock maps deliver nothing");
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_EQ(put_entry(e, 0, "d0", "odd"), 0);
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	sink_expect_odd(&self->sink, FRAMES, NUMBERED_LEN);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	EXPECT_TRUE(entry_counted(e, 0, FRAMES / 2, NUMBERED_LEN, REDIRMAP_DROP_PROG_DROP,
				  FRAMES / 2));
}

/* Both ways are valid at any moment: a change of the driver loses no frame. */
TEST_F(packets, peer_comes_and_goes)
{
	struct env *e = &self->e;
	int round, first = 0;

	if (!variant->kind.claimed)
		SKIP(return, "stock maps deliver nothing without a program");
	ASSERT_TRUE(make_veth("t0", "r0", ""));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_TRUE(sink_open(&self->sink, "r0"));
	for (round = 0; round < 6; round++) {
		ASSERT_TRUE(attach(e, "r0", round & 1 ? "pass" : NULL, false));
		sink_expect(&self->sink, first, FRAMES, NUMBERED_LEN);
		ASSERT_EQ(send_numbered(e, "g0", first, FRAMES), 0);
		EXPECT_TRUE(sink_ok(&self->sink));
		first += FRAMES;
	}
	EXPECT_TRUE(entry_counted(e, 0, first, NUMBERED_LEN, 0, 0));
}

/* Without the parameter packets, claimed maps behave as the kernel's own. */
TEST_F(packets, not_allowed)
{
	ASSERT_TRUE(begin_again(&self->e, &variant->kind, "", ""));
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_TRUE(sink_open_outgoing(&self->sink, "d0"));
	EXPECT_TRUE(none_arrives(&self->e, &self->sink, "d0", variant->kind.claimed));
}

TEST_HARNESS_MAIN
