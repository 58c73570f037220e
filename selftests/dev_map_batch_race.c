// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches during other changes of a map, and long random sequences of batches.
 * Claimed maps only: see dev_map_batch.c.
 */
#include <pthread.h>

#include "batchlib.h"

/* A thread's work on a map, until it is stopped. */
struct work {
	int fd;
	bool is_array;
	__u64 seed;
	volatile bool stop;
	unsigned long done;
	unsigned long failed;
	int error;		/* the last one */
	pthread_t thread;
	/* other objects that it works on */
	volatile __u32 ifindex;
	struct walk w;
};

static bool start(struct work *work, int fd, bool is_array, void *(*run)(void *work))
{
	static __u64 seed;

	memset(work, 0, offsetof(struct work, w));
	work->fd = fd;
	work->is_array = is_array;
	work->seed = ++seed;
	return !pthread_create(&work->thread, NULL, run, work);
}

static void finish(struct work *work)
{
	work->stop = true;
	pthread_join(work->thread, NULL);
}

static void failed(struct work *work, int err)
{
	work->failed++;
	work->error = err;
}

/* --- walks ---------------------------------------------------------------- */

#define STABLE 200
#define MOVING 100

/* Keys from STABLE on are added and deleted, one by one and in batches. */
static void *move_keys(void *arg)
{
	__u32 keys[20], values[20], i, n;
	struct work *work = arg;
	int err, fine;

	run_on_cpu(1);
	for (; !work->stop; work->done++) {
		for (i = 0; i < ARRAY_SIZE(keys); i++) {
			keys[i] = STABLE + rnd(&work->seed) % MOVING;
			values[i] = devs[keys[i] % NDEVS];
		}
		n = ARRAY_SIZE(keys);
		fine = -ENOENT;
		switch (rnd(&work->seed) % 4) {
		case 0:
			err = set_elem(work->fd, keys[0], values[0], BPF_ANY);
			fine = -E2BIG;
			break;
		case 1:
			err = del_elem(work->fd, keys[0]);
			break;
		case 2:
			err = update_batch(work->fd, keys, values, &n, BPF_ANY);
			fine = -E2BIG;
			break;
		default:
			err = delete_batch(work->fd, keys, &n);
		}
		if (err && err != fine)
			failed(work, err);
	}
	return NULL;
}

/*
 * No key is returned twice, the permanent ones are returned once, with their
 * values, and the walk ends. The hash has too few nodes for all keys, so nodes
 * get other keys.
 */
TEST_F(batch, walk_while_changing)
{
	__u32 room = STABLE + (self->is_array ? MOVING : MOVING / 2), i, key, seen;
	int fd = make_map(true, variant->type, room);
	unsigned long walks = 0, wrong = 0, twice = 0, missed = 0, moving = 0;
	static struct work work;
	__u64 state = 1;
	double end;

	ASSERT_LE(0, fd);
	for (key = 0; key < STABLE; key++)
		ASSERT_EQ(0, set_elem(fd, key, devs[key % NDEVS], BPF_ANY));
	ASSERT_TRUE(start(&work, fd, self->is_array, move_keys));
	run_on_cpu(0);

	for (end = now() + 3; now() < end || walks <= 10; walks++) {
		ASSERT_EQ(0, walk(fd, 1 + rnd(&state) % 150, false, &self->w));
		twice += count_twice(&self->w);
		for (i = seen = 0; i < self->w.n; i++) {
			key = self->w.keys[i];
			seen += key < STABLE;
			wrong += key >= STABLE + MOVING ||
				 self->w.values[i] != devs[key % NDEVS];
		}
		missed += STABLE - seen;
		moving += self->w.n - seen;
	}
	finish(&work);
	EXPECT_FINE(&work, 0);
	EXPECT_EQ(0, twice);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, missed);
	EXPECT_LT(10, moving);
	TH_LOG("%lu walks, %lu changes", walks, work.done);
	close(fd);
}

/* --- lookups that delete -------------------------------------------------- */

#define TAKEN 20000

/*
 * By key: how often it was returned with its first value, and with the other
 * one.
 */
static __u32 taken[TAKEN][2];

