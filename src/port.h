/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_PORT_H
#define REDIRMAP_PORT_H

#include <linux/netdevice.h>
#include <linux/spinlock.h>

/**
 * struct port - a pseudo device that stands for a real one
 * @real: the device; referenced until the port is detached
 * @tracker: accounts for that reference
 * @mirror_lock: makes looking at @real and writing @dev one step
 * @own_stats: @dev.core_stats is not @real's
 * @dev: what the kernel enqueues to; never registered. Per packet it reads
 *	flags, mtu, hard_header_len, xdp_features, xdp_bulkq and netdev_ops,
 *	which core keeps together in net_device; per flush we add @real.
 */
struct port {
	/* hot: once per flush */
	struct net_device *real;

	/* cold */
	netdevice_tracker tracker;
	spinlock_t mirror_lock; /* see @mirror_lock above */
	bool own_stats;

	/* hot: per packet; last, for it may end in a flexible array */
	struct net_device dev;
};

int port_init(struct port *port, struct net_device *real,
	      struct xdp_dev_bulk_queue __percpu *bulkq, gfp_t gfp);
void port_mirror(struct port *port);
void port_detach(struct port *port);
void port_destroy(struct port *port);

#endif /* REDIRMAP_PORT_H */
