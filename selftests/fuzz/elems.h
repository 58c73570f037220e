/* SPDX-License-Identifier: GPL-2.0-only */
/* Elements of maps. */
#ifndef REDIRMAP_FUZZ_ELEMS_H
#define REDIRMAP_FUZZ_ELEMS_H

#include "state.h"

void elem_run(const struct op *op, struct pair *pair, enum side side, struct result *r);
/*
 * An update of values with counters may fail with ENOMEM "and succeed a moment
 * later", as counters.rst says. This repeats the update until then.
 */
#define MAX_TRIES 5000
bool memory_comes(const struct pair *pair, enum side side, int ret, int *tries);
/*
 * The value of an update, with as many bytes as the map's values have. @what:
 * the device, or, for a socket map, the socket.
 */
__u64 value_of(const struct op *op, const struct pair *pair, enum side side, __u64 what);

#endif /* REDIRMAP_FUZZ_ELEMS_H */
