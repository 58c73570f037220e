// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for the tests of broadcasts, see castlib.h: senders that number
 * their frames, and receivers that check all bytes of a frame.
 */
#include "netlib.bpf.h"

/* As in netlib.h and castlib.h. */
#define FRAME_NR 42
#define FRAME_PATTERN 46
#define NUMBERS 256
#define CHUNK 16

struct devmap targets SEC(".maps");

/*
 * Frames of devices that go to CPU 0 or 1 first, where a program redirects
 * them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 2);
} cpus SEC(".maps");

/*
 * All frames have number 0, and get their number here: only in its field, not
 * in the bytes from FRAME_PATTERN on.
 */
__u64 numbered_here;

/* Receivers overwrite frames that they have checked. */
__u64 spoil;

/* Receivers need so many bytes in front of and behind the frame. */
__u64 head_room;
__u64 tail_room;

/* Senders give frames 8 bytes of metadata. */
__u64 meta;

__u64 want_len;

/* The CPU that to_cpu() redirects frames to. */
__u64 to_cpu_nr;

/* Frames that receivers have got, by ifindex and number. */
__u32 got[DEVICES][NUMBERS];
/* Frames with wrong bytes or length, with metadata, and with enough room. */
__u64 bad[DEVICES];
__u64 with_meta[DEVICES];
__u64 with_room[DEVICES];

static __always_inline int send(struct xdp_md *ctx)
{
	__u32 nr = __sync_fetch_and_add(&seen, 1);
	__u8 *data, *end;

	if (meta && bpf_xdp_adjust_meta(ctx, -8))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + FRAME_PATTERN > end)
		return XDP_ABORTED;
	if (numbered_here)
		*(__u32 *)(data + FRAME_NR) = nr;
	if (meta) {
		__u64 *m = (void *)(long)ctx->data_meta;

		if ((void *)(m + 1) > (void *)data)
			return XDP_ABORTED;
		*m = ~(__u64)nr;
	}
	return bpf_redirect_map(&targets, first_key + (nr_keys ? nr % nr_keys : 0), flags);
}

SEC("xdp")
int broadcast(struct xdp_md *ctx)
{
	return is_ours(ctx) ? send(ctx) : XDP_PASS;
}

/* Sends in turn to all members, to all except the ingress, and to one. */
SEC("xdp")
int broadcast_mixed(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	switch (seen % 3) {
	case 0:
		flags = BPF_F_BROADCAST;
		break;
	case 1:
		flags = BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS;
		break;
	case 2:
		flags = 0;
		break;
	}
	return send(ctx);
}

/* Every other frame is shortened. */
SEC("xdp")
int broadcast_resize(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	if (!(seen % 2) && bpf_xdp_adjust_tail(ctx, -200))
		return XDP_ABORTED;
	return send(ctx);
}

SEC("xdp.frags")
int broadcast_frags(struct xdp_md *ctx)
{
	return is_ours(ctx) ? send(ctx) : XDP_PASS;
}

SEC("xdp/cpumap")
int broadcast_cpu(struct xdp_md *ctx)
{
	return is_ours(ctx) ? send(ctx) : XDP_PASS;
}

SEC("xdp")
int to_cpu(struct xdp_md *ctx)
{
	return is_ours(ctx) ? bpf_redirect_map(&cpus, to_cpu_nr, 0) : XDP_PASS;
}

/* A broadcast that is not used, and a redirect without a lookup. */
SEC("xdp")
int broadcast_unused(struct xdp_md *ctx)
{
	if (!is_ours(ctx))
		return XDP_PASS;
	bpf_redirect_map(&targets, first_key, flags);
	return XDP_DROP;
}

SEC("xdp")
int redirect_bare(struct xdp_md *ctx)
{
	return is_ours(ctx) ? XDP_REDIRECT : XDP_PASS;
}

/* Egress program: passes frames with even numbers only. */
SEC("xdp/devmap")
int even_only(struct xdp_md *ctx)
{
	__u32 nr;

	if (bpf_xdp_load_bytes(ctx, FRAME_NR, &nr, sizeof(nr)))
		return XDP_ABORTED;
	return nr % 2 ? XDP_DROP : XDP_PASS;
}

