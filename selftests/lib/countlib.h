/* SPDX-License-Identifier: GPL-2.0-only */
/* Entries with counters: maps with values of struct redirmap_val. */
#ifndef REDIRMAP_COUNTLIB_H
#define REDIRMAP_COUNTLIB_H

#include <linux/redirmap.h>

#include "xdplib.h"

/* The size of values with counters; stock maps have values without them. */
static inline __u32 counting_size(const struct kind *kind)
{
	return kind->claimed ? sizeof(struct redirmap_val) : sizeof(struct bpf_devmap_val);
}

/*
 * Sets an entry, with a program or none. The counters in the value are garbage:
 * no code reads them, so values may also be shorter. 0 or -errno.
 */
int put_entry(struct env *e, __u32 key, const char *dev, const char *name);

/*
 * Sets the entries of keys @first to @n - 1: each leads to the device of
 * faultylib.h with this number, without a program.
 */
bool put_faulty(struct env *e, int first, int n);

struct redirmap_stats entry_stats(struct env *e, __u32 key);

/* The sum over all reasons. */
__u64 all_drops(const struct redirmap_stats *stats);

/*
 * Were that many frames of a length sent, and that many lost for this reason
 * only? Prints differences on stderr.
 */
bool entry_counted(struct env *e, __u32 key, __u64 sent, int len, int reason, __u64 lost);

#endif /* REDIRMAP_COUNTLIB_H */
