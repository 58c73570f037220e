// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches on claimed socket maps; stock ones have none. Each entry has the
 * errno of a single operation, and count is the number of entries before it.
 */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "socklib.h"

#define ENTRIES 600
#define FILLED 500
/* An address without memory. */
#define NOWHERE ((void *)8)

FIXTURE(batch) {
	int map;
	int udp[FILLED];
	__u32 keys[ENTRIES];
	__u64 values[ENTRIES];
	bool hash;
};

FIXTURE_VARIANT(batch) {
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(batch, claimed_array) { BPF_MAP_TYPE_SOCKMAP };
FIXTURE_VARIANT_ADD(batch, claimed_hash) { BPF_MAP_TYPE_SOCKHASH };

/* Bound sockets, because only those may be inserted. */
FIXTURE_SETUP(batch)
{
	struct rlimit files = { 4096, 4096 };
	__u32 i;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_TRUE(module_refs_become(base_refs));
	self->hash = variant->type == BPF_MAP_TYPE_SOCKHASH;
	self->map = sock_map(true, variant->type, 8, ENTRIES);
	ASSERT_LE(0, self->map);
	for (i = 0; i < FILLED; i++) {
		self->udp[i] = sock_server(AF_INET, SOCK_DGRAM);
		ASSERT_LE(0, self->udp[i]);
		self->keys[i] = self->hash ? i * 0x9e3779b1 : i;
		self->values[i] = self->udp[i];
	}
}

FIXTURE_TEARDOWN(batch)
{
	__u32 i;

	for (i = 0; i < FILLED; i++)
		close(self->udp[i]);
	close(self->map);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* The number of entries, or -errno; *count is set in both cases. */
static int update(int map, const __u32 *keys, const void *values, __u32 *count, __u64 flags)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = flags);

	return bpf_map_update_batch(map, keys, values, count, &opts);
}

static int delete(int map, const __u32 *keys, __u32 *count)
{
	return bpf_map_delete_batch(map, keys, count, NULL);
}

static int look(int map, bool take, __u32 *in, __u32 *out, __u32 *keys, void *values,
		__u32 *count)
{
	return take ? bpf_map_lookup_and_delete_batch(map, in, out, keys, values, count, NULL) :
		      bpf_map_lookup_batch(map, in, out, keys, values, count, NULL);
}

TEST(stock_maps_have_none)
{
	int map = sock_map(false, BPF_MAP_TYPE_SOCKHASH, 8, 4);
	__u32 key = 0, count = 1;
	__u64 value;

	ASSERT_LE(0, map);
	EXPECT_EQ(-ENOTSUPP, update(map, &key, &value, &count, 0));
	EXPECT_EQ(-ENOTSUPP, look(map, false, NULL, &key, &key, &value, &count));
	close(map);
}

TEST_F(batch, update_and_delete)
{
	__u32 i, count = FILLED;

	EXPECT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_NOEXIST));
	EXPECT_EQ(FILLED, count);
	for (i = 0; i < FILLED; i++)
		ASSERT_TRUE(sock_is_at(self->map, self->keys[i], self->udp[i]));
	EXPECT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_EXIST));
	EXPECT_EQ(FILLED, count);
	EXPECT_EQ(0, delete(self->map, self->keys, &count));
	EXPECT_EQ(FILLED, count);
	EXPECT_EQ(self->hash ? -ENOENT : -EINVAL, delete(self->map, self->keys, &count));
	EXPECT_EQ(0, count);
}

