/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands that take any map. */
#ifndef REDIRMAP_FUZZ_OTHER_H
#define REDIRMAP_FUZZ_OTHER_H

#include "state.h"

void other_run(const struct op *op, struct pair *pair, enum side side, struct result *r);

#endif /* REDIRMAP_FUZZ_OTHER_H */
