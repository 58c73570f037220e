/* SPDX-License-Identifier: GPL-2.0-only */
/* Comparison of results and of contents. */
#ifndef REDIRMAP_FUZZ_COMPARE_H
#define REDIRMAP_FUZZ_COMPARE_H

#include "state.h"

bool compare_results(const struct op *op, const struct result *r);
bool compare_pair(struct pair *pair, bool all);

#endif /* REDIRMAP_FUZZ_COMPARE_H */
