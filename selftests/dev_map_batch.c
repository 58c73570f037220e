// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_MAP_LOOKUP_BATCH, UPDATE_BATCH, DELETE_BATCH, LOOKUP_AND_DELETE_BATCH:
 * results without errors. See also dev_map_batch_errors.c,
 * dev_map_batch_race.c.
 *
 * Claimed maps have batches. Intended: stock device maps do not, and return
 * ENOTSUPP. The result of a batch is compared by single operations.
 */
#include "batchlib.h"

/*
 * The kernel's chunks have 64 entries now; the tests depend only on there being
 * chunks.
 */
static const __u32 counts[] = { 1, 3, 63, 64, 65, 128, 1000, 4096, ENTRIES };

FIXTURE(kinds) {
};

FIXTURE_VARIANT(kinds) {
	struct kind kind;
};

MAP_KINDS(kinds);

FIXTURE_SETUP(kinds)
{
	ASSERT_TRUE(module_refs_become(base_refs));
}

FIXTURE_TEARDOWN(kinds)
{
}

TEST_F(kinds, supported)
{
	int want = variant->kind.claimed ? 0 : -ENOTSUPP;
	__u32 keys[4] = { 0, 1, 2, 3 }, values[4], token, n = 4;
	int fd = make_map(variant->kind.claimed, variant->kind.type, 4);

	ASSERT_LE(0, fd);
	memcpy(values, devs, sizeof(values));
	EXPECT_EQ(want, update_batch(fd, keys, values, &n, BPF_ANY));
	EXPECT_EQ(4, n);
	EXPECT_EQ(want, read_batch(fd, false, NULL, &token, keys, values, &n));
	EXPECT_EQ(4, n);
	EXPECT_EQ(want, delete_batch(fd, keys, &n));
	EXPECT_EQ(4, n);
	EXPECT_EQ(want ?: -ENOENT,
		  read_batch(fd, true, NULL, &token, keys, values, &n));
	EXPECT_EQ(want ? 4 : 0, n);
	close(fd);
}

TEST_F(kinds, permissions)
{
	__u32 n = 4, token, k[4] = { 0, 1, 2, 3 }, v[4] = { devs[0] };
	int fd;

	fd = make_map_flags(variant->kind.claimed, variant->kind.type, 4, 4, BPF_F_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, update_batch(fd, k, v, &n, BPF_ANY));
	EXPECT_EQ(-EPERM, delete_batch(fd, k, &n));
	EXPECT_EQ(-EPERM, read_batch(fd, true, NULL, &token, k, v, &n));
	EXPECT_EQ(variant->kind.claimed ? -ENOENT : -ENOTSUPP,
		  read_batch(fd, false, NULL, &token, k, v, &n));
	close(fd);

	n = 1;
	fd = make_map_flags(variant->kind.claimed, variant->kind.type, 4, 4, BPF_F_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EPERM, read_batch(fd, true, NULL, &token, k, v, &n));
	EXPECT_EQ(-EPERM, read_batch(fd, false, NULL, &token, k, v, &n));
	EXPECT_EQ(variant->kind.claimed ? 0 : -ENOTSUPP, update_batch(fd, k, v, &n, BPF_ANY));
	EXPECT_EQ(variant->kind.claimed ? 0 : -ENOTSUPP, delete_batch(fd, k, &n));
	close(fd);
}

TEST_F(batch, update_and_delete)
{
	__u32 c, n, count;

	for (c = 0; c < ARRAY_SIZE(counts); c++) {
		count = counts[c];
		n = count;
		EXPECT_EQ(0, update_batch(self->fd, self->keys, self->values, &n, BPF_ANY));
		EXPECT_EQ(count, n);
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, count));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys + count, NULL, ENTRIES - count));

		/* Again, to other devices. */
		EXPECT_EQ(0, update_batch(self->fd, self->keys, self->values + 1, &n, BPF_EXIST));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values + 1, count));

		EXPECT_EQ(0, delete_batch(self->fd, self->keys, &n));
		EXPECT_EQ(count, n);
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, NULL, ENTRIES));
	}
}

