// SPDX-License-Identifier: GPL-2.0-only
/*
 * Assertions of what drivers assume of the frames that they get.
 *
 * Documentation/drivers.rst lists the assumptions of each driver of the kernel,
 * which redirmap keeps. The suite can run few of these drivers, so devices of
 * faulty_dev.c check all assumptions for each frame. If one is broken, the
 * kernel log gets a line that begins with "WARNING: faulty" and names the
 * assertion, and the running test fails:
 *
 * context	bottom halves are off
 * count	1 to 16 frames in a call
 * flags	no flags except XDP_XMIT_FLUSH
 * place	struct xdp_frame lies in front of the headroom
 * align	its address has free low bits
 * len		there is an Ethernet header
 * meta		metadata lie in the headroom, and are whole words
 * headroom	it is at least as large as any driver needs
 * page		headroom and data lie in one page of 4 KiB, and so does each
 *		fragment of a copy, unless they are longer, or tun has made the
 *		frame
 * memory	the memory is of a type that a driver can return, and in use
 * frame_sz	struct skb_shared_info fits behind the data, and all fit in the
 *		pages
 * frags	fragments: number, sizes, their sum, in pages that are in use
 * truesize	a packet of the frame would account for all bytes of the
 *		fragments
 * pfmemalloc	the flag is set only with fragments from the reserves
 * shared	no two frames of a call share memory
 * flush	a flush follows in the same poll if frames were taken without
 *		one
 * network	the network header of a packet that a module passes on lies
 *		behind the Ethernet header
 *
 * A tasklet looks for the flush. Frames are redirected with bottom halves off,
 * on the CPU that receives them, until they are flushed, and softirqs do not
 * nest. So a tasklet of that CPU runs after the poll, wherever the poll runs
 * (in net_rx_action(), in a thread of NAPI or of a cpumap, in
 * BPF_PROG_TEST_RUN). On PREEMPT_RT a tasklet may run in the middle of a poll
 * that another task has preempted, and frames may wait for the poll of another
 * task. But each poll is in an RCU read section, so the flush comes within a
 * grace period; an RCU callback looks for it.
 *
 * The kernel's own device maps miss a flush if a program drops the last frames
 * of a poll, and the frames that they pass on are as a driver has made them. So
 * the assertions flush, truesize and pfmemalloc apply only to callers in a
 * module, and so does the assertion page for fragments. (Fragments of
 * MEM_TYPE_PAGE_SHARED are those of copies, and of veth's frames, each of which
 * is in one page.)
 */
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <net/xdp.h>

#ifdef HAVE_PAGE_POOL_HELPERS
#include <net/page_pool/helpers.h>
#else
#include <net/page_pool.h>
#endif

#include "faulty_check.h"

/* DEV_MAP_BULK_SIZE, which the kernel's headers hide from drivers. */
#define FRAMES_MAX 16

/* The header that virtio_net puts in front of a frame. */
#define VIRTIO_HEADER 12

#define SHINFO SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

#define LOOKS_LATER IS_ENABLED(CONFIG_PREEMPT_RT)

/**
 * struct faulty_cpu - frames that a CPU has passed to a device
 * @name: the device's name
 * @waiting: frames that were taken without a flush
 * @tasklet: looks whether they still wait; not on PREEMPT_RT
 * @lock: on PREEMPT_RT, protects the other members
 * @flushes: number of flushes
 * @seen: @flushes when the grace period of @rcu began
 * @looks: @rcu waits for a grace period
 * @rcu: looks whether frames still wait; only on PREEMPT_RT
 */
struct faulty_cpu {
	const char *name;
	unsigned int waiting;
	struct tasklet_struct tasklet;
	spinlock_t lock; /* the other members */
	unsigned int flushes;
	unsigned int seen;
	bool looks;
	struct rcu_head rcu;
};

/**
 * struct faulty_check - the checks of a device
 * @dev: the device
 * @cpu: the frames of each CPU
 */
