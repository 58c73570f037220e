// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_tracers.sh: for each map a program that redirects to key 1, one that
 * broadcasts, and an egress program.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define DEVMAP(name, map_type)						\
struct {								\
	__uint(type, map_type);						\
	__uint(max_entries, 8);						\
	__type(key, __u32);						\
	__type(value, struct bpf_devmap_val);				\
} name SEC(".maps");							\
									\
SEC("xdp")								\
int to_##name(struct xdp_md *ctx)					\
{									\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
SEC("xdp")								\
int all_##name(struct xdp_md *ctx)					\
{									\
	return bpf_redirect_map(&name, 0, BPF_F_BROADCAST);		\
}

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
