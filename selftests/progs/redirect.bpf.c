// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_redirect*.c and dev_device_*.c: senders that redirect
 * through the map "targets", which the test replaces, and receivers that count.
 *
 * The test sets the variables here before frames run. The programs recognise
 * its frames by their source address, and pass all other frames.
 */
#include "sinklib.bpf.h"

struct devmap targets SEC(".maps");

/*
 * A second map, which dev_device_*.c use to test an array and a hash at once.
 */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 8);
} targets_too SEC(".maps");

/* The key of redirect_twice()'s second lookup, and hop()'s key. */
__u64 second_key;
__u64 hop_key;

/* All frames but each keep_every-th are shortened by so much. */
__u64 keep_every;
__u64 shorten_by;

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	return bpf_redirect_map(&targets, next_key(), flags);
}

/* Through both maps in turn. */
SEC("xdp")
int redirect_both(struct xdp_md *ctx)
{
	__u64 n, key;

	if (!is_ours(ctx))
		return XDP_PASS;
	n = __sync_fetch_and_add(&seen, 1);
	key = first_key + (nr_keys ? n / 2 % nr_keys : 0);
	return n & 1 ? bpf_redirect_map(&targets_too, key, flags) :
		       bpf_redirect_map(&targets, key, flags);
}

/* The second lookup counts, even if it fails. */
SEC("xdp")
int redirect_twice(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	bpf_redirect_map(&targets, next_key(), flags);
	return bpf_redirect_map(&targets, second_key, flags);
}

/* A lookup that is not used. */
SEC("xdp")
int redirect_unused(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	bpf_redirect_map(&targets, next_key(), flags);
	return XDP_DROP;
}

/* A redirect without a lookup. */
SEC("xdp")
int redirect_bare(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	__sync_fetch_and_add(&seen, 1);
	return XDP_REDIRECT;
}

/* A failed lookup whose result is ignored. */
SEC("xdp")
int redirect_anyway(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	bpf_redirect_map(&targets, next_key(), flags);
	return XDP_REDIRECT;
}

/* Frames of two sizes. */
SEC("xdp")
int redirect_resize(struct xdp_md *ctx)
{
	__u64 n;

	if (!is_ours(ctx))
		return XDP_PASS;
	n = __sync_fetch_and_add(&seen, 1) + 1;
	if (keep_every && n % keep_every &&
	    bpf_xdp_adjust_tail(ctx, -(int)shorten_by))
		return XDP_DROP;
	return bpf_redirect_map(&targets, first_key, flags);
}

/* A receiver that counts, and redirects. */
SEC("xdp")
int hop(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	count(ctx);
	return bpf_redirect_map(&targets, hop_key, XDP_DROP);
}

/*
 * Frames with an odd number are sent back, or by another slave if the program
 * is that of a bond. They are looked up like the others.
 */
SEC("xdp")
int redirect_or_tx(struct xdp_md *ctx)
{
	__u32 *nr = number_of(ctx);
	int action;

	if (!is_ours(ctx) || !nr)
		return XDP_PASS;
	if (*nr & 2)
		action = bpf_redirect_map(&targets_too, next_key(), flags);
	else
		action = bpf_redirect_map(&targets, next_key(), flags);
	return *nr & 1 ? XDP_TX : action;
}
