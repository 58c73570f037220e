// SPDX-License-Identifier: GPL-2.0-only
/*
 * Executes operations, one after the other, and compares the results and the
 * contents.
 */
#include "acts.h"
#include "batch.h"
#include "call.h"
#include "compare.h"
#include "create.h"
#include "devs.h"
#include "diffs.h"
#include "fds.h"
#include "frames.h"
#include "maps.h"
#include "ops.h"
#include "progs.h"
#include "run.h"
#include "settle.h"
#include "sides.h"
#include "socks.h"
#include "streams.h"

enum after { NOTHING, THE_PAIR, ALL_PAIRS };

/**
 * struct handler - how a command is executed, if not by run_both()
 * @step: on both sides; returns true without a difference
 * @event: or on objects that both sides share
 * @after: compares more than the results afterwards
 */
struct handler {
	bool (*step)(const struct op *op, struct pair *pair);
	void (*event)(const struct op *op);
	enum after after;
};

static bool close_step(const struct op *op, struct pair *pair)
{
	/* The last comparison. */
	state.nr_touched = 0;
	if (op->cmd == CLOSE && op->fd != FD_OTHER && !compare_pair(pair, true))
		return false;
	maps_close(op, pair);
	return true;
}

static const struct handler handlers[NR_CMDS] = {
	[CREATE] = { .step = maps_create, .after = THE_PAIR },
	[CLOSE] = { .step = close_step },
	[UNPIN] = { .step = close_step },
	[GET] = { .after = THE_PAIR },
	[LOOKUP] = { .after = THE_PAIR },
	[UPDATE] = { .after = THE_PAIR },
	[DELETE] = { .after = THE_PAIR },
	[NEXT] = { .after = THE_PAIR },
	[TAKE] = { .after = THE_PAIR },
	[NEST] = { .after = THE_PAIR },
	[LOOKUP_BATCH] = { .step = batch_plain, .after = THE_PAIR },
	[TAKE_BATCH] = { .step = batch_plain, .after = THE_PAIR },
	[UPDATE_BATCH] = { .step = batch_plain, .after = THE_PAIR },
	[DELETE_BATCH] = { .step = batch_plain, .after = THE_PAIR },
	[LOAD] = { .event = prog_step },
	[UNLOAD] = { .event = prog_step },
	[DEV_ADD] = { .event = dev_step, .after = ALL_PAIRS },
	[DEV_DEL] = { .event = dev_step, .after = ALL_PAIRS },
	[DEV_RENAME] = { .event = dev_step, .after = ALL_PAIRS },
	[DEV_MOVE] = { .event = dev_step, .after = ALL_PAIRS },
	[DEV_UP] = { .event = dev_step, .after = ALL_PAIRS },
	[DEV_MTU] = { .event = dev_step, .after = ALL_PAIRS },
	[ENTER] = { .event = dev_step },
	[NET_DIE] = { .event = dev_step, .after = ALL_PAIRS },
	[SOCK_RENEW] = { .event = sock_step, .after = ALL_PAIRS },
	[SOCK_SHUT] = { .event = sock_step, .after = ALL_PAIRS },
	[SEND] = { .step = streams_step },
};

static bool run_pair(const struct op *op, struct pair *pair)
{
	const struct handler *handler = &handlers[op->cmd];
	const struct difference *diff = difference(op, pair);
	struct result r[NR_SIDES];

	if (diff && diff->step)
		return diff->step(op, pair);
	if (handler->step)
		return handler->step(op, pair);
	run_both(op, pair, r);
	return compare_results(op, r) && !*state.failure;
}

/* Events do not change outer maps; at the end all maps are compared. */
static bool compare_all(bool outer)
{
	int i;

	for (i = 0; i < NR_PAIRS; i++)
		if ((outer || !is_outer(&state.pairs[i])) && !compare_pair(&state.pairs[i], true))
			return false;
	return true;
}

bool run_op(const struct op *op)
{
	const struct handler *handler = &handlers[op->cmd];
	struct pair *pair = pair_of(op);

	state.nr_touched = 0;
	if (state.verbose)
		print_op(stdout, op);
	if (handler->event) {
		handler->event(op);
		if (*state.failure)
			return false;
		return handler->after != ALL_PAIRS || compare_all(false);
	}
	if (op->cmd >= LOOKUP && op->cmd <= TAKE)
		touch(op->key);
	if (!run_pair(op, pair))
		return false;
	return handler->after != THE_PAIR || compare_pair(pair, false);
}

bool fuzz_init(void)
{
	return fds_init() && settle_init() && socks_init() && acts_init() && call_init() &&
	       batch_init() && frames_init() && create_init() && devs_init() && streams_init();
}

bool begin_episode(void)
{
	*state.failure = '\0';
	state.frames = 0;
	state.sends = 0;
	state.parser = false;
	state.nr_touched = 0;
	maps_reset();
	if (!progs_reset())
		return failed("cannot load programs");
	if (!devs_reset())
		return failed("cannot make devices");
	if (!socks_reset())
		return failed("cannot open sockets: %s", strerror(errno));
	return true;
}

bool end_episode(bool wait)
{
	bool ok;

	state.nr_touched = 0;
	ok = compare_all(true);
	maps_reset();
	if (wait && !maps_are_gone())
		return failed("claimed maps remain after the last close");
	return ok;
}

int run_ops(const struct op *ops, int n)
{
	int i;

	if (!begin_episode())
		return 0;
	for (i = 0; i < n; i++)
		if (!run_op(&ops[i]))
			return i;
	return end_episode(true) ? -1 : n;
}