/* The failing entry's errno, and the number of entries before it. */
TEST_F(batch, errors)
{
	static const struct {
		__u64 value;
		__u64 flags;
		int err;
	} rows[] = {
		{ 4000, BPF_ANY, -EBADF },
		{ 0, BPF_ANY, -ENOTSOCK },
		{ 1ULL << 31, BPF_ANY, -EINVAL },
	};
	__u32 i, count, before;
	__u64 cookie, good;
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		good = self->values[70];
		self->values[70] = rows[i].err == -ENOTSOCK ? (__u64)pipes[0] : rows[i].value;
		count = 100;
		EXPECT_EQ(rows[i].err, update(self->map, self->keys, self->values, &count,
					      rows[i].flags));
		EXPECT_EQ(70, count);
		EXPECT_TRUE(sock_is_at(self->map, self->keys[69], self->udp[69]));
		EXPECT_EQ(-ENOENT, sock_get(self->map, self->keys[71], &cookie));
		self->values[70] = good;
		EXPECT_EQ(0, delete(self->map, self->keys, &count));
		EXPECT_EQ(70, count);
	}
	close_pair(pipes);

	count = 100;
	EXPECT_EQ(-EINVAL, update(self->map, self->keys, self->values, &count, BPF_EXIST + 1));
	EXPECT_EQ(0, count);
	count = 100;
	EXPECT_EQ(-ENOENT, update(self->map, self->keys, self->values, &count, BPF_EXIST));
	EXPECT_EQ(0, count);
	ASSERT_EQ(0, sock_put(self->map, self->keys[30], self->udp[0], BPF_ANY));
	count = 100;
	EXPECT_EQ(-EEXIST, update(self->map, self->keys, self->values, &count, BPF_NOEXIST));
	EXPECT_EQ(30, count);
	EXPECT_EQ(0, sock_del(self->map, self->keys[10]));
	count = 100;
	EXPECT_EQ(self->hash ? -ENOENT : -EINVAL, delete(self->map, self->keys, &count));
	EXPECT_EQ(10, count);
	before = count;
	/* Nothing to do is no error. */
	count = 0;
	EXPECT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_ANY));
	EXPECT_EQ(0, look(self->map, false, NULL, &i, self->keys, self->values, &count));
	EXPECT_EQ(0, delete(self->map, self->keys, &count));
	EXPECT_EQ(0, count);
	EXPECT_EQ(10, before);
}

TEST_F(batch, flags)
{
	LIBBPF_OPTS(bpf_map_batch_opts, flags, .flags = 1);
	LIBBPF_OPTS(bpf_map_batch_opts, elem_flags, .elem_flags = BPF_EXIST);
	__u32 count = 1, out;

	EXPECT_EQ(-EINVAL, bpf_map_update_batch(self->map, self->keys, self->values, &count,
						&flags));
	EXPECT_EQ(-EINVAL, bpf_map_delete_batch(self->map, self->keys, &count, &flags));
	EXPECT_EQ(-EINVAL, bpf_map_delete_batch(self->map, self->keys, &count, &elem_flags));
	EXPECT_EQ(-EINVAL, bpf_map_lookup_batch(self->map, NULL, &out, self->keys, self->values,
						&count, &flags));
	EXPECT_EQ(-EINVAL, bpf_map_lookup_batch(self->map, NULL, &out, self->keys, self->values,
						&count, &elem_flags));
}

/* A bad address ends a batch where it is, and loses no entry. */
TEST_F(batch, bad_addresses)
{
	long page = sysconf(_SC_PAGESIZE);
	__u32 count, out, *keys;
	__u64 values[FILLED];
	void *memory;

	memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, munmap(memory + page, page));
	keys = memory + page - 100 * sizeof(*keys);
	memcpy(keys, self->keys, 100 * sizeof(*keys));

	count = 200;
	EXPECT_EQ(-EFAULT, update(self->map, keys, self->values, &count, BPF_ANY));
	EXPECT_EQ(100, count);
	EXPECT_TRUE(sock_is_at(self->map, self->keys[99], self->udp[99]));
	count = 200;
	EXPECT_EQ(-EFAULT, update(self->map, self->keys, NOWHERE, &count, BPF_ANY));
	EXPECT_EQ(0, count);
	count = 100;
	EXPECT_EQ(-EFAULT, look(self->map, true, NULL, NOWHERE, self->keys + FILLED, values,
				&count));
	EXPECT_EQ(0, count);
	count = 100;
	EXPECT_EQ(-EFAULT, look(self->map, true, NOWHERE, &out, self->keys + FILLED, values,
				&count));
	EXPECT_EQ(0, count);
	count = 100;
	EXPECT_EQ(-EFAULT, look(self->map, true, NULL, &out, NOWHERE, values, &count));
	EXPECT_EQ(0, count);
	count = 200;
	EXPECT_EQ(-EFAULT, delete(self->map, keys, &count));
	EXPECT_EQ(100, count);
	munmap(memory, page);
}

struct seen {
	__u32 keys[2 * ENTRIES];
	__u64 values[2 * ENTRIES];
	__u32 n;
};

/* Walks to the end in steps; 0 or -errno, -ERANGE for a wrong count. */
static int walk(int map, bool take, __u32 step, struct seen *seen, void (*between)(__u32 key))
{
	__u32 cursor, *in = NULL, count;
	int err = 0;

	for (seen->n = 0; !err; in = &cursor) {
		count = step;
		if (seen->n + step > ARRAY_SIZE(seen->keys))
			return -ERANGE;
		err = look(map, take, in, &cursor, seen->keys + seen->n, seen->values + seen->n,
			   &count);
		if (err && err != -ENOENT)
			return err;
		if (err ? count > step : count != step)
			return -ERANGE;
		seen->n += count;
		if (between && count)
			between(cursor);
	}
	return 0;
}

