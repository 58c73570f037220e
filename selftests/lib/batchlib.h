/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Batches of bpf(2), for their tests: on claimed maps, an array and a hash,
 * with values of four bytes. Stock maps have no batches, so the tests expect
 * the results of single operations.
 */
#ifndef REDIRMAP_BATCHLIB_H
#define REDIRMAP_BATCHLIB_H

#include "harness.h"
#include "maplib.h"

/* More entries than any test has. */
#define WALK_MAX 10000

/* The elements that a walk through a map has returned. */
struct walk {
	__u32 keys[WALK_MAX];
	__u32 values[WALK_MAX];
	__u32 n;
};

static inline int read_batch(int fd, bool take, __u32 *in, __u32 *out, void *keys, void *values,
			     __u32 *n)
{
	return take ? bpf_map_lookup_and_delete_batch(fd, in, out, keys, values, n, NULL) :
		      bpf_map_lookup_batch(fd, in, out, keys, values, n, NULL);
}

static inline int update_batch(int fd, const __u32 *keys, const void *values, __u32 *n,
			       __u64 flags)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = flags);

	return bpf_map_update_batch(fd, keys, values, n, &opts);
}

static inline int delete_batch(int fd, const __u32 *keys, __u32 *n)
{
	return bpf_map_delete_batch(fd, keys, n, NULL);
}

/*
 * Walk to the end in steps of so many entries. Returns 0 or -errno; -ERANGE if
 * a call breaks its contract: with 0 it returns all requested entries, with
 * ENOENT fewer, and it returns the place where the next call continues.
 */
static inline int walk(int fd, __u32 step, bool take, struct walk *w)
{
	__u32 token, n, *in = NULL;
	int err = 0;

	w->n = 0;
	while (!err) {
		n = step;
		if (n > WALK_MAX - w->n)
			n = WALK_MAX - w->n;
		if (!n)
			return -ERANGE;
		err = read_batch(fd, take, in, &token, w->keys + w->n, w->values + w->n, &n);
		if (err && err != -ENOENT)
			return err;
		if (err ? n >= step : n != step)
			return -ERANGE;
		w->n += n;
		/*
		 * The key is the last one, unless another thread has deleted
		 * that key meanwhile.
		 */
		if (n && !take && token != w->keys[w->n - 1])
			return -ERANGE;
		in = &token;
	}
	return 0;
}

/* Fill a map with keys and values. Returns 0 or -errno. */
static inline int fill(int fd, const __u32 *keys, const __u32 *values, __u32 n)
{
	__u32 done = n;
	int err = update_batch(fd, keys, values, &done, BPF_ANY);

	return err ?: done == n ? 0 : -ERANGE;
}

/* The number of those first entries of a map that are not as expected. */
static inline int count_wrong(int fd, const __u32 *keys, const __u32 *values, __u32 n)
{
	__u32 i, wrong = 0;

	for (i = 0; i < n; i++)
		wrong += get_elem(fd, keys[i]) != (values ? (int)values[i] : -ENOENT);
	return wrong;
}

static inline int compare_u32(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/* The number of keys that a walk has returned twice. */
static inline int count_twice(const struct walk *w)
{
	static __u32 sorted[WALK_MAX];
	__u32 i, twice = 0;

	memcpy(sorted, w->keys, w->n * sizeof(*sorted));
	qsort(sorted, w->n, sizeof(*sorted), compare_u32);
	for (i = 1; i < w->n; i++)
		twice += sorted[i] == sorted[i - 1];
	return twice;
}

/* A claimed map, and more entries than it can hold. */
#define ENTRIES 5000

FIXTURE(batch) {
	int fd;
	bool is_array;
	struct walk w;
	__u32 keys[ENTRIES + 1];
	__u32 values[ENTRIES + 1];
};

FIXTURE_VARIANT(batch) {
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(batch, claimed_array) { BPF_MAP_TYPE_DEVMAP };
FIXTURE_VARIANT_ADD(batch, claimed_hash) { BPF_MAP_TYPE_DEVMAP_HASH };

FIXTURE_SETUP(batch)
{
	__u64 state = 1;
	__u32 i;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_array = variant->type == BPF_MAP_TYPE_DEVMAP;
	self->fd = make_map(true, variant->type, ENTRIES);
	ASSERT_LE(0, self->fd);
	for (i = 0; i <= ENTRIES; i++) {
		self->keys[i] = self->is_array ? i : i * 0x9e3779b1;
		self->values[i] = devs[rnd(&state) % NDEVS];
	}
	shuffle(self->keys, ENTRIES, &state);
}

FIXTURE_TEARDOWN(batch)
{
	close(self->fd);
}

#endif /* REDIRMAP_BATCHLIB_H */
