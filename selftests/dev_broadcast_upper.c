// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts with BPF_F_EXCLUDE_INGRESS: frames are not sent back through a
 * device above the ingress device. For other ingress devices see
 * dev_broadcast_exclude.c.
 *
 * Every test runs on a stock and on a claimed map. INTENDED DIFFERENCES: stock
 * maps know the devices directly above the ingress, claimed maps also those
 * further up; stock maps know eight of them, and drop frames if there are more.
 */
#include "exclude.h"

/*
 * Devices above the ingress. In generic XDP all of them pass packets down to
 * g1. Of the devices here, only a bond transmits XDP frames natively.
 */
static bool excludes_upper(struct cast *c, const char *upper, bool xmits)
{
	bool ok;

	exclude(c, true);
	if (!put(&c->e, 3, upper) || !put(&c->e, 5, "g1"))
		return false;
	ok = comes_back(c, 0);
	/* without the flag the frames come back */
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

/* The same with an upper device that accepts XDP frames. */
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
 * maps refuse to broadcast (EOVERFLOW; older kernels wrote past the end of a
 * list of nine).
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
		/* and 41, for which no list on a stack has room */
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

/* A device below the ingress, or beside it, is an ordinary member. */
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

/*
 * A program on the bond: natively the slave is the ingress, otherwise the bond.
 */
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

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
