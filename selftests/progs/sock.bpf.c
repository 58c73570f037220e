// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for the tests of socket maps. A test gives them its own array and
 * hash, both stock or both claimed, the key and flags of the next redirects,
 * and a verdict to return instead of the helper's verdict.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(socks, SOCKMAP, 8);
SOCK_MAP(hash, SOCKHASH, 8);

/* The map of the sockets that programs insert. */
SOCK_MAP(from, SOCKMAP, 8);

/* As in socklib.h. */
#define SOCK_SIZES 8

struct sock_vars {
	__u32 key;	/* of the next redirects and updates */
	__u32 port;	/* insert connected sockets with this local port */
	__u64 flags;
	__u64 calls;	/* redirects */
	__u64 passed;	/* those that the helper has accepted */
	__s64 result;	/* of the last update or delete */
	__u64 always;	/* 1 + a verdict that is returned for all; 0 for none */
	__u32 other;	/* the key of every second redirect; 0 for none */
	__u32 apply;	/* bytes of a message that a verdict holds for; 0: all */
	__u32 cork;	/* bytes of a message that wait for each other */
	__u32 parsed;	/* the length of messages, for parser_fixed */
	__u32 sizes[SOCK_SIZES];	/* of the first messages or packets */
} vars;

static __u32 next_key(void)
{
	return vars.other && vars.calls & 1 ? vars.other : vars.key;
}

static void measured(__u32 size)
{
	__u64 n = vars.calls;

	if (n < SOCK_SIZES)
		vars.sizes[n] = size;
}

static int counted(long verdict)
{
	vars.calls++;
	vars.passed += verdict == SK_PASS;
	return vars.always ? vars.always - 1 : verdict;
}

static void shape(struct sk_msg_md *msg)
{
	measured(msg->size);
	if (vars.apply)
		bpf_msg_apply_bytes(msg, vars.apply);
	if (vars.cork)
		bpf_msg_cork_bytes(msg, vars.cork);
}

SEC("sk_msg")
int msg_array(struct sk_msg_md *msg)
{
	shape(msg);
	return counted(bpf_msg_redirect_map(msg, &socks, next_key(), vars.flags));
}

SEC("sk_msg")
int msg_hash(struct sk_msg_md *msg)
{
	__u32 k = next_key();

	shape(msg);
	return counted(bpf_msg_redirect_hash(msg, &hash, &k, vars.flags));
}

SEC("sk_skb/stream_verdict")
int skb_array(struct __sk_buff *skb)
{
	measured(skb->len);
	return counted(bpf_sk_redirect_map(skb, &socks, next_key(), vars.flags));
}

SEC("sk_skb/stream_verdict")
int skb_hash(struct __sk_buff *skb)
{
	__u32 k = next_key();

	measured(skb->len);
	return counted(bpf_sk_redirect_hash(skb, &hash, &k, vars.flags));
}

/* A proxy of the sockets at keys 0 and 1; that at key 0 has the port. */

SEC("sk_skb/stream_verdict")
int proxy_array(struct __sk_buff *skb)
{
	return counted(bpf_sk_redirect_map(skb, &socks, skb->local_port == vars.port, vars.flags));
}

SEC("sk_skb/stream_verdict")
int proxy_hash(struct __sk_buff *skb)
{
	__u32 k = skb->local_port == vars.port;

	return counted(bpf_sk_redirect_hash(skb, &hash, &k, vars.flags));
}

SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("sk_skb/stream_parser")
int parser_fixed(struct __sk_buff *skb)
{
	return vars.parsed;
}

/* Newer kernels do not attach a parser that changes packets. */
SEC("sk_skb/stream_parser")
int parser_changes(struct __sk_buff *skb)
{
	char *data;

	vars.result = bpf_skb_pull_data(skb, skb->len);
	data = (char *)(long)skb->data;
	if (data + 1 <= (char *)(long)skb->data_end)
		*data = 'X';
	return skb->len;
}

static int established(struct bpf_sock_ops *ops)
{
	return (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
		ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) &&
	       ops->local_port == vars.port;
}

SEC("sockops")
int ops_array(struct bpf_sock_ops *ops)
{
	__u32 k = vars.key;

	if (established(ops))
		vars.result = bpf_sock_map_update(ops, &socks, &k, vars.flags);
	return 0;
}

SEC("sockops")
int ops_hash(struct bpf_sock_ops *ops)
{
	__u32 k = vars.key;

	if (established(ops))
		vars.result = bpf_sock_hash_update(ops, &hash, &k, vars.flags);
	return 0;
}

/* Newer kernels let few other types of programs update a socket map. */

SEC("sk_lookup")
int update_array(struct bpf_sk_lookup *ctx)
{
	__u32 k = vars.key, zero = 0;
	struct bpf_sock *sk;

	sk = bpf_map_lookup_elem(&from, &zero);
	if (!sk)
		return SK_PASS;
	vars.result = bpf_map_update_elem(&socks, &k, sk, vars.flags);
	bpf_sk_release(sk);
	return SK_PASS;
}

SEC("sk_lookup")
int update_hash(struct bpf_sk_lookup *ctx)
{
	__u32 k = vars.key, zero = 0;
	struct bpf_sock *sk;

	sk = bpf_map_lookup_elem(&from, &zero);
	if (!sk)
		return SK_PASS;
	vars.result = bpf_map_update_elem(&hash, &k, sk, vars.flags);
	bpf_sk_release(sk);
	return SK_PASS;
}

SEC("sk_lookup")
int delete_array(struct bpf_sk_lookup *ctx)
{
	__u32 k = vars.key;

	vars.result = bpf_map_delete_elem(&socks, &k);
	return SK_PASS;
}

SEC("sk_lookup")
int delete_hash(struct bpf_sk_lookup *ctx)
{
	__u32 k = vars.key;

	vars.result = bpf_map_delete_elem(&hash, &k);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
