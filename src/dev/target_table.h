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
 * @TARGET_USED: the target has references, and its free_work is not queued
 * @TARGET_UNUSED: free_work is queued, and frees the target a grace period
 *	after the last reference was dropped, unless a holder takes a new one by
 *	then
 * @TARGET_UNUSED_AGAIN: free_work is queued, but a holder has taken and dropped
 *	a reference since: free_work waits for one more grace period
 */
enum target_free_state {
	TARGET_USED,
	TARGET_UNUSED,
	TARGET_UNUSED_AGAIN,
};

/**
 * struct target - a device to redirect to; slots of maps point to it
 * @entry: the entry that the kernel sees; the kernel does not use its idx,
 *	which holds the target's state: TARGET_DEAD and so on
 * @id: index of the target in the holders' tables, and its number for netlink
 * @refs: one for each holder, and one for the sweep from the target's death on
 * @free_state: whether @free_work is queued; under rmap_target_lock
 * @tn: the tables of @net
 * @net: the namespace that interns the target. A dead target may outlive @tn
 *	and @net: follow these pointers only where the target is known to be
 *	live, and compare them elsewhere
 * @sibling: the device's next target, for another program or packets mode;
 *	changed under rmap_target_lock
 * @shown: the value that lookups return, with counters, for a target that only
 *	one entry uses; NULL for others. Such a target is in the list
 *	target_net.own instead of target_net.targets
 * @own_node: node in that list; changed under rmap_target_lock
 * @spare: the bulk queues are the device's spare ones: see bulkq.c
 * @moved: the device has left for another namespace
 * @gone: the namespace's sums, which keep the counters when the target goes
 * @leaver: the target's node in @gone
 * @death: runs a grace period after the device has left, and later frees the
 *	memory
 * @free_work: frees the target, a grace period after the last reference
 * @dead_node: node in the list of targets that wait for the sweep
 * @port: the pseudo device that @entry names
 *
 * The alignment puts the beginning of @entry, which is all that a lookup and
 * the kernel's enqueue read of a target, into one cache line.
 */
struct target {
	/* hot: read for each packet, written when the device leaves */
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
 * struct target_info - a copy of a target's state, for netlink
 * @id: the target's number
 * @net: its namespace; only to compare, not to follow
 * @netns_ino: inode number of the namespace
 * @ifindex: the device's ifindex
 * @ifname: the device's name
 * @prog_id: id of the egress program, or 0
 * @refs: number of maps that hold the target
 * @own: only one entry uses the target
 * @packets: whether frames may leave as packets
 * @sum: the counters
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
	enum redirmap_packets packets;
	struct stats_sum sum;
};

/*
 * States of a target, in entry.idx. A target is live if the value is above
 * TARGET_DEAD, so one comparison is enough. The values are small constants
 * other than 0: on x86 the load and the comparison are then one instruction.
 */
#define TARGET_DEAD 1
#define TARGET_LIVE 2
#define TARGET_LIVE_PROG 3	/* live, with an egress program */

/**
 * target_is_live() - is the target's device still there?
 * @target: a target found inside the present RCU read section
 *
 * Runs in NAPI, bottom halves off, per packet, and in bpf(2). Reads the cache
 * line that the kernel's enqueue reads next.
 *
 * Return: false when every map has to treat the target as absent.
 */
static inline bool target_is_live(const struct target *target)
{
	/* READ_ONCE() would split load and comparison into two instructions. */
	return likely(data_race(target->entry.idx) > TARGET_DEAD);
}

#define TARGET_OWN_BITS 6
#define TARGET_OWN_BUCKETS BIT(TARGET_OWN_BITS)

/**
 * struct target_net - the targets of a network namespace
 * @targets: by ifindex, the first of a device's targets; sibling links the
 *	others
 * @own: targets that only one entry uses, by a hash of their ifindex
 * @spares: by ifindex, the spare bulk queues of devices: see bulkq.c
 *
 * No packet reads this structure. @targets and @own change under
 * rmap_target_lock, @spares under its own xa_lock.
 */
struct target_net {
	struct xarray targets;
	struct hlist_head own[TARGET_OWN_BUCKETS];
	struct xarray spares;
};

extern spinlock_t rmap_target_lock;

/**
 * target_table_own() - the list of a device's targets that only one entry uses
 * @tn: the namespace's targets
 * @ifindex: the device
 *
 * Context: under rmap_target_lock, or inside an RCU read section, as long as
 * the caller uses the list. Only holders of the lock change it.
 * Return: a list of targets, linked by own_node. Targets of other devices with
 * the same hash are in it as well.
 */
static inline struct hlist_head *target_table_own(struct target_net *tn,
						  u32 ifindex)
{
	return &tn->own[hash_32(ifindex, TARGET_OWN_BITS)];
}

struct target_net *rmap_target_table_net(const struct net *net);
struct target *rmap_target_table_find(struct target_net *tn, u32 ifindex,
				      const struct bpf_prog *prog,
				      enum redirmap_packets packets);
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
