// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_soak.py: they redirect between the sockets of a flow, which
 * a map of routes names by the local port.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

/* As in flowlib.py. */
#define ENTRIES 64

/* Both ends of connections; messages go directly to the other end. */
SOCK_MAP(rm_local, SOCKHASH, ENTRIES);

/* Both sockets of proxies; what one of them receives, the other one sends. */
SOCK_MAP(rm_proxy, SOCKMAP, ENTRIES);

/* The same, with a stream parser. */
SOCK_MAP(rm_parsed, SOCKHASH, ENTRIES);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4 * ENTRIES);
} routes SEC(".maps");

/* Redirects, and those that the helper has accepted, by map. */
enum {
	LOCAL_CALLS, LOCAL_PASSED, PROXY_CALLS, PROXY_PASSED, PARSED_CALLS, PARSED_PASSED, COUNTS
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, COUNTS);
} counts SEC(".maps");

static void count(__u32 what)
{
	__u64 *sum = bpf_map_lookup_elem(&counts, &what);

	if (sum)
		__sync_fetch_and_add(sum, 1);
}

SEC("sk_msg")
int local(struct sk_msg_md *msg)
{
	__u32 port = msg->local_port, key, *route;
	long verdict;

	route = bpf_map_lookup_elem(&routes, &port);
	if (!route)
		return SK_PASS;
	key = *route;
	verdict = bpf_msg_redirect_hash(msg, &rm_local, &key, BPF_F_INGRESS);
	count(LOCAL_CALLS);
	if (verdict == SK_PASS)
		count(LOCAL_PASSED);
	return verdict;
}

SEC("sk_skb/stream_verdict")
int proxy(struct __sk_buff *skb)
{
	__u32 port = skb->local_port, *route;
	long verdict;

	route = bpf_map_lookup_elem(&routes, &port);
	if (!route)
		return SK_PASS;
	verdict = bpf_sk_redirect_map(skb, &rm_proxy, *route, 0);
	count(PROXY_CALLS);
	if (verdict == SK_PASS)
		count(PROXY_PASSED);
	return verdict;
}

SEC("sk_skb/stream_verdict")
int parsed(struct __sk_buff *skb)
{
	__u32 port = skb->local_port, key, *route;
	long verdict;

	route = bpf_map_lookup_elem(&routes, &port);
	if (!route)
		return SK_PASS;
	key = *route;
	verdict = bpf_sk_redirect_hash(skb, &rm_parsed, &key, 0);
	count(PARSED_CALLS);
	if (verdict == SK_PASS)
		count(PARSED_PASSED);
	return verdict;
}

/* Each packet is a message. */
SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *skb)
{
	return skb->len;
}

char _license[] SEC("license") = "GPL";
