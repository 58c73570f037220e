/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between kernel versions, and nothing else.
 *
 * The rest of the module is written for the newest supported kernel. What
 * older kernels spell in another way gets its new name here; this is the only
 * file that may look at LINUX_VERSION_CODE.
 */
#ifndef REDIRMAP_COMPAT_H
#define REDIRMAP_COMPAT_H

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/memcontrol.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/version.h>
#include <net/xdp.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "redirmap supports Linux 6.1 and newer"
#endif

#include <net/genetlink.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#include <net/netdev_rx_queue.h>
#endif

/* Return types of the map operations, and the key that map_redirect gets. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
typedef long map_ret_t;
typedef u64 redirect_key_t;
#else
typedef int map_ret_t;
typedef u32 redirect_key_t;
#endif

/* 6.4 dropped the pointer to the map from the devmap's entries. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define COMPAT_DTAB_NETDEV_HAS_DTAB 1
#else
#define COMPAT_DTAB_NETDEV_HAS_DTAB 0
#endif

/* A parameter that batches of updates have since 6.2; nobody here needs it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define COMPAT_BATCH_FILE struct file *map_file,
#else
#define COMPAT_BATCH_FILE
#endif

/**
 * compat_set_mem_usage() - let maps tell of their memory, as they do since 6.4
 * @ops: a copy of the built-in's
 * @func: how much memory a map takes, in bytes
 *
 * Context: any.
 */
static inline void compat_set_mem_usage(struct bpf_map_ops *ops,
					u64 (*func)(const struct bpf_map *map))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	ops->map_mem_usage = func;
#endif
}

/*
 * The hook point of security modules between rmap_map_alloc() and the first fd.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_create"
#else
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_alloc"
#endif

/* Where the attributes of BPF_MAP_CREATE end. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define COMPAT_MAP_CREATE_LAST_FIELD map_token_fd
#else
#define COMPAT_MAP_CREATE_LAST_FIELD map_extra
#endif

/**
 * compat_map_alloc_permitted() - the capability check that rmap_map_alloc()
 * owes
 *
 * Since 6.9 map_create() has checked capabilities and BPF tokens before it
 * calls rmap_map_alloc(), and a second check here would refuse a token's
 * holder.
 *
 * Context: bpf(2).
 * Return: true when the caller may create a device map.
 */
static inline bool compat_map_alloc_permitted(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return true;
#else
	return capable(CAP_NET_ADMIN);
#endif
}

/*
 * Devices tell what their XDP can do since 6.3, and when that changes. Before, who
 * redirects looks whether they have ndo_xdp_xmit.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define NETDEV_XDP_FEAT_CHANGE (-1UL)
#define COMPAT_REDIRECT_ASKS_FOR_NDO 1
#else
#define COMPAT_REDIRECT_ASKS_FOR_NDO 0
#endif

/**
 * compat_copy_xdp_features() - let a pseudo device have a device's abilities
 * @to: the pseudo device
 * @from: the device
 *
 * Context: any; redirects may be reading @to.
 */
static inline void compat_copy_xdp_features(struct net_device *to,
					    const struct net_device *from)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	WRITE_ONCE(to->xdp_features, READ_ONCE(from->xdp_features));
#endif
}

/**
 * compat_xdp_features_differ() - has a device other abilities than it shows?
 * @dev: the pseudo device that shows them
 * @real: the device
 *
 * Before 6.3 it is &net_device_ops.ndo_xdp_xmit alone that says so, which a pseudo
 * device keeps when the device has lost its own.
 *
 * Context: any.
 * Return: true when compat_copy_xdp_features() would change @dev.
 */
static inline bool compat_xdp_features_differ(const struct net_device *dev,
					      const struct net_device *real)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return READ_ONCE(dev->xdp_features) != READ_ONCE(real->xdp_features);
#else
	return false;
#endif
}

/**
 * compat_copy_lltx() - lock a pseudo device's transmit queues as a device's
 * @to: the pseudo device
 * @from: the device, whose driver may lock them by itself
 *
 * Context: any; nobody else can reach @to yet.
 */
static inline void compat_copy_lltx(struct net_device *to,
				    const struct net_device *from)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	to->lltx = from->lltx;
#else
	to->features = (to->features & ~NETIF_F_LLTX) |
		       (from->features & NETIF_F_LLTX);
#endif
}

/**
 * compat_set_lltx() - have core lock none of a pseudo device's transmit queues
 * @dev: the pseudo device
 *
 * Context: any; nobody else can reach @dev yet.
 */
