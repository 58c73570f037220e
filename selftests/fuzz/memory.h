/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that the kernel has in use. */
#ifndef REDIRMAP_FUZZ_MEMORY_H
#define REDIRMAP_FUZZ_MEMORY_H

#include "state.h"

#define MEMORY_KINDS 3

struct memory {
	long kib[MEMORY_KINDS];
};

bool memory_read(struct memory *memory);
/*
 * Is the memory in use now, or soon, at most that of before, plus @many times
 * the amount that caches keep?
 */
bool memory_returns(const struct memory *before, int many);

#endif /* REDIRMAP_FUZZ_MEMORY_H */
