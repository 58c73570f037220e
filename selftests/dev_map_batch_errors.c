// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches with errors: the number of processed entries, the errno, and that no
 * entry is lost. Claimed maps only: see dev_map_batch.c.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "batchlib.h"

/* --- number of processed entries ------------------------------------------ */

/* The first error ends a batch; entries before it are processed. */
TEST_F(batch, update_stops)
{
	static const __u32 at[] = { 0, 1, 63, 64, 65, 200, 299 };
	__u32 i, n, where, value, key;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		where = at[i];
		/* No such device. */
		value = self->values[where];
		self->values[where] = NO_DEV;
		n = 300;
		EXPECT_EQ(-EINVAL, update_batch(self->fd, self->keys, self->values, &n, BPF_ANY));
		EXPECT_EQ(where, n);
		self->values[where] = value;
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, n));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys + n, NULL, 300 - n));
		if (n)
			EXPECT_EQ(0, delete_batch(self->fd, self->keys, &n));

		if (self->is_array) {
			/* No such slot. */
			key = self->keys[where];
			self->keys[where] = ENTRIES;
			n = 300;
			EXPECT_EQ(-E2BIG, update_batch(self->fd, self->keys, self->values, &n,
						       BPF_ANY));
			self->keys[where] = key;
		} else {
			/*
			 * A key with an entry; an earlier element of the batch
			 * may have added it.
			 */
			key = self->keys[where];
			if (where)
				self->keys[where] = self->keys[where - 1];
			else
				EXPECT_EQ(0, set_elem(self->fd, key, self->values[0], BPF_ANY));
			n = 300;
			EXPECT_EQ(-EEXIST, update_batch(self->fd, self->keys, self->values, &n,
							BPF_NOEXIST));
			self->keys[where] = key;
			if (!where)
				EXPECT_EQ(0, del_elem(self->fd, key));
		}
		EXPECT_EQ(where, n);
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, n));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys + n, NULL, 300 - n));
		if (n)
			EXPECT_EQ(0, delete_batch(self->fd, self->keys, &n));
	}
}

TEST_F(batch, delete_stops)
{
	static const __u32 at[] = { 0, 1, 63, 64, 65, 200, 299 };
	__u32 i, n, where, key;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		where = at[i];
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 300));
		key = self->keys[where];
		self->keys[where] = ENTRIES;
		n = 300;
		EXPECT_EQ(self->is_array ? -EINVAL : -ENOENT,
			  delete_batch(self->fd, self->keys, &n));
		EXPECT_EQ(where, n);
		self->keys[where] = key;
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, NULL, n));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys + n, self->values + n, 300 - n));

		/* A deleted key: not an error in an array. */
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 300));
		EXPECT_EQ(0, del_elem(self->fd, key));
		n = 300;
		EXPECT_EQ(self->is_array ? 0 : -ENOENT, delete_batch(self->fd, self->keys, &n));
		EXPECT_EQ(self->is_array ? 300 : where, n);
	}
}

TEST_F(batch, full)
{
	__u32 n = ENTRIES + 1;

	EXPECT_EQ(-E2BIG, update_batch(self->fd, self->keys, self->values, &n, BPF_ANY));
	EXPECT_EQ(ENTRIES, n);
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, ENTRIES));
	/* A batch may request more entries than there are. */
	ASSERT_EQ(0, walk(self->fd, WALK_MAX, false, &self->w));
	EXPECT_EQ(ENTRIES, self->w.n);
	EXPECT_EQ(0, count_twice(&self->w));
	n = ENTRIES + 1;
	EXPECT_EQ(self->is_array ? -EINVAL : -ENOENT, delete_batch(self->fd, self->keys, &n));
	EXPECT_EQ(ENTRIES, n);
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, NULL, ENTRIES));
}