static inline void compat_set_lltx(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/**
 * compat_takes_frames() - can a device transmit XDP frames?
 * @dev: the device, or a pseudo device
 *
 * Before 6.3 a driver with ndo_xdp_xmit has to take whatever comes.
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 *
 * Return: true when it can.
 */
static inline bool compat_takes_frames(const struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT;
#else
	return READ_ONCE(dev->netdev_ops)->ndo_xdp_xmit;
#endif
}

/**
 * compat_takes_frags() - can it transmit those with fragments?
 * @dev: a device that can transmit XDP frames, or a pseudo device
 *
 * Runs as compat_takes_frames().
 *
 * Return: true when it can.
 */
static inline bool compat_takes_frags(const struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT_SG;
#else
	return true;
#endif
}

/**
 * compat_take_all() - let a pseudo device take every frame
 * @dev: the pseudo device
 *
 * Context: any; nobody else can reach @dev yet.
 */
static inline void compat_take_all(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	dev->xdp_features = NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_NDO_XMIT_SG;
#endif
}

/**
 * compat_fill_frag() - fill in a fragment; newer kernels have a function for it
 * @frag: the fragment
 * @page: the page that it lies in
 * @offset: where in it, in bytes
 * @size: its length, in bytes
 *
 * Runs in NAPI, bottom halves off, per fragment that is copied.
 */
static inline void compat_fill_frag(skb_frag_t *frag, struct page *page,
				    unsigned int offset, unsigned int size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	skb_frag_fill_page_desc(frag, page, offset, size);
#else
	__skb_frag_set_page(frag, page);
	skb_frag_off_set(frag, offset);
	skb_frag_size_set(frag, size);
#endif
}

/**
 * compat_set_frags_truesize() - say what a frame's fragments take of memory
 * @info: the frame's
 * @size: bytes, of all fragments
 *
 * Since 6.14 that is beside their length.
 *
 * Runs as compat_fill_frag(), per frame with fragments.
 */
static inline void compat_set_frags_truesize(struct skb_shared_info *info,
					     unsigned int size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	info->xdp_frags_truesize = size;
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#include <net/page_pool.h>

#define COMPAT_TEST_FRAMES_IN_FRONT 1
#else
#define COMPAT_TEST_FRAMES_IN_FRONT 0
#endif

/**
 * compat_frame_is_second() - is this not the description that notes the ingress?
 * @frame: a frame in a cpumap's kthread
 *
 * Before 6.3, frames that BPF_PROG_TEST_RUN makes are described in front of
 * their memory, not at its beginning, where everybody who converts them to an
 * xdp_buff and back makes a new description, with what nobody has written in
 * dev_rx. The function that prepares their pages is what tells them from others.
 *
 * Runs in a cpumap's kthread, bottom halves off, per frame.
 *
 * Return: true when there is an older one right in front of it.
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
 * compat_prog_is_dev_bound() - is a program loaded for one device only? (6.3)
 * @prog: the program
 *
 * Context: any.
 * Return: true when it must not run for another.
 */
static inline bool compat_prog_is_dev_bound(const struct bpf_prog *prog)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
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
 * Return: the attributes, by their numbers.
 */
static inline struct nlattr **compat_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return genl_info_dump(cb)->attrs;
#else
	return (struct nlattr **)genl_dumpit_info(cb)->attrs;
#endif
}

#if defined(CONFIG_MEMCG_KMEM) || \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0) && defined(CONFIG_MEMCG))
#define COMPAT_MAP_HAS_OBJCG 1
#else
#define COMPAT_MAP_HAS_OBJCG 0
#endif

/**
 * compat_memcg_flags() - let an allocation for a map be charged
 * @gfp: how to allocate
 *
 * Since 6.4 maps are charged where memory cgroups say so only.
 *
 * Context: process context.
 * Return: @gfp, with __GFP_ACCOUNT perhaps.
 */
static inline gfp_t compat_memcg_flags(gfp_t gfp)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return bpf_memcg_flags(gfp);
#else
	return gfp | __GFP_ACCOUNT;
#endif
}

/**
 * compat_map_has_memcg() - is a map charged to a memory cgroup already?
 * @map: a map, perhaps one that is still being created or freed
 *
 * Context: any.
 * Return: false as well for a map that never is.
 */
static inline bool compat_map_has_memcg(const struct bpf_map *map)
{
#if COMPAT_MAP_HAS_OBJCG
	return READ_ONCE(map->objcg);
#else
	return false;
#endif
}

/**
 * compat_map_memcg() - the memory cgroup that pays for a map
 * @map: a map that has been created completely
 *
 * Context: inside an RCU read section, which keeps the result alive.
 * Return: the memory cgroup; NULL when the map is charged to nobody.
 */
static inline struct mem_cgroup *compat_map_memcg(const struct bpf_map *map)
{
#if COMPAT_MAP_HAS_OBJCG
	return map->objcg ? obj_cgroup_memcg(map->objcg) : NULL;
#else
	return NULL;
#endif
}

/**
 * compat_map_memcg_get() - the same, with a reference
 * @map: a map that has been created completely, and whose memory stays meanwhile
 *
 * A map that is closed loses its id first, and then, at once perhaps, its
 * reference to the obj_cgroup; the pointer to that stays in it. Core frees the
 * obj_cgroup with kfree_rcu(): so it is there until the end of an RCU read section
 * that has seen the id.
 *
 * Context: process context.
 * Return: the memory cgroup, for mem_cgroup_put(), or NULL.
 */
static inline struct mem_cgroup *compat_map_memcg_get(const struct bpf_map *map)
{
#if COMPAT_MAP_HAS_OBJCG
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

#endif /* REDIRMAP_COMPAT_H */
