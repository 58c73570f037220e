/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames that run through a map, by a program that redirects. */
#ifndef REDIRMAP_FUZZ_FRAMES_H
#define REDIRMAP_FUZZ_FRAMES_H

#include "state.h"

#define MAX_FRAMES 64

/* The frames of an operation: their number and their length. */
static inline __u32 frames_count(const struct op *op)
{
	return 1 + op->count % MAX_FRAMES;
}

static inline __u32 frames_len(const struct op *op)
{
	return LEN_MIN + op->step % (LEN_MAX + 1 - LEN_MIN);
}

bool frames_init(void);
/* The bytes of the result are what devs_sent() returns, for these frames. */
void frames_run(const struct op *op, int prog, enum side side, struct result *r);

#endif /* REDIRMAP_FUZZ_FRAMES_H */
