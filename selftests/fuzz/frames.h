/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames that run through a map, by a program that redirects. */
#ifndef REDIRMAP_FUZZ_FRAMES_H
#define REDIRMAP_FUZZ_FRAMES_H

#include "state.h"

bool frames_init(void);
void frames_run(const struct op *op, int prog, enum side side, struct result *r);

#endif /* REDIRMAP_FUZZ_FRAMES_H */
