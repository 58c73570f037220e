/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The results that the calls of sockacts.h may have, by the pair of actions
 * that race with each other.
 */
#ifndef REDIRMAP_SOCKERRS_H
#define REDIRMAP_SOCKERRS_H

#include "socktask.h"

#define ANY_PAIR (EARLY - 1)

/*
 * The errnos that a call may return, for arrays and hashes, if one of the
 * actions is in the pair. Most calls may succeed as well: see may().
 */
static const struct rule {
	enum syscall call;
	int array, hash;
	__u32 pairs;
} rules[] = {
	/* Two programs of a kind, or a psock that is being freed. */
	{ C_INSERT, EBUSY, EBUSY, LEAVES | PROGRAMS },
	{ C_INSERT_NEW, EBUSY, EBUSY, LEAVES | PROGRAMS },
	{ C_PROG, EBUSY, EBUSY, LEAVES | PROGRAMS },
	{ C_REPLACE, EBUSY, EBUSY, LEAVES | PROGRAMS },
	{ C_UPDATE_BATCH, EBUSY, EBUSY, LEAVES | PROGRAMS },
	{ C_ASIDE, EBUSY, EBUSY, LEAVES },
	{ C_INSERT_OWN, EBUSY, EBUSY, LEAVES },
	/* A socket that is no longer connected; a parser, which needs TCP. */
	{ C_INSERT, EOPNOTSUPP, EOPNOTSUPP, ENDS | PACKETS },
	{ C_INSERT_NEW, EOPNOTSUPP, EOPNOTSUPP, ENDS | PACKETS },
	{ C_PROG, EOPNOTSUPP, EOPNOTSUPP, ENDS },
	{ C_REPLACE, EOPNOTSUPP, EOPNOTSUPP, ENDS | PACKETS },
	{ C_UPDATE_BATCH, EOPNOTSUPP, EOPNOTSUPP, ENDS | PACKETS },
	{ C_ASIDE, EOPNOTSUPP, EOPNOTSUPP, ENDS },
	{ C_INSERT_OWN, EOPNOTSUPP, EOPNOTSUPP, ENDS },

	{ C_INSERT_NEW, EEXIST, EEXIST, ANY_PAIR },
	{ C_PROG, EEXIST, EEXIST, ANY_PAIR },
	{ C_PROG, ENOENT, ENOENT, ANY_PAIR },
	{ C_REPLACE, ENOENT, ENOENT, ANY_PAIR },
	{ C_UPDATE_BATCH, EEXIST, EEXIST, ANY_PAIR },
	{ C_UPDATE_BATCH, ENOENT, ENOENT, ANY_PAIR },
	{ C_DELETE, EINVAL, ENOENT, ANY_PAIR },
	{ C_DELETE_BATCH, EINVAL, ENOENT, ANY_PAIR },
	/* If the map is an array, the second one is a hash. */
	{ C_DELETE_ASIDE, ENOENT, EINVAL, ANY_PAIR },
	{ C_LOOKUP, ENOENT, ENOENT, ANY_PAIR },
	{ C_NEXT, ENOENT, ENOENT, ANY_PAIR },
	{ C_LOOKUP_BATCH, ENOENT, ENOENT, ANY_PAIR },
	{ C_TAKE_BATCH, ENOENT, ENOENT, ANY_PAIR },
	/* There is a claimed map. */
	{ C_RMMOD, EAGAIN, EAGAIN, ANY_PAIR },

	{ C_ATTACH, EBUSY, EBUSY, BIT(LINK) },
	{ C_DETACH, EBUSY, EBUSY, BIT(LINK) },
	{ C_DETACH, ENOENT, ENOENT, ANY_PAIR },
	{ C_LINK, EBUSY, EBUSY, BIT(LINK) | BIT(ATTACH) },

	{ C_SHUTDOWN, ENOTCONN, ENOTCONN, ANY_PAIR },
	{ C_SEND, EAGAIN, EAGAIN, ANY_PAIR },
	{ C_SEND, EPIPE, EPIPE, ENDS | LEAVES },
	{ C_SEND, ECONNRESET, ECONNRESET, ENDS },
	{ C_SEND, ECONNREFUSED, ECONNREFUSED, BIT(CLOSE) },
	{ C_RECV, EAGAIN, EAGAIN, ANY_PAIR },
	{ C_RECV, ECONNRESET, ECONNRESET, ENDS },
	{ C_RECV, EPIPE, EPIPE, ENDS | LEAVES },
	/*
	 * A fault of the kernel: the end of a stream was redirected, as a
	 * message of 0 bytes. See Documentation/known_from_stock.rst.
	 */
	{ C_RECV, EFAULT, EFAULT, ENDS },
	{ C_RECV, ECONNREFUSED, ECONNREFUSED, BIT(CLOSE) },
};

/* Calls that cannot succeed: lookups in batches come to the end of the map. */
static bool must_fail(enum syscall call)
{
	return call == C_RMMOD || call == C_LOOKUP_BATCH || call == C_TAKE_BATCH;
}

static bool may(const struct task *t, enum syscall call, int err)
{
	unsigned int i;

	if (!err)
		return !must_fail(call);
	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].call == call && rules[i].pairs & t->pair &&
		    err == -(t->w->hash ? rules[i].hash : rules[i].array))
			return true;
	return false;
}

#endif /* REDIRMAP_SOCKERRS_H */
