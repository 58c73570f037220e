// SPDX-License-Identifier: GPL-2.0-only
/*
 * The documented differences of claimed maps, which are all that the fuzzer
 * allows. The table at the end of this file lists each once;
 * Documentation/map_devmap.rst describes each, most in its column "stock", and
 * map_sockmap.rst those of socket maps.
 *
 * Each difference recognises the operations that it applies to, and replaces
 * their normal execution: it still compares everything that can be compared,
 * and leaves both maps with the same contents. The other order of a hash's keys
 * needs that for single steps only, because contents are compared as sets.
 */
#include <stddef.h>

#include "batch.h"
#include "compare.h"
#include "diffs.h"
#include "maps.h"
#include "packets.h"
#include "peek.h"
#include "sides.h"

/* A device of every network namespace. */
#define LOOPBACK_IFINDEX 1

/*
 * The operation passes so much of the attribute to the kernel. Addresses have 6
 * bytes.
 */
static bool told(const struct op *op, size_t size)
{
	return !op->size || op->size >= size;
}

/* map_devmap.rst, "Errors": update. */
static bool exist_applies(const struct op *op, const struct pair *pair)
{
	__u64 value;

	return op->cmd == UPDATE && is_devmap(pair) && is_hash(pair) && op->flags == BPF_EXIST &&
	       told(op, offsetof(union bpf_attr, flags) + 1) &&
	       peek(pair, STOCK, op->key, &value) == -ENOENT;
}

static bool exist_step(const struct op *op, struct pair *pair)
{
	struct result r[NR_SIDES] = {};
	struct op plain = *op;

	__u32 key = op->key;

	/*
	 * The missing key is reported before an invalid value. So the stock map
	 * is asked with a device that always exists, and without a program,
	 * which would determine the programs that the map accepts later.
	 */
	if (op->ifindex) {
		plain.ifindex = LOOPBACK_IFINDEX;
		plain.prog = PROG_NONE;
	}
	run_side(&plain, pair, STOCK, &r[STOCK]);
	run_side(op, pair, CLAIMED, &r[CLAIMED]);
	if (!r[STOCK].ret)
		r[STOCK].ret = bpf_map_delete_elem(pair->peek[STOCK], &key) ?: -ENOENT;
	else if (r[STOCK].ret == -E2BIG && op->size <= (__u64)sysconf(_SC_PAGESIZE))
		r[STOCK].ret = -ENOENT;
	return compare_results(op, r);
}

/*
 * map_devmap.rst, "Iteration". (Outer hashes, which are the kernel's, behave in
 * the same way.) Each map must return what its own iteration returns.
 */
static bool order_applies(const struct op *op, const struct pair *pair)
{
	return op->cmd == NEXT && pair->made && told(op, offsetof(union bpf_attr, key) + 6) &&
	       ((is_devmap(pair) && is_hash(pair)) || pair->attr.type == BPF_MAP_TYPE_HASH_OF_MAPS);
}

static bool order_step(const struct op *op, struct pair *pair)
{
	static __u32 keys[8192];
	bool bad_value = (op->ptr >= PTR_VALUE_NULL && op->ptr <= PTR_VALUE_READ_ONLY) ||
			 !told(op, offsetof(union bpf_attr, value) + 6);
	struct result r[NR_SIDES] = {};
	__u32 next, want_key;
	int n, i, side, want;

	run_both(op, pair, r);
	for (side = 0; side < NR_SIDES; side++) {
		/* Errors of the call itself are the same for both. */
		if (r[side].ret && r[side].ret != -ENOENT &&
		    !(bad_value && r[side].ret == -EFAULT))
			return compare_results(op, r);
		n = walk_keys(pair, side, keys, ARRAY_SIZE(keys));
		if (n < 0)
			return false;
		i = 0;
		if (op->ptr != PTR_KEY_NULL) {
			while (i < n && keys[i] != (__u32)op->key)
				i++;
			/* A missing key is followed by the first key. */
			i = i == n ? 0 : i + 1;
		}
		want = i == n ? -ENOENT : bad_value ? -EFAULT : 0;
		want_key = i < n ? keys[i] : 0;
		memcpy(&next, r[side].out, sizeof(next));
		if (r[side].ret != want || (!want && next != want_key))
			return failed("next: %s says %d, key %u; its walk %d, key %u",
				      side == STOCK ? "stock" : "claimed", r[side].ret, next, want,
				      want_key);
		/* The remaining bytes are those after the key. */
		memset(r[side].out, 0, sizeof(next));
	}
	r[STOCK].ret = r[CLAIMED].ret;
	return compare_results(op, r);
}

/*
 * map_devmap.rst and map_sockmap.rst, "Batches". The expected results, in
 * batch.c, are those of single operations on the stock map.
 */
static bool batch_applies(const struct op *op, const struct pair *pair)
{
	return op->cmd >= LOOKUP_BATCH && op->cmd <= DELETE_BATCH && !is_outer(pair);
}

/*
 * map_devmap.rst, "Memory"; the lines of fdinfo that differ. Claimed socket
 * maps have a record with counters in addition.
 */
static bool memlock_applies(const struct op *op, const struct pair *pair)
{
	return op->cmd == FDINFO && pair->made && !is_outer(pair) && have_mem_usage();
}

