// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many operations on the elements of device maps: full maps, one entry again
 * and again, several threads, and a long random sequence.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both.
 * The random sequence must have the same results.
 */
#include <pthread.h>

#include "elems.h"

/* --- many elements -------------------------------------------------------- */

#define MANY 65536

TEST_F(elems, many_in_random_order)
{
	static __u32 order[MANY], shadow[MANY];
	const __u32 many = fewer(MANY);
	__u64 state = 1;
	__u32 i, key, wrong = 0;
	int fd = MAKE_MAP(4, many, 0);

	for (i = 0; i < many; i++)
		order[i] = i;

	shuffle(order, many, &state);
	for (i = 0; i < many; i++) {
		key = order[i];
		shadow[key] = devs[rnd(&state) % NDEVS];
		wrong += !!set_elem(fd, key, shadow[key], BPF_ANY);
	}
	EXPECT_EQ(0, wrong);
	if (!self->is_array)
		EXPECT_EQ(-E2BIG, set_elem(fd, many, devs[0], BPF_ANY));

	/* Half of them are deleted, in another order; some are replaced. */
	shuffle(order, many, &state);
	for (i = 0; i < many / 2; i++) {
		wrong += !!del_elem(fd, order[i]);
		shadow[order[i]] = 0;
	}
	for (; i < many * 3 / 4; i++) {
		shadow[order[i]] = devs[rnd(&state) % NDEVS];
		wrong += !!set_elem(fd, order[i], shadow[order[i]], BPF_EXIST);
	}
	EXPECT_EQ(0, wrong);
	for (key = 0; key < many; key++)
		wrong += get_elem(fd, key) != (shadow[key] ? (int)shadow[key] : -ENOENT);
	EXPECT_EQ(0, wrong);
	if (!self->is_array)
		EXPECT_EQ(many - many / 2, count_keys(fd, many));
	close(fd);
}

FIXTURE(hash) {
	int fd;
};

FIXTURE_VARIANT(hash) {
	bool claimed;
};

FIXTURE_VARIANT_ADD(hash, stock) { false };
FIXTURE_VARIANT_ADD(hash, claimed) { true };

FIXTURE_SETUP(hash)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->fd = make_map(variant->claimed, BPF_MAP_TYPE_DEVMAP_HASH, 1024);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(base_refs + variant->claimed, module_refs());
}

FIXTURE_TEARDOWN(hash)
{
	close(self->fd);
}

/* Including strides that lead to a single bucket of the built-in. */
TEST_F(hash, strides)
{
	static const __u32 strides[] = { 1, 256, 1024, 65536, 1 << 22, 0x9e3779b1 };
	__u32 s, i, key, wrong = 0;

	for (s = 0; s < ARRAY_SIZE(strides); s++) {
		for (i = 0; i < 1024; i++)
			wrong += !!set_elem(self->fd, i * strides[s], devs[i % NDEVS], BPF_NOEXIST);
		wrong += set_elem(self->fd, 0xfffffff1, devs[0], BPF_ANY) != -E2BIG;
		for (i = 0; i < 1024; i++)
			wrong += get_elem(self->fd, i * strides[s]) != (int)devs[i % NDEVS];
		for (i = 0; i < 1024; i++)
			wrong += !!del_elem(self->fd, i * strides[s]);
		EXPECT_EQ(0, wrong) {
			TH_LOG("stride %u", strides[s]);
		}
		EXPECT_EQ(-ENOENT, next_key(self->fd, NULL, &key));
	}
}

/* The only entry for a device is added and deleted, without errors. */
TEST_F(elems, one_entry_in_a_loop)
{
	__u32 i, wrong = 0, rounds = fewer(20000);
	int err;

	for (i = 0; i < rounds; i++) {
		err = set_elem(self->fd, 1, devs[0], BPF_ANY);
		if (err && !wrong++)
			TH_LOG("update %u: %d", i, err);
		err = del_elem(self->fd, 1);
		if (err && !wrong++)
			TH_LOG("delete %u: %d", i, err);
	}
	EXPECT_EQ(0, wrong);
}

#define MANY_DEVS 256

/* A switch with many ports, configured at once. */
TEST_F(elems, many_devices)
{
	int fd = MAKE_MAP(4, MANY_DEVS, 0);
	__u32 ifindex[MANY_DEVS];
	char name[IFNAMSIZ];
	int i, err, wrong = 0;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_TRUE(sh("seq -f 'link add many%%g type dummy' 0 %d | ip -batch -", MANY_DEVS - 1));
	for (i = 0; i < MANY_DEVS; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		ifindex[i] = if_nametoindex(name);
	}
	for (i = 0; i < MANY_DEVS; i++) {
		err = set_elem(fd, i, ifindex[i], BPF_ANY);
		if (err && !wrong++)
			TH_LOG("update %d: %d", i, err);
	}
	EXPECT_EQ(0, wrong);
	for (i = 0; i < MANY_DEVS; i++)
		wrong += get_elem(fd, i) != (int)ifindex[i];
	EXPECT_EQ(0, wrong);
	close(fd);
}

