// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where frames and packets have come from.
 *
 * Egress programs may ask for it, helpers work in the ingress's namespace, and
 * BPF_F_EXCLUDE_INGRESS needs it. A driver redirects frames of one device per
 * poll, so the kernel notes the device once, in the bulk queue. A cpumap's
 * kthread redirects frames of several devices in one batch; there each frame has
 * its own note, a field that is stale anywhere else.
 *
 * In generic XDP core writes the port over skb->dev before anything of ours is
 * called, and the ifindex that the packet may still tell is that of an unknown
 * namespace. But where an entry has an egress program, core runs it first, with
 * the receive queue in its hands. So entries of ports with a program, and of
 * groups that have such members or exclude the ingress, name a program whose
 * function is ours: it notes the queue for this CPU, ndo_start_xmit takes the
 * note, and runs the real program.
 *
 * In native XDP core runs the same function, for each frame of a flush, before
 * ndo_xdp_xmit, and for nothing. But an entry that has named it names it for good:
 * core reads the pointer twice, tests what it has read first, and calls what it
 * has read then. So it may go from NULL to a program, and never back. The bulk
 * queue is another matter: core copies the pointer there with the first frame of
 * a poll, and only the CPU that polls reads it, at each flush. So a look-up that
 * finds such an entry clears it there: the poll's second one does that in time for
 * the first flush, and core runs nothing for a poll of more than one frame.
 *
 * What is not known is in the namespace of the device that the packet goes to,
 * the one that both who has filled the map and the program are about.
 *
 * All of this runs where frames are flushed (in NAPI, in a cpumap's kthread, in
 * BPF_PROG_TEST_RUN) or in the receive path; bottom halves off, which is what
 * protects a CPU's note.
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
 * A packet of generic XDP between core's call of our program and ndo_start_xmit,
 * which follows at once, on the same CPU.
 */
struct ingress_note {
	const void *head;
	struct xdp_rxq_info *rxq;
};

static DEFINE_PER_CPU(struct ingress_note, ingress_note);

/* Stand for a device that is not known: programs read ifindex 0. */
static struct net_device __percpu *unknown_devs;

/*
 * Functions of kthreads: a cpumap's, and others that have redirected; more kinds
 * of these than there is room for are looked up each time.
 */
static void *cpumap_func, *other_funcs[8];

/* Away from the hot path, where the compiler would clear the name first. */
static noinline bool ingress_is_cpumap_func(void *func)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned int i;

	sprint_symbol_no_offset(name, (unsigned long)func);
	if (!strcmp(name, "cpu_map_kthread_run")) {
		WRITE_ONCE(cpumap_func, func);
		return true;
	}
	/* Two CPUs may take the same place: then one is looked up again. */
	for (i = 0; i < ARRAY_SIZE(other_funcs); i++) {
		if (READ_ONCE(other_funcs[i]))
			continue;
		WRITE_ONCE(other_funcs[i], func);
		break;
	}
	return false;
}

/*
 * Is this a cpumap's kthread? Its function has a name, but it is not exported,
 * so the name is looked up, once: a kthread's function is compared with the one
 * that had the name, and while none is known, with those that had not. (The
 * name is of the kernel's own text, so no function that a module leaves behind
 * here can be taken for it.)
 */
static bool ingress_in_cpumap(void)
{
	void *func, *cpumap = READ_ONCE(cpumap_func);
	unsigned int i;

	if (!(current->flags & PF_KTHREAD))
		return false;
	func = kthread_func(current);
	if (cpumap)
		return func == cpumap;
	for (i = 0; i < ARRAY_SIZE(other_funcs); i++)
		if (func == READ_ONCE(other_funcs[i]))
			return false;
	return ingress_is_cpumap_func(func);
}

/* Let each frame's own note be right; away from the hot path. */
static noinline void ingress_note_each(struct xdp_frame **frames, int n)
{
	struct net_device *to = ((struct kern_bulkq *)frames)->dev;
	const struct xdp_frame *noted;
	int i;

	for (i = 0; i < n; i++) {
		noted = frames[i];
		if (compat_frame_is_second(noted))
			noted--;
		frames[i]->dev_rx = noted->dev_rx ?: rmap_ingress_unknown(to);
	}
}

