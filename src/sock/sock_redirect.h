/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_REDIRECT_H
#define REDIRMAP_SOCK_REDIRECT_H

#include <linux/types.h>

/* The helpers that programs call with socket maps. */
enum sock_helper {
	SOCK_HELPER_MSG_MAP,	/* bpf_msg_redirect_map() */
	SOCK_HELPER_MSG_HASH,	/* bpf_msg_redirect_hash() */
	SOCK_HELPER_SKB_MAP,	/* bpf_sk_redirect_map() */
	SOCK_HELPER_SKB_HASH,	/* bpf_sk_redirect_hash() */
	SOCK_HELPER_OPS_MAP,	/* bpf_sock_map_update() */
	SOCK_HELPER_OPS_HASH,	/* bpf_sock_hash_update() */
	SOCK_HELPERS,
};

/* As bpf_func_proto.func. */
typedef u64 (*sock_helper_fn)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);

/* The module's helpers. */
extern const sock_helper_fn rmap_sock_redirect_helpers[SOCK_HELPERS];

/*
 * The kernel's helpers, which the module's helpers call. Each one is set before
 * a program gets the helper that calls it, and does not change afterwards.
 */
extern sock_helper_fn rmap_sock_redirect_stock[SOCK_HELPERS];

#endif /* REDIRMAP_SOCK_REDIRECT_H */
