// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks through a map, by bpf(2), also while it changes; and operations that
 * programs may not use.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both,
 * except for this difference, marked "intended" below: in a stock hash, keys
 * change their place when they are updated or added again, so a walk returns
 * some twice, and may never end.
 */
#include <pthread.h>

#include "harness.h"
#include "maplib.h"

#define ENTRIES 256

FIXTURE(walk) {
	int fd;
	bool is_array;
	__u32 keys[ENTRIES];
};

FIXTURE_VARIANT(walk) {
	struct kind kind;
};

MAP_KINDS(walk);

FIXTURE_SETUP(walk)
{
	__u32 i;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_array = variant->kind.type == BPF_MAP_TYPE_DEVMAP;
	self->fd = make_map(variant->kind.claimed, variant->kind.type, ENTRIES);
	ASSERT_LE(0, self->fd);
	/* In a hash of the built-in, some in each of 16 buckets. */
	for (i = 0; i < ENTRIES; i++)
		self->keys[i] = self->is_array ? i : i * (ENTRIES / 16);
}

FIXTURE_TEARDOWN(walk)
{
	close(self->fd);
}

/* The index of a key, or ENTRIES. */
static __u32 number(bool is_array, __u32 key)
{
	__u32 nr = is_array ? key : key / (ENTRIES / 16);

	return nr < ENTRIES ? nr : ENTRIES;
}

/* Adds all keys, or those with even numbers only. */
static int fill(int fd, const __u32 *keys, int step)
{
	__u32 i;
	int err = 0;

	for (i = 0; i < ENTRIES && !err; i += step)
		err = set_elem(fd, keys[i], devs[i % NDEVS], BPF_ANY);
	return err;
}

/* --- one thread ----------------------------------------------------------- */

