// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of sock_integrity*: a map of routes tells, for each connection, to
 * which socket its messages and its packets are redirected. Messages can be
 * changed before.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

/* The test gives both maps its own number of entries. */
SOCK_MAP(socks, SOCKMAP, 1);
SOCK_MAP(hash, SOCKHASH, 1);

/* As in sockroute.h. */
#define NO_ROUTE -1U
#define PUSH_MAX 64

struct route {
	__u32 msg_key, msg_flags;
	__u32 skb_key, skb_flags;
};

/* By the ports of a socket, because all addresses are the same. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct route);
	__uint(max_entries, 8192);
} routes SEC(".maps");

struct route_vars {
	__u64 msgs, skbs;	/* accepted redirects */
	__u64 refused;
	__u32 ends;		/* also redirect the end of a connection */
	__u32 cork;		/* bytes that wait for each other */
	/* How messages are changed, in this order; a length of 0: not. */
	__u32 pull, pull_len;
	__u32 push, push_len;
	__u32 pop, pop_len;
	/* What the helpers have returned. */
	__s32 pulled, pushed, popped;
} vars;

static struct route *find(__u32 local_port, __u32 remote_port)
{
	__u32 key = local_port << 16 | bpf_ntohl(remote_port);

	return bpf_map_lookup_elem(&routes, &key);
}

static int counted(__u64 *accepted, long verdict)
{
	if (verdict == SK_PASS)
		__sync_fetch_and_add(accepted, 1);
	else
		__sync_fetch_and_add(&vars.refused, 1);
	return verdict;
}

/* Pushed bytes have the content of the kernel's memory. */
static void fill(struct sk_msg_md *msg)
{
	char *data, *end;
	int i;

	if (bpf_msg_pull_data(msg, vars.push, vars.push + vars.push_len, 0))
		return;
	data = msg->data;
	end = msg->data_end;
	for (i = 0; i < PUSH_MAX; i++) {
		if (i >= vars.push_len || data + i + 1 > end)
			break;
		data[i] = 'a' + i % 26;
	}
}

static void change(struct sk_msg_md *msg)
{
	char *data;

	if (vars.pull_len) {
		vars.pulled = bpf_msg_pull_data(msg, vars.pull, vars.pull + vars.pull_len, 0);
		data = msg->data;
		if (!vars.pulled && data + 1 <= (char *)msg->data_end)
			*data = '*';
	}
	if (vars.push_len) {
		vars.pushed = bpf_msg_push_data(msg, vars.push, vars.push_len, 0);
		if (!vars.pushed)
			fill(msg);
	}
	if (vars.pop_len)
		vars.popped = bpf_msg_pop_data(msg, vars.pop, vars.pop_len, 0);
}

/*
 * Does the message wait for more bytes? At the end the cork is removed: a
 * message that becomes shorter than its cork would wait again.
 */
static int waits(struct sk_msg_md *msg)
{
	int more = msg->size < vars.cork;

	bpf_msg_cork_bytes(msg, more ? vars.cork : 0);
	return more;
}

SEC("sk_msg")
int msg_array(struct sk_msg_md *msg)
{
	struct route *route = find(msg->local_port, msg->remote_port);

	if (!route || route->msg_flags == NO_ROUTE || waits(msg))
		return SK_PASS;
	change(msg);
	return counted(&vars.msgs, bpf_msg_redirect_map(msg, &socks, route->msg_key,
							route->msg_flags));
}

SEC("sk_msg")
int msg_hash(struct sk_msg_md *msg)
{
	struct route *route = find(msg->local_port, msg->remote_port);
	__u32 key;

	if (!route || route->msg_flags == NO_ROUTE || waits(msg))
		return SK_PASS;
	change(msg);
	key = route->msg_key;
	return counted(&vars.msgs, bpf_msg_redirect_hash(msg, &hash, &key, route->msg_flags));
}

/* The end of a connection is a packet without bytes. */
static int stays(struct __sk_buff *skb, const struct route *route)
{
	return !route || route->skb_flags == NO_ROUTE || (!skb->len && !vars.ends);
}

SEC("sk_skb/stream_verdict")
int skb_array(struct __sk_buff *skb)
{
	struct route *route = find(skb->local_port, skb->remote_port);

	if (!route || stays(skb, route))
		return SK_PASS;
	return counted(&vars.skbs, bpf_sk_redirect_map(skb, &socks, route->skb_key,
						       route->skb_flags));
}

SEC("sk_skb/stream_verdict")
int skb_hash(struct __sk_buff *skb)
{
	struct route *route = find(skb->local_port, skb->remote_port);
	__u32 key;

	if (!route || stays(skb, route))
		return SK_PASS;
	key = route->skb_key;
	return counted(&vars.skbs, bpf_sk_redirect_hash(skb, &hash, &key, route->skb_flags));
}

char _license[] SEC("license") = "GPL";
