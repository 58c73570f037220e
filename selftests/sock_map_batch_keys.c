// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches on claimed hashes of sockets whose keys have 3, 4 or 100 bytes, and
 * on a bucket with more keys than a walk remembers. Stock maps have no batches;
 * a batch delivers the keys in the order in which a stock hash iterates.
 */
#include <pthread.h>

#include "genlib.h"
#include "jhash.h"
#include "socklib.h"

/* Keys of all buckets. */
#define SPREAD 200
/* Keys of one bucket: more than SOCK_CHUNK of sock_walk.h. */
#define CROWD 100
#define BUCKETS 128
/* "used" is unknown if a bucket has more keys: SOCK_REPORT_CHAIN. */
#define COUNTED 64
#define UNKNOWN (-1U)
#define LONGEST 100
/* A walk may deliver keys again while another task replaces them. */
#define MOST (20 * SPREAD)
/* Behind each cursor, which has the size of a key. */
#define GUARD 0xa5

FIXTURE(keys) {
	int map, stock, netlink;
	size_t size;
	int udp[SPREAD];
	__u64 cookies[SPREAD], fds[SPREAD];
	__u8 keys[SPREAD * LONGEST];
	__u32 n;
};

FIXTURE_VARIANT(keys) {
	size_t size;
};

FIXTURE_VARIANT_ADD(keys, claimed_3_bytes) { 3 };
FIXTURE_VARIANT_ADD(keys, claimed_4_bytes) { 4 };
FIXTURE_VARIANT_ADD(keys, claimed_100_bytes) { LONGEST };

/* Different numbers make different keys. Long keys differ at their end only. */
static void make_key(__u8 *key, size_t size, __u32 number)
{
	__u32 mixed = number * 0x9e3779b1;
	size_t used = size < sizeof(mixed) ? size : sizeof(mixed);

	memset(key, 0, size);
	memcpy(key + size - used, &mixed, used);
}

FIXTURE_SETUP(keys)
{
	__u32 i;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->size = variant->size;
	self->map = -1;
	self->stock = -1;
	self->netlink = genl_open();
	ASSERT_LE(0, self->netlink);
	for (i = 0; i < SPREAD; i++) {
		self->udp[i] = sock_server(AF_INET, SOCK_DGRAM);
		ASSERT_LE(0, self->udp[i]);
		self->cookies[i] = sock_cookie(self->udp[i]);
		self->fds[i] = self->udp[i];
	}
}

FIXTURE_TEARDOWN(keys)
{
	__u32 i;

	for (i = 0; i < SPREAD; i++)
		close(self->udp[i]);
	close(self->map);
	close(self->stock);
	close(self->netlink);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* A claimed and a stock hash of so many buckets, a power of two. */
static bool make_maps(FIXTURE_DATA(keys) *self, __u32 buckets)
{
	self->map = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "rm_keys", self->size, 8, buckets, NULL);
	self->stock = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "st_keys", self->size, 8, buckets,
				     NULL);
	return self->map >= 0 && self->stock >= 0 && is_claimed(self->map);
}

static void spread(FIXTURE_DATA(keys) *self)
{
	for (self->n = 0; self->n < SPREAD; self->n++)
		make_key(self->keys + self->n * self->size, self->size, self->n);
}

/* All keys are in the same bucket of a map with so many buckets. */
static void crowd(FIXTURE_DATA(keys) *self)
{
	__u32 number = 0;
	__u8 *key;

	for (self->n = 0; self->n < CROWD; self->n++) {
		key = self->keys + self->n * self->size;
		do {
			make_key(key, self->size, number++);
		} while (jhash(key, self->size, 0) % BUCKETS != 5);
	}
}

/* 0 if a batch has inserted all keys. */
static int fill(FIXTURE_DATA(keys) *self)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = BPF_NOEXIST);
	__u32 count = self->n;
	int err;

	err = bpf_map_update_batch(self->map, self->keys, self->fds, &count, &opts);
	return err ?: count == self->n ? 0 : -ERANGE;
}

