// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_broadcast_copies.c: properties of the packets that the stack gets
 * when receivers pass frames.
 */
#include "netlib.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

struct sk_buff {
	unsigned int len;
	unsigned int truesize;
	__u8 pfmemalloc:1;
	__be16 protocol;
} __attribute__((preserve_access_index));

/*
 * Packets of the test; those with too small a true size; those from reserves.
 */
__u64 packets;
__u64 undersized;
__u64 memalloc;

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* A packet is charged for its descriptor and for its memory. */
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(look_at_skb, struct sk_buff *skb)
{
	__u64 described = bpf_core_type_size(struct sk_buff);

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	__sync_fetch_and_add(&packets, 1);
	if (skb->truesize < described + skb->len)
		__sync_fetch_and_add(&undersized, 1);
	if (BPF_CORE_READ_BITFIELD(skb, pfmemalloc))
		__sync_fetch_and_add(&memalloc, 1);
	return 0;
}
