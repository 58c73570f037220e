// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation, as in sock_faults.c: batches on claimed
 * socket maps, in two chunks. A batch that fails returns ENOMEM, and count is
 * the number of entries that it has processed; all others are as before. A
 * chunk of large keys comes from vmalloc() if kmalloc() fails.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#include "faultlib.h"
#include "socklib.h"
#include "sockcount.h"

/* A chunk has 64 entries. */
#define ENTRIES 66
/* Bytes of a key whose chunks are larger than a page. */
#define LARGE 100

FIXTURE(faults) {
	int map;
	__u32 id;
	int former[2], next[2];	/* sockets, and their peers */
	__u32 keys[ENTRIES];
	__u64 values[ENTRIES];
	bool is_hash;
};

FIXTURE_VARIANT(faults) {
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(faults, claimed_array) { BPF_MAP_TYPE_SOCKMAP };
FIXTURE_VARIANT_ADD(faults, claimed_hash) { BPF_MAP_TYPE_SOCKHASH };

static void set_values(FIXTURE_DATA(faults) *self, int fd)
{
	__u32 i;

	for (i = 0; i < ENTRIES; i++)
		self->values[i] = fd;
}

/* Sets all entries to a socket; 0 or -errno. */
static int fill(FIXTURE_DATA(faults) *self, int fd)
{
	__u32 count = ENTRIES;

	set_values(self, fd);
	return bpf_map_update_batch(self->map, self->keys, self->values, &count, NULL);
}

FIXTURE_SETUP(faults)
{
	__u32 i;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->type == BPF_MAP_TYPE_SOCKHASH;
	self->map = sock_map(true, variant->type, 8, ENTRIES);
	ASSERT_LE(0, self->map);
	self->id = sock_map_id(self->map);
	ASSERT_EQ(0, udp_pair(AF_INET, self->former));
	ASSERT_EQ(0, udp_pair(AF_INET, self->next));
	for (i = 0; i < ENTRIES; i++)
		self->keys[i] = self->is_hash ? i * 0x9e3779b1 : i;
	ASSERT_EQ(0, fill(self, self->former[0]));
}

FIXTURE_TEARDOWN(faults)
{
	close(self->map);
	EXPECT_TRUE(module_refs_become(base_refs));
	close_pair(self->former);
	close_pair(self->next);
}

/* The number of entries from one key on that all have this socket, or none. */
static __u32 first_with(FIXTURE_DATA(faults) *self, __u32 from, int fd)
{
	__u64 want = fd < 0 ? 0 : sock_cookie(fd), cookie;
	__u32 i;

	for (i = from; i < ENTRIES; i++) {
		if (sock_get(self->map, self->keys[i], &cookie))
			cookie = 0;
		if (cookie != want)
			break;
	}
	return i - from;
}

#define NONE (-1)

TEST_F(faults, update)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = BPF_EXIST);
	/* For each entry a link, in a hash also the entry; one psock. */
	int err, least = ENTRIES * (1 + self->is_hash) + 1, nomem, uncounted = 0;
	struct faults faults = {};
	struct sock_counts counts;
	__u32 count;

	while (faults_next(&faults)) {
		ASSERT_EQ(0, fill(self, self->former[0]));
		set_values(self, self->next[0]);
		ASSERT_EQ(0, sock_counts(self->id, &counts));
		count = ENTRIES;
		faults_begin(&faults);
		err = bpf_map_update_batch(self->map, self->keys, self->values, &count, &opts);
		faults_end(&faults, err);
		nomem = !sock_counted(self->id, &counts, count, 0, 0);
		EXPECT_TRUE(sock_counted(self->id, &counts, count, 0, nomem));
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(count, first_with(self, 0, self->next[0]));
		EXPECT_EQ(ENTRIES - count, first_with(self, count, self->former[0]));
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_GT(ENTRIES, count);
			/* The chunk is allocated before its entries. */
			uncounted += !nomem;
			EXPECT_EQ(faults.failures > uncounted, nomem);
			EXPECT_TRUE(nomem || !count);
		} else {
			EXPECT_EQ(ENTRIES, count);
			EXPECT_EQ(0, nomem);
		}
	}
	/*
	 * The kernel now and then allocates pages for objects. That shifts the
	 * numbers of an attempt, so a few allocations may never fail.
	 */
	least -= ENTRIES / 6;
	EXPECT_FAULTS(&faults, least);
	EXPECT_LE(1, uncounted);
	EXPECT_LE(least, faults.failures - uncounted);
}

