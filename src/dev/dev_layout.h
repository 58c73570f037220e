/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private layouts of the kernel that device maps depend on.
 *
 * These structures are not in any header of the kernel: kernel/bpf/devmap.c
 * keeps them to itself. Each copy here carries a name of our own; dev_layout.c
 * lists which member has to be where.
 */
#ifndef REDIRMAP_DEV_LAYOUT_H
#define REDIRMAP_DEV_LAYOUT_H

#include <linux/bpf.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <net/xdp.h>

#include "compat.h"
#include "layout.h"

/*
 * struct bpf_dtab_netdev, the entry that a redirect leads to. The kernel reads
 * dev, and xdp_prog, which is NULL or ingress.c's: our port runs the program.
 */
struct kern_dtab_netdev {
	struct net_device *dev;
	struct hlist_node index_hlist;
#if COMPAT_DTAB_NETDEV_HAS_DTAB
	struct bpf_dtab *dtab;
#endif
	struct bpf_prog *xdp_prog;
	struct rcu_head rcu;
	unsigned int idx;
	struct bpf_devmap_val val;
};

/* struct bpf_dtab: a claimed map begins with it, and is a valid, empty one. */
struct kern_dtab {
	struct bpf_map map;
	void __rcu **netdev_map;
	struct list_head list;

	/* DEVMAP_HASH only; the lock is the kernel's, for dev_index_head */
	struct hlist_head *dev_index_head;
	spinlock_t index_lock; /* not used by us */
	unsigned int items;
	u32 n_buckets;
};

/* struct xdp_dev_bulk_queue, what net_device.xdp_bulkq points to. */
struct kern_bulkq {
	struct xdp_frame *q[DEV_MAP_BULK_SIZE];
	struct list_head flush_node;
	struct net_device *dev;
	struct net_device *dev_rx;
	struct bpf_prog *xdp_prog;
	unsigned int count;
};

#if COMPAT_TEST_FRAMES_IN_FRONT
/* struct xdp_page_head, how BPF_PROG_TEST_RUN describes a page of its own. */
struct kern_page_head {
	struct xdp_buff orig_ctx;
	struct xdp_buff ctx;
	struct xdp_frame frm;
	u8 data[];
};
#endif

extern const struct layout_row rmap_dev_layout[];

#endif /* REDIRMAP_DEV_LAYOUT_H */
