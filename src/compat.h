/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernels.
 *
 * The rest of the module is written for the newest supported kernel. This file
 * provides the names of that kernel on older kernels. It tests features, which
 * scripts/features.py determines when the module is built: HAVE_... is 0 or 1.
 * Versions in comments are those of the mainline kernel. No other file may test
 * LINUX_VERSION_CODE, and this file tests it only where no feature can be
 * determined.
 */
#ifndef REDIRMAP_COMPAT_H
#define REDIRMAP_COMPAT_H

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/ftrace.h>
#include <linux/kconfig.h>
#include <linux/local_lock.h>
#include <linux/memcontrol.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/skmsg.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <net/xdp.h>
#include <redirmap/features.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "redirmap supports Linux 6.1 and newer: see Supported kernels in README.rst"
#endif

/*
 * Members of structures that are in no header. If the build has no BTF, the
 * version decides; insmod compares the structures with the running kernel's
 * BTF.
 */
#ifndef HAVE_DTAB_NETDEV_DTAB
#define HAVE_DTAB_NETDEV_DTAB (LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0))
#define HAVE_PAGE_HEAD_FRM (LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0))
#define HAVE_BQ_LOCK (LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0))
#endif

/*
 * The build has no configuration as a file, only its macros: kernels with the
 * option also have the function.
 */
#ifndef HAVE_RT_BH_LOCK_OPTION
#define HAVE_RT_BH_LOCK_OPTION HAVE_SK_DROPS_READ
#endif

#include <net/genetlink.h>
#if HAVE_NETDEV_RX_QUEUE_H
#include <net/netdev_rx_queue.h>
#endif

/*
 * On PREEMPT_RT, tasks are preempted with bottom halves off. On older kernels,
 * and with CONFIG_PREEMPT_RT_NEEDS_BH_LOCK, local_bh_disable() is a lock of the
 * CPU, which keeps other tasks from doing the same. Without it (6.18), polls
 * that run on one CPU preempt each other, and data of the CPU needs a lock: see
 * flush.h. The bulk queues of such a kernel have one since 7.0; insmod refuses
 * kernels that have none.
 */
#define COMPAT_POLLS_PREEMPT (IS_ENABLED(CONFIG_PREEMPT_RT) && \
			      (HAVE_RT_BH_LOCK_OPTION || HAVE_BQ_LOCK) && \
			      !IS_ENABLED(CONFIG_PREEMPT_RT_NEEDS_BH_LOCK))

/* Return type of the map operations, and type of map_redirect's key. */
#if HAVE_MAP_OPS_LONG
typedef long compat_map_ret_t;
typedef u64 compat_redirect_key_t;
#else
typedef int compat_map_ret_t;
typedef u32 compat_redirect_key_t;
#endif

/* 6.4 removed the pointer to the map from struct bpf_dtab_netdev. */
#define COMPAT_DTAB_NETDEV_HAS_DTAB HAVE_DTAB_NETDEV_DTAB

/* 6.2 added a parameter to map_update_batch; it is not used here. */
#if HAVE_BATCH_FILE
#define COMPAT_BATCH_FILE struct file *map_file,
#else
#define COMPAT_BATCH_FILE
#endif

/**
 * compat_set_mem_usage() - set the operation that reports a map's memory (6.4)
 * @ops: a copy of the built-in's operations
 * @func: returns the memory of a map, in bytes
 *
 * Context: any.
 */
static inline void compat_set_mem_usage(struct bpf_map_ops *ops,
					u64 (*func)(const struct bpf_map *map))
{
#if HAVE_MAP_MEM_USAGE
	ops->map_mem_usage = func;
#endif
}

/**
 * compat_mem_usage() - the kernel's figure for a map's memory (6.4)
 * @ops: the kernel's operations of the map
 * @map: the map
 *
 * Context: any; the caller keeps the map.
 * Return: bytes; 0 if the kernel does not report it.
 */
static inline u64 compat_mem_usage(const struct bpf_map_ops *ops,
				   const struct bpf_map *map)
{
#if HAVE_MAP_MEM_USAGE
	return ops->map_mem_usage(map);
#else
	return 0;
#endif
}

/*
 * The function that the kernel calls for security modules, between the
 * allocation of a map and its first file descriptor.
 */
