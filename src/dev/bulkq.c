// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-CPU bulk queues of a port: this module allocates them, and the kernel
 * fills them. Each queue comes with the CPU's part of the port's counters,
 * which need per-CPU memory as well.
 *
 * dev_map_enqueue() puts a frame on the queue that net_device.xdp_bulkq names.
 * With the first frame it lists the queue for this CPU's next flush, and it
 * calls the port's ndo_xdp_xmit when the queue has 16 frames or the NAPI poll
 * ends. No lock is needed from the enqueue to the flush, because bottom halves
 * are off: only the poll that runs on a CPU touches this CPU's queues (on
 * PREEMPT_RT because local_bh_disable() is a per-CPU lock; where it is none,
 * the kernel locks the queue for each enqueue and flush). A listed queue always
 * holds a frame, so the flush at the end of the same poll empties and unlists
 * it. Hence a queue that no lookup can reach is idle one grace period later,
 * and may be freed then. That holds as well if a poll has preempted the one
 * that will flush the queue, because both are in RCU read sections.
 *
 * Ports are made in bpf(2), inside an RCU read section, where allocations may
 * not sleep, and per-CPU allocations that may not sleep fail easily. So bulk
 * queues are allocated earlier, for a device or a map. A set is the bulk queues
 * of one port, one for each CPU.
 *
 *  - Each device gets one set, its spare, when it registers, as it gets the
 *    kernel's bulk queues. Until the device leaves, the spare is either in use
 *    by one of the device's targets, or in the namespace's table. It is charged
 *    to the task that makes the device.
 *  - Each claimed map has a reserve: see bulkq_reserve.c.
 *
 * Bulk queues are freed in process context.
 */
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/xarray.h>

#include "bulkq.h"
#include "log.h"

/*
 * The layout of the kernel's bulk queues differs from struct kern_bulkq.
 * Written under RTNL.
 */
static bool bulkq_layout_differs;

/**
 * rmap_bulkq_alloc() - allocate the bulk queues of a port
 * @gfp: allocation flags; allocations that may not sleep fail easily
 *
 * Context: process context; sleeps if @gfp allows it.
 * Return: an idle queue for each possible CPU, or NULL without memory.
 */
struct xdp_dev_bulk_queue __percpu *rmap_bulkq_alloc(gfp_t gfp)
{
	/* The kernel uses the address of struct bulkq_cpu as its queue's. */
	BUILD_BUG_ON(offsetof(struct bulkq_cpu, queue));

	return (struct xdp_dev_bulk_queue __percpu *)
		__alloc_percpu_gfp(sizeof(struct bulkq_cpu),
				   __alignof__(struct bulkq_cpu), gfp);
}

/**
 * rmap_bulkq_bind() - bind bulk queues to a port, and reset their counters
 * @bulkq: idle queues
 * @port: the pseudo device whose ndo_xdp_xmit flushes them
 *
 * Context: process context; the queues are not published yet.
 */
void rmap_bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		     struct net_device *port)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct kern_bulkq *queue = bulkq_cpu(bulkq, cpu);

		queue->dev = port;
#if HAVE_BQ_LOCK
		local_lock_init(&queue->bq_lock);
#endif
		memset(&container_of(queue, struct bulkq_cpu, queue)->stats, 0,
		       sizeof(struct stats_cpu));
	}
}

/**
 * rmap_bulkq_free() - free bulk queues
 * @bulkq: queues that no lookup has been able to reach for a grace period, or
 *	NULL
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

/* --- the running kernel's layout ------------------------------------------ */

/**
 * rmap_bulkq_look_at() - compare the kernel's queues with struct kern_bulkq
 * @real: a device that registers; the kernel's own notifier has run already
 *
 * This is the last check before the kernel fills a queue of the module. The
 * kernel has made bulk queues for the device itself, and they must contain the
 * device's address where rmap_bulkq_bind() writes it. insmod has compared the
 * layout with BTF, but the BTF may belong to another build. An update cannot
 * make this check, because the kernel may be filling in the queues of a new
 * device at the same time.
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
		pr_err_once("the layout of this kernel's bulk queues is unknown: updates of device maps fail with EOPNOTSUPP\n");
		WRITE_ONCE(bulkq_layout_differs, true);
		return;
	}
}

/**
 * rmap_bulkq_layout_is_known() - do the kernel's bulk queues match struct
 * kern_bulkq?
 *
 * Context: any.
 * Return: false when a device's bulk queues were found to differ.
 */
bool rmap_bulkq_layout_is_known(void)
{
	return !READ_ONCE(bulkq_layout_differs);
}

/* --- spares --------------------------------------------------------------- */

/*
 * For each ifindex, a namespace's table has the device's spare set, whose first
 * queue names the device; or, while one of the device's targets uses the set, a
 * mark with the device's address. So the set and the mark both name the device:
 * core repeats NETDEV_UNREGISTER while the device is referenced, and another
 * device may have its ifindex by then. Storing the mark over the set, or the
 * set over the mark, allocates no memory.
 */
static void *bulkq_spare_mark(const struct net_device *real)
{
	return xa_tag_pointer((void *)real, 1);
}

static bool bulkq_spare_is_of(void *spare, const struct net_device *real)
{
	return spare && !xa_pointer_tag(spare) &&
	       bulkq_first(bulkq_of_pointer(spare))->dev == real;
}

/**
 * rmap_bulkq_spare_bring() - make a device's spare bulk queues
 * @spares: the table of the device's namespace
 * @real: a device that registers, or has come from another namespace
 * @gfp: allocation flags; may sleep
 *
 * If there is no memory, the device has no spare, and its targets use the
 * reserves of maps.
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
	if (xa_insert(spares, real->ifindex, bulkq_pointer(bulkq), GFP_KERNEL))
		rmap_bulkq_free(bulkq);
}

/**
 * rmap_bulkq_spare_take() - take a device's spare bulk queues
 * @spares: the table of the device's namespace
 * @real: the device
 *
 * Context: process context, inside the RCU read section in which the caller has
 * found @real.
 * Return: idle bulk queues, for rmap_bulkq_spare_return(); NULL when a target
 * uses them, or there are none.
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
	return bulkq_of_pointer(spare);
}

/**
 * rmap_bulkq_spare_return() - return a device's spare bulk queues
 * @spares: the table of the device's namespace
 * @real: a device that has not left
 * @bulkq: idle bulk queues, from rmap_bulkq_spare_take()
 *
 * Context: process context; the caller keeps the device from leaving.
 */
void rmap_bulkq_spare_return(struct xarray *spares,
			     const struct net_device *real,
			     struct xdp_dev_bulk_queue __percpu *bulkq)
{
	bulkq_first(bulkq)->dev = (struct net_device *)real;
	WARN_ON_ONCE(xa_store(spares, real->ifindex, bulkq_pointer(bulkq), 0) !=
		     bulkq_spare_mark(real));
}

/**
 * rmap_bulkq_spare_drop() - free a device's spare bulk queues
 * @spares: the table of the device's namespace
 * @real: a device that has left, so that none of its targets returns them
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
		rmap_bulkq_free(bulkq_of_pointer(spare));
	} else if (spare && spare == bulkq_spare_mark(real)) {
		xa_erase(spares, real->ifindex);
	}
}