/* A walk returns all entries, each once, in steps of any length. */
TEST_F(batch, walk)
{
	__u32 c, i, filled;

	/* With gaps as well: in an array, the order is random. */
	for (filled = 1; filled <= ENTRIES; filled *= ENTRIES / 8) {
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, filled));
		for (c = 0; c < ARRAY_SIZE(counts); c++) {
			/* Only some lengths, because each takes long. */
			if (counts[c] * 1000 < filled)
				continue;
			ASSERT_EQ(0, walk(self->fd, counts[c], false, &self->w));
			ASSERT_EQ(filled, self->w.n);
			EXPECT_EQ(0, count_wrong(self->fd, self->w.keys, self->w.values, filled));
			EXPECT_EQ(0, count_twice(&self->w));
			for (i = 1; self->is_array && i < filled; i++)
				ASSERT_LT(self->w.keys[i - 1], self->w.keys[i]);
		}
	}
	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, ENTRIES));
	ASSERT_EQ(0, walk(self->fd, 1, false, &self->w));
	ASSERT_EQ(ENTRIES, self->w.n);
	EXPECT_EQ(0, count_twice(&self->w));
}

TEST_F(batch, lookup_and_delete)
{
	__u32 c, n, token, left;

	for (c = 0; c < ARRAY_SIZE(counts); c++) {
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, ENTRIES));
		/* Some keys... */
		n = counts[c];
		ASSERT_EQ(0, read_batch(self->fd, true, NULL, &token, self->w.keys,
					self->w.values, &n));
		ASSERT_EQ(counts[c], n);
		self->w.n = n;
		EXPECT_EQ(0, count_twice(&self->w));
		EXPECT_EQ(0, count_wrong(self->fd, self->w.keys, NULL, n));
		left = ENTRIES - n;
		/* ...are deleted, the others exist... */
		ASSERT_EQ(0, walk(self->fd, 1000, false, &self->w));
		EXPECT_EQ(left, self->w.n);
		/* ...and are deleted as well. */
		ASSERT_EQ(0, walk(self->fd, counts[c] < 50 ? 50 : counts[c], true, &self->w));
		EXPECT_EQ(left, self->w.n);
		EXPECT_EQ(0, count_twice(&self->w));
		EXPECT_EQ(0, count_wrong(self->fd, self->keys, NULL, ENTRIES));
		if (!self->is_array)
			EXPECT_EQ(0, count_keys(self->fd, 1));
	}
}

/* The values are returned with the keys. */
TEST_F(batch, delivered_values)
{
	__u32 i, wrong = 0;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, ENTRIES));
	ASSERT_EQ(0, walk(self->fd, 777, false, &self->w));
	for (i = 0; i < self->w.n; i++)
		wrong += get_elem(self->fd, self->w.keys[i]) != (int)self->w.values[i];
	EXPECT_EQ(0, wrong);
	ASSERT_EQ(0, walk(self->fd, 777, true, &self->w));
	/* A map with the returned entries equals the original map. */
	ASSERT_EQ(0, fill(self->fd, self->w.keys, self->w.values, self->w.n));
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, ENTRIES));
}

TEST_F(batch, ends)
{
	__u32 n, token, in;
	int take;

	for (take = 1; take >= 0; take--) {
		/* An empty map: no key, and no place to continue. */
		n = 10;
		token = 77;
		EXPECT_EQ(-ENOENT, read_batch(self->fd, take, NULL, &token, self->w.keys,
					      self->w.values, &n));
		EXPECT_EQ(0, n);
		EXPECT_EQ(77, token);

		/* Fewer than requested. */
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 7));
		n = 10;
		EXPECT_EQ(-ENOENT, read_batch(self->fd, take, NULL, &token, self->w.keys,
					      self->w.values, &n));
		EXPECT_EQ(7, n);
		EXPECT_EQ(self->w.keys[6], token);

		/*
		 * Exactly the requested number: the map may not report yet that
		 * these are all.
		 */
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 7));
		n = 7;
		EXPECT_EQ(0, read_batch(self->fd, take, NULL, &token, self->w.keys,
					self->w.values, &n));
		EXPECT_EQ(7, n);
		in = token;
		EXPECT_EQ(-ENOENT, read_batch(self->fd, take, &in, &token, self->w.keys,
					      self->w.values, &n));
		EXPECT_EQ(0, n);
		EXPECT_EQ(in, token);
	}
}