/* Egress program: passes frames whose numbers are below a limit. */
__u64 pass_below;

SEC("xdp/devmap")
int below(struct xdp_md *ctx)
{
	__u32 nr;

	if (bpf_xdp_load_bytes(ctx, FRAME_NR, &nr, sizeof(nr)))
		return XDP_ABORTED;
	return nr < pass_below ? XDP_PASS : XDP_DROP;
}

/* Arguments that a receiver's loops over a frame share. */
struct look {
	struct xdp_md *ctx;
	__u32 from;
	__u32 nr;	/* of the pattern */
	__u32 wrong;
	__u64 failed;
};

/* The function has no branches, because the verifier would follow both. */
static long look_at_byte(__u32 i, struct look *l)
{
	__u32 off = l->from + i;
	__u8 byte = 0;

	l->failed |= bpf_xdp_load_bytes(l->ctx, off, &byte, 1);
	l->wrong |= byte ^ (__u8)(off + (off >> 8) + l->nr);
	return 0;
}

static long look_at_chunk(__u32 i, struct look *l)
{
	__u32 k, off = l->from + i * CHUNK;
	__u8 bytes[CHUNK] = {};

	l->failed |= bpf_xdp_load_bytes(l->ctx, off, bytes, CHUNK);
	for (k = 0; k < CHUNK; k++, off++)
		l->wrong |= bytes[k] ^ (__u8)(off + (off >> 8) + l->nr);
	return 0;
}

static long spoil_chunk(__u32 i, struct look *l)
{
	__u8 garbage[CHUNK] = { 0x5a, 0xa5, i };

	bpf_xdp_store_bytes(l->ctx, l->from + i * CHUNK, garbage, CHUNK);
	return 0;
}

static __always_inline void look_at_meta(struct xdp_md *ctx, __u32 device, __u32 nr)
{
	__u64 *m = (void *)(long)ctx->data_meta;
	void *data = (void *)(long)ctx->data;

	if ((void *)(m + 1) <= data && *m == ~(__u64)nr)
		__sync_fetch_and_add(&with_meta[device], 1);
}

static __always_inline int look(struct xdp_md *ctx)
{
	__u32 device = ctx->ingress_ifindex % DEVICES;
	__u32 len = bpf_xdp_get_buff_len(ctx);
	struct look l = { .ctx = ctx, .from = FRAME_PATTERN };
	__u32 nr, chunks;

	if (len < FRAME_PATTERN || bpf_xdp_load_bytes(ctx, FRAME_NR, &nr, sizeof(nr))) {
		__sync_fetch_and_add(&bad[device], 1);
		goto out;
	}
	look_at_meta(ctx, device, nr);
	l.nr = numbered_here ? 0 : nr;
	chunks = (len - FRAME_PATTERN) / CHUNK;
	bpf_loop(chunks, look_at_chunk, &l, 0);
	l.from += chunks * CHUNK;
	bpf_loop(len - l.from, look_at_byte, &l, 0);
	if (l.wrong || l.failed || (want_len && len != want_len))
		__sync_fetch_and_add(&bad[device], 1);
	__sync_fetch_and_add(&got[device][nr % NUMBERS], 1);
	l.from = FRAME_PATTERN;
	if (spoil)
		bpf_loop(chunks, spoil_chunk, &l, 0);
	if (!bpf_xdp_adjust_head(ctx, -(int)head_room) &&
	    !bpf_xdp_adjust_tail(ctx, tail_room))
		__sync_fetch_and_add(&with_room[device], 1);
out:
	/* This counter is last, because the test waits for it. */
	count(ctx);
	return XDP_DROP;
}

SEC("xdp")
int look_at(struct xdp_md *ctx)
{
	return is_ours(ctx) ? look(ctx) : XDP_PASS;
}

SEC("xdp.frags")
int look_at_frags(struct xdp_md *ctx)
{
	return is_ours(ctx) ? look(ctx) : XDP_PASS;
}