/* What "used" is in the answer to a netlink request. */
static __u32 used(FIXTURE_DATA(keys) *self)
{
	struct sock_counts counts;

	return genl_sock_counts(self->netlink, sock_map_id(self->map), &counts) ? UNKNOWN - 1 :
	       counts.present;
}

/* What it has to be while all keys are in the map. */
static __u32 used_of_all(FIXTURE_DATA(keys) *self)
{
	return self->n == CROWD ? UNKNOWN : self->n;
}

/* What a walk has delivered. */
struct seen {
	__u8 keys[MOST * LONGEST];
	__u64 cookies[MOST];
	__u32 n;
};

static struct seen seen, taken[2];

static int look(int map, bool take, void *in, void *out, void *keys, void *cookies, __u32 *count)
{
	return take ? bpf_map_lookup_and_delete_batch(map, in, out, keys, cookies, count, NULL) :
		      bpf_map_lookup_batch(map, in, out, keys, cookies, count, NULL);
}

/*
 * Walks to the end in steps, with a cursor whose size is that of a key. 0 or
 * -errno; -ERANGE for a wrong count, or a cursor that is not the last key.
 */
static int walk(int map, size_t size, bool take, __u32 step, struct seen *to)
{
	__u8 cursor[LONGEST + 1], *in = NULL;
	int err = 0;
	__u32 count;

	for (to->n = 0; !err; in = cursor) {
		count = step;
		if (to->n + step > MOST)
			return -E2BIG;
		cursor[size] = GUARD;
		err = look(map, take, in, cursor, to->keys + to->n * size, to->cookies + to->n,
			   &count);
		if (err && err != -ENOENT)
			return err;
		if ((err ? count > step : count != step) || cursor[size] != GUARD)
			return -ERANGE;
		to->n += count;
		/* A key that another task has taken may be the cursor. */
		if (count && !take && memcmp(cursor, to->keys + (to->n - 1) * size, size))
			return -ERANGE;
	}
	return 0;
}

/* How often a walk has delivered key number @i; -1 if with another socket. */
static int times(FIXTURE_DATA(keys) *self, const struct seen *from, __u32 i)
{
	__u32 j;
	int n = 0;

	for (j = 0; j < from->n; j++) {
		if (memcmp(from->keys + j * self->size, self->keys + i * self->size, self->size))
			continue;
		if (from->cookies[j] != self->cookies[i])
			return -1;
		n++;
	}
	return n;
}

/* The number of keys that a walk has not delivered once. */
static __u32 wrong(FIXTURE_DATA(keys) *self)
{
	__u32 i, n = 0;

	for (i = 0; i < self->n; i++)
		n += times(self, &seen, i) != 1;
	return n + (seen.n != self->n);
}

static const __u32 steps[] = { 1, 7, 64, CROWD, SPREAD + 1 };

static void walk_all(struct __test_metadata *_metadata, FIXTURE_DATA(keys) *self)
{
	__u32 i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		ASSERT_EQ(0, fill(self));
		ASSERT_EQ(used_of_all(self), used(self));
		ASSERT_EQ(0, walk(self->map, self->size, false, steps[i], &seen));
		EXPECT_EQ(0, wrong(self)) {
			TH_LOG("lookups of %u: %u keys of %u", steps[i], seen.n, self->n);
		}
		EXPECT_EQ(used_of_all(self), used(self));
		ASSERT_EQ(0, walk(self->map, self->size, true, steps[i], &seen));
		EXPECT_EQ(0, wrong(self)) {
			TH_LOG("taking %u: %u keys of %u", steps[i], seen.n, self->n);
		}
		EXPECT_EQ(0, used(self));
	}
}

/* The order of a map, by get_next_key; -ERANGE for another number of keys. */
static int iterate(int map, size_t size, __u8 *keys, __u32 n)
{
	__u8 key[LONGEST], *last = NULL;
	__u32 i = 0;

	while (!bpf_map_get_next_key(map, last, key)) {
		if (i == n)
			return -ERANGE;
		last = memcpy(keys + i++ * size, key, size);
	}
	return i == n ? 0 : -ERANGE;
}

