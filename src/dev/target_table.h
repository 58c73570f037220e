/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_TABLE_H
#define REDIRMAP_TARGET_TABLE_H

#include <linux/hash.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

struct bpf_prog;
struct net;
struct net_device;
struct target;

#define TARGET_OWN_BITS 6
#define TARGET_OWN_BUCKETS BIT(TARGET_OWN_BITS)

/**
 * struct target_net - the targets of a network namespace
 * @targets: by ifindex, the first of a device's targets, which are linked by
 *	sibling
 * @own: targets that are one entry's own, by a hash of their ifindex
 * @spares: by ifindex, bulk queues of devices: see bulkq.c
 *
 * Nothing of it is looked at per packet. @targets and @own change under
 * target_lock, @spares under its own.
 */
struct target_net {
	struct xarray targets;
	struct hlist_head own[TARGET_OWN_BUCKETS];
	struct xarray spares;
};

extern spinlock_t target_lock;

/**
 * target_table_own() - where targets are listed that are one entry's own
 * @tn: the namespace's targets
 * @ifindex: their device
 *
 * Context: under target_lock, for what is done with the list.
 * Return: a list of targets, by own_node, of this device and perhaps of others.
 */
static inline struct hlist_head *target_table_own(struct target_net *tn,
						  u32 ifindex)
{
	return &tn->own[hash_32(ifindex, TARGET_OWN_BITS)];
}

struct target_net *target_table_net(const struct net *net);
struct target *target_table_find(struct target_net *tn, u32 ifindex,
				 const struct bpf_prog *prog);
struct target *target_table_first(struct target_net *tn,
				  const struct net_device *dev);
struct target *target_table_next(const struct target *target);
struct target *target_table_take(struct target_net *tn,
				 const struct net_device *dev);
int target_table_add(struct target_net *tn, struct target *target, gfp_t gfp);
void target_table_remove(struct target *target);

int target_table_get_id(struct target *target, gfp_t gfp);
void target_table_put_id(struct target *target);
void target_table_changed(void);

int target_table_init(void);
void target_table_exit(void);

#endif /* REDIRMAP_TARGET_TABLE_H */