static void *take(void *arg)
{
	struct work *work = arg;
	bool stop;
	__u32 i;
	int err;

	run_on_cpu(work->seed % 2);
	do {
		/* Again after the last insertion. */
		stop = work->stop;
		err = walk(work->fd, 1 + rnd(&work->seed) % 200, true, &work->w);
		if (err)
			failed(work, err);
		for (i = 0; i < work->w.n; i++)
			__sync_fetch_and_add(&taken[work->w.keys[i]][work->w.values[i] == devs[1]],
					     1);
		work->done++;
	} while (!stop && !err);
	return NULL;
}

/*
 * Two threads empty a map that a third one fills. Each entry is returned to one
 * of them, once, with the value that it had when it was deleted, including a
 * change before that.
 */
TEST_F(batch, taken_once)
{
	int fd = make_map(true, variant->type, self->is_array ? TAKEN : 400);
	unsigned long wrong = 0, changes = 0;
	const __u32 entries = fewer(TAKEN);
	static struct work takers[2];
	static bool changed[TAKEN];
	__u32 key, old, i;
	int err;

	ASSERT_LE(0, fd);
	memset(taken, 0, sizeof(taken));
	memset(changed, 0, sizeof(changed));
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(start(&takers[i], fd, self->is_array, take));
	run_on_cpu(0);
	for (key = 0; key < entries; key++) {
		while ((err = set_elem(fd, key, devs[0], BPF_ANY)) == -E2BIG)
			sched_yield();
		ASSERT_EQ(0, err);
		/* Time for the thread that shares this CPU. */
		if (!(key % 256))
			sched_yield();
		if (key < 50)
			continue;
		/*
		 * An entry that may still exist, although the other threads are
		 * fast.
		 */
		old = key - (key % 2 ? 2 : 50);
		err = set_elem(fd, old, devs[1], BPF_EXIST);
		if (err)
			ASSERT_EQ(-ENOENT, err);
		changed[old] = !err;
		changes += !err;
	}
	for (i = 0; i < 2; i++) {
		finish(&takers[i]);
		EXPECT_FINE(&takers[i], 0);
	}
	for (key = 0; key < entries; key++) {
		/* In an empty slot of an array, the change is an insertion. */
		if (self->is_array && changed[key])
			wrong += taken[key][0] > 1 || taken[key][1] != 1;
		else
			wrong += taken[key][changed[key]] != 1 || taken[key][!changed[key]];
	}
	EXPECT_EQ(0, wrong);
	EXPECT_LT(10, changes);
	TH_LOG("%lu walks, %lu changes", takers[0].done + takers[1].done, changes);
	close(fd);
}

/* --- devices -------------------------------------------------------------- */

#define SPREAD 300

/*
 * All keys lead to a device that may leave at any time, and to one that stays.
 */
static void *update_all(void *arg)
{
	__u32 keys[SPREAD], values[SPREAD], i, n;
	struct work *work = arg;
	int err;

	run_on_cpu(1);
	for (i = 0; i < SPREAD; i++)
		keys[i] = i;
	for (; !work->stop; work->done++) {
		for (i = 0; i < SPREAD; i++)
			values[i] = i % 2 ? work->ifindex : devs[0];
		n = SPREAD;
		err = update_batch(work->fd, keys, values, &n, BPF_ANY);
		if (err && err != -EINVAL)
			failed(work, err);
	}
	return NULL;
}

/*
 * A device that has left is not in the map, even if another thread was about to
 * add it.
 */
TEST_F(batch, device_leaves_meanwhile)
{
	static struct work work;
	__u32 i, k, ghosts = 0;

	ASSERT_TRUE(sh("ip link add leaves type dummy"));
	ASSERT_TRUE(start(&work, self->fd, self->is_array, update_all));
	run_on_cpu(0);
	for (i = 0; i < 20; i++) {
		__u32 ifindex = if_nametoindex("leaves");
		unsigned long done = work.done;

		work.ifindex = ifindex;
		while (work.done < done + 3)
			usleep(1000);
		ASSERT_TRUE(start_delete("leaves"));
		ASSERT_EQ(0, walk(self->fd, 100, false, &self->w));
		for (k = 0; k < self->w.n; k++)
			ghosts += self->w.values[k] == ifindex;
		ASSERT_TRUE(wait_deleted());
		ASSERT_TRUE(sh("ip link add leaves type dummy"));
	}
	finish(&work);
	EXPECT_FINE(&work, 0);
	EXPECT_EQ(0, ghosts);
	ASSERT_TRUE(sh("ip link del leaves"));
}

