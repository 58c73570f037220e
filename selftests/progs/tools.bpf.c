// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_tracers.sh: for each map a program that redirects to key 1, one that
 * broadcasts, and an egress program.
 */
#include "devmap.bpf.h"

DEVMAP(rm_array, BPF_MAP_TYPE_DEVMAP)
DEVMAP(st_array, BPF_MAP_TYPE_DEVMAP)
DEVMAP(rm_hash, BPF_MAP_TYPE_DEVMAP_HASH)
DEVMAP(st_hash, BPF_MAP_TYPE_DEVMAP_HASH)

/* Passes short frames, and drops the others. */
SEC("xdp/devmap")
int short_only(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 200 ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
