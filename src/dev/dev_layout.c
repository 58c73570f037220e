// SPDX-License-Identifier: GPL-2.0-only
/*
 * Offsets in the kernel's private structures that device maps depend on. insmod
 * compares them with the running kernel's BTF: see layout.c.
 */
#include "dev_layout.h"

/* A test build has one wrong offset, to test that insmod refuses it. */
#ifdef REDIRMAP_TEST_BAD_LAYOUT
#define LAYOUT_SKEW 8
#else
#define LAYOUT_SKEW 0
#endif

const struct layout_row rmap_dev_layout[] LAYOUT_SECTION __aligned(4) = {
	LAYOUT_SIZE(bpf_dtab, kern_dtab),
	LAYOUT_ROW(bpf_dtab, kern_dtab, map),
	LAYOUT_ROW(bpf_dtab, kern_dtab, netdev_map),
	LAYOUT_ROW(bpf_dtab, kern_dtab, list),
	LAYOUT_ROW(bpf_dtab, kern_dtab, dev_index_head),
	LAYOUT_ROW(bpf_dtab, kern_dtab, index_lock),
	LAYOUT_ROW(bpf_dtab, kern_dtab, items),
	LAYOUT_ROW(bpf_dtab, kern_dtab, n_buckets),
	LAYOUT_SIZE(bpf_dtab_netdev, kern_dtab_netdev),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, dev),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, index_hlist),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, xdp_prog),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, rcu),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, idx),
	LAYOUT_ROW(bpf_dtab_netdev, kern_dtab_netdev, val),
#if COMPAT_TEST_FRAMES_IN_FRONT
	LAYOUT_ROW(xdp_page_head, kern_page_head, frm),
	LAYOUT_ROW(xdp_page_head, kern_page_head, data),
#endif
	LAYOUT_SIZE(xdp_dev_bulk_queue, kern_bulkq),
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, q),
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, flush_node),
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, dev),
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, dev_rx),
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, xdp_prog),
	{ "xdp_dev_bulk_queue", "count",
	  offsetof(struct kern_bulkq, count) + LAYOUT_SKEW },
#if HAVE_BQ_LOCK
	LAYOUT_ROW(xdp_dev_bulk_queue, kern_bulkq, bq_lock),
#endif
	{ }
};
