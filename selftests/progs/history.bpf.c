// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_history*.c: a sender that waits in the middle of a poll,
 * with frames queued, until the test lets it continue; and counts of the frames
 * that are not received.
 */
#include "netlib.bpf.h"

struct devmap8 targets SEC(".maps");
struct outer outer SEC(".maps");

/* The sender waits before this frame; the first frame is 1. */
__u64 wait_before;
__u64 waiting;
__u64 go_on;
__u64 waited_in_vain;

/* Frames without an entry, and frames that the device did not get or take. */
__u64 not_found;
__u64 dropped;

static int may_go_on(__u32 i, void *ctx)
{
	return *(volatile __u64 *)&go_on != 0;
}

static __always_inline void wait(void)
{
	int i;

	waiting = 1;
	/* some seconds, as long as a program may take */
	for (i = 0; i < 32 && !*(volatile __u64 *)&go_on; i++)
		bpf_loop(1 << 23, may_go_on, NULL, 0);
	if (!*(volatile __u64 *)&go_on)
		waited_in_vain = 1;
}

static __always_inline int sent_by(void *map, __u32 key)
{
	int action = bpf_redirect_map(map, key, XDP_DROP);

	if (action != XDP_REDIRECT)
		__sync_fetch_and_add(&not_found, 1);
	return action;
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	__u64 key;

	if (!is_ours(ctx))
		return XDP_PASS;
	key = next_key();
	if (wait_before && seen == wait_before)
		wait();
	return sent_by(&targets, key);
}

SEC("xdp")
int redirect_by_inner(struct xdp_md *ctx)
{
	__u32 key;
	void *inner;

	if (!is_ours(ctx))
		return XDP_PASS;
	key = next_key();
	if (wait_before && seen == wait_before)
		wait();
	inner = bpf_map_lookup_elem(&outer, &key);
	if (inner)
		return sent_by(inner, 0);
	__sync_fetch_and_add(&not_found, 1);
	return XDP_DROP;
}

/* Do programs find the inner map? */
SEC("xdp")
int has_inner(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&outer, &key) ? XDP_PASS : XDP_DROP;
}

SEC("tp_btf/xdp_devmap_xmit")
int on_xmit(__u64 *ctx)
{
	__sync_fetch_and_add(&dropped, (int)ctx[3]);
	return 0;
}

SEC("tp_btf/xdp_redirect_err")
int on_redirect_err(__u64 *ctx)
{
	__sync_fetch_and_add(&dropped, 1);
	return 0;
}
