/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device map of eight entries, with a program that redirects to key 1, and
 * one that broadcasts.
 */
#ifndef REDIRMAP_DEVMAP_BPF_H
#define REDIRMAP_DEVMAP_BPF_H

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

#endif