#if HAVE_SECURITY_BPF_MAP_CREATE
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_create"
#else
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_alloc"
#endif

/* The workqueue whose work items run on any CPU (6.17). */
#if !HAVE_SYSTEM_DFL_WQ
#define system_dfl_wq system_unbound_wq
#endif

/* TCP with accurate ECN, in a packet's gso_type; 0 in older kernels (6.15). */
#if HAVE_GSO_TCP_ACCECN
#define COMPAT_GSO_TCP_ACCECN SKB_GSO_TCP_ACCECN
#else
#define COMPAT_GSO_TCP_ACCECN 0
#endif

/* The last attribute of BPF_MAP_CREATE; only its end is used. */
#if HAVE_BPF_EXCL_PROG
#define COMPAT_MAP_CREATE_LAST_FIELD excl_prog_hash_size
#elif HAVE_BPF_TOKEN
#define COMPAT_MAP_CREATE_LAST_FIELD map_token_fd
#else
#define COMPAT_MAP_CREATE_LAST_FIELD map_extra
#endif

/**
 * compat_map_alloc_permitted() - the capability check of rmap_map_alloc()
 *
 * Since 6.9 map_create() checks capabilities and BPF tokens before it calls
 * map_alloc(). A second check there would refuse a task that has a token.
 *
 * Context: bpf(2).
 * Return: true when the caller may create a device map.
 */
static inline bool compat_map_alloc_permitted(void)
{
#if HAVE_BPF_TOKEN
	return true;
#else
	return capable(CAP_NET_ADMIN);
#endif
}

/*
 * Since 6.3 devices have xdp_features, and an event for their changes. Before,
 * the kernel's redirect code tests whether a device has ndo_xdp_xmit.
 */
#if !HAVE_XDP_FEATURES
#define NETDEV_XDP_FEAT_CHANGE (-1UL)
#define COMPAT_REDIRECT_ASKS_FOR_NDO 1
#else
#define COMPAT_REDIRECT_ASKS_FOR_NDO 0
#endif

/**
 * compat_xdp_features() - the XDP features of a pseudo device
 * @real: the real device
 * @all: the pseudo device takes all frames, even if the real one does not
 *
 * Before 6.3 a device has no features but &net_device_ops.ndo_xdp_xmit.
 *
 * Context: any.
 * Return: the features.
 */
static inline u32 compat_xdp_features(const struct net_device *real, bool all)
{
#if HAVE_XDP_FEATURES
	if (all)
		return NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_NDO_XMIT_SG;
	return READ_ONCE(real->xdp_features);
#else
	return 0;
#endif
}

/**
 * compat_set_xdp_features() - set the XDP features of a pseudo device
 * @dev: the pseudo device
 * @features: the features, from compat_xdp_features()
 *
 * Context: any; redirects may read @dev at the same time.
 */
static inline void compat_set_xdp_features(struct net_device *dev, u32 features)
{
#if HAVE_XDP_FEATURES
	WRITE_ONCE(dev->xdp_features, features);
#endif
}

/**
 * compat_has_xdp_features() - does a pseudo device have just these features?
 * @dev: the pseudo device
 * @features: the features, from compat_xdp_features()
 *
 * Context: any.
 * Return: false when compat_set_xdp_features() would change @dev.
 */
static inline bool compat_has_xdp_features(const struct net_device *dev,
					   u32 features)
{
#if HAVE_XDP_FEATURES
	return READ_ONCE(dev->xdp_features) == features;
#else
	return true;
#endif
}

/**
 * compat_copy_lltx() - copy whether core locks a device's transmit queues
 * @to: the pseudo device
 * @from: the real device, whose driver may lock them by itself
 *
 * Context: any; @to is not published yet.
 */
static inline void compat_copy_lltx(struct net_device *to,
				    const struct net_device *from)
{
#if HAVE_LLTX_BIT
	to->lltx = from->lltx;
#else
	to->features = (to->features & ~NETIF_F_LLTX) |
		       (from->features & NETIF_F_LLTX);
#endif
}

/**
 * compat_set_lltx() - keep core from locking a pseudo device's transmit queues
 * @dev: the pseudo device
 *
 * Context: any; @dev is not published yet.
 */
