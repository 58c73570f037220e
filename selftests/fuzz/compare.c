// SPDX-License-Identifier: GPL-2.0-only
/*
 * Comparison of results and of contents: a lookup of every key and an iteration
 * over all keys.
 */
#include "compare.h"
#include "ops.h"
#include "outcome.h"
#include "peek.h"

/*
 * Maps of at most this many entries are compared completely after every step.
 */
#define SMALL 16
/*
 * Larger maps are compared completely every so many steps, except while a step
 * is searched.
 */
#define LARGE 600

#define MAX_WALK 8192

static void print_bytes(const char *name, const struct result *r)
{
	unsigned int i;

	printf("#   %s: %s", name, outcome(r->ret));
	for (i = 0; i < r->len && i < 32; i++)
		printf("%s%02x", i ? " " : ", ", r->out[i]);
	printf("\n");
}

bool compare_results(const struct op *op, const struct result *r)
{
	unsigned int i;

	if (state.verbose) {
		print_bytes("stock  ", &r[STOCK]);
		print_bytes("claimed", &r[CLAIMED]);
	}
	note_outcome(op->cmd, r[CLAIMED].ret);
	if (r[STOCK].ret != r[CLAIMED].ret)
		return failed("%s: stock %s, claimed %s", cmd_name(op->cmd), outcome(r[STOCK].ret),
			      outcome(r[CLAIMED].ret));
	if (r[STOCK].len != r[CLAIMED].len)
		return failed("%s: stock says %u bytes, claimed %u", cmd_name(op->cmd),
			      r[STOCK].len, r[CLAIMED].len);
	for (i = 0; i < r[STOCK].len; i++)
		if (r[STOCK].out[i] != r[CLAIMED].out[i])
			return failed("%s: byte %u: stock writes 0x%02x, claimed 0x%02x",
				      cmd_name(op->cmd), i, r[STOCK].out[i], r[CLAIMED].out[i]);
	return true;
}

static bool compare_key(const struct pair *pair, __u32 key)
{
	__u64 value[NR_SIDES];
	int ret[NR_SIDES], side;

	for (side = 0; side < NR_SIDES; side++)
		ret[side] = peek(pair, side, key, &value[side]);
	if (ret[STOCK] == ret[CLAIMED] && value[STOCK] == value[CLAIMED])
		return true;
	return failed("contents: map %td, key %u: stock %s 0x%llx, claimed %s 0x%llx",
		      pair - state.pairs, key, outcome(ret[STOCK]), value[STOCK],
		      outcome(ret[CLAIMED]), value[CLAIMED]);
}

static int compare_u32(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/*
 * Both iterations return the same keys, each once, in any order. Then the
 * values are compared.
 */
static bool compare_walks(const struct pair *pair, bool values)
{
	static __u32 keys[NR_SIDES][MAX_WALK];
	int max = pair->attr.max_entries + 1 < MAX_WALK ? pair->attr.max_entries + 1 : MAX_WALK;
	int n[NR_SIDES], side, i;

	for (side = 0; side < NR_SIDES; side++) {
		n[side] = walk_keys(pair, side, keys[side], max);
		if (n[side] < 0)
			return false;
		/*
		 * An array's keys are in order, and are compared in this order.
		 */
		if (pair->attr.type == BPF_MAP_TYPE_DEVMAP_HASH ||
		    pair->attr.type == BPF_MAP_TYPE_HASH_OF_MAPS)
			qsort(keys[side], n[side], sizeof(__u32), compare_u32);
	}
	if (n[STOCK] != n[CLAIMED])
		return failed("iteration: map %td: stock has %d keys, claimed %d",
			      pair - state.pairs, n[STOCK], n[CLAIMED]);
	for (i = 0; i < n[STOCK]; i++) {
		if (keys[STOCK][i] != keys[CLAIMED][i])
			return failed("iteration: map %td: stock has key %u, claimed %u",
				      pair - state.pairs, keys[STOCK][i], keys[CLAIMED][i]);
		if (i && keys[STOCK][i] == keys[STOCK][i - 1])
			return failed("iteration: map %td: key %u twice", pair - state.pairs,
				      keys[STOCK][i]);
	}
	for (i = 0; i < n[STOCK] && values; i++)
		if (!compare_key(pair, keys[STOCK][i]))
			return false;
	return true;
}

/* Seldom, because a lookup in an outer map may wait for a grace period. */
static bool compare_outer(struct pair *pair, bool all)
{
	bool values = all || state.thorough || ++pair->unseen >= 64;

	if (values)
		pair->unseen = 0;
	return compare_walks(pair, values);
}

/*
 * Small maps completely; of large maps the keys of this step, and sometimes
 * all.
 */
bool compare_pair(struct pair *pair, bool all)
{
	unsigned int i;

	if (!pair->made)
		return true;
	if (is_outer(pair))
		return compare_outer(pair, all);
	for (i = 0; i < state.nr_touched; i++)
		if (!compare_key(pair, state.touched[i]))
			return false;
	pair->unseen++;
	if (!all && pair->attr.max_entries > SMALL &&
	    !(state.thorough && pair->attr.max_entries <= LARGE) &&
	    pair->unseen < pair->attr.max_entries / 8)
		return true;
	pair->unseen = 0;
	return compare_walks(pair, true);
}
