// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data path of a TCP proxy (demo_proxy.py), which serves one client at a
 * time. Both sockets of the proxy, to its client and to its server, are in a
 * map; what one of them receives, the other one sends. The programs do not
 * depend on redirmap.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* As in demo_proxy.py. */
#define SERVER_PORT 7000
#define PROXY_PORT 7001

/* Keys of the proxy's socket to its client, and of that to its server. */
enum { CLIENT, SERVER, SIDES };

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, SIDES);
	__type(key, __u32);
	__type(value, __u64);
} proxy_socks SEC(".maps");

/* Connections insert themselves, before the first byte arrives. */
SEC("sockops")
int proxy_insert(struct bpf_sock_ops *ops)
{
	__u32 client = CLIENT, server = SERVER;

	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	    ops->local_port == PROXY_PORT)
		bpf_sock_map_update(ops, &proxy_socks, &client, BPF_ANY);
	else if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
		 ops->remote_port == bpf_htonl(SERVER_PORT))
		bpf_sock_map_update(ops, &proxy_socks, &server, BPF_ANY);
	return 0;
}

SEC("sk_skb/stream_verdict")
int proxy_forward(struct __sk_buff *skb)
{
	__u32 to = skb->local_port == PROXY_PORT ? SERVER : CLIENT;

	return bpf_sk_redirect_map(skb, &proxy_socks, to, 0);
}

char _license[] SEC("license") = "GPL";
