// SPDX-License-Identifier: GPL-2.0-only
/* Operations on the maps of one side: see sides.h. */
#include <stddef.h>

#include "elems.h"
#include "maps.h"
#include "other.h"
#include "progs.h"
#include "sides.h"
#include "sockprogs.h"

typedef void (*run_fn)(const struct op *op, struct pair *pair, enum side side,
		       struct result *r);

static const run_fn runs[NR_CMDS] = {
	[FREEZE] = map_run,
	[INFO] = map_run,
	[FDINFO] = map_run,
	[BY_ID] = map_run,
	[PIN] = map_run,
	[GET] = map_run,
	[LOOKUP] = elem_run,
	[UPDATE] = elem_run,
	[DELETE] = elem_run,
	[NEXT] = elem_run,
	[TAKE] = elem_run,
	[NEST] = elem_run,
	[BIND] = other_run,
	[ATTACH] = other_run,
	[DETACH] = other_run,
	[QUERY] = other_run,
	[LINK] = other_run,
	[MMAP] = other_run,
	[RUN] = prog_run,
};

void run_side(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	memset(r, 0, offsetof(struct result, out));
	if (op->cmd == RUN && is_sock(pair))
		sock_prog_run(op, pair, side, r);
	else
		runs[op->cmd](op, pair, side, r);
}

void run_both(const struct op *op, struct pair *pair, struct result *r)
{
	run_side(op, pair, STOCK, &r[STOCK]);
	run_side(op, pair, CLAIMED, &r[CLAIMED]);
}
