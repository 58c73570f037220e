// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_counters.py. The first two bytes of a message are the key
 * and the flags of its redirect. A refused message goes to its original
 * receiver.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} rm_map SEC(".maps"), st_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} rm_hash SEC(".maps"), st_hash SEC(".maps");

/* The key and the flags of a message; false if it is too short. */
static bool read_msg(struct sk_msg_md *msg, __u32 *key, __u64 *flags)
{
	__u8 *data = msg->data;

	if ((void *)(data + 2) > msg->data_end)
		return false;
	*key = data[0];
	*flags = data[1];
	return true;
}

static bool read_skb(struct __sk_buff *skb, __u32 *key, __u64 *flags)
{
	__u8 data[2];

	if (bpf_skb_load_bytes(skb, 0, data, sizeof(data)))
		return false;
	*key = data[0];
	*flags = data[1];
	return true;
}

SEC("sk_msg")
int msg_map(struct sk_msg_md *msg)
{
	__u64 flags;
	__u32 key;

	if (read_msg(msg, &key, &flags))
		bpf_msg_redirect_map(msg, &rm_map, key, flags);
	return SK_PASS;
}

SEC("sk_msg")
int msg_hash(struct sk_msg_md *msg)
{
	__u64 flags;
	__u32 key;

	if (read_msg(msg, &key, &flags))
		bpf_msg_redirect_hash(msg, &rm_hash, &key, flags);
	return SK_PASS;
}

SEC("sk_msg")
int msg_st_map(struct sk_msg_md *msg)
{
	__u64 flags;
	__u32 key;

	if (read_msg(msg, &key, &flags))
		bpf_msg_redirect_map(msg, &st_map, key, flags);
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int skb_map(struct __sk_buff *skb)
{
	__u64 flags;
	__u32 key;

	if (read_skb(skb, &key, &flags))
		bpf_sk_redirect_map(skb, &rm_map, key, flags);
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int skb_hash(struct __sk_buff *skb)
{
	__u64 flags;
	__u32 key;

	if (read_skb(skb, &key, &flags))
		bpf_sk_redirect_hash(skb, &rm_hash, &key, flags);
	return SK_PASS;
}

/* Two maps in one program: only the claimed one counts. */
SEC("sk_msg")
int msg_both(struct sk_msg_md *msg)
{
	bpf_msg_redirect_map(msg, &st_map, 7, 0);
	bpf_msg_redirect_map(msg, &rm_map, 7, 0);
	return SK_PASS;
}

/* Sockets that connect insert themselves: key 6 succeeds, key 9 does not. */
SEC("sockops")
int ops_map(struct bpf_sock_ops *ops)
{
	__u32 good = 6, bad = 9;

	if (ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		return 0;
	bpf_sock_map_update(ops, &rm_map, &good, BPF_ANY);
	bpf_sock_map_update(ops, &rm_map, &bad, BPF_ANY);
	return 0;
}

char _license[] SEC("license") = "GPL";