/* Batches have the order of a stock map that was filled in the same way. */
static void compare_order(struct __test_metadata *_metadata, FIXTURE_DATA(keys) *self)
{
	static __u8 order[SPREAD * LONGEST];
	__u32 i;

	ASSERT_EQ(0, fill(self));
	for (i = 0; i < self->n; i++)
		ASSERT_EQ(0, bpf_map_update_elem(self->stock, self->keys + i * self->size,
						 &self->fds[i], BPF_ANY));
	ASSERT_EQ(0, iterate(self->stock, self->size, order, self->n));
	ASSERT_EQ(0, walk(self->map, self->size, false, 7, &seen));
	ASSERT_EQ(self->n, seen.n);
	EXPECT_EQ(0, memcmp(order, seen.keys, self->n * self->size));
}

/* A batch of deletes, half of the keys; then one that meets a missing key. */
static void delete_some(struct __test_metadata *_metadata, FIXTURE_DATA(keys) *self)
{
	__u32 half = self->n / 2, count = half, i;

	ASSERT_EQ(0, bpf_map_delete_batch(self->map, self->keys, &count, NULL));
	ASSERT_EQ(half, count);
	EXPECT_EQ(self->n - half, used(self));
	ASSERT_EQ(0, walk(self->map, self->size, false, 64, &seen));
	ASSERT_EQ(self->n - half, seen.n);
	for (i = 0; i < self->n; i++)
		EXPECT_EQ(i >= half, times(self, &seen, i));
	/* Those before the missing one are deleted. */
	memcpy(self->keys + (self->n - 1) * self->size, self->keys, self->size);
	count = self->n - half;
	EXPECT_EQ(-ENOENT, bpf_map_delete_batch(self->map, self->keys + half * self->size, &count,
						NULL));
	EXPECT_EQ(self->n - half - 1, count);
	EXPECT_EQ(1, used(self));
}

TEST_F(keys, all_buckets)
{
	ASSERT_TRUE(make_maps(self, 256));
	spread(self);
	walk_all(_metadata, self);
	compare_order(_metadata, self);
	delete_some(_metadata, self);
}

/*
 * Are the keys in one bucket? The kernel puts a new entry at its head, so it
 * iterates in the opposite order of the inserts.
 */
static bool is_crowded(FIXTURE_DATA(keys) *self)
{
	static __u8 order[CROWD * LONGEST];
	__u32 i;

	if (iterate(self->map, self->size, order, CROWD))
		return false;
	for (i = 0; i < CROWD; i++)
		if (memcmp(order + i * self->size, self->keys + (CROWD - 1 - i) * self->size,
			   self->size))
			return false;
	return true;
}

TEST_F(keys, one_bucket)
{
	ASSERT_TRUE(make_maps(self, BUCKETS));
	crowd(self);
	walk_all(_metadata, self);
	compare_order(_metadata, self);
	EXPECT_TRUE(is_crowded(self));
	delete_some(_metadata, self);
}

TEST_F(keys, used)
{
	__u32 count = CROWD - COUNTED - 1, one = 1;

	ASSERT_TRUE(make_maps(self, BUCKETS));
	crowd(self);
	ASSERT_EQ(0, fill(self));
	ASSERT_EQ(0, bpf_map_delete_batch(self->map, self->keys, &count, NULL));
	EXPECT_EQ(UNKNOWN, used(self));
	ASSERT_EQ(0, bpf_map_delete_batch(self->map, self->keys + count * self->size, &one, NULL));
	EXPECT_EQ(COUNTED, used(self));
}

/* --- races in one bucket -------------------------------------------------- */

/* Every fifth key is replaced by itself, as long as it is there. */
#define EACH 5

struct replacer {
	int map, err;
	size_t size;
	const __u8 *keys;
	const __u64 *fds;
	bool stop;
};