struct faulty_check {
	const struct net_device *dev;
	struct faulty_cpu __percpu *cpu;
};

static DEFINE_RATELIMIT_STATE(complaints, 5 * HZ, 100);

/* The name of the assertion comes first, and then the bad value. */
#define complain(name, what, fmt, ...) do {				\
	if (__ratelimit(&complaints))					\
		pr_err("WARNING: faulty: " what ": %s: " fmt "\n",	\
		       name, ##__VA_ARGS__);				\
} while (0)

/* The kernel's devmap.c is built in, claimed maps are in a module. */
static bool caller_is_module(unsigned long caller)
{
	return caller >= MODULES_VADDR && caller < MODULES_END;
}

static void *frame_start(const struct xdp_frame *frame)
{
	return frame->data - frame->headroom - sizeof(*frame);
}

/*
 * Before 6.3, struct xdp_frame of a live frame of BPF_PROG_TEST_RUN lies in
 * front of the frame's memory.
 */
static bool frame_is_in_front(const struct xdp_frame *frame)
{
#ifdef HAVE_XDP_FEATURES
	return false;
#else
	return frame->FRAME_MEM_TYPE == MEM_TYPE_PAGE_POOL &&
	       (void *)(frame + 1) == frame_start(frame);
#endif
}

static void check_place(const char *name, const struct xdp_frame *frame)
{
	if (frame_start(frame) != frame && !frame_is_in_front(frame))
		complain(name, "place", "%ld bytes off",
			 (long)((void *)frame - frame_start(frame)));
	if (!IS_ALIGNED((unsigned long)frame, sizeof(long)))
		complain(name, "align", "at %lu",
			 (unsigned long)frame % PAGE_SIZE);
}

static void check_ends(const char *name, const struct xdp_frame *frame,
		       int headroom)
{
	if (frame->len < ETH_HLEN)
		complain(name, "len", "%u", frame->len);
	if (frame->metasize > frame->headroom ||
	    xdp_metalen_invalid(frame->metasize))
		complain(name, "meta", "%u of %u", frame->metasize,
			 frame->headroom);
	if (frame->headroom < headroom)
		complain(name, "headroom", "%u, not %d", frame->headroom,
			 headroom);
}

/*
 * tun cuts frames from the page fragment of the task that writes them, without
 * a look at the limits of pages, and redirects and flushes them in that task.
 */
static bool frame_is_from_tun(const struct xdp_frame *frame)
{
	return current->task_frag.page == virt_to_head_page(frame->data);
}

/* The most bytes that a driver may map at once, for any page size. */
static void check_boundary(const char *name, const void *start, const void *end)
{
	unsigned long from = (unsigned long)start, to = (unsigned long)end - 1;

	if (to - from < SZ_4K && (from ^ to) & ~(SZ_4K - 1UL))
		complain(name, "page", "%lu bytes at %lu", to - from + 1,
			 from % SZ_4K);
}

static void check_page(const char *name, const struct xdp_frame *frame)
{
	if (!frame_is_from_tun(frame))
		check_boundary(name, frame_start(frame),
			       frame->data + frame->len);
}

static bool in_page_pool(struct page *page)
{
	return (page->pp_magic & ~0x3UL) == PP_SIGNATURE && page->pp;
}

/*
 * veth takes references of its own to pages of its pool, which are like other
 * pages.
 */
static bool only_in_page_pool(struct page *page)
{
	return in_page_pool(page) && page_count(page) < 2;
}

