// SPDX-License-Identifier: GPL-2.0-only
/* Programs for sock_uncounted.py, which redirect to key 5. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} rm_map SEC(".maps"), st_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} jumps SEC(".maps");

static __noinline int redirect(struct sk_msg_md *msg)
{
	bpf_msg_redirect_map(msg, &rm_map, 5, 0);
	return SK_PASS;
}

/* In a function of its own */
SEC("sk_msg")
int msg_func(struct sk_msg_md *msg)
{
	return redirect(msg);
}

SEC("sk_msg")
int msg_stock(struct sk_msg_md *msg)
{
	bpf_msg_redirect_map(msg, &st_map, 5, 0);
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int skb_stock(struct __sk_buff *skb)
{
	bpf_sk_redirect_map(skb, &st_map, 5, 0);
	return SK_PASS;
}

SEC("sk_msg")
int msg_jump(struct sk_msg_md *msg)
{
	bpf_tail_call(msg, &jumps, 0);
	return SK_PASS;
}

/* A function that another program can replace */
__noinline int replaced(struct sk_msg_md *msg)
{
	if (!msg)
		return SK_DROP;
	bpf_msg_redirect_map(msg, &st_map, 5, 0);
	return SK_PASS;
}

SEC("sk_msg")
int msg_replaced(struct sk_msg_md *msg)
{
	return replaced(msg);
}

char _license[] SEC("license") = "GPL";
