/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations, one after the other. */
#ifndef REDIRMAP_FUZZ_RUN_H
#define REDIRMAP_FUZZ_RUN_H

#include "state.h"

bool fuzz_init(void);
/* Executes an operation. False: see state.failure. */
bool run_op(const struct op *op);
bool begin_episode(void);
bool end_episode(bool wait);
/*
 * Executes a sequence on new maps. Returns the number of operations without a
 * failure, or -1 if all had none.
 */
int run_ops(const struct op *ops, int n);

#endif /* REDIRMAP_FUZZ_RUN_H */
