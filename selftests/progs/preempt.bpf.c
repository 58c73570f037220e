// SPDX-License-Identifier: GPL-2.0-only
/* Programs for dev_preempt.c: to one target, and to all. */
#include "netlib.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 8);
} targets SEC(".maps");

SEC("xdp")
int unicast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, next_key(), 0);
}

SEC("xdp")
int broadcast(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, 0, BPF_F_BROADCAST);
}
