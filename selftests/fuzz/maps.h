/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps as a whole. */
#ifndef REDIRMAP_FUZZ_MAPS_H
#define REDIRMAP_FUZZ_MAPS_H

#include "state.h"

void maps_reset(void);
void maps_close(const struct op *op, struct pair *pair);
void map_run(const struct op *op, struct pair *pair, enum side side, struct result *r);
/* Closes all descriptors of the pair's maps, and removes its pins. */
void map_close_all(struct pair *pair);
void map_unpin(struct pair *pair);
/* Opens an unlimited descriptor of each map, and reads the maps' attributes. */
bool map_open_peeks(struct pair *pair, enum fd fd);
bool have_mem_usage(void);
/* Waits until all claimed maps are freed, after all were closed. */
bool maps_are_gone(void);

#endif /* REDIRMAP_FUZZ_MAPS_H */
