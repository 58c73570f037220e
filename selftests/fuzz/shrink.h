/* SPDX-License-Identifier: GPL-2.0-only */
/* Reduces failing sequences. */
#ifndef REDIRMAP_FUZZ_SHRINK_H
#define REDIRMAP_FUZZ_SHRINK_H

#include "state.h"

/*
 * Reduces a sequence to the fewest and simplest operations that still fail.
 * Returns their number.
 */
int shrink(struct op *ops, int n);

#endif /* REDIRMAP_FUZZ_SHRINK_H */
