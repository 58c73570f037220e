/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames that leave as packets: the model of a documented difference. */
#ifndef REDIRMAP_FUZZ_PACKETS_H
#define REDIRMAP_FUZZ_PACKETS_H

#include "state.h"

bool packets_applies(const struct op *op, const struct pair *pair);
bool packets_step(const struct op *op, struct pair *pair);

#endif /* REDIRMAP_FUZZ_PACKETS_H */