static void *replace(void *arg)
{
	struct replacer *r = arg;
	__u64 state = 1;
	__u32 i;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED) && !r->err) {
		i = rnd(&state) % (CROWD / EACH) * EACH;
		/* EBUSY: the psock of a taken socket is being freed. */
		if (bpf_map_update_elem(r->map, r->keys + i * r->size, &r->fds[i], BPF_EXIST) &&
		    errno != ENOENT && errno != EBUSY)
			r->err = -errno;
	}
	return NULL;
}

static void start(FIXTURE_DATA(keys) *self, struct replacer *r, pthread_t *thread)
{
	*r = (struct replacer){
		.map = self->map,
		.size = self->size,
		.keys = self->keys,
		.fds = self->fds,
	};
	r->err = -pthread_create(thread, NULL, replace, r);
}

static void finish(struct __test_metadata *_metadata, struct replacer *r, pthread_t thread)
{
	__atomic_store_n(&r->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, r->err);
}

/*
 * A walk ends, and delivers each key that stays. It may deliver a key again,
 * because it does not remember all keys of this bucket, and may miss one that
 * is being replaced.
 */
TEST_F(keys, replaced)
{
	struct replacer r;
	pthread_t thread;
	__u32 i, j;
	int n;

	ASSERT_TRUE(make_maps(self, BUCKETS));
	crowd(self);
	ASSERT_EQ(0, fill(self));
	start(self, &r, &thread);
	ASSERT_EQ(0, r.err);
	for (i = 0; i < fewer(40); i++) {
		ASSERT_EQ(0, walk(self->map, self->size, false, steps[i % ARRAY_SIZE(steps)],
				  &seen));
		for (j = 0; j < CROWD; j++) {
			n = times(self, &seen, j);
			ASSERT_LE(j % EACH ? 1 : 0, n);
		}
	}
	finish(_metadata, &r, thread);
	ASSERT_EQ(0, walk(self->map, self->size, true, SPREAD, &seen));
	EXPECT_EQ(0, wrong(self));
}

struct taker {
	int map, err;
	size_t size;
	__u32 step;
	struct seen *to;
};

static void *take(void *arg)
{
	struct taker *t = arg;

	t->err = walk(t->map, t->size, true, t->step, t->to);
	return NULL;
}

/*
 * Two tasks take the keys, and a third one replaces some of them: none is taken
 * twice, and each one is taken, unless it was being replaced.
 */
TEST_F(keys, two_takers)
{
	struct taker takers[2];
	pthread_t threads[3];
	__u32 i, round, left;
	struct replacer r;
	int n, t;

	ASSERT_TRUE(make_maps(self, BUCKETS));
	crowd(self);
	for (round = 0; round < fewer(40); round++) {
		bool races = round % 2;

		ASSERT_EQ(0, fill(self));
		if (races) {
			start(self, &r, &threads[2]);
			ASSERT_EQ(0, r.err);
		}
		for (t = 0; t < 2; t++) {
			takers[t] = (struct taker){
				.map = self->map,
				.size = self->size,
				.step = steps[(round + t) % ARRAY_SIZE(steps)],
				.to = &taken[t],
			};
			ASSERT_EQ(0, pthread_create(&threads[t], NULL, take, &takers[t]));
		}
		for (t = 0; t < 2; t++) {
			pthread_join(threads[t], NULL);
			EXPECT_EQ(0, takers[t].err);
		}
		if (races)
			finish(_metadata, &r, threads[2]);
		left = CROWD - taken[0].n - taken[1].n;
		EXPECT_EQ(left, used(self));
		for (i = 0; i < CROWD; i++) {
			n = times(self, &taken[0], i) + times(self, &taken[1], i);
			ASSERT_GE(1, n);
			ASSERT_LE(races && i % EACH == 0 ? 0 : 1, n);
		}
		/* Those that are left. */
		ASSERT_EQ(0, walk(self->map, self->size, true, SPREAD, &seen));
		ASSERT_EQ(left, seen.n);
	}
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