static void drop_line(struct result *r, const char *head)
{
	char *text = (char *)r->out, *line = strstr(text, head), *end;

	end = line ? strchr(line, '\n') : NULL;
	if (!end)
		return;
	memmove(line, end, strlen(end) + 1);
	r->len = strlen(text);
}

static bool memlock_step(const struct op *op, struct pair *pair)
{
	struct result r[NR_SIDES] = {};

	run_both(op, pair, r);
	drop_line(&r[STOCK], "memlock:");
	drop_line(&r[CLAIMED], "memlock:");
	return compare_results(op, r);
}

/*
 * counters.rst, "Values with counters". Such a map is paired with a stock map
 * whose values have 8 bytes: maps_create() and value_size() do that. Only the
 * size itself still differs here.
 */
static bool counters_applies(const struct op *op, const struct pair *pair)
{
	const struct pair *inner = &state.pairs[op->inner % NR_PAIRS];

	if (op->cmd == NEST)
		return pair->made && is_outer(pair) && is_devmap(inner) &&
		       pair->inner_counts != inner->counts;
	return pair->made && pair->counts && (op->cmd == INFO || op->cmd == FDINFO);
}

static bool counters_step(const struct op *op, struct pair *pair)
{
	const size_t size = offsetof(struct bpf_map_info, value_size);
	const size_t type = offsetof(struct bpf_map_info, btf_value_type_id);
	struct result r[NR_SIDES] = {};
	int side;

	/* Compared with the stock maps, both have values of 8 bytes. */
	if (op->cmd == NEST) {
		run_side(op, pair, CLAIMED, &r[CLAIMED]);
		if (!r[CLAIMED].ret)
			return failed("nest: maps with and without counters are mixed");
		r[STOCK].ret = r[CLAIMED].ret;
		return compare_results(op, r);
	}
	run_both(op, pair, r);
	for (side = 0; side < NR_SIDES && op->cmd == FDINFO; side++) {
		drop_line(&r[side], "value_size:");
		/* On 6.1 the kernel calculates it from the size of values. */
		drop_line(&r[side], "memlock:");
	}
	if (op->cmd == INFO && r[CLAIMED].out[size] == sizeof(struct redirmap_val))
		r[CLAIMED].out[size] = sizeof(struct bpf_devmap_val);
	/* See create.c. */
	if (op->cmd == INFO && r[CLAIMED].out[type] == 3)
		r[CLAIMED].out[type] = 2;
	return compare_results(op, r);
}

/* map_devmap.rst, "Maps of maps". */
static bool mix_applies(const struct op *op, const struct pair *pair)
{
	const struct pair *inner = &state.pairs[op->inner % NR_PAIRS];

	return op->cmd == NEST && op->mix && pair->made && is_outer(pair) && inner->made &&
	       !is_outer(inner);
}

static bool mix_step(const struct op *op, struct pair *pair)
{
	struct result r[NR_SIDES] = {};

	run_both(op, pair, r);
	if (!r[STOCK].ret || !r[CLAIMED].ret)
		return failed("nest: stock and claimed maps are mixed");
	return compare_results(op, r);
}

/*
 * map_devmap.rst, "Errors": create. For some sizes there is memory for the
 * stock map only. maps_create() drops both then.
 */
static bool memory_applies(const struct op *op, const struct pair *pair)
{
	return op->cmd == CREATE && op->type == BPF_MAP_TYPE_DEVMAP_HASH &&
	       op->max_entries >= 1 << 24 && op->max_entries <= 1U << 31;
}

static const struct difference differences[] = {
	{ "exist",
	  "BPF_EXIST on a key that a hash has not is ENOENT; stock inserts it",
	  exist_applies, exist_step },
	{ "order",
	  "get_next_key visits a hash's keys in another order",
	  order_applies, order_step },
	{ "batch",
	  "batches do what single operations would; stock says ENOTSUPP",
	  batch_applies, batch_step },
	{ "counters",
	  "values of 160 bytes have counters; stock refuses to make such maps",
	  counters_applies, counters_step },
	{ "packets",
	  "frames leave as packets where a device takes none; stock loses them",
	  packets_applies, packets_step },
	{ "mix",
	  "stock and claimed maps are not taken into one outer map",
	  mix_applies, mix_step },
	{ "memlock",
	  "memlock in fdinfo (6.12) is the memory of the map's own tables",
	  memlock_applies, memlock_step },
	{ "memory",
	  "a hash takes all its memory when it is made, so ENOMEM comes then",
	  memory_applies },
};

static bool is_strict(const char *name)
{
	return state.strict && !strcmp(state.strict, name);
}

bool is_let_pass(const char *name)
{
	return known_difference(name) && !is_strict(name);
}

const struct difference *difference(const struct op *op, const struct pair *pair)
{
	const struct difference *diff;

	for (diff = differences; diff < differences + ARRAY_SIZE(differences); diff++)
		if (!is_strict(diff->name) && diff->applies(op, pair))
			return diff;
	return NULL;
}

void list_differences(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++)
		printf("%-10s %s\n", differences[i].name, differences[i].documented);
}

bool known_difference(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(differences); i++)
		if (!strcmp(differences[i].name, name))
			return true;
	return false;
}
