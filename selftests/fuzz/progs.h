/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs in values, and programs that use maps. */
#ifndef REDIRMAP_FUZZ_PROGS_H
#define REDIRMAP_FUZZ_PROGS_H

#include "state.h"

bool progs_reset(void);
void prog_step(const struct op *op);
void prog_run(const struct op *op, struct pair *pair, enum side side, struct result *r);

#endif /* REDIRMAP_FUZZ_PROGS_H */
