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
 * The memory in use is, or soon will be, at most that of before, but for @many
 * times what caches keep.
 */
bool memory_returns(const struct memory *before, int many);

#endif /* REDIRMAP_FUZZ_MEMORY_H */