static void check_memory(const char *name, const struct xdp_frame *frame)
{
	struct page *page = virt_to_head_page(frame->data);
	u32 from = frame_start(frame) - page_address(page);

	if (!page_count(page))
		complain(name, "memory", "of a page that is free");
	switch (frame->FRAME_MEM_TYPE) {
	case MEM_TYPE_PAGE_SHARED:
		if (PageSlab(page) || only_in_page_pool(page))
			complain(name, "memory", "is no fragment");
		break;
	case MEM_TYPE_PAGE_ORDER0:
		if (PageSlab(page) || in_page_pool(page))
			complain(name, "memory", "is no page");
		break;
	case MEM_TYPE_PAGE_POOL:
		if (!in_page_pool(page))
			complain(name, "memory", "is in no pool");
		break;
	default:
		complain(name, "memory", "type %u", frame->FRAME_MEM_TYPE);
		break;
	}

	if (frame->headroom + sizeof(*frame) + frame->len + SHINFO >
	    frame->frame_sz)
		complain(name, "frame_sz", "%u + %u in %u", frame->headroom,
			 frame->len, frame->frame_sz);
	if (from + frame->frame_sz > page_size(page))
		complain(name, "frame_sz", "%u at %u of %lu", frame->frame_sz,
			 from, page_size(page));
}

static void check_frags(const char *name, struct xdp_frame *frame)
{
	struct skb_shared_info *info = xdp_get_shared_info_from_frame(frame);
	const skb_frag_t *frag = info->frags;
	bool pool = frame->FRAME_MEM_TYPE == MEM_TYPE_PAGE_POOL;
	unsigned int i, sum = 0;
	struct page *page;

	if (!info->nr_frags || info->nr_frags > MAX_SKB_FRAGS) {
		complain(name, "frags", "%u of them", info->nr_frags);
		return;
	}
	for (i = 0; i < info->nr_frags; i++, frag++) {
		page = compound_head(skb_frag_page(frag));
		if (!page_count(page))
			complain(name, "frags", "in a page that is free");
		if (!skb_frag_size(frag) ||
		    skb_frag_address(frag) + skb_frag_size(frag) >
		    page_address(page) + page_size(page))
			complain(name, "frags", "%u at %u", skb_frag_size(frag),
				 skb_frag_off(frag));
		if (pool ? !in_page_pool(page) : only_in_page_pool(page))
			complain(name, "frags", "of another type of memory");
		sum += skb_frag_size(frag);
	}
	if (sum != info->xdp_frags_size)
		complain(name, "frags", "%u bytes, not %u", sum,
			 info->xdp_frags_size);
}

/*
 * Before 6.14 core takes one frame_sz for each fragment as a packet's truesize.
 * When packets are coalesced, this size is compared with the fragments' length.
 */
static void check_frags_account(const char *name, struct xdp_frame *frame)
{
	struct skb_shared_info *info = xdp_get_shared_info_from_frame(frame);
	const skb_frag_t *frag;
	bool reserve = false;
	int i;

	if (info->nr_frags * frame->frame_sz < info->xdp_frags_size)
		complain(name, "truesize", "%u times %u for %u bytes",
			 info->nr_frags, frame->frame_sz, info->xdp_frags_size);
	for (i = 0; i < info->nr_frags && i < MAX_SKB_FRAGS; i++) {
		frag = &info->frags[i];
		reserve |= page_is_pfmemalloc(skb_frag_page(frag));
		if (frame->FRAME_MEM_TYPE == MEM_TYPE_PAGE_SHARED)
			check_boundary(name, skb_frag_address(frag),
				       skb_frag_address(frag) +
				       skb_frag_size(frag));
	}
	if ((frame->flags & XDP_FLAGS_FRAGS_PF_MEMALLOC) && !reserve)
		complain(name, "pfmemalloc", "of no fragment");
}

/* Do two pieces of memory overlap? */
static bool overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Is a piece of memory part of a frame? */
static bool frame_shares(struct xdp_frame *frame, const void *start,
			 size_t size)
{
	struct skb_shared_info *info;
	int i;

	if (overlap(frame_start(frame), frame->frame_sz, start, size))
		return true;
	if (!xdp_frame_has_frags(frame))
		return false;
	info = xdp_get_shared_info_from_frame(frame);
	for (i = 0; i < info->nr_frags; i++)
		if (overlap(skb_frag_address(&info->frags[i]),
			    skb_frag_size(&info->frags[i]), start, size))
			return true;
	return false;
}

