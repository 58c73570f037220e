/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations on the maps of one side, and on those of both. */
#ifndef REDIRMAP_FUZZ_SIDES_H
#define REDIRMAP_FUZZ_SIDES_H

#include "state.h"

void run_side(const struct op *op, struct pair *pair, enum side side, struct result *r);
void run_both(const struct op *op, struct pair *pair, struct result *r);

#endif /* REDIRMAP_FUZZ_SIDES_H */
