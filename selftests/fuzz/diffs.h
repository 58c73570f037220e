/* SPDX-License-Identifier: GPL-2.0-only */
/* Documented differences. */
#ifndef REDIRMAP_FUZZ_DIFFS_H
#define REDIRMAP_FUZZ_DIFFS_H

#include "state.h"

struct difference {
	const char *name;
	const char *documented;
	bool (*applies)(const struct op *op, const struct pair *pair);
	bool (*step)(const struct op *op, struct pair *pair);
};

const struct difference *difference(const struct op *op, const struct pair *pair);
/* Is the operation one that a documented difference applies to? */
bool is_let_pass(const char *name);
void list_differences(void);
bool known_difference(const char *name);

#endif /* REDIRMAP_FUZZ_DIFFS_H */
