// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs of dev_map_in_map_redirect.c: redirect through an inner map, and
 * count the frames that arrive.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Replaced by the outer map under test, whose type is set before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 2);
} outer SEC(".maps");

/* Packets of the test, by ingress device. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 256);
} counts SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	__u32 key = 0;
	void *inner;

	inner = bpf_map_lookup_elem(&outer, &key);
	if (!inner)
		return XDP_DROP;
	/* Two keys, so that a lookup in the wrong inner map shows. */
	return bpf_redirect_map(inner, 1, XDP_ABORTED);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u32 key = ctx->ingress_ifindex;
	__u64 *n = bpf_map_lookup_elem(&counts, &key);

	if (data + 14 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	/* The test's packets, not those that the stack sends by itself. */
	if (n && data[12] == 0x88 && data[13] == 0xb5)
		__sync_fetch_and_add(n, 1);
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
