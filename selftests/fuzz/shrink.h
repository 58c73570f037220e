/* SPDX-License-Identifier: GPL-2.0-only */
/* Failing sequences made shorter. */
#ifndef REDIRMAP_FUZZ_SHRINK_H
#define REDIRMAP_FUZZ_SHRINK_H

#include "state.h"

/* The fewest and simplest operations that still fail; how many. */
int shrink(struct op *ops, int n);

#endif /* REDIRMAP_FUZZ_SHRINK_H */
