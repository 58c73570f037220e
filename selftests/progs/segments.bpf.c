// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_packets_gso*.py: for each map programs that redirect packets to key
 * 1, unchanged or changed, and programs that broadcast them; and egress
 * programs.
 */
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>

#include "devmap.bpf.h"

/* Ethernet, IPv4, TCP and half a segment of the test */
#define CUT_TO (54 + 500)
/* More than the headers in front of the checksum */
#define BEHEAD_BY 100
/* Longer than any segment */
#define WHOLE 5000
#define SHRINK_TO 1000

__u32 seen;

static __always_inline int push_header(struct xdp_md *ctx)
{
	const struct ethhdr eth = {
		.h_dest = { 2, 0, 0, 0, 0, 1 },
		.h_source = { 2, 0, 0, 0, 0, 2 },
		.h_proto = bpf_htons(ETH_P_IP),
	};
	void *data;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(eth)))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + sizeof(eth) > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(data, &eth, sizeof(eth));
	return 0;
}

#define PROGRAMS(name, map_type)					\
DEVMAP(name, map_type)							\
									\
/* Puts an Ethernet header in front of an IPv4 packet. */		\
SEC("xdp")								\
int push_##name(struct xdp_md *ctx)					\
{									\
	return push_header(ctx) ? XDP_ABORTED :				\
	       bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
/* Cuts the last segments off. */					\
SEC("xdp")								\
int less_##name(struct xdp_md *ctx)					\
{									\
	if (bpf_xdp_adjust_tail(ctx, -2500))				\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
/* One of three frames stays as long as it is. */			\
SEC("xdp")								\
int mixed_##name(struct xdp_md *ctx)					\
{									\
	if (seen++ % 3 && bpf_xdp_adjust_tail(ctx, -19))		\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
/* Of 64 frames the last 16 stay as long as they are. */		\
SEC("xdp")								\
int late_##name(struct xdp_md *ctx)					\
{									\
	if (seen++ % 64 < 48 && bpf_xdp_adjust_tail(ctx, -19))		\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
/* Leaves less than a segment. */					\
SEC("xdp")								\
int cut_##name(struct xdp_md *ctx)					\
{									\
	int len = ctx->data_end - ctx->data;				\
									\
	if (bpf_xdp_adjust_tail(ctx, CUT_TO - len))			\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}									\
									\
SEC("xdp")								\
int cut_all_##name(struct xdp_md *ctx)					\
{									\
	int len = ctx->data_end - ctx->data;				\
									\
	if (bpf_xdp_adjust_tail(ctx, CUT_TO - len))			\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 0, BPF_F_BROADCAST);		\
}									\
									\
/* Takes the headers off, and the place of the checksum with them. */	\
SEC("xdp")								\
int behead_##name(struct xdp_md *ctx)					\
{									\
	if (bpf_xdp_adjust_head(ctx, BEHEAD_BY))			\
		return XDP_ABORTED;					\
	return bpf_redirect_map(&name, 1, XDP_ABORTED);			\
}

PROGRAMS(rm_array, BPF_MAP_TYPE_DEVMAP)
PROGRAMS(st_array, BPF_MAP_TYPE_DEVMAP)
PROGRAMS(rm_hash, BPF_MAP_TYPE_DEVMAP_HASH)
PROGRAMS(st_hash, BPF_MAP_TYPE_DEVMAP_HASH)

/* Passes packets that are not segmented yet. */
SEC("xdp/devmap")
int whole(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > WHOLE ? XDP_PASS : XDP_DROP;
}

/* Passes segments. */
SEC("xdp/devmap")
int segment(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > WHOLE ? XDP_DROP : XDP_PASS;
}

/* Changes the protocol of the packet, which the stack has noted. */
SEC("xdp/devmap")
int confuse(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 24 > end)
		return XDP_ABORTED;
	/* IPv4's protocol */
	data[23] = 47;
	return XDP_PASS;
}

/* Inserts a VLAN tag. */
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
	/* The addresses */
	word = (void *)data;
	word[0] = word[1];
	word[1] = word[2];
	word[2] = word[3];
	data[12] = 0x81;
	data[13] = 0;
	data[14] = 0;
	data[15] = 5;
	return XDP_PASS;
}

SEC("xdp/devmap")
int shrink(struct xdp_md *ctx)
{
	int len = ctx->data_end - ctx->data;

	if (len > SHRINK_TO && bpf_xdp_adjust_tail(ctx, SHRINK_TO - len))
		return XDP_ABORTED;
	return XDP_PASS;
}

/* Puts an outer IPv4 header in front of that of the packet. */
SEC("xdp/devmap")
int tunnel(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -20))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 34 > end)
		return XDP_ABORTED;
	__builtin_memcpy(data, data + 20, 14);
	__builtin_memset(data + 14, 0, 20);
	/* Version and length, lifetime, IPv4 in IPv4 */
	data[14] = 0x45;
	data[22] = 64;
	data[23] = 4;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
