/* SPDX-License-Identifier: GPL-2.0-only */
/* Random operations. */
#ifndef REDIRMAP_FUZZ_GEN_H
#define REDIRMAP_FUZZ_GEN_H

#include "state.h"

void generate(struct op *op, __u64 *seed);

#endif /* REDIRMAP_FUZZ_GEN_H */
