/* SPDX-License-Identifier: GPL-2.0-only */
/* Creation of maps, successful or not. */
#ifndef REDIRMAP_FUZZ_CREATE_H
#define REDIRMAP_FUZZ_CREATE_H

#include "state.h"

bool create_init(void);
bool maps_create(const struct op *op, struct pair *pair);

#endif /* REDIRMAP_FUZZ_CREATE_H */