/* The place to continue may be any key, in the map or not. */
TEST_F(batch, token)
{
	static const __u32 odd[] = { ENTRIES - 1, ENTRIES, 0x7fffffff, 0x80000000, ~0U };
	__u32 got[11], values[11], n, i, token, in;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 10));
	ASSERT_EQ(0, walk(self->fd, 10, false, &self->w));
	ASSERT_EQ(10, self->w.n);

	/* The last key was deleted... */
	in = self->w.keys[2];
	EXPECT_EQ(0, del_elem(self->fd, in));
	n = 4;
	EXPECT_EQ(0, read_batch(self->fd, false, &in, &token, got, values, &n));
	EXPECT_EQ(4, n);
	EXPECT_EQ(0, memcmp(got, self->w.keys + 3, sizeof(*got) * 4));
	/* ...and added again: it is not returned twice. */
	EXPECT_EQ(0, set_elem(self->fd, in, devs[0], BPF_ANY));
	n = 10;
	EXPECT_EQ(-ENOENT, read_batch(self->fd, false, &in, &token, got, values, &n));
	EXPECT_EQ(7, n);
	EXPECT_EQ(0, memcmp(got, self->w.keys + 3, sizeof(*got) * 7));

	/* One variable for both. */
	n = 4;
	EXPECT_EQ(0, read_batch(self->fd, false, &in, &in, got, values, &n));
	EXPECT_EQ(4, n);
	EXPECT_EQ(self->w.keys[3], got[0]);
	EXPECT_EQ(self->w.keys[6], in);

	/* Keys that the map never had. */
	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		n = 11;
		in = odd[i];
		EXPECT_EQ(-ENOENT, read_batch(self->fd, false, &in, &token, got, values, &n));
		ASSERT_GE(10, n);
		if (self->is_array)
			EXPECT_EQ(0, n);
		EXPECT_EQ(0, memcmp(got, self->w.keys + 10 - n, n * sizeof(*got)));
	}
}

/* The flags of single updates, and no others. */
TEST_F(batch, elem_flags)
{
	static const __u64 bad[] = { 3, BPF_F_LOCK, 8, 1ULL << 32, 1ULL << 63 };
	/* All slots of an array exist. */
	int exists = self->is_array ? -EEXIST : 0;
	__u32 i, n = 4, token;

	EXPECT_EQ(self->is_array ? 0 : -ENOENT,
		  update_batch(self->fd, self->keys, self->values, &n, BPF_EXIST));
	EXPECT_EQ(self->is_array ? 4 : 0, n);
	n = 4;
	EXPECT_EQ(exists, update_batch(self->fd, self->keys, self->values, &n, BPF_NOEXIST));
	EXPECT_EQ(self->is_array ? 0 : 4, n);
	n = 4;
	EXPECT_EQ(-EEXIST, update_batch(self->fd, self->keys, self->values, &n, BPF_NOEXIST));
	EXPECT_EQ(0, n);
	n = 4;
	EXPECT_EQ(0, update_batch(self->fd, self->keys, self->values, &n, BPF_EXIST));
	EXPECT_EQ(4, n);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = bad[i]);

		EXPECT_EQ(-EINVAL, bpf_map_update_batch(self->fd, self->keys, self->values, &n,
							&opts));
		EXPECT_EQ(-EINVAL, bpf_map_delete_batch(self->fd, self->keys, &n, &opts));
		EXPECT_EQ(-EINVAL, bpf_map_lookup_batch(self->fd, NULL, &token, self->w.keys,
							self->w.values, &n, &opts));
		EXPECT_EQ(-EINVAL, bpf_map_lookup_and_delete_batch(self->fd, NULL, &token,
								   self->w.keys, self->w.values,
								   &n, &opts));
		EXPECT_EQ(4, n);
	}
	/* Only updates have element flags. */
	for (i = BPF_NOEXIST; i <= BPF_EXIST; i++) {
		LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = i);

		EXPECT_EQ(-EINVAL, bpf_map_delete_batch(self->fd, self->keys, &n, &opts));
		EXPECT_EQ(-EINVAL, bpf_map_lookup_batch(self->fd, NULL, &token, self->w.keys,
							self->w.values, &n, &opts));
	}
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, 4));
}