/* How often a walk has delivered a key; -1 if with another socket's cookie. */
static int times(const struct seen *seen, __u32 key, int fd)
{
	__u64 cookie = sock_cookie(fd);
	int n = 0;
	__u32 i;

	for (i = 0; i < seen->n; i++) {
		if (seen->keys[i] != key)
			continue;
		if (seen->values[i] != cookie)
			return -1;
		n++;
	}
	return n;
}

static struct seen seen;

TEST_F(batch, lookup)
{
	static const __u32 steps[] = { 1, 7, 64, 65, FILLED, ENTRIES };
	__u32 i, j, count = FILLED;

	ASSERT_EQ(0, walk(self->map, false, 10, &seen, NULL));
	EXPECT_EQ(0, seen.n);
	ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_ANY));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		ASSERT_EQ(0, walk(self->map, false, steps[i], &seen, NULL));
		ASSERT_EQ(FILLED, seen.n);
		for (j = 0; j < FILLED; j++)
			ASSERT_EQ(1, times(&seen, self->keys[j], self->udp[j]));
	}
}

TEST_F(batch, lookup_and_delete)
{
	static const __u32 steps[] = { 1, 64, 100, ENTRIES };
	__u32 i, j, count, key;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		count = FILLED;
		ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_NOEXIST));
		ASSERT_EQ(0, walk(self->map, true, steps[i], &seen, NULL));
		ASSERT_EQ(FILLED, seen.n);
		for (j = 0; j < FILLED; j++)
			ASSERT_EQ(1, times(&seen, self->keys[j], self->udp[j]));
		if (self->hash)
			EXPECT_EQ(-ENOENT, bpf_map_get_next_key(self->map, NULL, &key));
	}
}

static int walked_map;

static void delete_cursor(__u32 key)
{
	bpf_map_delete_elem(walked_map, &key);
}

/*
 * A walk ends, and delivers every entry that stays, although its cursor is
 * deleted after each call.
 */
TEST_F(batch, deleted_cursor)
{
	__u32 i, count = FILLED;

	walked_map = self->map;
	ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_ANY));
	ASSERT_EQ(0, walk(self->map, false, 3, &seen, delete_cursor));
	for (i = 0; i < FILLED; i++)
		ASSERT_LE(1, times(&seen, self->keys[i], self->udp[i]));
}

static volatile bool stop;
static __u32 changing[100];
static int changing_fd;

static void *change(void *arg)
{
	__u64 state = 1;
	__u32 i;

	while (!stop) {
		i = rnd(&state) % ARRAY_SIZE(changing);
		if (rnd(&state) % 2)
			sock_put(walked_map, changing[i], changing_fd, BPF_ANY);
		else
			sock_del(walked_map, changing[i]);
	}
	return NULL;
}

/*
 * The only entry of a map is replaced by one with another key: the cursor is
 * gone, and the walk visits as many keys as the map may have. Memory of the
 * walk that has no key yet, and is zeroed by many kernels, must not count.
 */
TEST(only_entry)
{
	__u32 first = 0, second = 2, at, key, count;
	int map, udp, i, err = 0;
	__u64 value;

	map = sock_map(true, BPF_MAP_TYPE_SOCKHASH, 8, 1);
	ASSERT_LE(0, map);
	udp = sock_server(AF_INET, SOCK_DGRAM);
	ASSERT_LE(0, udp);
	for (i = 0; i < 100 && !err; i++) {
		ASSERT_EQ(0, sock_put(map, first, udp, BPF_NOEXIST));
		count = 4;
		ASSERT_EQ(-ENOENT, look(map, false, NULL, &at, &key, &value, &count));
		ASSERT_EQ(1, count);
		ASSERT_EQ(0, sock_del(map, first));
		ASSERT_EQ(0, sock_put(map, second, udp, BPF_NOEXIST));
		count = 4;
		/* Finds the key, or has passed its bucket; but ends. */
		err = look(map, i % 2, &at, &at, &key, &value, &count) != -ENOENT || count > 1;
		if (sock_del(map, second))
			EXPECT_TRUE(i % 2);
	}
	EXPECT_EQ(0, err);
	close(udp);
	close(map);
}

/*
 * Some entries come, go and are replaced all the time: a walk delivers all
 * others; and once if it is one call, or if the map is an array.
 */
