/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_GROUP_H
#define REDIRMAP_GROUP_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <uapi/linux/redirmap.h>

#include "dev_layout.h"
#include "ingress.h"

struct bpf_map;
struct net;
struct port;
struct stats_map;
struct xdp_dev_bulk_queue;
struct xdp_frame;

/**
 * struct group_member - a port that a map's broadcasts go to
 * @port: the port
 * @uses: number of the map's keys that lead to the port; the port gets a copy
 *	for each. A long cannot overflow, because each key takes a pointer in
 *	the map
 * @node: node in the map's list of members; changed under holder.lock,
 *	read under RCU
 */
struct group_member {
	const struct port *port;
	atomic_long_t uses;
	struct list_head node;
};

/**
 * struct group_port - represents a map's members
 * @entry: the entry that broadcasts are redirected to
 * @members: list of struct group_member
 * @exclude_ingress: frames are not sent back to their ingress
 * @map: the map, for tracepoints; NULL for the group of maps without entries
 * @counters: the map's counters, for each possible CPU
 * @watch: ingress of generic XDP packets: see ingress.c
 * @listed: node in the list of the namespace's groups, under groups_lock
 * @queue: transmit queue, for generic XDP
 * @dev: the pseudo device that the kernel enqueues to; takes frames of any
 *	size, and has ifindex 0
 */
struct group_port {
	/* hot: read per packet or per flush */
	struct kern_dtab_netdev entry ____cacheline_aligned;
	const struct list_head *members;
	bool exclude_ingress;

	/* cold */
	const struct bpf_map *map;
	struct stats_map *counters;
	struct ingress_watch watch;
	struct list_head listed;
	struct netdev_queue queue;

	/* hot: read per packet; last, because it may end in a flexible array */
	struct net_device dev;
};

/**
 * group_of() - the group that a pseudo device is part of
 * @dev: the pseudo device of a group
 *
 * Context: any.
 * Return: the group.
 */
static inline struct group_port *group_of(const struct net_device *dev)
{
	return container_of(dev, struct group_port, dev);
}

int rmap_group_xdp_xmit(struct net_device *dev, int n,
			struct xdp_frame **frames, u32 flags);
netdev_tx_t rmap_group_start_xmit(struct sk_buff *skb, struct net_device *dev);
u16 rmap_group_select_queue(struct net_device *dev, struct sk_buff *skb,
			    struct net_device *sb_dev);
void rmap_group_drop(const struct kern_dtab_netdev *entry,
		     enum redirmap_drop reason, u32 packets);

struct kern_dtab_netdev *
rmap_group_port_alloc(struct net *net,
		      const struct bpf_map *map,
		      struct stats_map *counters,
		      const struct list_head *members,
		      bool exclude_ingress,
		      struct xdp_dev_bulk_queue __percpu *bulkq,
		      gfp_t gfp);
void rmap_group_port_free(struct kern_dtab_netdev *entry);
struct kern_dtab_netdev *rmap_group_empty_entry(void);
void rmap_group_want_ingress(struct kern_dtab_netdev *entry);
size_t rmap_group_port_memory(void);
bool rmap_group_has_dev(const struct net_device *dev);

int rmap_group_module_init(void);
void rmap_group_module_exit(void);

#endif /* REDIRMAP_GROUP_H */