TEST_F(batch, same_key_twice)
{
	__u32 keys[3], values[3] = { devs[0], devs[1], devs[2] }, n = 3;

	keys[0] = self->keys[0];
	keys[1] = self->keys[1];
	keys[2] = self->keys[0];
	EXPECT_EQ(0, update_batch(self->fd, keys, values, &n, BPF_ANY));
	EXPECT_EQ(devs[2], get_elem(self->fd, keys[0]));
	EXPECT_EQ(devs[1], get_elem(self->fd, keys[1]));
	EXPECT_EQ(self->is_array ? 0 : -ENOENT, delete_batch(self->fd, keys, &n));
	EXPECT_EQ(self->is_array ? 3 : 2, n);
	EXPECT_EQ(0, count_wrong(self->fd, keys, NULL, 3));
}

/* --- memory --------------------------------------------------------------- */

/*
 * Two pages, of which the second one is not mapped, and words up to its begin.
 */
struct fence {
	void *pages;
	__u32 *end;
};

static bool make_fence(struct fence *f, int prot)
{
	long size = sysconf(_SC_PAGESIZE);

	f->pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f->end = f->pages + size;
	return f->pages != MAP_FAILED && !mprotect(f->end, size, prot);
}

static void free_fence(struct fence *f)
{
	munmap(f->pages, 2 * sysconf(_SC_PAGESIZE));
}

TEST_F(batch, bad_pointers)
{
	void *const bad[] = { NULL, (void *)8, (void *)~7UL, (void *)0xffff888000000000UL };
	__u32 i, n, token;
	int take;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 100));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		n = 100;
		EXPECT_EQ(-EFAULT, update_batch(self->fd, bad[i], self->values + 1, &n, BPF_ANY));
		EXPECT_EQ(0, n);
		n = 100;
		EXPECT_EQ(-EFAULT, update_batch(self->fd, self->keys, bad[i], &n, BPF_ANY));
		EXPECT_EQ(0, n);
		n = 100;
		EXPECT_EQ(-EFAULT, delete_batch(self->fd, bad[i], &n));
		EXPECT_EQ(0, n);
		for (take = 0; take < 2; take++) {
			n = 100;
			EXPECT_EQ(-EFAULT, read_batch(self->fd, take, NULL, &token, bad[i],
						      self->w.values, &n));
			EXPECT_EQ(0, n);
			n = 100;
			EXPECT_EQ(-EFAULT, read_batch(self->fd, take, NULL, &token, self->w.keys,
						      bad[i], &n));
			EXPECT_EQ(0, n);
			n = 100;
			EXPECT_EQ(-EFAULT, read_batch(self->fd, take, NULL, bad[i], self->w.keys,
						      self->w.values, &n));
			EXPECT_EQ(0, n);
			/* NULL is the beginning. */
			if (!bad[i])
				continue;
			n = 100;
			EXPECT_EQ(-EFAULT, read_batch(self->fd, take, bad[i], &token, self->w.keys,
						      self->w.values, &n));
			EXPECT_EQ(0, n);
		}
		/* Nothing has happened. */
		ASSERT_EQ(0, count_wrong(self->fd, self->keys, self->values, 100));
	}
}

/* An attribute whose count cannot be written. */
TEST_F(batch, count_read_only)
{
	static const int cmds[] = {
		BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_BATCH,
		BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	};
	union bpf_attr *attr;
	__u32 i, token;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 100));
	attr = mmap(NULL, sizeof(*attr), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(MAP_FAILED, attr);
	attr->batch.map_fd = self->fd;
	attr->batch.keys = (unsigned long)self->w.keys;
	attr->batch.values = (unsigned long)self->w.values;
	attr->batch.out_batch = (unsigned long)&token;
	attr->batch.count = 100;
	memcpy(self->w.keys, self->keys, 400);
	memcpy(self->w.values, self->values + 1, 400);
	ASSERT_EQ(0, mprotect(attr, sizeof(*attr), PROT_READ));
	for (i = 0; i < ARRAY_SIZE(cmds); i++) {
		EXPECT_EQ(-1, syscall(__NR_bpf, cmds[i], attr, sizeof(*attr)));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, 100));
	}
	munmap(attr, sizeof(*attr));
}

