// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_nics*.py: for each map programs that redirect the test's frames to
 * key 1, or to all entries, and count them; and egress programs.
 */
#include <bpf/bpf_endian.h>

#include "devmap.bpf.h"
#include "sinklib.bpf.h"

#define CUT 20
#define CUT_ABOVE 100

/* Frames and bytes that programs have redirected. */
enum { FRAMES, BYTES };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} offered SEC(".maps");

static __always_inline void add(__u32 key, __u64 n)
{
	__u64 *sum = bpf_map_lookup_elem(&offered, &key);

	if (sum)
		__sync_fetch_and_add(sum, n);
}

static __always_inline bool offer(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return false;
	add(FRAMES, 1);
	add(BYTES, ctx->data_end - ctx->data);
	return true;
}

#define PROGRAMS(name, map_type)					\
DEVMAP(name, map_type)							\
									\
SEC("xdp")								\
int one_##name(struct xdp_md *ctx)					\
{									\
	return offer(ctx) ? bpf_redirect_map(&name, 1, XDP_DROP) : XDP_PASS; \
}									\
									\
SEC("xdp")								\
int every_##name(struct xdp_md *ctx)					\
{									\
	return offer(ctx) ? bpf_redirect_map(&name, 0, BPF_F_BROADCAST) : \
	       XDP_PASS;						\
}									\
									\
SEC("xdp")								\
int others_##name(struct xdp_md *ctx)					\
{									\
	return offer(ctx) ?						\
	       bpf_redirect_map(&name, 0, BPF_F_BROADCAST |		\
				BPF_F_EXCLUDE_INGRESS) : XDP_PASS;	\
}

PROGRAMS(rm_array, BPF_MAP_TYPE_DEVMAP)
PROGRAMS(st_array, BPF_MAP_TYPE_DEVMAP)
PROGRAMS(rm_hash, BPF_MAP_TYPE_DEVMAP_HASH)
PROGRAMS(st_hash, BPF_MAP_TYPE_DEVMAP_HASH)
/* The parameter "packets" selects this map. */
PROGRAMS(rm_packets, BPF_MAP_TYPE_DEVMAP)

/* Drops frames with an even number. */
SEC("xdp/devmap")
int odd(struct xdp_md *ctx)
{
	__u32 *nr = number_of(ctx);

	return nr && *nr & 1 ? XDP_PASS : XDP_DROP;
}

/* Inserts a header of 4 bytes behind the addresses. */
SEC("xdp/devmap")
int grow(struct xdp_md *ctx)
{
	__u8 *data, *end;
	__u32 *word;

	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 16 > end)
		return XDP_ABORTED;
	word = (void *)data;
	word[0] = word[1];
	word[1] = word[2];
	word[2] = word[3];
	word[3] = bpf_htonl(0x88b50005);
	return XDP_PASS;
}

/* Cuts the end off, unless the frame is short. */
SEC("xdp/devmap")
int shrink(struct xdp_md *ctx)
{
	if (ctx->data_end - ctx->data > CUT_ABOVE && bpf_xdp_adjust_tail(ctx, -CUT))
		return XDP_ABORTED;
	return XDP_PASS;
}