/**
 * rmap_ingress_of_queue() - the device that the frames of a flush have come
 * from
 * @frames: the frames, as the kernel hands them to ndo_xdp_xmit
 * @n: how many there are
 *
 * Context: ndo_xdp_xmit, bottom halves off.
 * Return: the device; NULL when each frame's own dev_rx tells.
 */
struct net_device *rmap_ingress_of_queue(struct xdp_frame **frames, int n)
{
	/* The frames are the first member of the kernel's bulk queue. */
	struct kern_bulkq *queue = (struct kern_bulkq *)frames;

	BUILD_BUG_ON(offsetof(struct kern_bulkq, q));

	if (unlikely(!in_serving_softirq()) && ingress_in_cpumap()) {
		ingress_note_each(frames, n);
		return NULL;
	}
	return queue->dev_rx;
}

/**
 * rmap_ingress_unknown() - what stands for a device that is not known
 * @near: a device of the namespace that it is to be in
 *
 * Context: bottom halves off, which keeps others from the result.
 * Return: a pseudo device of this CPU's, with ifindex 0.
 */
struct net_device *rmap_ingress_unknown(const struct net_device *near)
{
	struct net_device *dev = this_cpu_ptr(unknown_devs);

	dev_net_set(dev, dev_net(near));
	return dev;
}

/* Is it the queue of a device, which generic XDP shows? Else core made it up. */
static bool ingress_is_generic(const struct xdp_rxq_info *rxq)
{
	return rxq->dev && rxq->dev->_rx &&
	       rxq == &rxq->dev->_rx[rxq->queue_index].xdp_rxq;
}

/*
 * What core calls as an egress program. Runs in the receive path, per packet; in
 * NAPI, per frame. Bottom halves off.
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
 * All that core reads of a program that passes everything. It is in no table, has
 * no id, and nobody counts its runs.
 */
static struct bpf_prog ingress_prog = {
	.type = BPF_PROG_TYPE_XDP,
	.expected_attach_type = BPF_XDP_DEVMAP,
	.bpf_func = ingress_see,
};

/**
 * rmap_ingress_watch_init() - get ready to see where packets come from
 * @watch: zeroed memory, part of what stands for the entry's device
 * @slot: xdp_prog of the entry, which lives as long
 *
 * Context: any; nobody else can reach the entry yet.
 */
void rmap_ingress_watch_init(struct ingress_watch *watch,
			     struct bpf_prog **slot)
{
	spin_lock_init(&watch->lock);
	watch->slot = slot;
}

/**
 * rmap_ingress_want() - begin to see where packets come from
 * @watch: that of the pseudo device
 *
 * Context: any but hard interrupts, before what asks can be reached.
 */
void rmap_ingress_want(struct ingress_watch *watch)
{
	spin_lock_bh(&watch->lock);
	if (!watch->wanted) {
		WRITE_ONCE(watch->wanted, true);
		/* Core may be reading it. */
		WRITE_ONCE(*watch->slot, &ingress_prog);
	}
	spin_unlock_bh(&watch->lock);
}

/**
 * rmap_ingress_take() - the receive queue that a packet has come by
 * @skb: a packet in ndo_start_xmit, as core has handed it over
 * @watch: that of the pseudo device
 *
 * Runs in the receive path, bottom halves off, per packet.
 *
 * Return: the queue, valid inside the RCU read section of the receive path; NULL
 * when it is not known.
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
 * rmap_ingress_is_below() - is a device the ingress or above it?
 * @ingress: where a frame has come from
 * @dev: where it may go
 *
 * Above it are its bond, bridge, VLANs and macvlans, and what is above those.
 *
 * Context: bottom halves off.
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
 * rmap_ingress_module_init() - get ready for frames
 *
 * Context: insmod.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_ingress_module_init(void)
{
	/* As long as what compares addresses reads at once. */
	static const u8 no_address[8];
	struct net_device *dev;
	int cpu;

	unknown_devs = __alloc_percpu(sizeof(*dev), SMP_CACHE_BYTES);
	if (!unknown_devs)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		dev = per_cpu_ptr(unknown_devs, cpu);
		init_dummy_netdev(dev);
		dev->dev_addr = no_address;
		INIT_LIST_HEAD(&dev->adj_list.upper);
	}
	return 0;
}

/**
 * rmap_ingress_module_exit() - undo rmap_ingress_module_init()
 *
 * Context: rmmod, or insmod that has failed; no program of ours can run.
 */
void rmap_ingress_module_exit(void)
{
	free_percpu(unknown_devs);
}
