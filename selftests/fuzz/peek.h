/* SPDX-License-Identifier: GPL-2.0-only */
/* Contents of maps, by unlimited descriptors. */
#ifndef REDIRMAP_FUZZ_PEEK_H
#define REDIRMAP_FUZZ_PEEK_H

#include "state.h"

/*
 * Serial numbers of the pairs, the same for both maps. An outer map has the ids
 * of its inner maps, which differ.
 */
void serials_reset(void);
bool add_serial(struct pair *pair);
/*
 * Replaces an id in an outer map's value by the serial number, and a cookie in
 * a socket map's value by the number of the socket.
 */
void read_value(const struct pair *pair, enum side side, void *value);

/* Reads a value by the unlimited descriptor; 0 or -errno. */
int peek(const struct pair *pair, enum side side, __u32 key, __u64 *value);
int peek_next(const struct pair *pair, enum side side, const __u32 *key, __u32 *next);
/*
 * The keys of a map in the order of its iteration. Returns their number, or -1
 * after a failure.
 */
int walk_keys(const struct pair *pair, enum side side, __u32 *keys, int max);
/* Checks counters in a value: each frame was counted at most once. */
bool counters_are_right(const void *value);

#endif /* REDIRMAP_FUZZ_PEEK_H */
