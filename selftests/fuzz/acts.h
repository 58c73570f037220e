/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Acting programs of socket maps: what they do with data is not fixed when they
 * are attached, but is a rule that each SEND sets. They redirect by one map, so
 * there is one of them per map and way of attaching.
 */
#ifndef REDIRMAP_FUZZ_ACTS_H
#define REDIRMAP_FUZZ_ACTS_H

#include "state.h"

/**
 * struct rule - what the acting programs of one side do with messages, or with
 *	packets; shared with the programs
 * @redirect: redirect to @key with @flags
 * @and: the verdict, or the helper's result, is masked with this value,
 * @or: and then or-ed with this one
 * @apply: if not 0, a verdict on messages holds for so many bytes
 * @cork: if not 0, messages wait until there are so many bytes
 * @cookie: only packets of this socket; the others pass. 0: all
 * @limit: number of runs from which on everything passes, so that data cannot
 *	go in circles for ever
 * @runs: number of runs, without those on the end of a stream, which passes
 * @redirected: number of redirects that the kernel has accepted, and the
 *	program has returned
 * @refused: number of redirects that the kernel has refused
 */
struct rule {
	__u32 redirect, key, and, or, apply, cork;
	__u64 flags, cookie, limit;
	__u64 runs, redirected, refused;
};

struct rules {
	struct rule msg, skb;
};

bool acts_init(void);
struct rules *acts_rules(enum side side);
/*
 * The acting program of a way of attaching that redirects by the pair's map; a
 * descriptor, or -errno.
 */
int act_prog(const struct pair *pair, enum side side, enum bpf_attach_type way);
/* The pair's maps are closed. */
void acts_close(const struct pair *pair);
/* A number for the id of an acting program, the same for both sides. */
__u32 act_number(__u32 id, enum side side);

#endif /* REDIRMAP_FUZZ_ACTS_H */
