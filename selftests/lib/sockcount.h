/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests of stock and claimed socket maps in which operations fail: have the
 * counters of a claimed map changed as expected? A stock map has the id 0 here,
 * and no counters.
 */
#ifndef REDIRMAP_SOCKCOUNT_H
#define REDIRMAP_SOCKCOUNT_H

#include "genlib.h"
#include "testlib.h"

static inline bool sock_counts_begin(__u32 id, struct sock_counts *counts)
{
	return !id || !sock_counts(id, counts);
}

/*
 * Have the counters of updates changed in this way, and no others? @failed
 * updates have failed with ENOMEM. Redirects are not looked at.
 */
static inline bool sock_counted(__u32 id, const struct sock_counts *before, int inserts,
				int deletes, int failed)
{
	struct sock_counts now;

	if (!id)
		return true;
	return !sock_counts(id, &now) && now.inserts - before->inserts == inserts &&
	       now.deletes - before->deletes == deletes &&
	       now.failed - before->failed == failed &&
	       now.failed_by[ENOMEM] - before->failed_by[ENOMEM] == failed;
}

#endif /* REDIRMAP_SOCKCOUNT_H */
