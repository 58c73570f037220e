/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that are attached to socket maps, and that use such maps. */
#ifndef REDIRMAP_FUZZ_SOCKPROGS_H
#define REDIRMAP_FUZZ_SOCKPROGS_H

#include "state.h"

/*
 * Four ways of attaching, and for each of them three programs: two that are the
 * same for both sides, and an acting one (acts.h). All parsers are the same for
 * both sides.
 */
#define NR_SOCK_MODES 12
#define FIRST_ACTING_MODE 8
enum bpf_attach_type sock_attach_type(__u64 mode);
int sock_prog(const struct op *op, enum side side);

/* RUN: a program looks a socket up, deletes it, or inserts it elsewhere. */
void sock_prog_run(const struct op *op, struct pair *pair, enum side side, struct result *r);

#endif /* REDIRMAP_FUZZ_SOCKPROGS_H */
