// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ingress of frames and packets: the device that has received them.
 *
 * Egress programs may read the ingress, their helpers work in its namespace,
 * and BPF_F_EXCLUDE_INGRESS needs it. A driver redirects frames of one device
 * per poll, so the kernel stores the ingress once, in the bulk queue. A
 * cpumap's kthread redirects frames of several devices in one batch; there, and
 * nowhere else, dev_rx of each frame is valid.
 *
 * In generic XDP core overwrites skb->dev with the pseudo device before it
 * calls any function of this module, and the namespace of the packet's skb_iif
 * is unknown. But if an entry has an egress program, core runs the program
 * before that, with the receive queue in the program's context. So entries of
 * ports with a program, and of groups that have such members or exclude the
 * ingress, name ingress_prog, whose code is a function of this file. The
 * function records the receive queue in a note of this CPU; ndo_start_xmit
 * takes the note, and then runs the real program.
 *
 * In native XDP core runs the same function, in vain, for each frame of a
 * flush, before it calls ndo_xdp_xmit. Clearing the pointer of the entry is no
 * solution: core reads the pointer twice, tests the first value and calls the
 * second. So the pointer may change from NULL to a program, but never back. The
 * copy of the pointer in the bulk queue can be cleared: core writes the copy
 * with the first frame of a poll, and only the polling CPU reads it, at each
 * flush. So a lookup that finds such an entry clears the copy. The second
 * lookup of a poll does so before the first flush, and core runs the function
 * only in polls of one frame.
 *
 * The ingress of a packet is unknown only in a broadcast, if the map gets its
 * first entry with a program between core's read of the group's pointer and
 * ndo_start_xmit. Members with a program then lose the packet, because helpers
 * would work in another namespace than the packet's.
 *
 * In a cpumap's kthread, frames that the kernel itself has made may lack
 * dev_rx. A pseudo device represents their ingress. It is in the namespace of
 * the device that the frame goes to.
 *
 * This file owns each CPU's note and pseudo device. Its functions run where
 * frames are flushed (in NAPI, in a cpumap's kthread, in BPF_PROG_TEST_RUN) or
 * in the receive path; bottom halves are off, which protects the CPU's data.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kallsyms.h>
#include <linux/kthread.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <net/xdp.h>

#include "compat.h"
#include "dev_layout.h"
#include "ingress.h"

/*
 * The packet of generic XDP that core has called ingress_prog for. Core calls
 * ndo_start_xmit right after that, on the same CPU.
 */
struct ingress_note {
	const void *head;
	struct xdp_rxq_info *rxq;
};

static DEFINE_PER_CPU(struct ingress_note, ingress_note);

/* Pseudo devices for an unknown ingress: programs read ifindex 0. */
static struct net_device __percpu *unknown_devs;

/*
 * The function of a cpumap's kthread, and of other kthreads that have
 * redirected frames. When other_funcs is full, the name of a further function
 * is looked up for each flush.
 */
static void *cpumap_func, *other_funcs[8];

/* noinline: inlined, the buffer would be cleared on the fast path. */
static noinline bool ingress_is_cpumap_func(void *func)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned int i;

	sprint_symbol_no_offset(name, (unsigned long)func);
	if (!strcmp(name, "cpu_map_kthread_run")) {
		WRITE_ONCE(cpumap_func, func);
		return true;
	}
	/* Two CPUs may write one slot: then one name is looked up again. */
	for (i = 0; i < ARRAY_SIZE(other_funcs); i++) {
		if (READ_ONCE(other_funcs[i]))
			continue;
		WRITE_ONCE(other_funcs[i], func);
		break;
	}
	return false;
}

/*
 * Is this kthread a cpumap's? The kernel does not export the function of these
 * kthreads, so the function is recognised by the name of its symbol, once. Then
 * the functions of kthreads are compared with cpumap_func. Until that is set,
 * they are compared with the functions that have another name. (The kernel's
 * text contains cpu_map_kthread_run(), so a function of an unloaded module
 * cannot have its address.)
 */
static bool ingress_in_cpumap(void)
{
	void *func = kthread_func(current), *cpumap = READ_ONCE(cpumap_func);
	unsigned int i;

	if (cpumap)
		return func == cpumap;
	for (i = 0; i < ARRAY_SIZE(other_funcs); i++)
		if (func == READ_ONCE(other_funcs[i]))
			return false;
	return ingress_is_cpumap_func(func);
}

/*
 * A pseudo device for the unknown ingress of a frame to a device: this CPU's,
 * in the namespace of the device, with ifindex 0.
 */
static struct net_device *ingress_unknown(const struct net_device *to)
{
	struct net_device *dev = this_cpu_ptr(unknown_devs);

	dev_net_set(dev, dev_net(to));
	return dev;
}

/* Set dev_rx of each frame of a cpumap's kthread; not on the fast path. */
static noinline void ingress_note_each(struct xdp_frame **frames, int n)
{
	struct net_device *to = ((struct kern_bulkq *)frames)->dev;
	const struct xdp_frame *noted;
	int i;

	for (i = 0; i < n; i++) {
		noted = frames[i];
		if (compat_frame_is_second(noted))
			noted--;
		frames[i]->dev_rx = noted->dev_rx ?: ingress_unknown(to);
	}
}

