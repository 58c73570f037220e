/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_INGRESS_H
#define REDIRMAP_INGRESS_H

#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>

#include "dev_layout.h"

struct bpf_prog;
struct xdp_frame;
struct xdp_rxq_info;

/**
 * struct ingress_watch - how packets of generic XDP tell where they come from
 * @slot: xdp_prog of the entry that leads to the pseudo device
 * @lock: makes writing @wanted and @slot one step; innermost
 * @wanted: somebody will ask; never unset
 *
 * All of it is cold. See the head of ingress.c.
 */
struct ingress_watch {
	struct bpf_prog **slot;
	spinlock_t lock; /* writes of @wanted and @slot */
	bool wanted;
};

/**
 * ingress_spare() - spare native frames what is for generic XDP only
 * @dev: the pseudo device of an entry that may name our program
 *
 * See the head of ingress.c. Generic XDP queues nothing.
 *
 * Runs in NAPI, bottom halves off, per packet that such an entry is found for; and
 * before 6.10 in BPF_PROG_TEST_RUN without live frames with bottom halves on. That
 * queues nothing either, and clears what is another's: which is idle then, unless
 * bottom halves can be preempted.
 */
static __always_inline void ingress_spare(const struct net_device *dev)
{
	struct kern_bulkq __percpu *queue;

	/* Core's flush may be between its test of the pointer and the use. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && !in_softirq())
		return;
	queue = (struct kern_bulkq __percpu *)dev->xdp_bulkq;
	this_cpu_write(queue->xdp_prog, NULL);
}

struct net_device *rmap_ingress_of_queue(struct xdp_frame **frames, int n);
struct net_device *rmap_ingress_unknown(const struct net_device *near);
bool rmap_ingress_is_below(struct net_device *ingress, struct net_device *dev);

void rmap_ingress_watch_init(struct ingress_watch *watch,
			     struct bpf_prog **slot);
void rmap_ingress_want(struct ingress_watch *watch);
struct xdp_rxq_info *rmap_ingress_take(const struct sk_buff *skb,
				       struct ingress_watch *watch);

int rmap_ingress_module_init(void);
void rmap_ingress_module_exit(void);

#endif /* REDIRMAP_INGRESS_H */
