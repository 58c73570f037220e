// SPDX-License-Identifier: GPL-2.0-only
/* XDP programs for dev_egress_frags.c: all of them support fragments. */
#include "netlib.bpf.h"

#define LOG_MAX 64

struct devmap8 targets SEC(".maps");

/* The lengths of frames in the egress program, and at the receiver. */
__u64 nr_runs;
__u64 run_len[LOG_MAX];
__u64 nr_sights;
struct sight {
	__u32 len, tail;
} sights[LOG_MAX];

/* Changes of the egress program: to every frame, and to every other frame. */
__s64 tail_by;
__u64 unshaped;
__u64 drop_second;

SEC("xdp.frags")
int redirect(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	return bpf_redirect_map(&targets, next_key(), flags);
}

SEC("xdp.frags/devmap")
int reshape(struct xdp_md *ctx)
{
	__u32 tail = 0x7a117a11;
	__u64 n;

	if (!is_ours(ctx))
		return XDP_PASS;
	n = __sync_fetch_and_add(&nr_runs, 1);
	if (n < LOG_MAX)
		run_len[n] = bpf_xdp_get_buff_len(ctx);
	if (tail_by && bpf_xdp_adjust_tail(ctx, tail_by))
		__sync_fetch_and_add(&unshaped, 1);
	if (bpf_xdp_store_bytes(ctx, bpf_xdp_get_buff_len(ctx) - 4, &tail, 4))
		return XDP_ABORTED;
	return n & drop_second ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int look(struct xdp_md *ctx)
{
	__u64 n;

	if (!is_ours(ctx))
		return XDP_PASS;
	n = __sync_fetch_and_add(&nr_sights, 1);
	if (n < LOG_MAX) {
		sights[n].len = bpf_xdp_get_buff_len(ctx);
		bpf_xdp_load_bytes(ctx, bpf_xdp_get_buff_len(ctx) - 4, &sights[n].tail, 4);
	}
	count(ctx);
	return XDP_DROP;
}