/**
 * rmap_ingress_of_kthread() - ingress_of_queue() outside of a softirq
 * @frames: the frames, as the kernel hands them to ndo_xdp_xmit
 * @n: number of frames
 *
 * Runs in a kthread, a cpumap's or another one, bottom halves off, per flush.
 *
 * Return: the device; NULL when dev_rx of each frame is valid instead.
 */
struct net_device *rmap_ingress_of_kthread(struct xdp_frame **frames, int n)
{
	if (ingress_in_cpumap()) {
		ingress_note_each(frames, n);
		return NULL;
	}
	return ((struct kern_bulkq *)frames)->dev_rx;
}

/*
 * Is this the receive queue of a device, as in generic XDP? In native XDP core
 * passes a struct on its stack.
 */
static bool ingress_is_generic(const struct xdp_rxq_info *rxq)
{
	return rxq->dev && rxq->dev->_rx &&
	       rxq == &rxq->dev->_rx[rxq->queue_index].xdp_rxq;
}

/*
 * The code of ingress_prog. Runs in the receive path, per packet, or in NAPI,
 * per frame; bottom halves off.
 */
static unsigned int ingress_see(const void *ctx, const struct bpf_insn *insn)
{
	const struct xdp_buff *xdp = ctx;

	if (likely(ingress_is_generic(xdp->rxq))) {
		this_cpu_write(ingress_note.head, xdp->data_hard_start);
		this_cpu_write(ingress_note.rxq, xdp->rxq);
	}
	return XDP_PASS;
}

/*
 * A program that passes all packets, with only the members that core reads. It
 * is in no table and has no id, and core does not count its runs.
 */
static struct bpf_prog ingress_prog = {
	.type = BPF_PROG_TYPE_XDP,
	.expected_attach_type = BPF_XDP_DEVMAP,
	.bpf_func = ingress_see,
};

/**
 * rmap_ingress_watch_init() - initialise the watch of a pseudo device
 * @watch: zeroed memory, part of the port or group
 * @slot: xdp_prog of the entry, which lives as long as @watch
 *
 * Context: any; the entry is not published yet.
 */
void rmap_ingress_watch_init(struct ingress_watch *watch,
			     struct bpf_prog **slot)
{
	spin_lock_init(&watch->lock);
	watch->slot = slot;
}

/**
 * rmap_ingress_want() - start to record the ingress of packets
 * @watch: the pseudo device's watch
 *
 * Context: any but hard interrupts; before lookups can return an entry or
 * member that needs the ingress.
 */
void rmap_ingress_want(struct ingress_watch *watch)
{
	spin_lock_bh(&watch->lock);
	if (!watch->wanted) {
		WRITE_ONCE(watch->wanted, true);
		/* Core may read the pointer at the same time. */
		WRITE_ONCE(*watch->slot, &ingress_prog);
	}
	spin_unlock_bh(&watch->lock);
}

/**
 * rmap_ingress_take() - take the record of a packet's receive queue
 * @skb: a packet in ndo_start_xmit, as core has handed it over
 * @watch: the pseudo device's watch
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: the queue, valid inside the RCU read section of the receive path;
 * NULL when it is unknown.
 */
struct xdp_rxq_info *rmap_ingress_take(const struct sk_buff *skb,
				       struct ingress_watch *watch)
{
	bool noted;

	if (!READ_ONCE(watch->wanted))
		return NULL;

	noted = this_cpu_read(ingress_note.head) == skb->head;
	this_cpu_write(ingress_note.head, NULL);
	return likely(noted) ? this_cpu_read(ingress_note.rxq) : NULL;
}

/**
 * rmap_ingress_is_below() - is a device the ingress, or above the ingress?
 * @ingress: the device that has received a frame
 * @dev: a device that the frame may be sent to
 *
 * The bond, bridge, VLANs and macvlans of a device are above it, and so are the
 * devices above these.
 *
 * Runs in NAPI or in the receive path, bottom halves off, per flush or packet
 * and member.
 *
 * Return: true when BPF_F_EXCLUDE_INGRESS excludes @dev.
 */
bool rmap_ingress_is_below(struct net_device *ingress, struct net_device *dev)
{
	bool below;

	if (ingress == dev)
		return true;
	if (list_empty(&ingress->adj_list.upper))
		return false;

	rcu_read_lock();
	below = netdev_has_upper_dev_all_rcu(ingress, dev);
	rcu_read_unlock();
	return below;
}

/**
 * rmap_ingress_module_init() - make the pseudo devices for an unknown ingress
 *
 * Context: insmod, sleeps.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_ingress_module_init(void)
{
	/* ether_addr_equal_64bits() reads 8 bytes. */
	static const u8 no_address[8];
	struct net_device *dev;
	int cpu;

	unknown_devs = __alloc_percpu(sizeof(*dev), SMP_CACHE_BYTES);
	if (!unknown_devs)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		dev = per_cpu_ptr(unknown_devs, cpu);
		compat_init_dummy(dev);
		dev->dev_addr = no_address;
		INIT_LIST_HEAD(&dev->adj_list.upper);
	}
	return 0;
}

/**
 * rmap_ingress_module_exit() - undo rmap_ingress_module_init()
 *
 * Context: rmmod, or a failed insmod; core can no longer call ingress_prog.
 */
void rmap_ingress_module_exit(void)
{
	free_percpu(unknown_devs);
}
