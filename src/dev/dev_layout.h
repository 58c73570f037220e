/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private layouts of the kernel that device maps depend on.
 *
 * The kernel defines these structures in kernel/bpf/devmap.c and in
 * net/bpf/test_run.c, and in no header. Each copy here has a name of this
 * module; dev_layout.c lists the offsets of the members.
 */
#ifndef REDIRMAP_DEV_LAYOUT_H
#define REDIRMAP_DEV_LAYOUT_H

#include <linux/bpf.h>
#include <linux/list.h>
#include <linux/local_lock.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <net/xdp.h>

#include "compat.h"
#include "layout.h"

/*
 * struct bpf_dtab_netdev, the entry that a redirect returns. The kernel reads
 * dev and xdp_prog. xdp_prog is NULL or the program of ingress.c; the port runs
 * the egress program.
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

/* struct bpf_dtab: a claimed map begins with a valid, empty one. */
struct kern_dtab {
	struct bpf_map map;
	void __rcu **netdev_map;
	struct list_head list;

	/* DEVMAP_HASH only */
	struct hlist_head *dev_index_head;
	spinlock_t index_lock; /* the kernel's lock for dev_index_head */
	unsigned int items;
	u32 n_buckets;
};

/* struct xdp_dev_bulk_queue: net_device.xdp_bulkq points to one per CPU. */
struct kern_bulkq {
	struct xdp_frame *q[DEV_MAP_BULK_SIZE];
	struct list_head flush_node;
	struct net_device *dev;
	struct net_device *dev_rx;
	struct bpf_prog *xdp_prog;
	unsigned int count;
#if HAVE_BQ_LOCK
	local_lock_t bq_lock; /* empty without PREEMPT_RT and lockdep */
#endif
};

#if COMPAT_TEST_FRAMES_IN_FRONT
/* struct xdp_page_head: BPF_PROG_TEST_RUN puts one in front of each frame. */
struct kern_page_head {
	struct xdp_buff orig_ctx;
	struct xdp_buff ctx;
	struct xdp_frame frm;
	u8 data[];
};
#endif

extern const struct layout_row rmap_dev_layout[];

#endif /* REDIRMAP_DEV_LAYOUT_H */
