// SPDX-License-Identifier: GPL-2.0-only
/*
 * For memlib.py: the per-CPU memory that was allocated and not freed, and the
 * callers that have allocated it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, __u64);
	__type(value, __u64);
} percpu SEC(".maps");

SEC("raw_tp/percpu_alloc_percpu")
int on_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 call_site = ctx->args[0], ptr = ctx->args[7];

	bpf_map_update_elem(&percpu, &ptr, &call_site, BPF_ANY);
	return 0;
}

SEC("raw_tp/percpu_free_percpu")
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 ptr = ctx->args[2];

	bpf_map_delete_elem(&percpu, &ptr);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
