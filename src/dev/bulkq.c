// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-CPU bulk queues of a port: allocated here, filled by the kernel. With
 * each goes the CPU's part of the port's counters, which are as scarce.
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
 * Ports are made in bpf(2) inside an RCU read section, where nothing may sleep,
 * and per-CPU memory is scarce for those who may not. So bulk queues are made
 * beforehand, each time for an owner that there is already:
 *
 *  - Each device brings a set, its spare, with NETDEV_REGISTER, as it brings the
 *    kernel's. One of its targets has it, or else it lies in the namespace's
 *    table, until the device leaves. Charged to the task that makes the device.
 *  - Each claimed map has a reserve: see bulkq_reserve.c.
 *
 * Freed from work items.
 */
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/xarray.h>

#include "bulkq.h"
#include "log.h"

/* The kernel's bulk queues are not as we know them. Written under RTNL. */
static bool bulkq_layout_differs;

/**
 * rmap_bulkq_alloc() - make bulk queues
 * @gfp: how to allocate; without sleeping it fails easily
 *
 * Context: as @gfp says.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *rmap_bulkq_alloc(gfp_t gfp)
{
	/* The kernel takes the whole for its own part. */
	BUILD_BUG_ON(offsetof(struct bulkq_cpu, queue));

	return (struct xdp_dev_bulk_queue __percpu *)
		__alloc_percpu_gfp(sizeof(struct bulkq_cpu),
				   __alignof__(struct bulkq_cpu), gfp);
}

/**
 * rmap_bulkq_bind() - let bulk queues be a port's, with counters that begin
 * anew
 * @bulkq: idle queues
 * @port: the pseudo device whose ndo_xdp_xmit flushes them
 *
 * Context: process context; nobody else can reach the queues yet.
 */
void rmap_bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		     struct net_device *port)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct kern_bulkq *queue = bulkq_cpu(bulkq, cpu);

		queue->dev = port;
		memset(&container_of(queue, struct bulkq_cpu, queue)->stats, 0,
		       sizeof(struct stats_cpu));
	}
}

/**
 * rmap_bulkq_free() - free bulk queues
 * @bulkq: queues that nobody has been able to reach for a grace period, or NULL
 *
 * Context: process context.
 */
void rmap_bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	unsigned int cpu;

	if (!bulkq)
		return;
	for_each_possible_cpu(cpu)
		WARN_ONCE(bulkq_cpu(bulkq, cpu)->count ||
			  per_cpu_ptr((struct bulkq_cpu __percpu *)bulkq, cpu)->kept,
			  "redirmap: a bulk queue is freed with frames in it\n");
	free_percpu(bulkq);
}

/* --- the running kernel's --------------------------------------------------- */

/**
 * rmap_bulkq_look_at() - are a device's bulk queues, the kernel's, as ours?
 * @real: a device that registers, after the kernel's own notifier
 *
 * A last look before the kernel fills a queue that we laid out: in its own
 * queues, the device's address must be found where we would write it. BTF has
 * said so already; BTF can be of another build. An update cannot look, for it
 * may see a device whose queues are still being filled in.
 *
 * Context: netdev notifier, under RTNL.
 */
void rmap_bulkq_look_at(const struct net_device *real)
{
	struct kern_bulkq __percpu *queue;
	unsigned int cpu;

	ASSERT_RTNL();

	if (!real->xdp_bulkq)
		return;

	queue = (struct kern_bulkq __percpu *)real->xdp_bulkq;
	for_each_possible_cpu(cpu) {
		if (per_cpu_ptr(queue, cpu)->dev == real)
			continue;
		pr_err_once("the bulk queues of this kernel are laid out in another way\n");
		WRITE_ONCE(bulkq_layout_differs, true);
		return;
	}
}

/**
 * rmap_bulkq_layout_is_known() - is the running kernel's bulk queue ours?
 *
 * Context: any.
 * Return: false when a device's was found to be another one.
 */
bool rmap_bulkq_layout_is_known(void)
{
	return !READ_ONCE(bulkq_layout_differs);
}

/* --- spares ----------------------------------------------------------------- */

/*
 * In a namespace's table, by ifindex: the device's set, in whose first queue the
 * device is named; or, while one of the device's targets has it, a mark with the
 * device's address. So whose it is can be told: core repeats NETDEV_UNREGISTER
 * while somebody holds a device, and by then another one may have its ifindex.
 * Storing one over the other allocates nothing.
 */
static void *bulkq_spare_mark(const struct net_device *real)
{
	return xa_tag_pointer((void *)real, 1);
}

static bool bulkq_spare_is_of(void *spare, const struct net_device *real)
{
	return spare && !xa_pointer_tag(spare) &&
	       bulkq_first((__force void __percpu *)spare)->dev == real;
}

/**
 * rmap_bulkq_spare_bring() - make a device's spare bulk queues
 * @spares: of the device's namespace
 * @real: a device that registers, or has come from another namespace
 * @gfp: how to allocate; may sleep
 *
 * Without memory there is none, and its targets do without.
 *
 * Context: netdev notifier, under RTNL, sleeps.
 */
void rmap_bulkq_spare_bring(struct xarray *spares,
			    const struct net_device *real, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq = rmap_bulkq_alloc(gfp);

	ASSERT_RTNL();

	if (!bulkq)
		return;
	bulkq_first(bulkq)->dev = (struct net_device *)real;
	if (xa_insert(spares, real->ifindex, (__force void *)bulkq, GFP_KERNEL))
		rmap_bulkq_free(bulkq);
}

/**
 * rmap_bulkq_spare_take() - the bulk queues that a device has brought
 * @spares: of the device's namespace
 * @real: the device
 *
 * Context: process context, inside an RCU read section that covers finding @real
 * Return: idle bulk queues, to be returned; or NULL when a target has them.
 */
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_spare_take(struct xarray *spares, const struct net_device *real)
{
	void *spare;

	xa_lock(spares);
	spare = xa_load(spares, real->ifindex);
	if (bulkq_spare_is_of(spare, real))
		__xa_store(spares, real->ifindex, bulkq_spare_mark(real), 0);
	else
		spare = NULL;
	xa_unlock(spares);
	return (__force void __percpu *)spare;
}

/**
 * rmap_bulkq_spare_return() - give a device's spare back to it
 * @spares: of the device's namespace
 * @real: a device that has not left
 * @bulkq: idle bulk queues, from rmap_bulkq_spare_take()
 *
 * Context: process context, and the device does not leave meanwhile.
 */
void rmap_bulkq_spare_return(struct xarray *spares,
			     const struct net_device *real,
			     struct xdp_dev_bulk_queue __percpu *bulkq)
{
	bulkq_first(bulkq)->dev = (struct net_device *)real;
	WARN_ON_ONCE(xa_store(spares, real->ifindex, (__force void *)bulkq, 0) !=
		     bulkq_spare_mark(real));
}

/**
 * rmap_bulkq_spare_drop() - free a device's spare
 * @spares: of the device's namespace
 * @real: a device that has left, so none of its targets will return it
 *
 * Context: netdev notifier, under RTNL.
 */
void rmap_bulkq_spare_drop(struct xarray *spares, const struct net_device *real)
{
	void *spare;

	ASSERT_RTNL();

	spare = xa_load(spares, real->ifindex);
	if (bulkq_spare_is_of(spare, real)) {
		xa_erase(spares, real->ifindex);
		rmap_bulkq_free((__force void __percpu *)spare);
	} else if (spare && spare == bulkq_spare_mark(real)) {
		xa_erase(spares, real->ifindex);
	}
}