static void check_shared(const char *name, struct xdp_frame *frame,
			 struct xdp_frame *other)
{
	struct skb_shared_info *info;
	bool shares;
	int i;

	shares = frame_shares(other, frame_start(frame), frame->frame_sz);
	if (xdp_frame_has_frags(frame)) {
		info = xdp_get_shared_info_from_frame(frame);
		for (i = 0; i < info->nr_frags && !shares; i++)
			shares = frame_shares(other,
					      skb_frag_address(&info->frags[i]),
					      skb_frag_size(&info->frags[i]));
	}
	if (shares)
		complain(name, "shared", "two frames share memory");
}

/**
 * faulty_check_skb() - assert what devices assume of a packet of generic XDP
 * @dev: the device
 * @skb: the packet
 * @caller: an address in the caller of ndo_start_xmit
 *
 * Devices above others, such as bonds, find the IP header by it.
 *
 * Context: bottom halves off.
 */
void faulty_check_skb(const struct net_device *dev, const struct sk_buff *skb,
		      unsigned long caller)
{
	if (caller_is_module(caller) &&
	    skb_network_offset(skb) < ETH_HLEN)
		complain(dev->name, "network", "offset %d",
			 skb_network_offset(skb));
}

/**
 * faulty_check_call() - assert what drivers assume of a call of ndo_xdp_xmit()
 * @check: the checks of the device
 * @n: number of frames
 * @frames: the frames
 * @flags: the flags
 * @headroom: bytes that frames must have in front of their data
 * @caller: address of the caller
 *
 * Context: bottom halves off, which is an assertion as well.
 */
void faulty_check_call(const struct faulty_check *check, int n,
		       struct xdp_frame **frames, u32 flags, int headroom,
		       unsigned long caller)
{
	const char *name = check->dev->name;
	int i, j;

	if (!in_softirq())
		complain(name, "context", "bottom halves are on");
	if (flags & ~XDP_XMIT_FLAGS_MASK)
		complain(name, "flags", "%#x", flags);
	if (n < 1 || n > FRAMES_MAX) {
		complain(name, "count", "%d frames", n);
		return;
	}
	for (i = 0; i < n; i++) {
		check_place(name, frames[i]);
		check_ends(name, frames[i], headroom);
		check_page(name, frames[i]);
		check_memory(name, frames[i]);
		if (xdp_frame_has_frags(frames[i]))
			check_frags(name, frames[i]);
		if (xdp_frame_has_frags(frames[i]) && caller_is_module(caller))
			check_frags_account(name, frames[i]);
		for (j = 0; j < i; j++)
			check_shared(name, frames[i], frames[j]);
	}
}

static void faulty_look(struct tasklet_struct *tasklet)
{
	struct faulty_cpu *cpu = from_tasklet(cpu, tasklet, tasklet);

	if (cpu->waiting)
		complain(cpu->name, "flush", "%u frames wait for one",
			 cpu->waiting);
	cpu->waiting = 0;
}

static void faulty_look_later(struct rcu_head *rcu);

/* Look after a grace period. The caller holds the lock. */
static void faulty_wait(struct faulty_cpu *cpu)
{
	cpu->looks = true;
	cpu->seen = cpu->flushes;
	call_rcu(&cpu->rcu, faulty_look_later);
}

/* Frames that were taken after the last flush get one more grace period. */
static void faulty_look_later(struct rcu_head *rcu)
{
	struct faulty_cpu *cpu = container_of(rcu, struct faulty_cpu, rcu);

	spin_lock_bh(&cpu->lock);
	cpu->looks = false;
	if (cpu->waiting && cpu->flushes == cpu->seen) {
		complain(cpu->name, "flush", "%u frames wait for one",
			 cpu->waiting);
		cpu->waiting = 0;
	}
	if (cpu->waiting)
		faulty_wait(cpu);
	spin_unlock_bh(&cpu->lock);
}

