// SPDX-License-Identifier: GPL-2.0-only
/* A program for sock_programs.c: it finds its socket maps in an outer map. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 2);
} outer SEC(".maps");

SEC("sk_msg")
int msg(struct sk_msg_md *ctx)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&outer, &zero);

	return inner ? bpf_msg_redirect_map(ctx, inner, 1, BPF_F_INGRESS) : SK_DROP;
}

char _license[] SEC("license") = "GPL";
