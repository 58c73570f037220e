/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_GROUP_H
#define REDIRMAP_GROUP_H

#include <linux/list.h>
#include <linux/refcount.h>

#include <uapi/linux/redirmap.h>

#include "layout.h"

struct bpf_map;
struct port;
struct redirmap_stats;

/**
 * struct group_member - a port that a map's broadcasts go to
 * @port: the port
 * @uses: how many of the map's keys lead there, each for a copy
 * @node: place among the members; changed under a lock, read under RCU
 */
struct group_member {
	const struct port *port;
	refcount_t uses;
	struct list_head node;
};

struct kern_dtab_netdev *group_port_alloc(const struct bpf_map *map,
					  const struct list_head *members,
					  bool exclude_ingress, gfp_t gfp);
void group_port_free(struct kern_dtab_netdev *entry);
struct kern_dtab_netdev *group_empty_entry(void);
size_t group_port_memory(void);
void group_drop(const struct kern_dtab_netdev *entry, enum redirmap_drop reason,
		u32 packets);
void group_stats(const struct kern_dtab_netdev *entry,
		 struct redirmap_stats *sum);
bool group_has_dev(const struct net_device *dev);

int group_module_init(void);
void group_module_exit(void);

#endif /* REDIRMAP_GROUP_H */
