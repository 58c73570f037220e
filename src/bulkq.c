// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-CPU bulk queues of a port: allocated here, filled by the kernel.
 *
 * dev_map_enqueue() puts a frame on the queue that net_device.xdp_bulkq names,
 * lists the queue for this CPU's next flush with its first frame, and calls
 * the port's ndo_xdp_xmit when 16 frames are there or the NAPI poll ends. What
 * makes that safe without a lock, from the enqueue to the flush, is that
 * bottom halves are off: a CPU's queue is touched by the poll that runs there
 * and by nobody else (on PREEMPT_RT because local_bh_disable() is a per-CPU
 * lock). A listed queue always holds a frame, so the flush always empties and
 * unlists it, in the poll that listed it. Hence a queue that no lookup can
 * reach is idle one grace period later, and may be freed then.
 *
 * Allocated when a device registers, or in bpf(2) inside an RCU read section;
 * freed from a work item.
 */
#include <linux/percpu.h>

#include "bulkq.h"
#include "log.h"

static struct kern_bulkq *bulkq_cpu(struct xdp_dev_bulk_queue __percpu *bulkq,
				    unsigned int cpu)
{
	return per_cpu_ptr((struct kern_bulkq __percpu *)bulkq, cpu);
}

/**
 * bulkq_alloc() - make bulk queues
 * @gfp: how to allocate; may forbid to sleep
 *
 * Return: an empty queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *bulkq_alloc(gfp_t gfp)
{
	return (struct xdp_dev_bulk_queue __percpu *)
		__alloc_percpu_gfp(sizeof(struct kern_bulkq),
				   __alignof__(struct kern_bulkq), gfp);
}

/**
 * bulkq_bind() - let bulk queues be a port's
 * @bulkq: idle queues
 * @port: the pseudo device whose ndo_xdp_xmit flushes them
 */
void bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		struct net_device *port)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		bulkq_cpu(bulkq, cpu)->dev = port;
}

/**
 * bulkq_free() - free bulk queues
 * @bulkq: queues that nobody has been able to reach for a grace period, or NULL
 */
void bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	unsigned int cpu;

	if (!bulkq)
		return;
	for_each_possible_cpu(cpu)
		WARN_ONCE(bulkq_cpu(bulkq, cpu)->count,
			  "redirmap: a bulk queue is freed with frames in it\n");
	free_percpu(bulkq);
}

/**
 * bulkq_layout_is_known() - is the running kernel's bulk queue ours?
 * @real: a registered device
 *
 * A last look before the kernel fills a queue that we laid out: in its own
 * queues, the device's address must be found where we would write it. BTF has
 * said so already; BTF can be of another build.
 *
 * Context: inside an RCU read section that covers finding @real.
 * Return: false when the kernel's queue is not what we believe.
 */
bool bulkq_layout_is_known(const struct net_device *real)
{
	unsigned int cpu;

	if (!real->xdp_bulkq)
		return true;

	for_each_possible_cpu(cpu) {
		if (bulkq_cpu(real->xdp_bulkq, cpu)->dev == real)
			continue;
		pr_err_once("the bulk queues of this kernel are laid out in another way\n");
		return false;
	}
	return true;
}
