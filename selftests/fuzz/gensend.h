/* SPDX-License-Identifier: GPL-2.0-only */
/* Random operations: SEND. */
#ifndef REDIRMAP_FUZZ_GENSEND_H
#define REDIRMAP_FUZZ_GENSEND_H

#include "state.h"

void draw_send(struct op *op);

#endif /* REDIRMAP_FUZZ_GENSEND_H */
