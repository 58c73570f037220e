/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers, and values that several operations have. */
#ifndef REDIRMAP_FUZZ_DRAW_H
#define REDIRMAP_FUZZ_DRAW_H

#include "state.h"

#define PICK(array) ((array)[below(ARRAY_SIZE(array))])

/* All numbers follow from this one. */
void draw_from(__u64 *seed);
__u32 draw_number(void);
__u32 below(__u32 n);
bool one_in(__u32 n);
__u64 draw_key(const struct pair *pair);
/* Mostly a socket that a map may take. */
__u64 draw_sock(void);

#endif /* REDIRMAP_FUZZ_DRAW_H */