/* --- threads -------------------------------------------------------------- */

struct churn {
	int fd;
	__u32 first, keys;
	__u64 seed;
	volatile bool *stop;
	volatile unsigned long done;
	unsigned long failed;
	int error;		/* the last one */
};

/* Key k leads to device k % NDEVS or has no entry. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	__u64 state = c->seed;
	int err, fine;
	__u32 key;

	run_on_cpu(1);
	while (!*c->stop) {
		key = c->first + rnd(&state) % c->keys;
		if (rnd(&state) % 2) {
			err = set_elem(c->fd, key, devs[key % NDEVS], BPF_ANY);
			fine = -E2BIG;
		} else {
			err = del_elem(c->fd, key);
			fine = -ENOENT;
		}
		if (err && err != fine) {
			c->failed++;
			c->error = err;
		}
		c->done++;
	}
	return NULL;
}

#define STABLE 2
#define MOVING 6

/*
 * Few nodes for many keys, so nodes get other keys all the time. A key leads to
 * its own device or has no entry; unchanged keys always exist.
 */
TEST_F(elems, lookups_while_recycling)
{
	int fd = MAKE_MAP(4, self->is_array ? MAP_OPS_KEYS : MOVING + STABLE, 0);
	struct map_ops_packet packet;
	unsigned long hits = 0, wrong = 0, missed = 0;
	volatile bool stop = false;
	struct churn churns[2];
	struct bpf_object *obj;
	pthread_t threads[2];
	int i, prog, value;
	double end;
	__u32 key;

	obj = load_program("lookup_all", fd);
	ASSERT_NE(NULL, obj);
	prog = program_fd(obj, "lookup_all");
	for (i = 0; i < MAP_OPS_KEYS; i++)
		packet.want[i] = devs[i % NDEVS];
	for (key = 0; key < STABLE; key++)
		ASSERT_EQ(0, set_elem(fd, key, devs[key % NDEVS], BPF_ANY));

	for (i = 0; i < 2; i++) {
		churns[i] = (struct churn){
			.fd = fd, .first = STABLE, .keys = MAP_OPS_KEYS - STABLE,
			.seed = i + 1, .stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &churns[i]));
	}
	run_on_cpu(0);

	end = now() + 3;
	while (now() < end) {
		/*
		 * From a program, which spends nearly all of its time in the
		 * lookup...
		 */
		packet.hits = 0;
		packet.wrong = 0;
		packet.missed = 0;
		if (run_lookup_all(prog, 2000, &packet) != XDP_PASS)
			break;
		hits += packet.hits;
		wrong += packet.wrong;
		missed += packet.missed;
		/* ...and by bpf(2). */
		for (key = 0; key < MAP_OPS_KEYS; key++) {
			value = get_elem(fd, key);
			wrong += value != -ENOENT && value != (int)devs[key % NDEVS];
			missed += value == -ENOENT && key < STABLE;
		}
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_FINE(&churns[i], 100);
	}
	EXPECT_LE(end, now());
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, missed);
	EXPECT_LT(100, hits);
	TH_LOG("%lu hits, %lu updates and deletes", hits, churns[0].done + churns[1].done);

	/* No entry is lost. */
	for (key = 0; key < MAP_OPS_KEYS; key++)
		del_elem(fd, key);
	if (!self->is_array) {
		EXPECT_EQ(0, count_keys(fd, 100));
		for (key = 100; key < 100 + MOVING + STABLE; key++)
			EXPECT_EQ(0, set_elem(fd, key, devs[0], BPF_NOEXIST));
		EXPECT_EQ(-E2BIG, set_elem(fd, key, devs[0], BPF_NOEXIST));
	}
	bpf_object__close(obj);
	close(fd);
}

struct load {
	int prog;
	volatile bool *stop;
	volatile unsigned long runs;
};

static void *run_load(void *arg)
{
	struct map_ops_packet packet = {};
	struct load *l = arg;

	run_on_cpu(0);
	while (!*l->stop && run_lookup_all(l->prog, 50000, &packet) == XDP_PASS)
		l->runs++;
	return NULL;
}

/*
 * The only entry for a device is added and deleted while a CPU is busy with BPF
 * programs, so that deleted targets are freed late. No update fails because of
 * that.
 */
TEST_F(elems, one_entry_under_load)
{
	volatile bool stop = false;
	struct load l = { .stop = &stop };
	struct churn c = {
		.fd = self->fd, .keys = 1, .seed = 11, .stop = &stop,
	};
	pthread_t threads[2];
	struct bpf_object *obj;

	obj = load_program("lookup_all", self->fd);
	ASSERT_NE(NULL, obj);
	l.prog = program_fd(obj, "lookup_all");
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, run_load, &l));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, churn, &c));
	while (l.runs < longer(2, 8) || c.done < longer(500, 2000))
		usleep(10000);
	stop = true;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(0, c.failed) {
		TH_LOG("%lu of %lu failed, with %d", c.failed, c.done, c.error);
	}
	bpf_object__close(obj);
}

