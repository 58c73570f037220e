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

/* Maps tell of their memory since 6.4. */
static inline void compat_set_mem_usage(struct bpf_map_ops *ops,
					u64 (*func)(const struct bpf_map *map))
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	ops->map_mem_usage = func;
#endif
}

/* The hook point of security modules between map_alloc() and the first fd. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_create"
#else
#define COMPAT_SECURITY_MAP_CREATE "security_bpf_map_alloc"
#endif

/**
 * compat_map_alloc_permitted() - the capability check that map_alloc() owes
 *
 * Since 6.9 map_create() has checked capabilities and BPF tokens before it
 * calls map_alloc(), and a second check here would refuse a token's holder.
 *
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

/* What a pseudo device says about its abilities: none of this in 6.1. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static inline void compat_copy_xdp_features(struct net_device *to,
					    const struct net_device *from)
{
	WRITE_ONCE(to->xdp_features, READ_ONCE(from->xdp_features));
}
#else
#define NETDEV_XDP_FEAT_CHANGE (-1UL)
static inline void compat_copy_xdp_features(struct net_device *to,
					    const struct net_device *from)
{
}
#endif

/* Whether the driver locks its transmit queues by itself. */
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

static inline void compat_set_lltx(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/* Before 6.3 a driver with ndo_xdp_xmit has to take whatever comes. */
static inline bool compat_takes_frames(const struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT;
#else
	return READ_ONCE(dev->netdev_ops)->ndo_xdp_xmit;
#endif
}

static inline bool compat_takes_frags(const struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT_SG;
#else
	return true;
#endif
}

/* A pseudo device of ours that takes every frame. */
static inline void compat_take_all(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	dev->xdp_features = NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_NDO_XMIT_SG;
#endif
}

/* Newer kernels have one function for this. */
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

/*
 * Frames that BPF_PROG_TEST_RUN makes are described in front of their memory,
 * not at its beginning, where everybody who converts them to an xdp_buff and
 * back makes a new description, with what nobody has written in dev_rx. The
 * function that prepares their pages is what tells them from others.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#include <net/page_pool.h>

#define COMPAT_TEST_FRAMES_IN_FRONT 1

static inline bool compat_frame_is_second(const struct xdp_frame *frame)
{
	return frame->mem.type == MEM_TYPE_PAGE_POOL &&
	       virt_to_head_page(frame->data)->pp->p.init_callback;
}
#else
#define COMPAT_TEST_FRAMES_IN_FRONT 0

static inline bool compat_frame_is_second(const struct xdp_frame *frame)
{
	return false;
}
#endif

/* Programs that are loaded for one device must not run for another (6.3). */
static inline bool compat_prog_is_dev_bound(const struct bpf_prog *prog)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	return bpf_prog_is_dev_bound(prog->aux);
#else
	return false;
#endif
}

/* The attributes of the request that began a dump. */
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

/* Since 6.4 maps are charged where memory cgroups say so only. */
static inline gfp_t compat_memcg_flags(gfp_t gfp)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return bpf_memcg_flags(gfp);
#else
	return gfp | __GFP_ACCOUNT;
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

#endif /* REDIRMAP_COMPAT_H */
