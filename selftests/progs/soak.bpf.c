// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of dev_soak.py. They count the frames that they send to claimed
 * maps: so many must be counted as sent, or as lost for a reason.
 */
#include <linux/redirmap.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define KEYS 16
#define OUTER_KEYS 4

/* As in soaklib.py: kinds of frames, by what the test can predict. */
enum {
	ONCE,		/* to one target, or to none */
	TO_MEMBERS,	/* broadcast to a group that does not change */
	TO_CHANGING,	/* broadcast to a group that changes */
	OFFERS,
};

/* The number of members, which the test keeps constant. */
#define MEMBERS 3

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OFFERS);
	__type(key, __u32);
	__type(value, __u64);
} offers SEC(".maps");

#define DEVMAP(name, map_type, val)					\
struct {								\
	__uint(type, map_type);						\
	__uint(max_entries, KEYS);					\
	__uint(key_size, sizeof(__u32));				\
	__uint(value_size, sizeof(val));				\
} name SEC(".maps")

DEVMAP(rm_array, BPF_MAP_TYPE_DEVMAP, struct bpf_devmap_val);
DEVMAP(rm_hash, BPF_MAP_TYPE_DEVMAP_HASH, struct bpf_devmap_val);
DEVMAP(rm_counted, BPF_MAP_TYPE_DEVMAP_HASH, struct redirmap_val);
DEVMAP(rm_all_array, BPF_MAP_TYPE_DEVMAP, struct bpf_devmap_val);
DEVMAP(rm_all_hash, BPF_MAP_TYPE_DEVMAP_HASH, struct bpf_devmap_val);

struct rm_inner {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, KEYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_devmap_val));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, OUTER_KEYS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__array(values, struct rm_inner);
} rm_outer SEC(".maps");

/* A stock map, whose key 0 leads to a device with generic XDP. */
DEVMAP(to_generic_xdp, BPF_MAP_TYPE_DEVMAP, __u32);

static __always_inline void offer(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&offers, &kind);

	if (n)
		*n += 1;
}

static __always_inline int to_inner(__u32 outer_key, __u32 key)
{
	void *inner = bpf_map_lookup_elem(&rm_outer, &outer_key);

	if (!inner)
		return XDP_DROP;
	offer(ONCE);
	return bpf_redirect_map(inner, key, XDP_DROP);
}

static __always_inline int somewhere(void)
{
	__u32 n = bpf_get_prandom_u32();
	__u32 key = (n >> 8) % KEYS;

	switch (n % 8) {
	case 0:
		offer(TO_MEMBERS);
		return bpf_redirect_map(&rm_all_array, key, BPF_F_BROADCAST);
	case 1:
		/* The ingress device is not a member. */
		offer(TO_MEMBERS);
		return bpf_redirect_map(&rm_all_hash, key,
					BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	case 2:
		return to_inner((n >> 16) % OUTER_KEYS, key);
	case 3:
		offer(ONCE);
		return bpf_redirect_map(&rm_counted, key, XDP_DROP);
	case 4:
	case 5:
		offer(ONCE);
		return bpf_redirect_map(&rm_array, key, XDP_DROP);
	default:
		offer(ONCE);
		return bpf_redirect_map(&rm_hash, key, XDP_DROP);
	}
}

/* The same program twice, so that one can replace the other. */
SEC("xdp")
int scatter(struct xdp_md *ctx)
{
	return somewhere();
}

SEC("xdp")
int scatter_again(struct xdp_md *ctx)
{
	return somewhere();
}

SEC("xdp")
int generic(struct xdp_md *ctx)
{
	return bpf_redirect_map(&to_generic_xdp, 0, XDP_DROP);
}

/* Runs in a network namespace whose groups change. */
SEC("xdp")
int wild(struct xdp_md *ctx)
{
	__u32 n = bpf_get_prandom_u32();
	__u32 key = (n >> 8) % KEYS;
	__u64 flags = n & 16 ? BPF_F_BROADCAST : BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS;

	if (n % 4 < 2) {
		offer(TO_CHANGING);
		if (n & 1)
			return bpf_redirect_map(&rm_array, key, flags);
		return bpf_redirect_map(&rm_hash, key, flags);
	}
	offer(ONCE);
	if (n & 1)
		return bpf_redirect_map(&rm_array, key, XDP_DROP);
	return bpf_redirect_map(&rm_hash, key, XDP_DROP);
}

/* Runs on the peers of the targets. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* Egress programs. */
SEC("xdp/devmap")
int out_all(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp/devmap")
int out_short(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 200 ? XDP_DROP : XDP_PASS;
}

SEC("xdp/devmap")
int out_back(struct xdp_md *ctx)
{
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
