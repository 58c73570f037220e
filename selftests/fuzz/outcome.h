/* SPDX-License-Identifier: GPL-2.0-only */
/* Return values of operations, as text and as statistics. */
#ifndef REDIRMAP_FUZZ_OUTCOME_H
#define REDIRMAP_FUZZ_OUTCOME_H

#include "state.h"

/* A return value as text, valid until the next call but one. */
const char *outcome(int ret);
/* Counts a return value of a command. */
void note_outcome(__u64 cmd, int ret);
void print_outcomes(void);

#endif /* REDIRMAP_FUZZ_OUTCOME_H */
