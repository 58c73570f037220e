/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands in batches, compared with single operations. */
#ifndef REDIRMAP_FUZZ_BATCH_H
#define REDIRMAP_FUZZ_BATCH_H

#include "state.h"

bool batch_init(void);
bool batch_step(const struct op *op, struct pair *pair);
bool batch_plain(const struct op *op, struct pair *pair);

#endif /* REDIRMAP_FUZZ_BATCH_H */
