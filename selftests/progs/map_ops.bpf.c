// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs of elems.h: they look entries up, and compare them with the
 * packet.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAP_OPS_KEYS 16

/* The packet, which elems.h reads and writes as well. */
struct map_ops_packet {
	__u32 want[MAP_OPS_KEYS];	/* by key; where it leads, if anywhere */
	__u32 hits;
	__u32 wrong;
	__u32 missed;	/* of the first two, which lookups_while_recycling leaves alone */
	__u32 last;
};

/* Replaced by the map under test. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 4);
} devs SEC(".maps");

SEC("xdp")
int lookup_all(struct xdp_md *ctx)
{
	struct map_ops_packet *p = (void *)(long)ctx->data;
	__u32 i, key, *value;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;

#pragma unroll
	for (i = 0; i < MAP_OPS_KEYS; i++) {
		key = i;
		value = bpf_map_lookup_elem(&devs, &key);
		if (!value) {
			if (i < 2)
				p->missed++;
			continue;
		}
		p->hits++;
		p->last = *value;
		if (p->last != p->want[i])
			p->wrong++;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
