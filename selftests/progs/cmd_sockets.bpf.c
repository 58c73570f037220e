// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for cmd_sockets.py. The first two bytes of a message or packet are
 * an operation and its number.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 16);
} rm_map SEC(".maps"), rm_more SEC(".maps"), st_map SEC(".maps");

/* With values of 4 bytes, bpf(2) returns no cookies. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(key_size, 6);
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 16);
} rm_hash SEC(".maps");

/* A: apply the verdict to bytes; C: cork bytes; I: redirect to a key. */
SEC("sk_msg")
int msg_act(struct sk_msg_md *msg)
{
	__u8 *data = msg->data;

	if ((void *)(data + 2) > msg->data_end)
		return SK_PASS;
	switch (data[0]) {
	case 'A':
		bpf_msg_apply_bytes(msg, data[1]);
		break;
	case 'C':
		bpf_msg_cork_bytes(msg, data[1]);
		break;
	case 'I':
		return bpf_msg_redirect_map(msg, &rm_map, data[1],
					    BPF_F_INGRESS);
	}
	return SK_PASS;
}

SEC("sk_msg")
int msg_pass(struct sk_msg_md *msg)
{
	return SK_PASS;
}

/* I: redirect to a key; E: without BPF_F_INGRESS. */
SEC("sk_skb/stream_verdict")
int skb_act(struct __sk_buff *skb)
{
	__u8 data[2];

	if (bpf_skb_load_bytes(skb, 0, data, sizeof(data)))
		return SK_PASS;
	if (data[0] == 'I' || data[0] == 'E')
		return bpf_sk_redirect_map(skb, &rm_map, data[1],
					   data[0] == 'I' ? BPF_F_INGRESS : 0);
	return SK_PASS;
}

SEC("sk_skb/stream_parser")
int parse(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("sk_skb")
int skb_pass(struct __sk_buff *skb)
{
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
