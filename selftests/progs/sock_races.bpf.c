// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_races.c: redirects to random keys, in random directions, an
 * insert, and an iterator. The test gives them its maps. A further program
 * counts the work items that the module queues for early data.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

/* As in socktask.h. */
#define KEYS 4

SOCK_MAP(array, SOCKMAP, 8);
SOCK_MAP(hash, SOCKHASH, 8);

/* The addresses of the sockets, as in packets for them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct bpf_sock_tuple);
	__uint(max_entries, KEYS);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} works SEC(".maps");

/* As in socktask.h. */
enum family { TCP, TCP6, UNIX, UDP };

#define NO_SOCKET 1

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

/*
 * Inserts a socket, and returns the result. Unix sockets have no such address,
 * so instead of one the program takes the socket at its key, if there is one.
 */
static __always_inline int insert(struct __sk_buff *skb, void *map)
{
	__u32 sock = skb->cb[0], key = skb->cb[1], flags = skb->cb[2];
	struct bpf_sock_tuple *known, tuple;
	struct bpf_sock *sk;
	int err;

	known = bpf_map_lookup_elem(&addresses, &sock);
	if (!known)
		return NO_SOCKET;
	tuple = *known;
	if (sock == TCP)
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else if (sock == TCP6)
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else if (sock == UDP)
		sk = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_map_lookup_elem(map, &sock);
	if (!sk)
		return NO_SOCKET;
	err = bpf_map_update_elem(map, &key, sk, flags);
	bpf_sk_release(sk);
	return err;
}

SEC("tc")
int insert_array(struct __sk_buff *skb)
{
	return insert(skb, &array);
}

SEC("tc")
int insert_hash(struct __sk_buff *skb)
{
	return insert(skb, &hash);
}

/* A work item for early data, which a program's insert has queued. */
SEC("kprobe/early_work")
int count_work(void *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&works, &zero);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
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
