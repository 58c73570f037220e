// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators for sock_regressions_life.c: one over the sockets of a map, one
 * over Unix sockets. They read, delete, or insert the sockets into another map.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

#define SOCK_STREAM 1

/* The members that are read; libbpf finds their places. */
#define KERNEL __attribute__((preserve_access_index))

struct sock_common {
	unsigned short skc_family;
	unsigned char skc_state;
} KERNEL;

struct sock {
	struct sock_common __sk_common;
	unsigned short sk_type;
} KERNEL;

struct unix_sock {
	struct sock sk;
} KERNEL;

struct bpf_iter__sockmap {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	struct sock *sk;
} KERNEL;

struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct unix_sock *unix_sk;
	unsigned int uid;
} KERNEL;

/* The map that the first iterator deletes from. */
SOCK_MAP(walked, SOCKHASH, 8);

/* The map that both insert into. */
SOCK_MAP(copies, SOCKHASH, 8);

/* As in sock_regressions_life.c. */
struct iterate_vars {
	__u32 deletes;
	__u32 inserts;
	__u64 seen;	/* sockets */
	__u64 states;	/* a bit for each state */
	__u64 done;	/* deletes or inserts that succeeded */
	__u64 failed;	/* and those that did not */
} vars;

static void count(long err)
{
	if (err)
		vars.failed++;
	else
		vars.done++;
}

SEC("iter/sockmap")
int walk(struct bpf_iter__sockmap *ctx)
{
	__u32 *at = ctx->key, key;
	struct sock *sk = ctx->sk;

	if (!at || !sk)
		return 0;
	key = *at;
	vars.seen++;
	vars.states |= 1ULL << (sk->__sk_common.skc_state & 63);
	if (vars.inserts)
		count(bpf_map_update_elem(&copies, &key, sk, BPF_ANY));
	if (vars.deletes)
		count(bpf_map_delete_elem(&walked, &key));
	return 0;
}

SEC("iter/unix")
int unix_sockets(struct bpf_iter__unix *ctx)
{
	struct unix_sock *sk = ctx->unix_sk;
	__u32 key = vars.seen & 7;

	if (!sk || sk->sk.sk_type != SOCK_STREAM)
		return 0;
	vars.seen++;
	vars.states |= 1ULL << (sk->sk.__sk_common.skc_state & 63);
	count(bpf_map_update_elem(&copies, &key, sk, BPF_ANY));
	return 0;
}

char _license[] SEC("license") = "GPL";
