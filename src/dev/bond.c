// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP frames for a bond, in kernels without xdp_features, where a bond does not
 * announce whether it can transmit them. port.c calls this file when it looks
 * at a device again, not per frame. The file owns no data. It is separate from
 * port.c because the bond's header has a struct port of its own.
 */
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <net/bonding.h>

#include "bond.h"

/* In other modes a bond refuses the frames, with a line in the log. */
static bool bond_selects_slaves(const struct bonding *bond)
{
	switch (READ_ONCE(bond->params.mode)) {
	case BOND_MODE_ROUNDROBIN:
	case BOND_MODE_ACTIVEBACKUP:
	case BOND_MODE_8023AD:
	case BOND_MODE_XOR:
		return true;
	default:
		return false;
	}
}

/* Is a device below a bond one that cannot transmit XDP frames? */
static int bond_below_refuses(struct net_device *below,
			      struct netdev_nested_priv *unused)
{
	if (!READ_ONCE(below->netdev_ops)->ndo_xdp_xmit)
		return 1;
	return netif_is_bond_master(below) &&
	       !bond_selects_slaves(netdev_priv(below));
}

/**
 * rmap_bond_takes_frames() - can a bond transmit XDP frames?
 * @bond: the bond
 *
 * It calls the ndo_xdp_xmit of a slave without a test for NULL, so each slave
 * must have one. A slave may be a bond as well.
 *
 * Context: any but hard interrupts.
 * Return: true when its mode, and the modes of the bonds below it, select
 * slaves for frames, and all take them.
 */
bool rmap_bond_takes_frames(struct net_device *bond)
{
	struct netdev_nested_priv unused = {};
	bool takes;

	if (!bond_selects_slaves(netdev_priv(bond)))
		return false;
	rcu_read_lock();
	takes = !netdev_walk_all_lower_dev_rcu(bond, bond_below_refuses,
					       &unused);
	rcu_read_unlock();
	return takes;
}