TEST_F(walk, array_keys)
{
	static const __u32 behind[] = {
		ENTRIES, ENTRIES + 1, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	__u32 i, key, next;

	if (!self->is_array)
		return;

	/* All of them, with or without an entry. */
	ASSERT_EQ(0, next_key(self->fd, NULL, &key));
	EXPECT_EQ(0, key);
	for (i = 1; i < ENTRIES; i++) {
		ASSERT_EQ(0, next_key(self->fd, &key, &next));
		ASSERT_EQ(key + 1, next);
		key = next;
	}
	EXPECT_EQ(-ENOENT, next_key(self->fd, &key, &next));
	/* The end is followed by the first key. */
	for (i = 0; i < ARRAY_SIZE(behind); i++) {
		next = 77;
		EXPECT_EQ(0, next_key(self->fd, &behind[i], &next));
		EXPECT_EQ(0, next);
	}
}

TEST_F(walk, hash_keys)
{
	__u32 key, next, first, other = 3, n = 0;
	bool seen[ENTRIES] = {};

	if (self->is_array)
		return;

	EXPECT_EQ(-ENOENT, next_key(self->fd, NULL, &next));
	EXPECT_EQ(-ENOENT, next_key(self->fd, &other, &next));
	ASSERT_EQ(0, fill(self->fd, self->keys, 1));
	ASSERT_EQ(0, next_key(self->fd, NULL, &first));
	for (key = first;; key = next) {
		ASSERT_GT(ENTRIES, number(false, key));
		ASSERT_FALSE(seen[number(false, key)]);
		seen[number(false, key)] = true;
		n++;
		if (next_key(self->fd, &key, &next))
			break;
	}
	EXPECT_EQ(ENTRIES, n);
	EXPECT_EQ(-ENOENT, next_key(self->fd, &key, &next));

	/* A missing key is followed by the first key. */
	EXPECT_EQ(0, next_key(self->fd, &other, &next));
	EXPECT_EQ(first, next);
	EXPECT_EQ(0, del_elem(self->fd, key));
	EXPECT_EQ(0, next_key(self->fd, &key, &next));
	EXPECT_EQ(first, next);

	/* The usual way to empty a map. */
	for (n = 0; !next_key(self->fd, NULL, &key) && n <= ENTRIES; n++)
		EXPECT_EQ(0, del_elem(self->fd, key));
	EXPECT_EQ(ENTRIES - 1, n);
}

/* A walk may delete the present key once it has the next one. */
TEST_F(walk, delete_each)
{
	__u32 key, next, n = 0;
	int err;

	ASSERT_EQ(0, fill(self->fd, self->keys, 1));
	for (err = next_key(self->fd, NULL, &key); !err && n <= ENTRIES; n++) {
		err = next_key(self->fd, &key, &next);
		EXPECT_EQ(0, del_elem(self->fd, key));
		key = next;
	}
	EXPECT_EQ(-ENOENT, err);
	EXPECT_EQ(ENTRIES, n);
	for (n = 0; n < ENTRIES; n++)
		EXPECT_EQ(-ENOENT, get_elem(self->fd, self->keys[n]));
}

/* In a hash, a walk that deletes the present key first starts again. */
TEST_F(walk, delete_before_next)
{
	__u32 key, next, first;

	ASSERT_EQ(0, fill(self->fd, self->keys, 1));
	key = self->keys[100];
	EXPECT_EQ(0, del_elem(self->fd, key));
	ASSERT_EQ(0, next_key(self->fd, NULL, &first));
	ASSERT_EQ(0, next_key(self->fd, &key, &next));
	EXPECT_EQ(self->is_array ? key + 1 : first, next);
}

/* The same when the key's device has left, without a delay. */
TEST_F(walk, device_leaves)
{
	__u32 key, next, first, i, n;

	ASSERT_EQ(0, fill(self->fd, self->keys, 1));
	ASSERT_TRUE(sh("ip link add leaves type dummy"));
	for (i = 0; i < ENTRIES; i += 2)
		ASSERT_EQ(0, set_elem(self->fd, self->keys[i], if_nametoindex("leaves"), BPF_ANY));
	ASSERT_TRUE(start_delete("leaves"));

	ASSERT_EQ(0, next_key(self->fd, NULL, &first));
	key = self->keys[100];
	ASSERT_EQ(0, next_key(self->fd, &key, &next));
	EXPECT_EQ(self->is_array ? key + 1 : first, next);
	for (n = 0; !next_key(self->fd, n ? &key : NULL, &key); n++) {
		if (!self->is_array)
			ASSERT_EQ(1, number(false, key) % 2);
		ASSERT_GE(ENTRIES, n);
	}
	EXPECT_EQ(self->is_array ? ENTRIES : ENTRIES / 2, n);
	ASSERT_TRUE(wait_deleted());
}

/* An update does not move a key: a walk that updates each key ends. */
TEST_F(walk, update_each)
{
	__u32 key, n = 0;

	ASSERT_EQ(0, fill(self->fd, self->keys, 1));
	while (n < 100 * ENTRIES && !next_key(self->fd, n ? &key : NULL, &key)) {
		ASSERT_EQ(0, set_elem(self->fd, key, devs[n % NDEVS], BPF_ANY));
		n++;
	}
	/* Intended: in a chain of the built-in, two keys alternate for ever. */
	EXPECT_EQ(self->is_array || variant->kind.claimed ? ENTRIES : 100 * ENTRIES, n);
}

/*
 * Between two steps keys with odd numbers, except the present one, are added
 * and deleted: no key is returned twice, and those with even numbers are
 * returned once. If the present key is deleted and added again, or updated, as
 * well, the same is true of all maps but a stock hash.
 */
TEST_F(walk, change_between_steps)
{
	__u32 n, i, nr, now, twice = 0, missed = 0, endless = 0, round;
	bool with_present, seen[ENTRIES];
	__u64 state = 9;
	__u32 key;

	ASSERT_EQ(0, fill(self->fd, self->keys, 2));
	for (round = 0; round < 200; round++) {
		with_present = round >= 100;
		/* Intended: see update_each. */
		if (with_present && !variant->kind.claimed && !self->is_array)
			break;
		memset(seen, 0, sizeof(seen));
		for (n = 0; n <= ENTRIES; n++) {
			if (next_key(self->fd, n ? &key : NULL, &key))
				break;
			now = number(self->is_array, key);
			ASSERT_GT(ENTRIES, now);
			twice += seen[now];
			seen[now] = true;

			for (i = 0; i < 4; i++) {
				nr = rnd(&state) % ENTRIES | 1;
				if (nr == now)
					continue;
				del_elem(self->fd, self->keys[nr]);
				if (rnd(&state) % 2)
					ASSERT_EQ(0, set_elem(self->fd, self->keys[nr], devs[0],
							      BPF_ANY));
			}
			if (!with_present)
				continue;
			if (rnd(&state) % 2)
				ASSERT_EQ(0, del_elem(self->fd, key));
			ASSERT_EQ(0, set_elem(self->fd, key, devs[1], BPF_ANY));
		}
		endless += n > ENTRIES;
		for (i = 0; i < ENTRIES; i += 2)
			missed += !seen[i];
	}
	EXPECT_EQ(0, endless);
	EXPECT_EQ(0, twice);
	EXPECT_EQ(0, missed);
}

/* --- two threads ---------------------------------------------------------- */

struct churn {
	int fd;
	const __u32 *keys;
	volatile bool stop;
	unsigned long done;
	unsigned long failed;
	int error;		/* the last one */
};

/* Keys with odd numbers are added and deleted. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	__u64 state = 3;
	int err, fine;
	__u32 nr;

	run_on_cpu(1);
	for (; !c->stop; c->done++) {
		nr = rnd(&state) % ENTRIES | 1;
		if (rnd(&state) % 2) {
			err = set_elem(c->fd, c->keys[nr], devs[nr % NDEVS], BPF_ANY);
			fine = 0;
		} else {
			err = del_elem(c->fd, c->keys[nr]);
			fine = -ENOENT;
		}
		if (err && err != fine) {
			c->failed++;
			c->error = err;
		}
	}
	return NULL;
}

/*
 * A walk ends, and returns every permanent key. It starts again only when the
 * present key is deleted. Between two starts the permanent keys come in the
 * same order as always, so each comes once.
 */
TEST_F(walk, change_meanwhile)
{
	unsigned long walks = 0, endless = 0, missed = 0, strange = 0, disorder = 0, restarts = 0;
	struct churn c = { .fd = self->fd, .keys = self->keys };
	__u32 rank[ENTRIES], i, nr, before, want, key, steps;
	bool seen[ENTRIES];
	pthread_t thread;
	double end;

	ASSERT_EQ(0, fill(self->fd, self->keys, 2));
	memset(rank, 0xff, sizeof(rank));
	for (i = 0; !next_key(self->fd, i ? &key : NULL, &key); ) {
		nr = number(self->is_array, key);
		ASSERT_GT(ENTRIES, nr);
		if (nr % 2)	/* an array's empty slot */
			ASSERT_TRUE(self->is_array);
		rank[nr] = nr % 2 ? 0 : i / (self->is_array ? 2 : 1);
		i++;
		ASSERT_GE(ENTRIES, i);
	}
	ASSERT_EQ(self->is_array ? ENTRIES : ENTRIES / 2, i);

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &c));
	run_on_cpu(0);
	for (end = now() + 2; now() < end || walks <= 10; walks++) {
		memset(seen, 0, sizeof(seen));
		before = 0;
		want = 0;
		for (steps = 0; steps < 100000; steps++) {
			if (next_key(self->fd, steps ? &key : NULL, &key))
				break;
			nr = number(self->is_array, key);
			if (nr == ENTRIES) {
				strange++;
				break;
			}
			seen[nr] = true;
			if (!(nr % 2)) {
				if (rank[nr] != want) {
					restarts++;
					/* Intended: see update_each. */
					if (variant->kind.claimed || self->is_array)
						disorder += rank[nr] || !(before % 2);
				}
				want = rank[nr] + 1;
			}
			before = nr;
		}
		endless += steps == 100000;
		for (i = 0; i < ENTRIES; i += 2)
			missed += !seen[i];
	}
	c.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, c.failed) {
		TH_LOG("error %d", c.error);
	}
	EXPECT_LT(100, c.done);
	EXPECT_EQ(0, endless);
	EXPECT_EQ(0, missed);
	EXPECT_EQ(0, strange);
	EXPECT_EQ(0, disorder);
	TH_LOG("%lu walks, %lu started again, %lu changes", walks, restarts, c.done);
}

