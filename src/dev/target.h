/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_H
#define REDIRMAP_TARGET_H

#include <linux/workqueue.h>
#include <uapi/linux/redirmap.h>

#include "dev_trace.h"
#include "ingress.h"
#include "target_table.h"

struct bulkq_reserve;

/* A target that is always dead, for pointers that may not be NULL. */
extern struct target rmap_target_none;

/**
 * target_entry() - the entry that a redirect to a target returns
 * @target: a target found inside the present RCU read section
 *
 * Runs in NAPI, bottom halves off, per packet. For a target without a program
 * this is as fast as target_is_live().
 *
 * Return: the entry that the kernel enqueues to; NULL when the target has died.
 */
static __always_inline void *target_entry(struct target *target)
{
	/* data_race() for the same reason as in target_is_live(). */
	if (likely(data_race(target->entry.idx) == TARGET_LIVE))
		return &target->entry;
	if (READ_ONCE(target->entry.idx) != TARGET_LIVE_PROG)
		return NULL;
	ingress_spare(target->entry.dev);
	return &target->entry;
}

/**
 * struct target_want - a request for the target of an entry
 * @net: the namespace of @ifindex
 * @ifindex: the device
 * @prog: the egress program, which the caller holds, or NULL
 * @dev: the device, after the first rmap_target_want_dev(); NULL before
 * @packets: whether frames may leave as packets
 * @own: the entry wants a target that no other entry uses, with counters of its
 *	own
 * @gfp: allocation flags; they must forbid sleeping
 */
struct target_want {
	struct net *net;
	u32 ifindex;
	struct bpf_prog *prog;
	struct net_device *dev;
	enum redirmap_packets packets;
	bool own;
	gfp_t gfp;
};

/**
 * target_is() - does a target have this device, program and packets mode?
 * @target: a target found inside the present RCU read section
 * @net: the namespace of @ifindex
 * @ifindex: the device
 * @prog: the egress program, or NULL
 * @packets: whether frames may leave as packets
 *
 * Context: inside that RCU read section.
 * Return: true when rmap_target_find() would return it.
 */
static inline bool target_is(const struct target *target,
			     const struct net *net, u32 ifindex,
			     const struct bpf_prog *prog,
			     enum redirmap_packets packets)
{
	/* A live target's device has not left its namespace. */
	return target->entry.val.ifindex == ifindex &&
	       target->port.prog == prog && target->port.packets == packets &&
	       target->net == net && target_is_live(target);
}

struct target *rmap_target_find(const struct target_want *want);
struct target *rmap_target_get(struct target_want *want, struct target *found,
			       struct bulkq_reserve *bulkqs);
struct net_device *rmap_target_want_dev(struct target_want *want);
void rmap_target_hold(struct target *target);
void rmap_target_put(struct target *target);

size_t rmap_target_own_memory(void);

/**
 * target_death_cause() - the cause of a target's death
 * @target: a dead target
 *
 * Context: inside an RCU read section, or with a reference to the target.
 * Return: the cause.
 */
static inline enum redirmap_cause target_death_cause(const struct target *target)
{
	return target->moved ? REDIRMAP_CAUSE_NETNS_MOVE :
			       REDIRMAP_CAUSE_UNREGISTER;
}

void rmap_target_set_sweep(struct work_struct *sweep);
void rmap_target_queue_sweep(void);
int rmap_target_module_init(void);
void rmap_target_module_exit(void);

#endif /* REDIRMAP_TARGET_H */
