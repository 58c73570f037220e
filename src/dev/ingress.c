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
 * takes the note, and then runs the real program. Where polls preempt each
 * other (see flush.h), each task between the two steps has a note of its own.
 *
 * In native XDP core runs the same function, in vain, for each frame of a
 * flush, before it calls ndo_xdp_xmit. Clearing the pointer of the entry is no
 * solution: core reads the pointer twice, tests the first value and calls the
 * second. So the pointer may change from NULL to a program, but never back. The
 * copy of the pointer in the bulk queue can be cleared: core writes the copy
 * with the first frame of a poll, and only the polling CPU reads it, at each
 * flush. So a lookup that finds such an entry clears the copy. The second
 * lookup of a poll does so before the first flush, and core runs the function
 * only in polls of one frame. Where polls preempt each other, the copy may be
 * that of a task between the test and the call, so it is not cleared.
 *
 * The ingress of a packet is unknown only in a broadcast, if the map gets its
 * first entry with a program between core's read of the group's pointer and
 * ndo_start_xmit. Members with a program then lose the packet, because helpers
 * would work in another namespace than the packet's.
 *
 * In a cpumap's kthread, a frame without dev_rx has a pseudo device for its
 * ingress, in the namespace of the device that the frame goes to; in a
 * broadcast in that of the group.
 *
 * Where polls preempt each other, those of two devices may put frames on one
 * bulk queue. The kernel stores the ingress of the first frame, and it is taken
 * for that of all frames: egress programs and BPF_F_EXCLUDE_INGRESS may see the
 * wrong device. A cpumap's kthread may find frames of such polls on its queue,
 * whose dev_rx was never written: it counts only if it is the address of a
 * registered device.
 *
 * This file owns each CPU's notes and pseudo device. Its functions run where
 * frames are flushed (in NAPI, in a cpumap's kthread, in BPF_PROG_TEST_RUN) or
 * in the receive path; bottom halves are off, which protects the CPU's note.
 * flush_lock() protects the pseudo device. Where polls preempt each other, a
 * task changes only its own note, and takes a free one by an instruction that
 * is atomic on its CPU.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kallsyms.h>
#include <linux/kthread.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <net/net_namespace.h>
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

/*
 * Where polls preempt each other: number of tasks of a CPU that may be between
 * ingress_see() and ndo_start_xmit at the same time. They do not sleep there,
 * so each has been preempted by the next. One more would find no note: its
 * packet has an unknown ingress.
 */
#define INGRESS_TASKS 8

/**
 * struct ingress_task - a task's note
 * @task: the task; NULL for a free note
 * @note: the note
 */
struct ingress_task {
	struct task_struct *task;
	struct ingress_note note;
};

static DEFINE_PER_CPU(struct ingress_task [INGRESS_TASKS], ingress_tasks);

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

/* Is this the address of a device of any namespace? It may be no address. */
static bool ingress_is_registered(const struct net_device *dev)
{
	const struct net_device *one;
	bool found = false;
	struct net *net;

	rcu_read_lock();
	for_each_net_rcu(net) {
		for_each_netdev_rcu(net, one) {
			found = one == dev;
			if (found)
				goto unlock;
		}
	}
unlock:
	rcu_read_unlock();
	return found;
}

/* Set dev_rx of each frame of a cpumap's kthread; not on the fast path. */
static noinline void ingress_note_each(struct xdp_frame **frames, int n)
{
	struct net_device *to = ((struct kern_bulkq *)frames)->dev;
	const struct net_device *known = ((struct kern_bulkq *)frames)->dev_rx;
	const struct xdp_frame *noted;
	struct net_device *dev;
	int i;

	for (i = 0; i < n; i++) {
		noted = frames[i];
		if (compat_frame_is_second(noted))
			noted--;
		dev = noted->dev_rx;
		/* Most frames of a batch have the device of the first one. */
		if (COMPAT_POLLS_PREEMPT && dev && dev != known) {
			if (ingress_is_registered(dev))
				known = dev;
			else
				dev = NULL;
		}
		frames[i]->dev_rx = dev ?: ingress_unknown(to);
	}
}

/**
 * rmap_ingress_of_kthread() - ingress_of_queue() outside of a softirq
 * @frames: the frames, as the kernel hands them to ndo_xdp_xmit
 * @n: number of frames
 *
 * Runs in a kthread, a cpumap's or another one, bottom halves off, per flush;
 * where polls preempt each other, also in other tasks, if the queue has no
 * ingress.
 *
 * Return: the device; NULL when dev_rx of each frame is valid instead.
 */
struct net_device *rmap_ingress_of_kthread(struct xdp_frame **frames, int n)
{
	const struct kern_bulkq *queue = (const struct kern_bulkq *)frames;

	if ((COMPAT_POLLS_PREEMPT && !queue->dev_rx) || ingress_in_cpumap()) {
		ingress_note_each(frames, n);
		return NULL;
	}
	return queue->dev_rx;
}

/*
 * Is this the receive queue of a device, as in generic XDP? In native XDP core
 * passes a struct on its stack.
 */
static bool ingress_is_generic(const struct xdp_rxq_info *rxq)
{
	/*
	 * Native frames come here often where the pointer is not cleared. The
	 * device of a cpumap's frame may have left.
	 */
	if (COMPAT_POLLS_PREEMPT && object_is_on_stack(rxq))
		return false;
	return rxq->dev && rxq->dev->_rx &&
	       rxq == &rxq->dev->_rx[rxq->queue_index].xdp_rxq;
}

/* The note of a task, or a free one with NULL. */
static struct ingress_task *ingress_find(const struct task_struct *task)
{
	struct ingress_task *own = this_cpu_ptr(ingress_tasks);
	unsigned int i;

	for (i = 0; i < INGRESS_TASKS; i++)
		if (READ_ONCE(own[i].task) == task)
			return &own[i];
	return NULL;
}

static void ingress_note_own(const struct xdp_buff *xdp)
{
	/* A note that was not taken is used again. */
	struct ingress_task *own = ingress_find(current);

	/* Each turn, another task has taken the note that was free. */
	while (!own) {
		own = ingress_find(NULL);
		if (!own)
			return;
		if (cmpxchg_local(&own->task, NULL, current))
			own = NULL;
	}
	own->note.head = xdp->data_hard_start;
	own->note.rxq = xdp->rxq;
}

static struct xdp_rxq_info *ingress_take_own(const struct sk_buff *skb)
{
	struct ingress_task *own = ingress_find(current);
	struct xdp_rxq_info *rxq;

	if (!own)
		return NULL;
	rxq = own->note.head == skb->head ? own->note.rxq : NULL;
	/* From here on the note may belong to another task. */
	barrier();
	WRITE_ONCE(own->task, NULL);
	return rxq;
}

/*
 * The code of ingress_prog. Runs in the receive path, per packet, or in NAPI,
 * per frame; bottom halves off.
 */
static unsigned int ingress_see(const void *ctx, const struct bpf_insn *insn)
{
	const struct xdp_buff *xdp = ctx;

	if (likely(ingress_is_generic(xdp->rxq))) {
		if (COMPAT_POLLS_PREEMPT) {
			ingress_note_own(xdp);
			return XDP_PASS;
		}
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
	if (COMPAT_POLLS_PREEMPT)
		return ingress_take_own(skb);

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
