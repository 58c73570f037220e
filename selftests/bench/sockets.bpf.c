// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of sockets for the benchmark. They redirect to key 0 of the map
 * "socks", which bench replaces by a stock or by a claimed map.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 1);
} socks SEC(".maps");

SEC("sk_msg")
int msg_ingress(struct sk_msg_md *msg)
{
	return bpf_msg_redirect_map(msg, &socks, 0, BPF_F_INGRESS);
}

SEC("sk_msg")
int msg_egress(struct sk_msg_md *msg)
{
	return bpf_msg_redirect_map(msg, &socks, 0, 0);
}

SEC("sk_skb/stream_verdict")
int skb_ingress(struct __sk_buff *skb)
{
	return bpf_sk_redirect_map(skb, &socks, 0, BPF_F_INGRESS);
}

SEC("sk_skb/stream_verdict")
int skb_egress(struct __sk_buff *skb)
{
	return bpf_sk_redirect_map(skb, &socks, 0, 0);
}

char LICENSE[] SEC("license") = "GPL";
