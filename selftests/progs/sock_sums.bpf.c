// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_sums.py. The first two bytes of the data are the key and
 * the flags of the redirect. What the helper refuses is dropped.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(rm_map, SOCKMAP, 8);
SOCK_MAP(rm_hash, SOCKHASH, 8);

SEC("sk_skb/stream_verdict")
int skb_map(struct __sk_buff *skb)
{
	__u8 data[2];

	if (bpf_skb_load_bytes(skb, 0, data, sizeof(data)))
		return SK_DROP;
	return bpf_sk_redirect_map(skb, &rm_map, data[0], data[1]);
}

SEC("sk_skb/stream_verdict")
int skb_hash(struct __sk_buff *skb)
{
	__u8 data[2];
	__u32 key;

	if (bpf_skb_load_bytes(skb, 0, data, sizeof(data)))
		return SK_DROP;
	key = data[0];
	return bpf_sk_redirect_hash(skb, &rm_hash, &key, data[1]);
}

SEC("sk_msg")
int msg_map(struct sk_msg_md *msg)
{
	__u8 *data = msg->data;

	if ((void *)(data + 2) > msg->data_end)
		return SK_DROP;
	return bpf_msg_redirect_map(msg, &rm_map, data[0], data[1]);
}

SEC("sk_msg")
int msg_hash(struct sk_msg_md *msg)
{
	__u8 *data = msg->data;
	__u32 key;

	if ((void *)(data + 2) > msg->data_end)
		return SK_DROP;
	key = data[0];
	return bpf_msg_redirect_hash(msg, &rm_hash, &key, data[1]);
}

char _license[] SEC("license") = "GPL";