TEST_F(batch, racing_walks)
{
	static const __u32 steps[] = { 1, 10, ENTRIES };
	__u32 i, j, step, count = FILLED;
	pthread_t thread;
	int n;

	walked_map = self->map;
	changing_fd = self->udp[0];
	for (i = 0; i < ARRAY_SIZE(changing); i++)
		changing[i] = self->keys[5 * i];
	ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_ANY));
	stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, change, NULL));
	for (j = 0; j < fewer(100); j++) {
		step = steps[j % ARRAY_SIZE(steps)];
		ASSERT_EQ(0, walk(self->map, false, step, &seen, NULL));
		for (i = 0; i < FILLED; i++) {
			if (i % 5 == 0)
				continue;
			n = times(&seen, self->keys[i], self->udp[i]);
			ASSERT_LE(1, n);
			if (!self->hash || step == ENTRIES)
				ASSERT_EQ(1, n);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
}

/* Two takers of one map share its entries. */
static struct seen taken[2];
static int taken_err[2];

static void *take(void *arg)
{
	long i = (long)arg;
	__u32 cursor, count = 0, step;

	taken[i].n = 0;
	do {
		step = 16;
		taken_err[i] = look(walked_map, true, count ? &cursor : NULL, &cursor,
				    taken[i].keys + taken[i].n, taken[i].values + taken[i].n,
				    &step);
		taken[i].n += step;
		count = step;
	} while (!taken_err[i]);
	return NULL;
}

TEST_F(batch, two_takers)
{
	__u32 i, round, count;
	pthread_t threads[2];
	long t;

	walked_map = self->map;
	for (round = 0; round < fewer(20); round++) {
		count = FILLED;
		ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, BPF_ANY));
		for (t = 0; t < 2; t++)
			ASSERT_EQ(0, pthread_create(&threads[t], NULL, take, (void *)t));
		for (t = 0; t < 2; t++)
			pthread_join(threads[t], NULL);
		ASSERT_EQ(-ENOENT, taken_err[0]);
		ASSERT_EQ(-ENOENT, taken_err[1]);
		ASSERT_EQ(FILLED, taken[0].n + taken[1].n);
		for (i = 0; i < FILLED; i++)
			ASSERT_EQ(1, times(&taken[0], self->keys[i], self->udp[i]) +
				     times(&taken[1], self->keys[i], self->udp[i]));
	}
}

TEST_F(batch, small_values)
{
	int map = sock_map(true, variant->type, 4, ENTRIES);
	__u32 values[FILLED], i, count = FILLED, out;

	ASSERT_LE(0, map);
	for (i = 0; i < FILLED; i++)
		values[i] = self->udp[i];
	/* As a single lookup, even of an empty map. */
	EXPECT_EQ(-ENOSPC, look(map, false, NULL, &out, self->keys, values, &count));
	EXPECT_EQ(0, count);
	count = FILLED;
	EXPECT_EQ(0, update(map, self->keys, values, &count, BPF_ANY));
	EXPECT_EQ(FILLED, count);
	count = 10;
	EXPECT_EQ(-ENOSPC, look(map, true, NULL, &out, self->keys, values, &count));
	EXPECT_EQ(0, count);
	count = FILLED;
	EXPECT_EQ(0, delete(map, self->keys, &count));
	EXPECT_EQ(FILLED, count);
	close(map);
}

/* A killed task ends its batch: this one would take hours. */
TEST_F(batch, killed)
{
	__u32 count = UINT_MAX / 16, *keys;
	int status, pipes[2];
	__u64 *values;
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(pipes));
	/* The same page of zeroes all the time: key 0 gets descriptor 0. */
	keys = mmap(NULL, count * 4UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	values = mmap(NULL, count * 8UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, keys);
	ASSERT_NE(MAP_FAILED, values);
	pid = fork();
	if (!pid) {
		dup2(self->udp[0], 0);
		if (write(pipes[1], "", 1) == 1)
			update(self->map, keys, values, &count, BPF_ANY);
		_exit(1);
	}
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	while (!sock_is_at(self->map, 0, self->udp[0]))
		usleep(1000);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	munmap(keys, count * 4UL);
	munmap(values, count * 8UL);
	close_pair(pipes);
}

/* As in sock_map_batch.bpf.c. */
struct kill_vars {
	__u32 pid;
	__u32 call;
	__u32 killed;
	__s32 result;
	__s32 error;
};

/* Memory that outlives the killed task. */
struct killed_batch {
	union bpf_attr attr;
	__u32 keys[FILLED], cursor;
	__u64 values[FILLED];
};

static int attach_raw(struct bpf_object *obj, const char *name, const char *tracepoint)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	return bpf_raw_tracepoint_open(tracepoint, bpf_program__fd(prog));
}

/*
 * Runs a batch in a task that is killed as soon as the call begins. Returns the
 * result of the call, which the task itself never sees; -ESRCH if it was not
 * killed.
 */
