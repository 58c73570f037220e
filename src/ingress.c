// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where frames have come from.
 *
 * Egress programs may ask for it, and BPF_F_EXCLUDE_INGRESS needs it. A driver
 * redirects frames of one device per poll, so the kernel notes the device once,
 * in the bulk queue. A cpumap's kthread redirects frames of several devices in
 * one batch; there each frame has its own note, a field that is stale anywhere
 * else. An skb tells the ifindex, once the receive path has seen it; tun runs
 * generic XDP before that.
 *
 * All of this runs where frames are flushed: in NAPI, in a cpumap's kthread, in
 * BPF_PROG_TEST_RUN; bottom halves off.
 */
#include <linux/bpf.h>
#include <linux/kallsyms.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <net/xdp.h>

#include "compat.h"
#include "ingress.h"
#include "layout.h"

/* Stands for a device that is not known: programs read ifindex 0. */
struct net_device ingress_unknown;

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
	const struct xdp_frame *noted;
	int i;

	for (i = 0; i < n; i++) {
		noted = frames[i];
		if (compat_frame_is_second(noted))
			noted--;
		frames[i]->dev_rx = noted->dev_rx ?: &ingress_unknown;
	}
}

/**
 * ingress_of_queue() - the device that the frames of a flush have come from
 * @frames: the frames, as the kernel hands them to ndo_xdp_xmit
 * @n: how many there are
 *
 * Context: ndo_xdp_xmit, bottom halves off.
 * Return: the device; NULL when each frame's own dev_rx tells.
 */
struct net_device *ingress_of_queue(struct xdp_frame **frames, int n)
{
	BUILD_BUG_ON(offsetof(struct kern_bulkq, q));

	if (unlikely(!in_serving_softirq()) && ingress_in_cpumap()) {
		ingress_note_each(frames, n);
		return NULL;
	}
	/* The frames are the first member of the kernel's bulk queue. */
	return ((struct kern_bulkq *)frames)->dev_rx;
}

/**
 * ingress_of_skb() - the device that a packet has come from
 * @skb: the packet, in generic XDP
 * @near: a device of the namespace to look into
 *
 * Context: inside an RCU read section, which keeps the result.
 * Return: the device, or ingress_unknown.
 */
struct net_device *ingress_of_skb(const struct sk_buff *skb,
				  const struct net_device *near)
{
	struct net_device *dev = NULL;

	if (skb->skb_iif)
		dev = dev_get_by_index_rcu(dev_net(near), skb->skb_iif);
	return dev ?: &ingress_unknown;
}

/**
 * ingress_is_below() - is a device the ingress or above it?
 * @ingress: where a frame has come from
 * @dev: where it may go
 *
 * Above it are its bond, bridge, VLANs and macvlans, and what is above those.
 *
 * Context: bottom halves off.
 * Return: true when BPF_F_EXCLUDE_INGRESS excludes @dev.
 */
bool ingress_is_below(struct net_device *ingress, struct net_device *dev)
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
 * ingress_module_init() - get ready for frames
 *
 * Context: insmod.
 */
void __init ingress_module_init(void)
{
	/* As long as what compares addresses reads at once. */
	static const u8 no_address[8];

	init_dummy_netdev(&ingress_unknown);
	ingress_unknown.dev_addr = no_address;
	INIT_LIST_HEAD(&ingress_unknown.adj_list.upper);
}
