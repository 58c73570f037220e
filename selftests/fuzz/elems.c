// SPDX-License-Identifier: GPL-2.0-only
/* Operations on single elements. */
#include <stddef.h>
#include <sys/syscall.h>

#include "fuzz.h"

static const int bpf_cmds[NR_CMDS] = {
	[LOOKUP] = BPF_MAP_LOOKUP_ELEM,
	[UPDATE] = BPF_MAP_UPDATE_ELEM,
	[NEST] = BPF_MAP_UPDATE_ELEM,
	[DELETE] = BPF_MAP_DELETE_ELEM,
	[NEXT] = BPF_MAP_GET_NEXT_KEY,
	[TAKE] = BPF_MAP_LOOKUP_AND_DELETE_ELEM,
};

__u64 value_of(const struct op *op, const struct pair *pair, enum side side, __u64 ifindex)
{
	struct bpf_devmap_val val = { .ifindex = ifindex };
	const struct pair *inner;
	__u64 value = 0;

	if (op->cmd == NEST) {
		inner = &state.pairs[op->inner % NR_PAIRS];
		val.ifindex = pair_fd(inner, op->mix ? !side : side, FD_FIRST);
	} else if (op->prog) {
		val.bpf_prog.fd = prog_fd(op, pair, side);
	}
	memcpy(&value, &val, sizeof(val));
	return value;
}

/* What an outer map says is the id of a map. */
static void read_value(const struct pair *pair, enum side side, void *value)
{
	__u32 id;

	if (!is_outer(pair))
		return;
	memcpy(&id, value, sizeof(id));
	id = serial_of(side, id);
	memcpy(value, &id, sizeof(id));
}

bool counters_are_right(const void *value)
{
	struct redirmap_stats stats;
	__u64 n;
	int i;

	if (is_zero(value + offsetof(struct redirmap_val, stats),
		    value + sizeof(struct redirmap_val)))
		return true;
	memcpy(&stats, value + offsetof(struct redirmap_val, stats), sizeof(stats));
	for (i = 0, n = stats.packets; i < REDIRMAP_DROP_ROOM; i++)
		n += stats.drops[i];
	return n && n <= state.frames && stats.bytes >= stats.packets * LEN_MIN &&
	       stats.bytes <= stats.packets * LEN_MAX;
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

	/* A map is no value of a device map. */
	if (op->cmd == NEST && !is_outer(pair))
		return;
	if (writes)
		value = value_of(op, pair, side, op->ifindex);
	attr.map_fd = pair_fd(pair, side, op->fd);
	attr.key = (unsigned long)place_key(op, op->key);
	/* Also where there is none: bpf(2) does not let itself be told what it needs not. */
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

static int peek_call(int cmd, int fd, const __u32 *key, void *value)
{
	/* Shorter than libbpf's: most calls of all are these. */
	struct {
		__u32 map_fd;
		__u64 key, value, flags;
	} attr = { .map_fd = fd, .key = (unsigned long)key, .value = (unsigned long)value };

	return syscall(__NR_bpf, cmd, &attr, sizeof(attr)) ? -errno : 0;
}

int peek(const struct pair *pair, enum side side, __u32 key, __u64 *value)
{
	struct redirmap_val val;
	int err;

	*value = 0;
	err = peek_call(BPF_MAP_LOOKUP_ELEM, pair->peek[side], &key, &val);
	if (err)
		return err;
	memcpy(value, &val, pair->attr.value_size);
	read_value(pair, side, value);
	if (value_size(pair, side) > sizeof(*value) && !counters_are_right(&val))
		failed("contents: map %td, key %u: counters that cannot be", pair - state.pairs,
		       key);
	return 0;
}

int peek_next(const struct pair *pair, enum side side, const __u32 *key, __u32 *next)
{
	return peek_call(BPF_MAP_GET_NEXT_KEY, pair->peek[side], key, next);
}