static int killed_call(struct killed_batch *shared, enum bpf_cmd cmd)
{
	struct bpf_object *obj = bpf_object__open(beside("sock_map_batch.bpf.o"));
	struct kill_vars vars = { .call = __NR_bpf, .result = -ESRCH };
	int pipes[2], enter, leave, map, status = 0;
	__u32 zero = 0;
	pid_t pid;
	char byte;

	if (!obj || bpf_object__load(obj) || pipe(pipes))
		return -ENODEV;
	map = bpf_map__fd(bpf_object__find_map_by_name(obj, ".bss"));
	pid = fork();
	if (!pid) {
		if (read(pipes[0], &byte, 1) == 1)
			syscall(__NR_bpf, cmd, &shared->attr, sizeof(shared->attr));
		_exit(1);
	}
	vars.pid = pid;
	bpf_map_update_elem(map, &zero, &vars, 0);
	leave = attach_raw(obj, "leave", "sys_exit");
	enter = attach_raw(obj, "enter", "sys_enter");
	if (enter < 0 || leave < 0 || write(pipes[1], "", 1) != 1)
		kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	bpf_map_lookup_elem(map, &zero, &vars);
	close(enter);
	close(leave);
	close_pair(pipes);
	bpf_object__close(obj);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && vars.killed == 1 &&
	       !vars.error ? vars.result : -ESRCH;
}

static bool has_key(const struct seen *seen, __u32 key)
{
	__u32 i;

	for (i = 0; i < seen->n; i++)
		if (seen->keys[i] == key)
			return true;
	return false;
}

/* A lookup ends between two of its chunks; other batches, between entries. */
#define LOOKUP_CHUNK 64

static const struct killed {
	enum bpf_cmd cmd;
	bool looks;
	bool gone;	/* the map does not have the counted keys afterwards */
} killed[] = {
	{ BPF_MAP_UPDATE_BATCH, false, false },
	{ BPF_MAP_DELETE_BATCH, false, true },
	{ BPF_MAP_LOOKUP_BATCH, true, false },
	{ BPF_MAP_LOOKUP_AND_DELETE_BATCH, true, true },
};

/*
 * Each batch of a killed task ends with EINTR, and its count tells how far it
 * came: from there on, another task continues a lookup.
 */
static void run_killed(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self,
		       const struct killed *row, struct killed_batch *shared)
{
	__u32 i, there, count = FILLED, left = ENTRIES;

	if (row->cmd != BPF_MAP_UPDATE_BATCH)
		ASSERT_EQ(0, update(self->map, self->keys, self->values, &count, 0));
	memset(shared, 0, sizeof(*shared));
	if (!row->looks) {
		memcpy(shared->keys, self->keys, sizeof(shared->keys));
		memcpy(shared->values, self->values, sizeof(shared->values));
	}
	shared->attr.batch.map_fd = self->map;
	shared->attr.batch.count = FILLED;
	shared->attr.batch.keys = (unsigned long)shared->keys;
	shared->attr.batch.values = (unsigned long)shared->values;
	shared->attr.batch.out_batch = (unsigned long)&shared->cursor;
	EXPECT_EQ(-EINTR, killed_call(shared, row->cmd)) {
		TH_LOG("command %u", row->cmd);
	}
	count = shared->attr.batch.count;
	/* A walk through a hash makes its chunks smaller to reschedule. */
	EXPECT_LE(row->looks && !self->hash ? LOOKUP_CHUNK : 1, count);
	EXPECT_GE(row->looks ? LOOKUP_CHUNK : 1, count);

	ASSERT_EQ(0, walk(self->map, false, ENTRIES, &seen, NULL));
	there = row->gone ? FILLED - count : FILLED;
	EXPECT_EQ(row->cmd == BPF_MAP_UPDATE_BATCH ? count : there, seen.n);
	for (i = 0; i < count; i++)
		EXPECT_EQ(!row->gone, has_key(&seen, shared->keys[i]));
	if (!row->looks)
		return;
	EXPECT_EQ(-ENOENT, look(self->map, row->gone, &shared->cursor, &shared->cursor, seen.keys,
				seen.values, &left));
	seen.n = left;
	EXPECT_EQ(FILLED, count + left);
	for (i = 0; i < count; i++)
		EXPECT_FALSE(has_key(&seen, shared->keys[i]));
}

TEST_F(batch, killed_in_all)
{
	struct killed_batch *shared;
	unsigned int i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	for (i = 0; i < ARRAY_SIZE(killed); i++)
		run_killed(_metadata, self, &killed[i], shared);
	munmap(shared, sizeof(*shared));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