/* Memory that ends early: entries before its end are processed. */
TEST_F(batch, input_ends_early)
{
	static const __u32 have[] = { 1, 2, 63, 64, 65, 100, 129 };
	struct fence keys, values;
	__u32 i, j, n;

	ASSERT_TRUE(make_fence(&keys, PROT_NONE));
	ASSERT_TRUE(make_fence(&values, PROT_NONE));
	for (i = 0; i < ARRAY_SIZE(have); i++) {
		for (j = 0; j < 3; j++) {
			__u32 k = have[i] + (j == 1) * 7, v = have[i] + (j == 2) * 7;

			memcpy(keys.end - k, self->keys, k * 4);
			memcpy(values.end - v, self->values, v * 4);
			n = 200;
			EXPECT_EQ(-EFAULT, update_batch(self->fd, keys.end - k, values.end - v, &n,
							BPF_ANY));
			EXPECT_EQ(have[i], n);
			EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, have[i]));
			EXPECT_EQ(0, count_wrong(self->fd, self->keys + have[i], NULL,
						 200 - have[i]));
			n = 200;
			EXPECT_EQ(j == 1 && !self->is_array ? -ENOENT : -EFAULT,
				  delete_batch(self->fd, keys.end - k, &n));
			EXPECT_EQ(j == 1 && self->is_array ? k : have[i], n);
			EXPECT_EQ(0, count_wrong(self->fd, self->keys, NULL, 200));
		}
	}
	free_fence(&keys);
	free_fence(&values);
}

/*
 * Lookups whose memory ends early. If they delete, count is the number of
 * returned entries; these are deleted, and all others still exist.
 */
TEST_F(batch, output_ends_early)
{
	static const __u32 have[] = { 0, 1, 63, 64, 65, 100, 129 };
	static const int prots[] = { PROT_NONE, PROT_READ };
	struct fence keys, values;
	__u32 i, j, p, n, token, *k, *v;
	bool take;

	for (p = 0; p < ARRAY_SIZE(prots); p++) {
		ASSERT_TRUE(make_fence(&keys, prots[p]));
		ASSERT_TRUE(make_fence(&values, prots[p]));
		for (i = 0; i < ARRAY_SIZE(have) * 2; i++) {
			take = i % 2;
			for (j = 0; j < 3; j++) {
				ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 200));
				k = keys.end - have[i / 2] - (j == 1) * 7;
				v = values.end - have[i / 2] - (j == 2) * 7;
				n = 200;
				EXPECT_EQ(-EFAULT, read_batch(self->fd, take, NULL, &token, k, v,
							      &n));
				ASSERT_GE(have[i / 2], n);
				EXPECT_EQ(0, count_wrong(self->fd, k, take ? NULL : v, n));
				if (n)
					EXPECT_EQ(k[n - 1], token);
				ASSERT_EQ(0, walk(self->fd, 1000, false, &self->w));
				EXPECT_EQ(take ? 200 - n : 200, self->w.n);
				EXPECT_EQ(0, count_wrong(self->fd, self->w.keys, self->w.values,
							 self->w.n));
			}
		}
		free_fence(&keys);
		free_fence(&values);
	}
}

/* No byte after the returned entries is written. */
TEST_F(batch, output_in_bounds)
{
	__u32 got[202], values[202], n, token[3] = { 1, 2, 3 }, i, touched = 0;
	int take;

	for (take = 0; take < 2; take++) {
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 150));
		memset(got, 0xee, sizeof(got));
		memset(values, 0xee, sizeof(values));
		n = 200;
		EXPECT_EQ(-ENOENT, read_batch(self->fd, take, NULL, &token[1], got + 1,
					      values + 1, &n));
		EXPECT_EQ(150, n);
		for (i = 151; i < 202; i++)
			touched += got[i] != 0xeeeeeeee || values[i] != 0xeeeeeeee;
		EXPECT_EQ(0xeeeeeeee, got[0]);
		EXPECT_EQ(0xeeeeeeee, values[0]);
		EXPECT_EQ(0, touched);
		EXPECT_EQ(1, token[0]);
		EXPECT_EQ(3, token[2]);
	}
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
