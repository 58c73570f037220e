/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_TABLE_H
#define REDIRMAP_TARGET_TABLE_H

#include <linux/hash.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/redirmap.h>

#include "dev_layout.h"
#include "gone.h"
#include "port.h"
#include "stats.h"

struct bpf_prog;
struct gone;
struct net;
struct net_device;
struct target_net;

/**
 * enum target_free_state - whether a target is about to be freed
 * @TARGET_USED: no, it has references
 * @TARGET_UNUSED: a grace period after it lost the last one, if it gets none
 * @TARGET_UNUSED_AGAIN: it has got one and lost it since, so one more later
 */
enum target_free_state {
	TARGET_USED,
	TARGET_UNUSED,
	TARGET_UNUSED_AGAIN,
};

/**
 * struct target - what slots of maps point to: a device to redirect to
 * @entry: what the kernel sees; its unused idx tells whether the target lives
 * @id: index of the target in the holders' tables
 * @refs: one for each holder, one for the sweep while it is due
 * @free_state: whether @free_work is on its way; under rmap_target_lock
 * @tn: the tables of the namespace that interns the target
 * @net: that namespace. A dead target may outlive both: they are followed where
 *	the target is known to live, and compared elsewhere
 * @sibling: the device's next target, for another program; changed under
 *	rmap_target_lock
 * @shown: of a target that is one entry's own: what lookups return, with its
 *	counters; such a target is in no table, but in its namespace's list
 * @own_node: place there, under rmap_target_lock
 * @spare: its bulk queues are the device's: see bulkq.c
 * @moved: the device has left for another namespace
 * @gone: what keeps the counters when the target goes
 * @leaver: its part in that
 * @death: runs a grace period after the device has left; frees the memory later
 * @free_work: frees the target, a grace period after the last reference
 * @dead_node: place among the targets that wait for the sweep
 * @port: the pseudo device that @entry names
 *
 * Aligned so that all that a lookup and the kernel's enqueue read of it, the
 * beginning of @entry, lies in one cache line.
 */
struct target {
	/* hot: read per packet, written when the device leaves */
	struct kern_dtab_netdev entry ____cacheline_aligned;

	/* cold */
	u32 id;
	refcount_t refs;
	enum target_free_state free_state;
	struct target_net *tn;
	const struct net *net;
	struct target __rcu *sibling;
	struct redirmap_val *shown;
	struct hlist_node own_node;
	bool spare;
	bool moved;
	struct gone *gone;
	struct gone_leaver leaver;
	struct rcu_head death;
	struct rcu_work free_work;
	struct list_head dead_node;

	struct port port;
};

/**
 * struct target_info - what is told of a target
 * @id: its number
 * @net: its namespace; to be compared only
 * @netns_ino: the same, as user space knows it
 * @ifindex: the device
 * @ifname: its name
 * @prog_id: the egress program, or 0
 * @refs: how many maps hold the target
 * @own: it is one entry's own
 * @sum: its counters
 */
struct target_info {
	u32 id;
	const struct net *net;
	unsigned int netns_ino;
	u32 ifindex;
	char ifname[IFNAMSIZ];
	u32 prog_id;
	u32 refs;
	bool own;
	struct stats_sum sum;
};

/*
 * In entry.idx. Numbers but 0, for to compare with these is one instruction on
 * x86, and in this order: what is above TARGET_DEAD lives.
 */
#define TARGET_DEAD 1
#define TARGET_LIVE 2
#define TARGET_LIVE_PROG 3	/* with a program */

/**
 * target_is_live() - has the target's device not gone away?
 * @target: a target found inside the present RCU read section
 *
 * Runs per packet; reads the cache line that the kernel's enqueue reads next.
 *
 * Return: false when every map has to treat the target as absent.
 */
static inline bool target_is_live(const struct target *target)
{
	/* One load; READ_ONCE() would keep it from being part of the test. */
	return likely(data_race(target->entry.idx) > TARGET_DEAD);
}

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
 * rmap_target_lock, @spares under its own.
 */
struct target_net {
	struct xarray targets;
	struct hlist_head own[TARGET_OWN_BUCKETS];
	struct xarray spares;
};

extern spinlock_t rmap_target_lock;

/**
 * target_table_own() - where targets are listed that are one entry's own
 * @tn: the namespace's targets
 * @ifindex: their device
 *
 * Context: under rmap_target_lock, for what is done with the list.
 * Return: a list of targets, by own_node, of this device and perhaps of others.
 */
static inline struct hlist_head *target_table_own(struct target_net *tn,
						  u32 ifindex)
{
	return &tn->own[hash_32(ifindex, TARGET_OWN_BITS)];
}

struct target_net *rmap_target_table_net(const struct net *net);
struct target *rmap_target_table_find(struct target_net *tn, u32 ifindex,
				      const struct bpf_prog *prog);
struct target *rmap_target_table_first(struct target_net *tn,
				       const struct net_device *dev);
struct target *rmap_target_table_next(const struct target *target);
struct target *rmap_target_table_take(struct target_net *tn,
				      const struct net_device *dev);
int rmap_target_table_add(struct target_net *tn, struct target *target,
			  gfp_t gfp);
void rmap_target_table_remove(struct target *target);

int rmap_target_table_get_id(struct target *target, gfp_t gfp);
void rmap_target_table_put_id(struct target *target);
void rmap_target_table_changed(void);

bool rmap_target_next_info(unsigned long *id, struct target_info *info);
unsigned int rmap_target_generation(void);

int rmap_target_table_init(void);
void rmap_target_table_exit(void);

#endif /* REDIRMAP_TARGET_TABLE_H */
