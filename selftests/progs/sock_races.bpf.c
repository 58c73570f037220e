// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_races.c: redirects to random keys, in random directions,
 * and an iterator. The test gives them its maps.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* As in socktask.h. */
#define KEYS 4

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 8);
} hash SEC(".maps");

/* As in socktask.h. */
struct calls {
	__u64 all;
	__u64 accepted;
} calls;

static int counted(long verdict)
{
	__sync_fetch_and_add(&calls.all, 1);
	if (verdict == SK_PASS)
		__sync_fetch_and_add(&calls.accepted, 1);
	return verdict;
}

/*
 * A message goes on if the redirect was refused: the kernel refuses all later
 * messages of a socket if a program drops one.
 */

SEC("sk_msg")
int msg_array(struct sk_msg_md *msg)
{
	__u32 dice = bpf_get_prandom_u32();

	counted(bpf_msg_redirect_map(msg, &array, dice % KEYS, dice >> 31));
	return SK_PASS;
}

SEC("sk_msg")
int msg_hash(struct sk_msg_md *msg)
{
	__u32 dice = bpf_get_prandom_u32(), key = dice % KEYS;

	counted(bpf_msg_redirect_hash(msg, &hash, &key, dice >> 31));
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int skb_array(struct __sk_buff *skb)
{
	__u32 dice = bpf_get_prandom_u32();

	return counted(bpf_sk_redirect_map(skb, &array, dice % KEYS, dice >> 31));
}

SEC("sk_skb/stream_verdict")
int skb_hash(struct __sk_buff *skb)
{
	__u32 dice = bpf_get_prandom_u32(), key = dice % KEYS;

	return counted(bpf_sk_redirect_hash(skb, &hash, &key, dice >> 31));
}

SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *skb)
{
	return skb->len;
}

/* The types of the kernel, with the members that are used here. */
struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__sockmap {
	struct bpf_iter_meta *meta;
	void *key;
	struct sock *sk;
} __attribute__((preserve_access_index));

/* Prints the key of each entry that has a socket. */
SEC("iter/sockmap")
int iterate(struct bpf_iter__sockmap *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	void *key = ctx->key;

	if (key && ctx->sk)
		bpf_seq_write(seq, key, sizeof(__u32));
	return 0;
}

char _license[] SEC("license") = "GPL";