TEST_F(batch, flags)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 n = 4, token;
	int bit;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 4));
	for (bit = 0; bit < 64; bit++) {
		opts.flags = 1ULL << bit;
		EXPECT_EQ(-EINVAL, bpf_map_update_batch(self->fd, self->keys, self->values + 1, &n,
							&opts));
		EXPECT_EQ(-EINVAL, bpf_map_delete_batch(self->fd, self->keys, &n, &opts));
		EXPECT_EQ(-EINVAL, bpf_map_lookup_batch(self->fd, NULL, &token, self->w.keys,
							self->w.values, &n, &opts));
		EXPECT_EQ(-EINVAL, bpf_map_lookup_and_delete_batch(self->fd, NULL, &token,
								   self->w.keys, self->w.values,
								   &n, &opts));
		EXPECT_EQ(4, n);
	}
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, 4));
}

/* An empty batch succeeds with any pointers. */
TEST_F(batch, count_0)
{
	void *bad = (void *)8;
	__u32 n = 0;
	int take;

	EXPECT_EQ(0, update_batch(self->fd, bad, bad, &n, BPF_ANY));
	EXPECT_EQ(0, delete_batch(self->fd, bad, &n));
	for (take = 0; take < 2; take++)
		EXPECT_EQ(0, read_batch(self->fd, take, bad, bad, bad, bad, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(-EINVAL, update_batch(self->fd, bad, bad, &n, 3));
}

TEST_F(batch, frozen)
{
	__u32 n = 10, token;

	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 10));
	ASSERT_EQ(0, bpf_map_freeze(self->fd));
	EXPECT_EQ(-EPERM, update_batch(self->fd, self->keys, self->values + 1, &n, BPF_ANY));
	EXPECT_EQ(-EPERM, delete_batch(self->fd, self->keys, &n));
	EXPECT_EQ(-EPERM, read_batch(self->fd, true, NULL, &token, self->w.keys, self->w.values,
				     &n));
	EXPECT_EQ(10, n);
	ASSERT_EQ(0, walk(self->fd, 3, false, &self->w));
	EXPECT_EQ(10, self->w.n);
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, 10));
}

