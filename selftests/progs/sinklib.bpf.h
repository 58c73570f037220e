/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the programs of tests with sinklib.h: they number frames, and send
 * them to devices.
 */
#ifndef REDIRMAP_SINKLIB_BPF_H
#define REDIRMAP_SINKLIB_BPF_H

#include "netlib.bpf.h"

/* As in netlib.h and sinklib.h. */
#define FRAME_NR 42
#define FRAME_PATTERN 46
#define NUMBERED_LEN 200

/* The number of the next frame, and the ifindex of its device. */
__u64 feed_nr;
__u64 feed_to;

static __always_inline __u32 *number_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 *nr = data + FRAME_PATTERN > end ? NULL : data + FRAME_NR;

	/*
	 * Let the caller compare the pointer. clang 19 compares the length
	 * again instead, and the verifier takes the pointer for NULL behind
	 * that.
	 */
	barrier_var(nr);
	return nr;
}

/*
 * Writes a frame's number, and the bytes that depend on it: see make_frame().
 */
static __always_inline bool stamp(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	__u8 *frame = (void *)(long)ctx->data;
	__u32 nr = __sync_fetch_and_add(&feed_nr, 1);
	int i;

	if ((void *)frame + NUMBERED_LEN > end)
		return false;
	frame[35] = nr;
	*(__u32 *)(frame + FRAME_NR) = nr;
	for (i = FRAME_PATTERN; i < NUMBERED_LEN; i++)
		frame[i] = i + (i >> 8) + nr;
	return true;
}

SEC("xdp")
int feed(struct xdp_md *ctx)
{
	return stamp(ctx) ? bpf_redirect(feed_to, 0) : XDP_ABORTED;
}

/* A receiver needs a program to accept XDP frames. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

#endif /* REDIRMAP_SINKLIB_BPF_H */
