// SPDX-License-Identifier: GPL-2.0-only
/* Operations on single elements. */
#include <stddef.h>
#include <sys/syscall.h>

#include "call.h"
#include "elems.h"
#include "fds.h"
#include "peek.h"
#include "socks.h"

static const int bpf_cmds[NR_CMDS] = {
	[LOOKUP] = BPF_MAP_LOOKUP_ELEM,
	[UPDATE] = BPF_MAP_UPDATE_ELEM,
	[NEST] = BPF_MAP_UPDATE_ELEM,
	[DELETE] = BPF_MAP_DELETE_ELEM,
	[NEXT] = BPF_MAP_GET_NEXT_KEY,
	[TAKE] = BPF_MAP_LOOKUP_AND_DELETE_ELEM,
};

__u64 value_of(const struct op *op, const struct pair *pair, enum side side, __u64 what)
{
	struct bpf_devmap_val val = { .ifindex = what };
	const struct pair *inner;
	__u64 value = 0;

	if (is_sock(pair))
		return sock_value(what, side);
	if (op->cmd == NEST) {
		inner = &state.pairs[op->inner % NR_PAIRS];
		val.ifindex = pair_fd(inner, op->mix ? !side : side, FD_FIRST);
	} else if (op->prog) {
		val.bpf_prog.fd = prog_fd(op, pair, side);
	}
	memcpy(&value, &val, sizeof(val));
	return value;
}

bool memory_comes(const struct pair *pair, enum side side, int ret, int *tries)
{
	if (ret != -ENOMEM || !pair->counts || side != CLAIMED || !(*tries)--)
		return false;
	usleep(1000);
	return true;
}

void elem_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	bool writes = op->cmd == UPDATE || op->cmd == NEST;
	union bpf_attr attr = {};
	int tries = MAX_TRIES;
	__u64 value;

	/* A map is not a value of a device map. */
	if (op->cmd == NEST && !is_outer(pair))
		return;
	if (writes)
		value = value_of(op, pair, side, is_sock(pair) ? op->sock : op->ifindex);
	attr.map_fd = pair_fd(pair, side, op->fd);
	attr.key = (unsigned long)place_key(op, op->key);
	/*
	 * Also where there is none: bpf(2) refuses fields that a command does
	 * not use.
	 */
	if (op->cmd != DELETE)
		attr.value = (unsigned long)place_value(op, writes ? &value : NULL);
	attr.flags = op->flags;
	do {
		r->ret = bpf_call(bpf_cmds[op->cmd], &attr, op);
	} while (memory_comes(pair, side, r->ret, &tries));
	if (writes || op->cmd == DELETE)
		return;
	memcpy(r->out, placed_value(), 16);
	r->len = 16;
	if (op->cmd != LOOKUP || r->ret)
		return;
	read_value(pair, side, r->out);
	if (value_size(pair, side) > 8 && counters_are_right(placed_value()))
		memset(r->out + 8, 0xee, 8);
}