/* Values of 8 bytes: ifindex and program, as in single operations. */
TEST_F(batch, values_of_8)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP_DEVMAP);
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_devmap_val in[100] = {}, out[101], single;
	__u32 i, n, token, wrong = 0;
	int fd, prog, want;

	fd = make_map_flags(true, variant->type, 8, 100, 0);
	ASSERT_LE(0, fd);
	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "egress", "GPL", insns, 2, &opts);
	ASSERT_LE(0, prog);
	shuffle(self->keys, self->is_array ? 100 : ENTRIES, &(__u64){ 5 });
	for (i = 0; i < 100; i++) {
		if (self->is_array)
			self->keys[i] = i;
		in[i].ifindex = self->values[i];
		in[i].bpf_prog.fd = -(int)(i % 2);	/* both mean none */
	}

	n = 100;
	EXPECT_EQ(0, update_batch(fd, self->keys, in, &n, BPF_ANY));
	EXPECT_EQ(100, n);
	/* With a program for some, where there can be one. */
	want = bpf_map_update_elem(fd, &self->keys[70],
				   &(struct bpf_devmap_val){ devs[0], { prog } }, 0);
	for (i = 70; i < 100; i += 3)
		in[i].bpf_prog.fd = prog;
	n = 100;
	EXPECT_EQ(want, update_batch(fd, self->keys, in, &n, BPF_ANY));
	EXPECT_EQ(want ? 70 : 100, n);
	/*
	 * A descriptor that is not such a program, and a program without a
	 * device.
	 */
	in[33].bpf_prog.fd = fd;
	n = 50;
	EXPECT_EQ(want ?: -EINVAL, update_batch(fd, self->keys, in, &n, BPF_ANY));
	EXPECT_EQ(33, n);
	in[33].ifindex = 0;
	n = 50;
	EXPECT_EQ(-EINVAL, update_batch(fd, self->keys, in, &n, BPF_ANY));
	EXPECT_EQ(33, n);

	memset(out, 0xee, sizeof(out));
	n = 101;
	EXPECT_EQ(-ENOENT, read_batch(fd, false, NULL, &token, self->w.keys, out, &n));
	EXPECT_EQ(100, n);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, bpf_map_lookup_elem(fd, &self->w.keys[i], &single));
		wrong += !!memcmp(&single, &out[i], sizeof(single));
	}
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0xeeeeeeee, out[100].ifindex);

	/* An id is not an fd, so the returned values cannot be written back. */
	n = 100;
	memset(self->w.values, 0, 800);
	EXPECT_EQ(0, read_batch(fd, true, NULL, &token, self->keys, self->w.values, &n));
	EXPECT_EQ(0, memcmp(self->w.values, out, 800));
	close(prog);
	close(fd);
}

/* A device that has left is in no later batch. */
TEST_F(batch, device_leaves)
{
	__u32 n, i, ifindex, gone;
	int take;

	for (take = 0; take < 2; take++) {
		ASSERT_TRUE(sh("ip link add leaves type dummy"));
		ifindex = if_nametoindex("leaves");
		for (i = 0, gone = 0; i < 500; i++) {
			if (i % 3 == 1) {
				self->values[i] = ifindex;
				gone++;
			}
		}
		ASSERT_EQ(0, fill(self->fd, self->keys, self->values, 500));
		ASSERT_TRUE(start_delete("leaves"));
		ASSERT_EQ(0, walk(self->fd, 1000, take, &self->w));
		EXPECT_EQ(500 - gone, self->w.n);
		for (i = 0; i < self->w.n; i++)
			ASSERT_NE(ifindex, self->w.values[i]);
		n = 2;
		EXPECT_EQ(-EINVAL, update_batch(self->fd, self->keys, self->values, &n, BPF_ANY));
		EXPECT_EQ(1, n);
		n = 1;
		EXPECT_EQ(self->is_array ? 0 : -ENOENT, delete_batch(self->fd, self->keys + 1, &n));
		ASSERT_TRUE(wait_deleted());
	}
	ASSERT_EQ(0, walk(self->fd, 50, true, &self->w));
	EXPECT_EQ(1, self->w.n);
}

/* A full hash of devices that have left accepts a batch of new keys. */
TEST_F(batch, full_of_dead)
{
	__u32 i, n;

	ASSERT_TRUE(sh("ip link add leaves type dummy"));
	for (i = 0; i < ENTRIES; i++)
		self->values[i] = if_nametoindex("leaves");
	ASSERT_EQ(0, fill(self->fd, self->keys, self->values, ENTRIES));
	for (i = 0; i < ENTRIES; i++) {
		self->values[i] = devs[i % NDEVS];
		if (!self->is_array)
			self->keys[i] = ~self->keys[i];
	}
	n = ENTRIES;
	EXPECT_EQ(self->is_array ? 0 : -E2BIG,
		  update_batch(self->fd, self->keys, self->values, &n, BPF_ANY));
	ASSERT_TRUE(start_delete("leaves"));
	EXPECT_EQ(0, fill(self->fd, self->keys, self->values, ENTRIES));
	ASSERT_TRUE(wait_deleted());
	EXPECT_EQ(0, count_wrong(self->fd, self->keys, self->values, ENTRIES));
	ASSERT_EQ(0, walk(self->fd, 1000, false, &self->w));
	EXPECT_EQ(ENTRIES, self->w.n);
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
