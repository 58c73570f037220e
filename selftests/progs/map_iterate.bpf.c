// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on device maps that programs may not use: the kernel must refuse
 * all programs here except the first.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Replaced by the map under test. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 4);
} devs SEC(".maps");

SEC("xdp")
int read_value(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&devs, &key);

	return value && *value ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int write_value(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&devs, &key);

	if (value)
		*value = 1;
	return XDP_PASS;
}

SEC("xdp")
int add_to_value(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&devs, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return XDP_PASS;
}

SEC("xdp")
int read_behind_value(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&devs, &key);

	return value && value[1] ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int read_unchecked(struct xdp_md *ctx)
{
	__u32 key = 0, *value = bpf_map_lookup_elem(&devs, &key);

	return *value ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int update(struct xdp_md *ctx)
{
	__u32 key = 0, value = 1;

	return bpf_map_update_elem(&devs, &key, &value, BPF_ANY) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int delete(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_delete_elem(&devs, &key) ? XDP_DROP : XDP_PASS;
}

static long each(void *map, __u32 *key, __u32 *value, void *ctx)
{
	return 0;
}

SEC("xdp")
int for_each(struct xdp_md *ctx)
{
	return bpf_for_each_map_elem(&devs, each, NULL, 0) < 0 ? XDP_DROP : XDP_PASS;
}

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

/* Can be loaded, but not attached to a device map. */
SEC("iter/bpf_map_elem")
int iterate(struct bpf_iter__bpf_map_elem *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
