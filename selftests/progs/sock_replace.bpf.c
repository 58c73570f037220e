// SPDX-License-Identifier: GPL-2.0-only
/* A program for sock_uncounted.py: it replaces a function of another one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} rm_map SEC(".maps");

SEC("freplace/replaced")
int replacement(struct sk_msg_md *msg)
{
	if (!msg)
		return SK_DROP;
	bpf_msg_redirect_map(msg, &rm_map, 5, 0);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
