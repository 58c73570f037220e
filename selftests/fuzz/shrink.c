// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reduces a failing sequence to fewer and simpler operations: delta debugging
 * (Zeller's ddmin, by complements), then fields towards 0. Every attempt runs
 * on new maps and devices. Any failure counts; it is usually the same one.
 */
#include "ops.h"
#include "run.h"
#include "shrink.h"

/* The most attempts, so that slow ones end as well. */
#define MAX_ATTEMPTS 1500

static int attempts;
static struct op *work;

static bool fails(const struct op *ops, int *n)
{
	int at;

	if (attempts++ >= MAX_ATTEMPTS)
		return false;
	at = run_ops(ops, *n);
	if (at < 0)
		return false;
	/* Operations after the failure are irrelevant. */
	if (at < *n)
		*n = at + 1;
	return true;
}

/* Does the sequence fail without @len operations from @from on? */
static bool fails_without(struct op *ops, int *n, int from, int len)
{
	int left = *n - len;

	memcpy(work, ops, from * sizeof(*ops));
	memcpy(work + from, ops + from + len, (left - from) * sizeof(*ops));
	if (!fails(work, &left))
		return false;
	memcpy(ops, work, left * sizeof(*ops));
	*n = left;
	return true;
}

static void drop_ops(struct op *ops, int *n)
{
	int len = *n / 2, from;
	bool found;

	while (len >= 1 && *n > 1) {
		found = false;
		/*
		 * From the end, because operations at the beginning are most
		 * often needed.
		 */
		for (from = *n - len; from > -len; from -= len) {
			int at = from < 0 ? 0 : from;

			if (at + len <= *n && fails_without(ops, n, at, len))
				found = true;
		}
		if (!found || len > *n / 2)
			len = len > 1 && len / 2 > *n / 2 ? *n / 2 : len / 2;
	}
}

static bool try_value(struct op *ops, int *n, __u64 *field, __u64 value)
{
	__u64 old = *field;
	int left = *n;

	*field = value;
	if (fails(ops, &left)) {
		*n = left;
		return true;
	}
	*field = old;
	return false;
}

static void simplify_op(struct op *ops, int *n, int at)
{
	__u64 *field, low;
	int i;

	for (i = 0; at < *n && (field = op_field(&ops[at], i)); i++) {
		if (!*field || try_value(ops, n, field, 0))
			continue;
		/*
		 * Searches for the smallest value by halves, unless the value
		 * has a name.
		 */
		for (low = 0; *field - low > 1;) {
			__u64 mid = low + (*field - low) / 2;

			if (!try_value(ops, n, field, mid))
				low = mid;
		}
	}
}

int shrink(struct op *ops, int n)
{
	bool thorough = state.thorough, verbose = state.verbose;
	int i, before;

	state.thorough = true;
	state.verbose = false;
	attempts = 0;
	work = malloc((n + 1) * sizeof(*work));
	if (!work)
		return n;
	do {
		before = n;
		drop_ops(ops, &n);
		for (i = 0; i < n; i++)
			simplify_op(ops, &n, i);
	} while (n < before && attempts < MAX_ATTEMPTS);
	free(work);
	state.thorough = thorough;
	state.verbose = verbose;
	return n;
}