/* --- programs ------------------------------------------------------------- */

/* Loads one of the programs over a map; 0 or -errno of the verifier. */
static int try_program(const char *name, int map_fd, struct bpf_object **kept)
{
	struct bpf_object *obj = bpf_object__open(beside("map_iterate.bpf.o"));
	struct bpf_program *prog;
	int err;

	if (!obj)
		return -errno;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	err = bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "devs"), map_fd);
	if (!err)
		err = bpf_object__load(obj);
	if (!err && kept)
		*kept = obj;
	else
		bpf_object__close(obj);
	return err;
}

/* A program can read a value, and nothing else. */
TEST_F(walk, programs)
{
	static const struct {
		const char *name;
		int want;
	} programs[] = {
		{ "read_value", 0 },
		{ "write_value", -EACCES },
		{ "add_to_value", -EACCES },
		{ "read_behind_value", -EACCES },
		{ "read_unchecked", -EACCES },
		{ "update", -EACCES },
		{ "delete", -EACCES },
		{ "for_each", -ENOTSUPP },
	};
	struct bpf_object *obj = NULL;
	unsigned char data[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = sizeof(data));
	int i;

	libbpf_set_print(NULL);
	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		EXPECT_EQ(programs[i].want, try_program(programs[i].name, self->fd, NULL)) {
			TH_LOG("%s", programs[i].name);
		}
	}

	ASSERT_EQ(0, try_program("read_value", self->fd, &obj));
	i = bpf_program__fd(bpf_object__find_program_by_name(obj, "read_value"));
	EXPECT_EQ(0, bpf_prog_test_run_opts(i, &opts));
	EXPECT_EQ(XDP_DROP, opts.retval);
	EXPECT_EQ(0, set_elem(self->fd, 0, devs[0], BPF_ANY));
	EXPECT_EQ(0, bpf_prog_test_run_opts(i, &opts));
	EXPECT_EQ(XDP_PASS, opts.retval);
	EXPECT_EQ(0, del_elem(self->fd, 0));
	EXPECT_EQ(0, bpf_prog_test_run_opts(i, &opts));
	EXPECT_EQ(XDP_DROP, opts.retval);
	bpf_object__close(obj);
}

/* BPF iterators do not support device maps. */
TEST_F(walk, iterator)
{
	union bpf_iter_link_info info = { .map.map_fd = self->fd };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_object *obj = NULL;

	libbpf_set_print(NULL);
	ASSERT_EQ(0, try_program("iterate", self->fd, &obj));
	EXPECT_EQ(NULL, bpf_program__attach_iter(bpf_object__find_program_by_name(obj, "iterate"),
						 &opts));
	EXPECT_EQ(EINVAL, errno);
	bpf_object__close(obj);
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
