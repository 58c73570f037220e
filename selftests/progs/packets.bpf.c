// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_packets*.c: a sender that redirects through the map
 * "targets", and programs of its entries.
 */
#include "sinklib.bpf.h"

struct devmap8 targets SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	return bpf_redirect_map(&targets, next_key(), flags);
}

SEC("xdp/devmap")
int pass_on(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* Drops frames with an even number. */
SEC("xdp/devmap")
int odd(struct xdp_md *ctx)
{
	__u32 *nr = number_of(ctx);

	return nr && *nr & 1 ? XDP_PASS : XDP_DROP;
}