/* --- against single operations -------------------------------------------- */

/* The elements of an update batch, one by one. */
static int update_singly(int fd, const __u32 *keys, const __u32 *values, __u32 *n, __u64 flags)
{
	__u32 i;
	int err = 0;

	for (i = 0; i < *n && !err; i++)
		err = set_elem(fd, keys[i], values[i], flags);
	*n = err ? i - 1 : i;
	return err;
}

static int delete_singly(int fd, const __u32 *keys, __u32 *n)
{
	__u32 i;
	int err = 0;

	for (i = 0; i < *n && !err; i++)
		err = del_elem(fd, keys[i]);
	*n = err ? i - 1 : i;
	return err;
}

#define TOLD 100
#define MOST 150

/*
 * A long random sequence of changes: of one map in batches, of another one by
 * single operations.
 */
TEST_F(batch, random_story)
{
	static const __u64 flags[] = { BPF_ANY, BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_EXIST };
	unsigned long wrong = 0, ok = 0, entries = 0;
	__u32 keys[MOST], values[MOST], token, there, n[2], i, round, op;
	const __u32 rounds = longer(600, 3000);
	int fd[2], err[2];
	__u64 state = 42, flag;

	for (i = 0; i < 2; i++) {
		fd[i] = make_map_flags(true, variant->type, 4, TOLD, 0);
		ASSERT_LE(0, fd[i]);
	}
	for (round = 0; round < rounds && !wrong; round++) {
		op = rnd(&state) % 8;
		/* Mostly short, because long ones end with an error. */
		n[0] = 1 + rnd(&state) % (rnd(&state) % 4 ? 12 : MOST);
		n[1] = n[0];
		for (i = 0; i < n[0]; i++) {
			keys[i] = rnd(&state) % TOLD;
			if (!self->is_array)
				keys[i] *= 0x9e3779b1 + round % 2;
			else if (!(rnd(&state) % 200))
				keys[i] = TOLD;
			values[i] = devs[rnd(&state) % NDEVS];
			if (!(rnd(&state) % 100))
				values[i] = rnd(&state) % 2 ? NO_DEV : 0;
		}
		flag = flags[rnd(&state) % ARRAY_SIZE(flags)];
		if (op < 5) {
			err[0] = update_batch(fd[0], keys, values, &n[0], flag);
			err[1] = update_singly(fd[1], keys, values, &n[1], flag);
		} else if (op < 7) {
			err[0] = delete_batch(fd[0], keys, &n[0]);
			err[1] = delete_singly(fd[1], keys, &n[1]);
		} else {
			/*
			 * Some entries, which the other map must have as well.
			 */
			err[0] = read_batch(fd[0], true, NULL, &token, keys, values, &n[0]);
			err[1] = err[0];
			for (i = 0; i < n[0]; i++)
				wrong += get_elem(fd[1], keys[i]) != (int)values[i] ||
					 del_elem(fd[1], keys[i]);
			n[1] = n[0];
		}
		ok += !err[0];
		entries += n[0];
		wrong += err[0] != err[1] || n[0] != n[1];
		/* All entries. */
		ASSERT_EQ(0, walk(fd[0], 64, false, &self->w));
		wrong += count_wrong(fd[1], self->w.keys, self->w.values, self->w.n);
		for (i = there = 0; self->is_array && i < TOLD; i++)
			there += get_elem(fd[1], i) > 0;
		wrong += (self->is_array ? there : (__u32)count_keys(fd[1], TOLD)) != self->w.n;
		if (wrong)
			TH_LOG("round %u op %u: batch %d after %u, singly %d after %u", round, op,
			       err[0], n[0], err[1], n[1]);
	}
	EXPECT_EQ(0, wrong);
	EXPECT_LT(rounds / 6, ok);
	EXPECT_LT(rounds * 10 / 3, entries);
	close(fd[0]);
	close(fd[1]);
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
