/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_H
#define REDIRMAP_TARGET_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include <uapi/linux/redirmap.h>

#include "layout.h"
#include "port.h"
#include "stats.h"
#include "trace.h"

struct bulkq_reserve;
struct stats_gone;
struct target_net;

/**
 * enum target_fate - whether a target is about to be freed
 * @TARGET_USED: no, it has references
 * @TARGET_UNUSED: a grace period after it lost the last one, if it gets none
 * @TARGET_UNUSED_AGAIN: it has got one and lost it since, so one more later
 */
enum target_fate {
	TARGET_USED,
	TARGET_UNUSED,
	TARGET_UNUSED_AGAIN,
};

/**
 * struct target - what slots of maps point to: a device to redirect to
 * @entry: what the kernel sees; its unused idx tells whether the target lives
 * @id: index of the target in the holders' tables
 * @refs: one for each holder, one for the sweep while it is due
 * @fate: whether @free_work is on its way; under target_lock
 * @tn: the tables of the namespace that interns the target
 * @net: that namespace. A dead target may outlive both: they are followed where
 *	the target is known to live, and compared elsewhere
 * @sibling: the device's next target, for another program; changed under
 *	target_lock
 * @shown: of a target that is one entry's own: what lookups return, with its
 *	counters; such a target is in no table, but in its namespace's list
 * @own_node: place there, under target_lock
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
	enum target_fate fate;
	struct target_net *tn;
	const struct net *net;
	struct target __rcu *sibling;
	struct redirmap_val *shown;
	struct hlist_node own_node;
	bool spare;
	bool moved;
	struct stats_gone *gone;
	struct stats_leaver leaver;
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

/* What has always been dead, for those who need something to point to. */
extern struct target target_nowhere;

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

/**
 * target_entry() - where a redirect to a target leads
 * @target: a target found inside the present RCU read section
 *
 * Runs in NAPI, bottom halves off, per packet. For a target without a program it
 * is target_is_live() and no more.
 *
 * Return: what the kernel enqueues to; NULL when the target has died.
 */
static __always_inline void *target_entry(struct target *target)
{
	/* As in target_is_live(): a load that is part of the test. */
	if (likely(data_race(target->entry.idx) == TARGET_LIVE))
		return &target->entry;
	if (READ_ONCE(target->entry.idx) != TARGET_LIVE_PROG)
		return NULL;
	ingress_spare(target->entry.dev);
	return &target->entry;
}

/**
 * target_is() - is a target that of a device and a program?
 * @target: a target found inside the present RCU read section
 * @net: the namespace that @ifindex is of
 * @ifindex: the device
 * @prog: the egress program, or NULL
 *
 * Context: inside that RCU read section.
 * Return: true when target_find() would return it.
 */
static inline bool target_is(const struct target *target,
			     const struct net *net, u32 ifindex,
			     const struct bpf_prog *prog)
{
	/* A device that is live has not changed its namespace. */
	return target->entry.val.ifindex == ifindex &&
	       target->port.prog == prog && target->net == net &&
	       target_is_live(target);
}

struct target *target_find(struct net *net, u32 ifindex,
			   const struct bpf_prog *prog);
struct target *target_get(struct net *net, u32 ifindex, struct bpf_prog *prog,
			  bool own, struct bulkq_reserve *bulkqs, gfp_t gfp);
void target_hold(struct target *target);
void target_put(struct target *target);

size_t target_own_memory(void);
bool target_next_info(unsigned long *id, struct target_info *info);
unsigned int target_generation(void);

/**
 * target_death_cause() - why a target has died
 * @target: a dead target
 *
 * Context: inside an RCU read section, or with a reference to the target.
 * Return: the cause
 */
static inline enum redirmap_cause target_death_cause(const struct target *target)
{
	return target->moved ? REDIRMAP_CAUSE_NETNS_MOVE :
			       REDIRMAP_CAUSE_UNREGISTER;
}

void target_queue_sweep(void);
int target_module_init(struct work_struct *sweep);
void target_module_exit(void);

#endif /* REDIRMAP_TARGET_H */
