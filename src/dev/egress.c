// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egress programs: XDP programs that map values name. A port runs its program
 * on each frame before the frame leaves.
 *
 * This file builds the context of a program from a frame or packet, and applies
 * the program's verdict. It owns no data: a target holds its program, as long
 * as a lookup can return the target. In native XDP a port runs the program on
 * the frames of a flush, in NAPI; in generic XDP a port runs it on each packet,
 * in the receive path. Bottom halves are off in both cases.
 */
#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/skbuff.h>
#include <net/xdp.h>
#include <trace/events/xdp.h>

#include "compat.h"
#include "egress.h"
#include "ingress.h"
#include "stats.h"

/* Count and trace a frame whose verdict is neither XDP_PASS nor XDP_DROP. */
static noinline void egress_failed(const struct bpf_prog *prog,
				   const struct net_device *tx, u32 act,
				   struct stats_cpu *stats)
{
	enum redirmap_drop reason = REDIRMAP_DROP_PROG_ABORTED;

	if (act != XDP_ABORTED) {
		reason = REDIRMAP_DROP_PROG_INVALID;
		bpf_warn_invalid_xdp_action(NULL, (struct bpf_prog *)prog, act);
	}
	trace_xdp_exception(tx, prog, act);
	rmap_stats_drop(stats, tx, reason, 1);
}

/*
 * Run a program on frames of several ingress devices, one by one. Runs in
 * a cpumap's kthread, bottom halves off, per flush.
 */
static noinline int egress_run_each(const struct bpf_prog *prog,
				    struct xdp_frame **frames, int n,
				    struct xdp_frame **passed,
				    struct xdp_frame **dropped,
				    struct net_device *tx,
				    struct stats_cpu *stats)
{
	struct xdp_frame **pass = passed, *frame;
	int i;

	for (i = 0; i < n; i++) {
		frame = frames[i];
		if (rmap_egress_run(prog, &frame, 1, pass, dropped, tx,
				    frame->dev_rx, stats))
			pass++;
		else if (dropped)
			dropped++;
	}
	return pass - passed;
}

/*
 * Copy the bounds of the data, which a program may have moved, to the frame.
 * Most programs do not move them, and then nothing is written. Runs in NAPI,
 * bottom halves off, per frame.
 */
static __always_inline int egress_update_frame(struct xdp_buff *xdp,
					       struct xdp_frame *frame)
{
	if (likely(xdp->data == frame->data &&
		   xdp->data_end == frame->data + frame->len &&
		   xdp->data_meta == xdp->data && !frame->metasize &&
		   !xdp_frame_has_frags(frame)))
		return 0;
	return xdp_update_frame_from_buff(xdp, frame);
}

/**
 * rmap_egress_run() - run a program on frames
 * @prog: the program
 * @frames: the frames
 * @n: number of frames
 * @passed: gets the frames that the program passes, in their order
 * @dropped: gets the other frames, for the caller to free, and may be @frames;
 *	if NULL, this function frees them
 * @tx: the egress device
 * @rx: the ingress; NULL when dev_rx of each frame is valid instead
 * @stats: this CPU's counters, for the frames that the program drops
 *
 * Runs in NAPI, bottom halves off, per flush.
 *
 * Return: number of frames that the program passes.
 */
int rmap_egress_run(const struct bpf_prog *prog, struct xdp_frame **frames,
		    int n, struct xdp_frame **passed,
		    struct xdp_frame **dropped, struct net_device *tx,
		    struct net_device *rx, struct stats_cpu *stats)
{
	struct xdp_frame **f, **end = frames + n, **pass = passed, *frame;
	struct xdp_txq_info txq = { .dev = tx };
	struct xdp_rxq_info rxq = { .dev = rx };
	struct xdp_buff xdp __uninitialized;
	u32 act, drops, failed = 0;

	if (unlikely(!rx))
		return egress_run_each(prog, frames, n, passed, dropped, tx,
				       stats);

	xdp.txq = &txq;
	xdp.rxq = &rxq;
	for (f = frames; f != end; f++) {
		frame = *f;
		xdp_convert_frame_to_buff(frame, &xdp);
		/* bpf_xdp_adjust_tail() frees fragments by rxq.mem. */
		if (unlikely(xdp_frame_has_frags(frame)))
			compat_copy_mem(&rxq, frame);

		act = bpf_prog_run_xdp(prog, &xdp);
		if (act == XDP_PASS) {
			if (likely(!egress_update_frame(&xdp, frame))) {
				*pass++ = frame;
				continue;
			}
			rmap_stats_drop(stats, tx, REDIRMAP_DROP_NO_HEADROOM,
					1);
			failed++;
		} else if (unlikely(act != XDP_DROP)) {
			egress_failed(prog, tx, act, stats);
			failed++;
		}
		if (unlikely(dropped))
			*dropped++ = frame;
		else
			xdp_return_frame_rx_napi(frame);
	}
	drops = n - (pass - passed) - failed;
	if (drops)
		rmap_stats_drop(stats, tx, REDIRMAP_DROP_PROG_DROP, drops);
	return pass - passed;
}