static inline void compat_set_lltx(struct net_device *dev)
{
#if HAVE_LLTX_BIT
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/**
 * compat_takes_frames() - can a device transmit XDP frames?
 * @dev: the device, or a pseudo device
 *
 * Before 6.3 any device with ndo_xdp_xmit can.
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: true when it can.
 */
static inline bool compat_takes_frames(const struct net_device *dev)
{
#if HAVE_XDP_FEATURES
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT;
#else
	return READ_ONCE(dev->netdev_ops)->ndo_xdp_xmit;
#endif
}

/**
 * compat_redirects_frags() - does the kernel redirect frames with fragments to
 * devices?
 *
 * Before 6.3, xdp_do_redirect() refuses them.
 *
 * Context: any.
 * Return: true if so; a constant.
 */
static inline bool compat_redirects_frags(void)
{
	return HAVE_XDP_FEATURES;
}

/**
 * compat_takes_frags() - can a device transmit XDP frames with fragments?
 * @dev: a device that can transmit XDP frames, or a pseudo device
 *
 * Before 6.3 the kernel does not know, and redirects no frame with fragments to
 * a device: see compat_redirects_frags(). Drivers without support for fragments
 * (virtio_net) would send the linear part only.
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: true when it can.
 */
static inline bool compat_takes_frags(const struct net_device *dev)
{
#if HAVE_XDP_FEATURES
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT_SG;
#else
	return true;
#endif
}

/**
 * compat_take_all() - set the XDP features of a pseudo device that takes all
 * frames
 * @dev: the pseudo device
 *
 * Context: any; @dev is not published yet.
 */
static inline void compat_take_all(struct net_device *dev)
{
	compat_set_xdp_features(dev, compat_xdp_features(dev, true));
}

/**
 * compat_alloc_skb_bulk() - allocate skbs without data, zeroed as for
 * build_skb_around()
 * @skbs: gets the skbs
 * @n: number of skbs
 *
 * Runs in NAPI, bottom halves off, per flush.
 *
 * Return: 0; -ENOMEM, when no skb was allocated.
 */
static inline int compat_alloc_skb_bulk(void **skbs, int n)
{
#if HAVE_XDP_ALLOC_SKB_BULK
	return xdp_alloc_skb_bulk(skbs, n,
				  GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN);
#else
	int got = napi_skb_cache_get_bulk(skbs, n);

	if (got == n)
		return 0;
	while (got--)
		kfree_skb_partial(skbs[got], true);
	return -ENOMEM;
#endif
}

/**
 * compat_init_dummy() - initialise a device that is never registered
 * @dev: memory for the device
 *
 * Since 6.18 the kernel exports only alloc_netdev_dummy(), which sleeps.
 *
 * Context: any; @dev is not published yet.
 */
static inline void compat_init_dummy(struct net_device *dev)
{
#if HAVE_INIT_DUMMY_NETDEV
	init_dummy_netdev(dev);
#else
	memset(dev, 0, sizeof(*dev));
	dev->reg_state = NETREG_DUMMY;
	INIT_LIST_HEAD(&dev->napi_list);
	set_bit(__LINK_STATE_PRESENT, &dev->state);
	set_bit(__LINK_STATE_START, &dev->state);
	dev_net_set(dev, &init_net);
#endif
}

/**
 * compat_set_page_shared() - set the memory model of a frame to plain pages
 * @frame: a frame that is made
 *
 * Runs in NAPI, bottom halves off, per copy.
 */
static inline void compat_set_page_shared(struct xdp_frame *frame)
{
#if HAVE_XDP_FRAME_MEM_TYPE
	frame->mem_type = MEM_TYPE_PAGE_SHARED;
#else
	frame->mem.type = MEM_TYPE_PAGE_SHARED;
	frame->mem.id = 0;
#endif
}

/**
 * compat_copy_mem() - copy the memory model of a frame to a receive queue
 * @rxq: the queue, for an xdp_buff
 * @frame: the frame
 *
 * Runs in NAPI, bottom halves off, per frame with fragments.
 */
static inline void compat_copy_mem(struct xdp_rxq_info *rxq,
				   const struct xdp_frame *frame)
{
#if HAVE_XDP_FRAME_MEM_TYPE
	rxq->mem.type = frame->mem_type;
#else
	rxq->mem = frame->mem;
#endif
}

/**
 * compat_fill_frag() - skb_frag_fill_page_desc() of 6.5
 * @frag: the fragment to fill in
 * @page: its page
 * @offset: its offset in the page, in bytes
 * @size: its length, in bytes
 *
 * Runs in NAPI, bottom halves off, per fragment that is copied.
 */
static inline void compat_fill_frag(skb_frag_t *frag, struct page *page,
				    unsigned int offset, unsigned int size)
{
#if HAVE_SKB_FRAG_FILL
	skb_frag_fill_page_desc(frag, page, offset, size);
#else
	__skb_frag_set_page(frag, page);
	skb_frag_off_set(frag, offset);
	skb_frag_size_set(frag, size);
#endif
}

/**
 * compat_set_frags_truesize() - set the memory that a frame's fragments take
 * (6.14)
 * @info: the frame's shared info
 * @size: memory of all fragments, in bytes
 *
 * Runs in NAPI, bottom halves off, per copied frame with fragments.
 */
static inline void compat_set_frags_truesize(struct skb_shared_info *info,
					     unsigned int size)
{
#if HAVE_XDP_FRAGS_TRUESIZE
	info->xdp_frags_truesize = size;
#endif
}

#if HAVE_PAGE_HEAD_FRM
#include <net/page_pool.h>

#define COMPAT_TEST_FRAMES_IN_FRONT 1
#else
#define COMPAT_TEST_FRAMES_IN_FRONT 0
#endif

/**
 * compat_lock_cpu() - lock this CPU's data where polls preempt each other
 * @lock: the lock, for each CPU
 *
 * On other kernels this is nothing, because the callers have bottom halves off.
 *
 * Context: bottom halves off; sleeps on PREEMPT_RT as a spinlock_t does.
 */
static __always_inline void compat_lock_cpu(local_lock_t __percpu *lock)
{
#if COMPAT_POLLS_PREEMPT
	local_lock_nested_bh(lock);
#endif
}

/**
 * compat_unlock_cpu() - undo compat_lock_cpu()
 * @lock: the lock, for each CPU
 *
 * Context: as compat_lock_cpu(), on the same CPU.
 */
static __always_inline void compat_unlock_cpu(local_lock_t __percpu *lock)
{
#if COMPAT_POLLS_PREEMPT
	local_unlock_nested_bh(lock);
#endif
}

/**
 * compat_return_indirectly() - return frames through the rings of their pools
 *
 * A flush may have frames of another poll, whose page_pool that poll, or its
 * NAPI on another CPU, may be using at this moment. So neither this module nor
 * the kernel, which frees the lost frames, may put their pages into the part of
 * the pool that belongs to its NAPI. The flag ends with the poll.
 *
 * Context: bottom halves off, in a flush where polls preempt each other; on
 * other kernels this is nothing.
 */
static __always_inline void compat_return_indirectly(void)
{
#if COMPAT_POLLS_PREEMPT
	xdp_set_return_frame_no_direct();
#endif
}

/**
 * compat_frame_is_second() - is dev_rx valid in an older struct of this frame?
 * @frame: a frame in a cpumap's kthread
 *
 * Before 6.3, BPF_PROG_TEST_RUN puts the struct xdp_frame of a frame in front
 * of the frame's memory. The cpumap's kthread converts the frame to an xdp_buff
 * and back, which makes a second struct xdp_frame at the beginning of the
 * memory, right behind the first one, and does not set dev_rx in it. Pages of
 * BPF_PROG_TEST_RUN are recognised by their page_pool's init_callback.
 *
 * Runs in a cpumap's kthread, bottom halves off, per frame.
 *
 * Return: true when the older struct is right in front of @frame.
 */
static inline bool compat_frame_is_second(const struct xdp_frame *frame)
{
#if COMPAT_TEST_FRAMES_IN_FRONT
	return frame->mem.type == MEM_TYPE_PAGE_POOL &&
	       virt_to_head_page(frame->data)->pp->p.init_callback;
#else
	return false;
#endif
}

/**
 * compat_prog_is_dev_bound() - is a program bound to one device? (6.3)
 * @prog: the program
 *
 * Context: any.
 * Return: true when the program may not run for other devices.
 */
static inline bool compat_prog_is_dev_bound(const struct bpf_prog *prog)
{
#if HAVE_PROG_DEV_BOUND
	return bpf_prog_is_dev_bound(prog->aux);
#else
	return false;
#endif
}

/**
 * compat_dump_attrs() - the attributes of the request that began a dump
 * @cb: the dump
 *
 * Context: process context, in a dump's start function.
 * Return: the attributes, an array indexed by their numbers.
 */
static inline struct nlattr **compat_dump_attrs(struct netlink_callback *cb)
{
#if HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return (struct nlattr **)genl_dumpit_info(cb)->attrs;
#endif
}

/**
 * compat_memcg_flags() - charge an allocation for a map as the kernel does
 * @gfp: allocation flags
 *
 * Since 6.4 the kernel charges maps only if bpf memory accounting is enabled.
 *
 * Context: process context.
 * Return: @gfp, with __GFP_ACCOUNT if the allocation is to be charged.
 */
static inline gfp_t compat_memcg_flags(gfp_t gfp)
{
#if HAVE_BPF_MEMCG_FLAGS
	return bpf_memcg_flags(gfp);
#else
	return gfp | __GFP_ACCOUNT;
#endif
}

/**
 * compat_memcg_charges() - are memory cgroups charged for the kernel's memory?
 *
 * Context: any.
 * Return: false without memory cgroups, or if the administrator forbids that.
 */
static inline bool compat_memcg_charges(void)
{
#if HAVE_MEMCG_KMEM_ONLINE
	return memcg_kmem_online();
#else
	return memcg_kmem_enabled();
#endif
}

/**
 * compat_map_has_memcg() - is a map charged to a memory cgroup already?
 * @map: a map, perhaps one that is still being created or freed
 *
 * Context: any.
 * Return: true when it is; false also for a map that is never charged.
 */
static inline bool compat_map_has_memcg(const struct bpf_map *map)
{
#if HAVE_MAP_OBJCG
	return READ_ONCE(map->objcg);
#else
	return false;
#endif
}

/**
 * compat_map_memcg() - the memory cgroup that is charged for a map
 * @map: a map that has been created completely
 *
 * Context: inside an RCU read section, which keeps the result alive.
 * Return: the memory cgroup; NULL when the map is not charged.
 */
static inline struct mem_cgroup *compat_map_memcg(const struct bpf_map *map)
{
#if HAVE_MAP_OBJCG
	return map->objcg ? obj_cgroup_memcg(map->objcg) : NULL;
#else
	return NULL;
#endif
}

/**
 * compat_map_memcg_get() - get the memory cgroup that is charged for a map
 * @map: a map that has been created completely; the caller keeps its memory
 *
 * A map that is closed loses its id first, and soon after that its reference to
 * the obj_cgroup, but keeps the pointer. Core frees the obj_cgroup with
 * kfree_rcu(). So the obj_cgroup stays until the end of an RCU read section
 * that has seen the id.
 *
 * Context: process context.
 * Return: the memory cgroup, for mem_cgroup_put(), or NULL.
 */
static inline struct mem_cgroup *compat_map_memcg_get(const struct bpf_map *map)
{
#if HAVE_MAP_OBJCG
	struct mem_cgroup *memcg = NULL;

	rcu_read_lock();
	if (READ_ONCE(map->id) && map->objcg)
		memcg = get_mem_cgroup_from_objcg(map->objcg);
	rcu_read_unlock();
	return memcg;
#else
	return NULL;
#endif
}

/**
 * compat_memcg_number() - a number that identifies a memory cgroup
 * @memcg: the memory cgroup, or NULL
 *
 * A number is never used again, unlike the address of a memory cgroup.
 *
 * Context: the caller keeps @memcg.
 * Return: the number; 0 for NULL and for the root, which are not charged.
 */
static inline u64 compat_memcg_number(const struct mem_cgroup *memcg)
{
#if HAVE_MAP_OBJCG
	return memcg && memcg->css.parent ? memcg->css.serial_nr : 0;
#else
	return 0;
#endif
}

/**
 * compat_map_payer() - the number of the memory cgroup that a map is charged to
 * @map: a map that has been created completely
 *
 * Context: any.
 * Return: the number, or 0: see compat_memcg_number().
 */
static inline u64 compat_map_payer(const struct bpf_map *map)
{
	u64 number;

	rcu_read_lock();
	number = compat_memcg_number(compat_map_memcg(map));
	rcu_read_unlock();
	return number;
}

/**
 * compat_task_payer() - the number of the memory cgroup that the current task's
 * maps are charged to
 *
 * Context: process context.
 * Return: the number, as compat_map_payer() of a map that the task creates.
 */
static inline u64 compat_task_payer(void)
{
	u64 number = 0;

#if HAVE_MAP_OBJCG
	if (!compat_memcg_charges() || !(compat_memcg_flags(0) & __GFP_ACCOUNT))
		return 0;
	rcu_read_lock();
	number = compat_memcg_number(mem_cgroup_from_task(current));
	rcu_read_unlock();
#endif
	return number;
}

/**
 * compat_psock_bytes() - bytes in the ingress queue of a psock
 * @psock: the psock
 * @limit: without a counter, count the bytes of at most so many messages
 * @more: set to whether there are more messages
 *
 * 6.1 does not keep the number. A reader changes the size of a message without
 * the lock.
 *
 * Context: inside an RCU read section, which keeps the psock.
 * Return: the number of bytes.
 */
static inline u64 compat_psock_bytes(struct sk_psock *psock, unsigned int limit,
				     bool *more)
{
#if HAVE_PSOCK_MSG_LEN
	*more = false;
	return sk_psock_get_msg_len_nolock(psock);
#else
	unsigned int n = 0;
	struct sk_msg *msg;
	u64 bytes = 0;

	*more = false;
	spin_lock_bh(&psock->ingress_lock);
	list_for_each_entry(msg, &psock->ingress_msg, list) {
		*more = n++ == limit;
		if (*more)
			break;
		bytes += READ_ONCE(msg->sg.size);
	}
	spin_unlock_bh(&psock->ingress_lock);
	return bytes;
#endif
}

/**
 * compat_sk_drops() - number of packets that were dropped for a socket
 * @sk: the socket
 *
 * Context: any; the caller keeps the socket.
 * Return: the number.
 */
static inline u32 compat_sk_drops(const struct sock *sk)
{
#if HAVE_SK_DROPS_READ
	return sk_drops_read(sk);
#else
	return atomic_read(&sk->sk_drops);
#endif
}

/*
 * A handler of ftrace gets the arguments of the hooked function. On older
 * kernels, and on kernels without CONFIG_DYNAMIC_FTRACE_WITH_ARGS, they are
 * among all registers, which take longer to save.
 */
#if HAVE_FTRACE_ARGUMENTS && defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#define COMPAT_FTRACE_ARGUMENTS 1
#define COMPAT_FTRACE_FLAGS 0
#else
#define COMPAT_FTRACE_ARGUMENTS 0
#define COMPAT_FTRACE_FLAGS FTRACE_OPS_FL_SAVE_REGS
#endif

/**
 * compat_ftrace_has_arguments() - does a handler know the arguments?
 * @fregs: the handler's registers
 *
 * Context: a handler whose ftrace_ops has COMPAT_FTRACE_FLAGS.
 * Return: whether the other functions here may be called.
 */
static __always_inline bool
compat_ftrace_has_arguments(struct ftrace_regs *fregs)
{
#if COMPAT_FTRACE_ARGUMENTS
	return fregs;
#else
	return ftrace_get_regs(fregs);
#endif
}

/**
 * compat_ftrace_argument() - an argument of the hooked function
 * @fregs: the handler's registers
 * @n: the argument's number, from 0
 *
 * Context: as compat_ftrace_has_arguments().
 * Return: the argument.
 */
static __always_inline unsigned long
compat_ftrace_argument(struct ftrace_regs *fregs, unsigned int n)
{
#if COMPAT_FTRACE_ARGUMENTS
	return ftrace_regs_get_argument(fregs, n);
#else
	return regs_get_kernel_argument(ftrace_get_regs(fregs), n);
#endif
}

/**
 * compat_ftrace_run() - run another function than the hooked one
 * @fregs: the handler's registers
 * @instead: the function, with the same arguments
 *
 * Context: as compat_ftrace_has_arguments(); the ftrace_ops has
 * FTRACE_OPS_FL_IPMODIFY.
 */
static __always_inline void
compat_ftrace_run(struct ftrace_regs *fregs, void *instead)
{
#if COMPAT_FTRACE_ARGUMENTS
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)instead);
#else
	instruction_pointer_set(ftrace_get_regs(fregs), (unsigned long)instead);
#endif
}

#endif /* REDIRMAP_COMPAT_H */
