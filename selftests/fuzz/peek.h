/* SPDX-License-Identifier: GPL-2.0-only */
/* Contents of maps, by descriptors without limits. */
#ifndef REDIRMAP_FUZZ_PEEK_H
#define REDIRMAP_FUZZ_PEEK_H

#include "state.h"

/*
 * Serial numbers of the pairs, the same for both maps: an outer map names its
 * inner maps by ids, which differ.
 */
void serials_reset(void);
bool add_serial(struct pair *pair);
/* Puts the serial in the place of an id in an outer map's value. */
void read_value(const struct pair *pair, enum side side, void *value);

/* By the unlimited descriptor: the value, or -errno. */
int peek(const struct pair *pair, enum side side, __u32 key, __u64 *value);
int peek_next(const struct pair *pair, enum side side, const __u32 *key, __u32 *next);
/*
 * The keys of a map as it iterates over them; how many, or -1 after a failure.
 */
int walk_keys(const struct pair *pair, enum side side, __u32 *keys, int max);
/* In a value with counters: each frame was counted once at most. */
bool counters_are_right(const void *value);

#endif /* REDIRMAP_FUZZ_PEEK_H */
