/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_TABLE_H
#define REDIRMAP_TARGET_TABLE_H

#include <linux/spinlock.h>
#include <linux/xarray.h>

struct bpf_prog;
struct net_device;
struct target;

extern spinlock_t target_lock;

struct target *target_table_find(struct xarray *targets, u32 ifindex,
				 const struct bpf_prog *prog);
struct target *target_table_first(struct xarray *targets,
				  const struct net_device *dev);
struct target *target_table_next(const struct target *target);
int target_table_add(struct xarray *targets, struct target *target, gfp_t gfp);
void target_table_remove(struct xarray *targets, struct target *target);

#endif /* REDIRMAP_TARGET_TABLE_H */
