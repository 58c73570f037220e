// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_packets_loops.py: a program whose frames come back to it, until it
 * has seen a number of them.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#define BROADCAST (BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} rm_loop SEC(".maps"), rm_queued SEC(".maps"), st_loop SEC(".maps");

/* Frames so far, and those after which the program drops them. */
enum { SEEN, MOST };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/*
 * Does a frame of the test still go on? The devices send others by themselves.
 */
static __always_inline bool goes_on(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 seen_key = SEEN, most_key = MOST;
	struct ethhdr *eth = data;
	__u64 *seen, *most;

	if ((void *)(eth + 1) > end || eth->h_source[0] != 0x02 || eth->h_source[5] != 0x02)
		return false;
	seen = bpf_map_lookup_elem(&counts, &seen_key);
	most = bpf_map_lookup_elem(&counts, &most_key);
	return seen && most && __sync_fetch_and_add(seen, 1) < *most;
}

#define LOOP(map)							\
SEC("xdp")								\
int to_##map(struct xdp_md *ctx)					\
{									\
	return goes_on(ctx) ? bpf_redirect_map(&map, 0, XDP_ABORTED) : XDP_DROP; \
}

LOOP(rm_loop)
LOOP(rm_queued)
LOOP(st_loop)

SEC("xdp")
int to_all(struct xdp_md *ctx)
{
	return goes_on(ctx) ? bpf_redirect_map(&rm_loop, 0, BROADCAST) : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
