/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_INGRESS_H
#define REDIRMAP_INGRESS_H

#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>

#include "compat.h"
#include "dev_layout.h"

struct bpf_prog;
struct xdp_frame;
struct xdp_rxq_info;

/**
 * struct ingress_watch - records the ingress of packets of generic XDP
 * @slot: the field xdp_prog of the entry that names the pseudo device
 * @lock: guards writes of @wanted and *@slot; innermost
 * @wanted: a program or a broadcast needs the ingress; never unset
 *
 * Only generic XDP reads this structure. See the head of ingress.c.
 */
struct ingress_watch {
	struct bpf_prog **slot;
	spinlock_t lock; /* writes of @wanted and *@slot */
	bool wanted;
};

/**
 * ingress_spare() - keep core from running ingress_prog for native frames
 * @dev: the pseudo device of an entry that may name ingress_prog
 *
 * See the head of ingress.c. Generic XDP does not use bulk queues.
 *
 * Runs in NAPI, bottom halves off, per packet whose lookup finds such an
 * entry. Before 6.10 it also runs in BPF_PROG_TEST_RUN without live frames,
 * with bottom halves on. Such a run puts no frame on a bulk queue, and the
 * queue whose pointer it clears is idle at that moment, unless bottom halves
 * can be preempted.
 *
 * Where polls preempt each other, nothing is cleared: core tests the pointer
 * and uses it under the lock of the queue, which lookups do not have.
 */
static __always_inline void ingress_spare(const struct net_device *dev)
{
	struct kern_bulkq __percpu *queue;

	/* Core may be preempted between its test and use of the pointer. */
	if (COMPAT_POLLS_PREEMPT ||
	    (IS_ENABLED(CONFIG_PREEMPT_RT) && !in_softirq()))
		return;
	queue = (struct kern_bulkq __percpu *)dev->xdp_bulkq;
	this_cpu_write(queue->xdp_prog, NULL);
}

struct net_device *rmap_ingress_of_kthread(struct xdp_frame **frames, int n);

/**
 * ingress_of_queue() - the ingress of the frames of a flush
 * @frames: the frames, as the kernel hands them to ndo_xdp_xmit
 * @n: number of frames
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, per flush, under flush_lock().
 *
 * Return: the device; NULL when dev_rx of each frame is valid instead.
 */
static inline struct net_device *ingress_of_queue(struct xdp_frame **frames,
						  int n)
{
	const struct kern_bulkq *queue = (const struct kern_bulkq *)frames;

	/* The frames are the first member of the kernel's bulk queue. */
	BUILD_BUG_ON(offsetof(struct kern_bulkq, q));

	/* A cpumap's kthread that was preempted may have filled the queue. */
	if (COMPAT_POLLS_PREEMPT && unlikely(!queue->dev_rx))
		return rmap_ingress_of_kthread(frames, n);
	if (likely(in_serving_softirq() || !(current->flags & PF_KTHREAD)))
		return queue->dev_rx;
	return rmap_ingress_of_kthread(frames, n);
}

bool rmap_ingress_is_below(struct net_device *ingress, struct net_device *dev);

void rmap_ingress_watch_init(struct ingress_watch *watch,
			     struct bpf_prog **slot);
void rmap_ingress_want(struct ingress_watch *watch);
struct xdp_rxq_info *rmap_ingress_take(const struct sk_buff *skb,
				       struct ingress_watch *watch);

int rmap_ingress_module_init(void);
void rmap_ingress_module_exit(void);

#endif /* REDIRMAP_INGRESS_H */