TEST_F(faults, delete)
{
	struct faults faults = {};
	struct sock_counts counts;
	__u32 count;
	int err;

	while (faults_next(&faults)) {
		ASSERT_EQ(0, fill(self, self->former[0]));
		ASSERT_EQ(0, sock_counts(self->id, &counts));
		count = ENTRIES;
		faults_begin(&faults);
		err = bpf_map_delete_batch(self->map, self->keys, &count, NULL);
		faults_end(&faults, err);
		EXPECT_TRUE(sock_counted(self->id, &counts, 0, count, 0));
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(err ? 0 : ENTRIES, count);
		EXPECT_EQ(count, first_with(self, 0, NONE));
		EXPECT_EQ(ENTRIES - count, first_with(self, count, self->former[0]));
		EXPECT_TRUE(!err || faults.hit);
	}
	/* The chunk. */
	EXPECT_FAULTS(&faults, 1);
}

/* The number of different keys of the map among these, with this cookie. */
static __u32 known(FIXTURE_DATA(faults) *self, const __u32 *keys, const __u64 *values, __u32 n,
		   __u64 cookie)
{
	__u32 i, j, sum = 0;

	for (i = 0; i < ENTRIES; i++)
		for (j = 0; j < n; j++)
			if (keys[j] == self->keys[i] && values[j] == cookie) {
				sum++;
				break;
			}
	return sum;
}

/* A lookup that fails has returned nothing, and deleted nothing. */
static void read_each(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self, bool take)
{
	__u64 cookie = sock_cookie(self->former[0]), values[ENTRIES];
	__u32 keys[ENTRIES], count, out;
	struct faults faults = {};
	struct sock_counts counts;
	int err;

	while (faults_next(&faults)) {
		ASSERT_EQ(0, sock_counts(self->id, &counts));
		count = ENTRIES;
		faults_begin(&faults);
		err = take ? bpf_map_lookup_and_delete_batch(self->map, NULL, &out, keys, values,
							     &count, NULL) :
			     bpf_map_lookup_batch(self->map, NULL, &out, keys, values, &count,
						  NULL);
		faults_end(&faults, err);
		EXPECT_TRUE(sock_counted(self->id, &counts, 0, take ? count : 0, 0));
		/* The last chunk may be the end of the map, or not. */
		EXPECT_TRUE(count ? !err || err == -ENOENT : err == -ENOMEM);
		EXPECT_EQ(count ? ENTRIES : 0, count);
		EXPECT_EQ(count, known(self, keys, values, count, cookie));
		EXPECT_TRUE(count || faults.hit);
		if (take && count) {
			EXPECT_EQ(ENTRIES, first_with(self, 0, NONE));
			ASSERT_EQ(0, fill(self, self->former[0]));
		} else {
			EXPECT_EQ(ENTRIES, first_with(self, 0, self->former[0]));
		}
	}
	/* The walk. */
	EXPECT_FAULTS(&faults, 1);
}

TEST_F(faults, lookup)
{
	read_each(_metadata, self, false);
}

TEST_F(faults, lookup_and_delete)
{
	read_each(_metadata, self, true);
}

/* One fault is no failure. */
TEST_F(faults, large_keys)
{
	static char keys[ENTRIES][LARGE], got[ENTRIES][LARGE], out[LARGE];
	struct faults reads = {}, deletes = {};
	__u32 i, count = ENTRIES;
	int map, err;

	if (!self->is_hash)
		SKIP(return, "keys of an array have 4 bytes");
	map = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "rm_large", LARGE, 8, ENTRIES, NULL);
	ASSERT_LE(0, map);
	for (i = 0; i < ENTRIES; i++)
		keys[i][0] = i + 1;
	set_values(self, self->next[0]);
	ASSERT_EQ(0, bpf_map_update_batch(map, keys, self->values, &count, NULL));
	while (faults_next(&reads)) {
		count = ENTRIES;
		faults_begin(&reads);
		err = bpf_map_lookup_batch(map, NULL, out, got, self->values, &count, NULL);
		faults_end(&reads, err && err != -ENOENT);
		EXPECT_EQ(ENTRIES, count);
	}
	EXPECT_FAULTS(&reads, 0);
	EXPECT_EQ(0, reads.failures);
	while (faults_next(&deletes)) {
		count = ENTRIES;
		faults_begin(&deletes);
		err = bpf_map_delete_batch(map, keys, &count, NULL);
		faults_end(&deletes, err);
		EXPECT_EQ(ENTRIES, count);
		set_values(self, self->next[0]);
		ASSERT_EQ(0, bpf_map_update_batch(map, keys, self->values, &count, NULL));
	}
	EXPECT_FAULTS(&deletes, 0);
	EXPECT_EQ(0, deletes.failures);
	/* There were faults: the table is not empty. */
	EXPECT_LT(1, reads.n);
	EXPECT_LT(1, deletes.n);
	close(map);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: can_fail() ?: test_harness_run(argc, argv);
}
