/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps that are made, or fail to be. */
#ifndef REDIRMAP_FUZZ_CREATE_H
#define REDIRMAP_FUZZ_CREATE_H

#include "state.h"

bool maps_create(const struct op *op, struct pair *pair);

#endif /* REDIRMAP_FUZZ_CREATE_H */