/*
 * Both threads change the same few slots of a map; other maps have the same
 * devices.
 */
TEST_F(elems, writers_in_two_maps)
{
	int fd = MAKE_MAP(4, 4, 0);
	volatile bool stop = false;
	struct churn churns[2] = {
		{ .fd = self->fd, .keys = 4, .seed = 5, .stop = &stop },
		{ .fd = fd, .keys = 4, .seed = 6, .stop = &stop },
	};
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &churns[i]));
	run_on_cpu(0);
	/* Maps with the same devices are created and freed. */
	for (i = 0; i < 20; i++) {
		int other = make_map_flags(variant->kind.claimed, variant->kind.type, 4, 4, 0);

		/* References of earlier maps are dropped at any time. */
		if (other == -ESTALE)
			continue;
		ASSERT_LE(0, other);
		EXPECT_EQ(0, set_elem(other, 0, devs[i % NDEVS], BPF_ANY));
		close(other);
		usleep(30000);
	}
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_FINE(&churns[i], 100);
	}
	close(fd);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* --- both kinds at once --------------------------------------------------- */

FIXTURE(pair) {
	int fd[2];
};

FIXTURE_VARIANT(pair) {
	enum bpf_map_type type;
	__u32 value_size;
};

FIXTURE_VARIANT_ADD(pair, array) { BPF_MAP_TYPE_DEVMAP, 4 };
FIXTURE_VARIANT_ADD(pair, array_of_8) { BPF_MAP_TYPE_DEVMAP, 8 };
FIXTURE_VARIANT_ADD(pair, hash) { BPF_MAP_TYPE_DEVMAP_HASH, 4 };
FIXTURE_VARIANT_ADD(pair, hash_of_8) { BPF_MAP_TYPE_DEVMAP_HASH, 8 };

FIXTURE_SETUP(pair)
{
	int i;

	ASSERT_TRUE(module_refs_become(base_refs));
	for (i = 0; i < 2; i++) {
		self->fd[i] = make_map_flags(i, variant->type, variant->value_size, 48, 0);
		ASSERT_LE(0, self->fd[i]);
	}
	ASSERT_EQ(base_refs + 1, module_refs());
}

FIXTURE_TEARDOWN(pair)
{
	close(self->fd[0]);
	close(self->fd[1]);
}

/*
 * The same long random sequence of operations on both maps: the same results.
 */
TEST_F(pair, same_results)
{
	static const __u64 flags[] = {
		BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_NOEXIST, BPF_EXIST, 3, 1ULL << 40,
	};
	struct bpf_devmap_val val, got[2];
	unsigned long wrong = 0, ok = 0;
	int result[2] = {};
	__u32 i, k, op, key, ifindex, rounds = longer(4000, 20000);
	__u64 state = 7, flag;

	for (i = 0; i < rounds; i++) {
		op = rnd(&state) % 8;
		key = rnd(&state) % 64;
		if (!(rnd(&state) % 64))
			key = 0xfffffff0 + key % 16;
		flag = flags[rnd(&state) % ARRAY_SIZE(flags)];
		ifindex = rnd(&state) % 16;
		if (ifindex)
			ifindex = ifindex == 15 ? NO_DEV : devs[ifindex % NDEVS];
		val = (struct bpf_devmap_val){
			.ifindex = ifindex,
			.bpf_prog.fd = (int)(rnd(&state) % 3) - 2,	/* -2, -1, 0 */
		};
		if (!ifindex && !(rnd(&state) % 4))
			val.bpf_prog.fd = 5;

		/* Intended: see update_exist in dev_map_ops.c. */
		if (op < 4 && flag == BPF_EXIST && get_elem(self->fd[1], key) < 0 &&
		    variant->type == BPF_MAP_TYPE_DEVMAP_HASH)
			continue;

		memset(got, 0, sizeof(got));
		for (k = 0; k < 2; k++) {
			if (op < 4)
				result[k] = bpf_map_update_elem(self->fd[k], &key, &val, flag);
			else if (op < 6)
				result[k] = bpf_map_delete_elem(self->fd[k], &key);
			else
				result[k] = bpf_map_lookup_elem(self->fd[k], &key, &got[k]);
		}
		ok += !result[0];
		if (result[0] == result[1] && !memcmp(&got[0], &got[1], sizeof(got[0])))
			continue;
		if (!wrong++)
			TH_LOG("op %u key %u ifindex %u fd %d flags %llu: stock %d, claimed %d", op,
			       key, val.ifindex, val.bpf_prog.fd, flag, result[0], result[1]);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_LT(rounds / 20, ok);
	EXPECT_EQ(count_keys(self->fd[0], 100), count_keys(self->fd[1], 100));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
