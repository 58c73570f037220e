/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the programs of tests with xdplib.h. The programs recognise the
 * test's frames by their source address, and pass all other frames. They count
 * received frames, and have variables that the test sets before frames run.
 */
#ifndef REDIRMAP_NETLIB_BPF_H
#define REDIRMAP_NETLIB_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

/* As in xdplib.h and netlib.h. */
#define DEVICES 256
#define QUEUES 4

/* The test replaces these maps by the map under test: see use_map(). */
struct devmap {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 8);
};

struct devmap8 {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_devmap_val));
	__uint(max_entries, 8);
};

/* The test replaces this one by an outer map with the same template. */
struct outer {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 2);
};

/*
 * Number of frames that senders have got; they use keys first_key to first_key
 * + nr_keys - 1.
 */
__u64 seen;
__u64 first_key;
__u64 nr_keys;
__u64 flags;

/* Frames that a receiver has got, by ifindex and queue. */
__u64 received[DEVICES][QUEUES];

static __always_inline bool is_ours(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > end)
		return false;
	return eth->h_source[0] == 0x02 && eth->h_source[4] == 0x88 &&
	       eth->h_source[5] == 0xb5;
}

static __always_inline __u64 next_key(void)
{
	__u64 n = __sync_fetch_and_add(&seen, 1);

	return first_key + (nr_keys ? n % nr_keys : 0);
}

static __always_inline void count(struct xdp_md *ctx)
{
	__u32 device = ctx->ingress_ifindex % DEVICES;
	__u32 queue = ctx->rx_queue_index % QUEUES;

	__sync_fetch_and_add(&received[device][queue], 1);
}

SEC("xdp")
int receive(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	count(ctx);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";

#endif /* REDIRMAP_NETLIB_BPF_H */