/*
 * bpf_xdp_adjust_tail() frees the pages of fragments by the memory model of the
 * receive queue. The fragments of a packet may have another model, so give the
 * program a copy of the queue with the model of the packet. Runs in the receive
 * path, bottom halves off, per packet with fragments.
 */
static void egress_own_frags(struct xdp_buff *xdp, struct xdp_rxq_info *own,
			     const struct sk_buff *skb)
{
	*own = *xdp->rxq;
	own->mem.type = skb->pp_recycle ? MEM_TYPE_PAGE_POOL :
					  MEM_TYPE_PAGE_SHARED;
	xdp->rxq = own;
}

/*
 * Run a program, and count a packet that it does not pass. Runs in the receive
 * path, bottom halves off, per packet.
 */
static bool egress_passes(const struct bpf_prog *prog, struct xdp_buff *xdp,
			  struct stats_cpu *stats)
{
	const struct net_device *tx = xdp->txq->dev;
	u32 act = bpf_prog_run_xdp(prog, xdp);

	if (likely(act == XDP_PASS))
		return true;
	if (act == XDP_DROP)
		rmap_stats_drop(stats, tx, REDIRMAP_DROP_PROG_DROP, 1);
	else
		egress_failed(prog, tx, act, stats);
	return false;
}

/* Copy the bounds of the data, which the program may have moved, to the skb. */
static void egress_update_skb(struct sk_buff *skb, const struct xdp_buff *xdp)
{
	int off, meta;

	off = xdp->data - (void *)skb->data;
	if (off) {
		if (off > 0)
			__skb_pull(skb, off);
		else
			__skb_push(skb, -off);
		skb->mac_header += off;
		skb_set_network_header(skb, skb->mac_len);
	}

	/* The linear part; the fragments' length is added below. */
	skb->len = xdp->data_end - xdp->data;
	skb_set_tail_pointer(skb, skb->len);

	/* Helpers have updated nr_frags, but not data_len. */
	skb->data_len = xdp_buff_has_frags((struct xdp_buff *)xdp) ?
			skb_shinfo(skb)->xdp_frags_size : 0;
	skb->len += skb->data_len;

	meta = xdp->data - xdp->data_meta;
	if (meta)
		skb_metadata_set(skb, meta);
}

/**
 * rmap_egress_run_skb() - run a program on a packet
 * @prog: the program
 * @skb: the packet, data at the MAC header; no clone shares the data
 * @tx: the egress device
 * @rxq: the receive queue of the packet; NULL when unknown
 * @stats: this CPU's counters, for a packet that the program drops
 *
 * The helpers of a program work in the namespace of the packet's ingress. So a
 * program does not run on a packet whose ingress is unknown: the packet counts
 * as one that the program has aborted.
 *
 * Runs in the receive path (generic XDP), bottom halves off, per packet.
 *
 * Return: true when the program passes the packet; otherwise the caller frees
 * it.
 */
bool rmap_egress_run_skb(const struct bpf_prog *prog, struct sk_buff *skb,
			 struct net_device *tx, struct xdp_rxq_info *rxq,
			 struct stats_cpu *stats)
{
	struct xdp_txq_info txq = { .dev = tx };
	bool to_host, to_many, passes;
	const struct ethhdr *eth;
	struct xdp_rxq_info own;
	struct net_device *rx;
	struct xdp_buff xdp;
	__be16 proto;

	if (unlikely(!rxq)) {
		egress_failed(prog, tx, XDP_ABORTED, stats);
		return false;
	}

	rcu_read_lock();
	rx = rxq->dev;

	xdp_init_buff(&xdp, skb_end_offset(skb) +
			    SKB_DATA_ALIGN(sizeof(struct skb_shared_info)),
		      rxq);
	xdp_prepare_buff(&xdp, skb->head, skb_headroom(skb), skb_headlen(skb),
			 true);
	xdp.txq = &txq;
	if (skb_is_nonlinear(skb)) {
		skb_shinfo(skb)->xdp_frags_size = skb->data_len;
		xdp_buff_set_frags_flag(&xdp);
		egress_own_frags(&xdp, &own, skb);
	}

	eth = xdp.data;
	proto = eth->h_proto;
	to_host = ether_addr_equal_64bits(eth->h_dest, rx->dev_addr);
	to_many = is_multicast_ether_addr_64bits(eth->h_dest);

	passes = egress_passes(prog, &xdp, stats);
	if (!passes)
		goto unlock;
	egress_update_skb(skb, &xdp);

	/* pkt_type and protocol depend on the header. */
	eth = xdp.data;
	if (proto != eth->h_proto ||
	    to_host != ether_addr_equal_64bits(eth->h_dest, rx->dev_addr) ||
	    to_many != is_multicast_ether_addr_64bits(eth->h_dest)) {
		skb->pkt_type = PACKET_HOST;
		skb->protocol = eth_type_trans(skb, rx);
		__skb_push(skb, ETH_HLEN);
	}
unlock:
	rcu_read_unlock();
	return passes;
}