/* faulty_check_taken() on PREEMPT_RT */
static void faulty_taken_later(struct faulty_cpu *cpu, int taken, bool flushed)
{
	spin_lock(&cpu->lock);
	if (flushed) {
		cpu->waiting = 0;
		cpu->flushes++;
	} else if (taken) {
		cpu->waiting += taken;
		if (!cpu->looks)
			faulty_wait(cpu);
	}
	spin_unlock(&cpu->lock);
}

/**
 * faulty_check_taken() - assert that a flush follows
 * @check: the checks of the device
 * @taken: number of frames that the device has taken
 * @flushed: the call has flushed these frames and those of earlier calls
 * @caller: address of the caller
 *
 * Context: bottom halves off.
 */
void faulty_check_taken(struct faulty_check *check, int taken, bool flushed,
			unsigned long caller)
{
	struct faulty_cpu *cpu = this_cpu_ptr(check->cpu);

	if (!flushed && !caller_is_module(caller))
		taken = 0;
	if (LOOKS_LATER) {
		faulty_taken_later(cpu, taken, flushed);
	} else if (flushed) {
		cpu->waiting = 0;
	} else if (taken) {
		if (!cpu->waiting)
			tasklet_schedule(&cpu->tasklet);
		cpu->waiting += taken;
	}
}

/**
 * faulty_spoil() - change refused frames
 * @frames: the frames
 * @n: number of frames
 * @over: overwrite the data, as cpsw may do; otherwise put a header in front of
 *	it, as virtio_net may do
 *
 * The frames can be freed as before. Those with a header have another length.
 * Frames whose struct xdp_frame lies in front of their memory are not changed,
 * because their generator sends them again with their present content.
 *
 * Context: bottom halves off.
 */
void faulty_spoil(struct xdp_frame **frames, int n, bool over)
{
	struct xdp_frame *frame;

	for (; n > 0; n--) {
		frame = *frames++;
		if (frame_is_in_front(frame))
			continue;
		if (!over) {
			if (frame->headroom < VIRTIO_HEADER)
				continue;
			frame->headroom -= VIRTIO_HEADER;
			frame->data -= VIRTIO_HEADER;
			frame->len += VIRTIO_HEADER;
		}
		memset(frame->data, 0, VIRTIO_HEADER);
	}
}

/**
 * faulty_check_new() - prepare the checks of a device
 * @dev: the device, which has its name already
 *
 * Context: process context.
 * Return: the argument of the other functions; NULL without memory.
 */
struct faulty_check *faulty_check_new(const struct net_device *dev)
{
	struct faulty_check *check = kzalloc(sizeof(*check), GFP_KERNEL);
	struct faulty_cpu *cpu;
	int i;

	if (!check)
		return NULL;
	check->dev = dev;
	check->cpu = alloc_percpu(struct faulty_cpu);
	if (!check->cpu)
		goto free_check;
	for_each_possible_cpu(i) {
		cpu = per_cpu_ptr(check->cpu, i);
		cpu->name = dev->name;
		spin_lock_init(&cpu->lock);
		tasklet_setup(&cpu->tasklet, faulty_look);
	}
	return check;

free_check:
	kfree(check);
	return NULL;
}

/**
 * faulty_check_free() - end the checks of a device
 * @check: the checks of the device
 *
 * Context: process context; a grace period after the last frame.
 */
void faulty_check_free(struct faulty_check *check)
{
	int i;

	for_each_possible_cpu(i)
		tasklet_kill(&per_cpu_ptr(check->cpu, i)->tasklet);
	if (LOOKS_LATER) {
		/* A callback may look once more: see faulty_look_later(). */
		rcu_barrier();
		rcu_barrier();
	}
	free_percpu(check->cpu);
	kfree(check);
}
