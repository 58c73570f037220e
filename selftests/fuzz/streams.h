/* SPDX-License-Identifier: GPL-2.0-only */
/* Data that sockets send, and that programs of socket maps redirect. */
#ifndef REDIRMAP_FUZZ_STREAMS_H
#define REDIRMAP_FUZZ_STREAMS_H

#include "state.h"

bool streams_init(void);
/*
 * SEND: a socket sends. Compares the results, and what all sockets receive.
 * Returns true without a difference.
 */
bool streams_step(const struct op *op, struct pair *pair);
/* The numbers of all episodes. */
void streams_print(void);
/* Have messages and packets been redirected at all? */
bool streams_redirected(void);

#endif /* REDIRMAP_FUZZ_STREAMS_H */
