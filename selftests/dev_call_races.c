// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actions of other tasks in the middle of a bpf(2) call, or of a redirect: a
 * program on a function of the kernel holds the caller there until they are
 * complete.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/redirmap.h>

#include "harness.h"
#include "countlib.h"
#include "egresslib.h"

#define CLAIM MODULE_DIR "/parameters/claim"
/* The value with which run-tests loads the module. */
#define CLAIM_USUAL "rm_*"

struct meanwhile {
	struct env e;
	struct bpf_link *link[2];
	pthread_t thread;
	bool (*act)(struct meanwhile *m);
	int prog, map, index, err;
	struct env *net;
	int elsewhere;
	bool done;
};

static void *wait_and_act(void *arg)
{
	struct meanwhile *m = arg;
	cpu_set_t all;
	int i;

	/* The other thread may occupy the CPU that both are bound to. */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	for (i = 0; i < 20000 && !get_var(&m->e, "held"); i++)
		usleep(1000);
	m->done = get_var(&m->e, "held") && m->act(m);
	set_var(&m->e, "let_go", 1);
	return NULL;
}

/*
 * Makes this thread be held once from here on; another thread then does @act.
 */
static bool begin(struct meanwhile *m, bool (*act)(struct meanwhile *m))
{
	m->act = act;
	set_var(&m->e, "hold_tid", syscall(__NR_gettid));
	return !pthread_create(&m->thread, NULL, wait_and_act, m);
}

/* Was this thread held, and was the other thread in time? */
static bool end(struct meanwhile *m)
{
	return !pthread_join(m->thread, NULL) && m->done;
}

/*
 * Attaches the programs; @func is the function in which calls are held, or NULL
 * for the registration of a device.
 */
static bool setup(struct meanwhile *m, const char *func)
{
	struct bpf_program *hold, *freed;

	if (!module_refs_become(0) || !open_object(&m->e, "call_races.bpf.o"))
		return false;
	hold = bpf_object__find_program_by_name(m->e.obj, func ? "hold" : "hold_register");
	bpf_program__set_autoload(bpf_object__find_program_by_name(m->e.obj, "hold"), func);
	freed = bpf_object__find_program_by_name(m->e.obj, "freed");
	if (func && bpf_program__set_attach_target(hold, 0, func))
		return false;
	if (!load_object(&m->e))
		return false;
	m->link[0] = bpf_program__attach(hold);
	m->link[1] = bpf_program__attach(freed);
	return m->link[0] && m->link[1];
}

static void teardown(struct meanwhile *m)
{
	bpf_link__destroy(m->link[0]);
	bpf_link__destroy(m->link[1]);
	unload(&m->e);
}

FIXTURE(update)
{
	struct meanwhile m;
};

FIXTURE_VARIANT(update)
{
	struct kind kind;
};

MAP_KINDS(update);

FIXTURE_SETUP(update)
{
	ASSERT_TRUE(setup(&self->m, "bpf_prog_put"));
}

FIXTURE_TEARDOWN(update)
{
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

static bool close_prog(struct meanwhile *m)
{
	/* The file is closed when this thread is about to return. */
	return !close(m->prog);
}

/*
 * A refused program loses its last user while it is being refused, so the
 * update drops the last reference to it: under a lock, and inside an RCU read
 * section, where the program must not be freed, because that may sleep.
 * (Intended difference: stock arrays do so.)
 */
TEST_F(update, refused_program_is_closed)
{
	int lo = if_nametoindex("lo"), err, map, i;
	struct meanwhile *m = &self->m;
	__u32 id;

	map = new_map(&variant->kind, 4);
	ASSERT_GE(map, 0);
	m->prog = make_prog(BPF_PROG_TYPE_XDP, 0, 0, 0, XDP_PASS);
	ASSERT_GE(m->prog, 0);
	id = prog_id(m->prog);
	set_var(&m->e, "freed_id", id);

	ASSERT_TRUE(begin(m, close_prog));
	err = put_value(map, 0, lo, m->prog);
	EXPECT_TRUE(end(m));
	EXPECT_EQ(err, -EINVAL);
	EXPECT_TRUE(prog_goes(id));
	if (variant->kind.claimed) {
		for (i = 0; i < 5000 && !get_var(&m->e, "freed_by_others"); i++)
			usleep(1000);
		EXPECT_EQ(get_var(&m->e, "freed_by_others"), 1);
		EXPECT_EQ(get_var(&m->e, "freed_by_it"), 0);
	}
	close(map);
}

FIXTURE(create)
{
	struct meanwhile m;
};

FIXTURE_VARIANT(create)
{
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(create, array)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(create, hash)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_SETUP(create)
{
	ASSERT_TRUE(write_str(CLAIM, CLAIM_USUAL));
	/* The function is called in between. */
	if (libbpf_find_vmlinux_btf_id("bpf_token_capable", BPF_TRACE_FENTRY) < 0)
		SKIP(return, "this kernel does all of it in one function");
	ASSERT_TRUE(setup(&self->m, "bpf_token_capable"));
}

FIXTURE_TEARDOWN(create)
{
	EXPECT_TRUE(write_str(CLAIM, CLAIM_USUAL));
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

static bool claim_nothing(struct meanwhile *m)
{
	return write_str(CLAIM, "\n");
}

/*
 * Newer kernels check attributes in one function and make the map in another;
 * values with counters concern both. The policy in the first function decides.
 * Otherwise the map would be a stock map whose values have another size than
 * requested.
 */
TEST_F(create, policy_changes)
{
	struct meanwhile *m = &self->m;
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int map;

	ASSERT_TRUE(begin(m, claim_nothing));
	map = make_map_flags(true, variant->type, sizeof(struct redirmap_val), 4, 0);
	EXPECT_TRUE(end(m));
	ASSERT_GE(map, 0);
	EXPECT_EQ(bpf_obj_get_info_by_fd(map, &info, &len), 0);
	EXPECT_EQ(info.value_size, sizeof(struct redirmap_val));
	EXPECT_EQ(info.map_extra, 0);
	close(map);
}

static bool module_is_going(void)
{
	char state[8] = "";
	int fd = open(MODULE_DIR "/initstate", O_RDONLY);
	bool going;

	going = fd >= 0 && read(fd, state, sizeof(state) - 1) > 0 &&
		!strncmp(state, "going", 5);
	if (fd >= 0)
		close(fd);
	return going;
}

/* Begins to unload the module; the end has to wait for the call. */
static bool unload_module(struct meanwhile *m)
{
	int i;

	if (!sh("rmmod redirmap &"))
		return false;
	for (i = 0; i < 20000; i++) {
		if (module_is_going())
			return true;
		usleep(1000);
	}
	return false;
}

static bool load_again(void)
{
	const char *ko = getenv("REDIRMAP_KO");
	int i;

	for (i = 0; i < 20000 && !access(MODULE_DIR, F_OK); i++)
		usleep(1000);
	return ko && sh("insmod %s claim='" CLAIM_USUAL "'", ko);
}

/*
 * Values with counters were accepted, and then the module was unloaded: the
 * kernel makes a stock map, which does not depend on the module.
 */
TEST_F(create, module_goes)
{
	struct bpf_map_info info = {};
	struct meanwhile *m = &self->m;
	__u32 len = sizeof(info);
	int map;

	ASSERT_TRUE(begin(m, unload_module));
	map = bpf_map_create(variant->type, "rm_goes", 4, sizeof(struct redirmap_val), 4, NULL);
	EXPECT_TRUE(end(m));
	ASSERT_TRUE(load_again());
	ASSERT_GE(map, 0);
	EXPECT_EQ(bpf_obj_get_info_by_fd(map, &info, &len), 0);
	EXPECT_EQ(info.value_size, sizeof(struct bpf_devmap_val));
	EXPECT_EQ(info.map_extra, 0);
	EXPECT_FALSE(is_claimed(map));
	close(map);
}

FIXTURE(unborn)
{
	struct meanwhile m;
};

FIXTURE_VARIANT(unborn)
{
	enum bpf_map_type type;
	__u32 value_size;
};

FIXTURE_VARIANT_ADD(unborn, array) { BPF_MAP_TYPE_DEVMAP, 4 };
FIXTURE_VARIANT_ADD(unborn, array_counters) {
	BPF_MAP_TYPE_DEVMAP, sizeof(struct redirmap_val)
};
FIXTURE_VARIANT_ADD(unborn, hash) { BPF_MAP_TYPE_DEVMAP_HASH, 4 };
FIXTURE_VARIANT_ADD(unborn, hash_counters) {
	BPF_MAP_TYPE_DEVMAP_HASH, sizeof(struct redirmap_val)
};

FIXTURE_SETUP(unborn)
{
	/* The function that the kernel calls after it has allocated a map. */
	ASSERT_TRUE(setup(&self->m, "bpf_obj_name_cpy"));
	ASSERT_TRUE(sh("ip link add unborn type dummy"));
}

FIXTURE_TEARDOWN(unborn)
{
	sh("ip link del unborn 2>&-");
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

/*
 * The module has made a map, and is unloaded before it could claim the map: the
 * kernel has the map, but does not know it, and would not remove its entries
 * for devices that leave. So the map takes no entries.
 */
TEST_F(unborn, module_goes)
{
	struct redirmap_val val = { .entry.ifindex = if_nametoindex("unborn") };
	struct meanwhile *m = &self->m;
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), key = 0;
	int map;

	ASSERT_TRUE(begin(m, unload_module));
	map = bpf_map_create(variant->type, "rm_unborn", 4, variant->value_size, 4, NULL);
	EXPECT_TRUE(end(m));
	ASSERT_TRUE(load_again());
	ASSERT_GE(map, 0);
	EXPECT_EQ(bpf_obj_get_info_by_fd(map, &info, &len), 0);
	EXPECT_EQ(info.value_size, variant->value_size);
	EXPECT_FALSE(is_claimed(map));

	ASSERT_EQ(bpf_map_update_elem(map, &key, &val, BPF_ANY), -EPERM);
	EXPECT_EQ(bpf_map_delete_elem(map, &key), -EPERM);
	EXPECT_EQ(bpf_map_lookup_elem(map, &key, &val), -ENOENT);
	EXPECT_TRUE(sh("ip link del unborn"));
	close(map);
}

/*
 * More than a chunk of a batch, the part without a check for signals. A lookup
 * also ends a chunk after 1024 buckets, which is all that a hash of 512 entries
 * has. Most of them may be empty, because the keys are distributed at random.
 */
#define BATCH 512
#define CHUNK 64

FIXTURE(killed)
{
	struct meanwhile m;
	union bpf_attr *attr;
	__u32 *keys, *values;
	pid_t child;
	int map;
};

FIXTURE_VARIANT(killed)
{
	enum bpf_map_type type;
	enum bpf_cmd cmd;
};

FIXTURE_VARIANT_ADD(killed, array_update) { BPF_MAP_TYPE_DEVMAP, BPF_MAP_UPDATE_BATCH };
FIXTURE_VARIANT_ADD(killed, array_delete) { BPF_MAP_TYPE_DEVMAP, BPF_MAP_DELETE_BATCH };
FIXTURE_VARIANT_ADD(killed, array_lookup) { BPF_MAP_TYPE_DEVMAP, BPF_MAP_LOOKUP_BATCH };
FIXTURE_VARIANT_ADD(killed, array_take) { BPF_MAP_TYPE_DEVMAP, BPF_MAP_LOOKUP_AND_DELETE_BATCH };
FIXTURE_VARIANT_ADD(killed, hash_update) { BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_UPDATE_BATCH };
FIXTURE_VARIANT_ADD(killed, hash_delete) { BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_DELETE_BATCH };
FIXTURE_VARIANT_ADD(killed, hash_lookup) { BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_LOOKUP_BATCH };
FIXTURE_VARIANT_ADD(killed, hash_take) {
	BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_LOOKUP_AND_DELETE_BATCH
};

static void *shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

FIXTURE_SETUP(killed)
{
	struct meanwhile *m = &self->m;
	__u32 i;

	/* The first function that bpf(2) calls. */
	ASSERT_TRUE(setup(m, "bpf_check_uarg_tail_zero"));
	self->attr = shared(sizeof(*self->attr));
	self->keys = shared(BATCH * sizeof(__u32));
	self->values = shared(BATCH * sizeof(__u32));
	ASSERT_TRUE(self->attr && self->keys && self->values);
	self->map = make_map(true, variant->type, BATCH);
	ASSERT_GE(self->map, 0);
	for (i = 0; i < BATCH; i++) {
		self->keys[i] = i;
		self->values[i] = if_nametoindex("lo");
		if (variant->cmd != BPF_MAP_UPDATE_BATCH)
			ASSERT_EQ(bpf_map_update_elem(self->map, &i, &self->values[i], 0), 0);
	}
}

FIXTURE_TEARDOWN(killed)
{
	close(self->map);
	munmap(self->attr, sizeof(*self->attr));
	munmap(self->keys, BATCH * sizeof(__u32));
	munmap(self->values, BATCH * sizeof(__u32));
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

static int live_entries(int map)
{
	__u32 key, value;
	int n = 0;

	for (key = 0; key < BATCH; key++)
		n += !bpf_map_lookup_elem(map, &key, &value);
	return n;
}

/*
 * A task that is killed in the middle of a batch stops after the present chunk.
 * Here that is the first one: the call is held before it begins.
 */
TEST_F(killed, stops)
{
	bool takes = variant->cmd == BPF_MAP_DELETE_BATCH ||
		     variant->cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
	struct meanwhile *m = &self->m;
	union bpf_attr *attr = self->attr;
	int go[2], status, i;
	char byte;

	attr->batch.map_fd = self->map;
	attr->batch.keys = (unsigned long)self->keys;
	attr->batch.values = (unsigned long)self->values;
	attr->batch.count = BATCH;
	if (variant->cmd == BPF_MAP_LOOKUP_BATCH ||
	    variant->cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH)
		/* No code reads it again. */
		attr->batch.out_batch = (unsigned long)&self->values[BATCH - 1];
	if (variant->cmd == BPF_MAP_DELETE_BATCH)
		attr->batch.values = 0;

	ASSERT_EQ(pipe(go), 0);
	self->child = fork();
	ASSERT_GE(self->child, 0);
	if (!self->child) {
		if (read(go[0], &byte, 1) == 1)
			syscall(__NR_bpf, variant->cmd, attr, sizeof(*attr));
		_exit(1);
	}
	set_var(&m->e, "hold_tid", self->child);
	ASSERT_EQ(write(go[1], "", 1), 1);
	for (i = 0; i < 20000 && !get_var(&m->e, "held"); i++)
		usleep(1000);
	EXPECT_TRUE(get_var(&m->e, "held"));
	EXPECT_EQ(kill(self->child, SIGKILL), 0);
	set_var(&m->e, "let_go", 1);
	ASSERT_EQ(waitpid(self->child, &status, 0), self->child);
	EXPECT_TRUE(WIFSIGNALED(status));
	close(go[0]);
	close(go[1]);

	EXPECT_EQ(attr->batch.count, CHUNK);
	EXPECT_EQ(live_entries(self->map),
		  variant->cmd == BPF_MAP_UPDATE_BATCH ? CHUNK : takes ? BATCH - CHUNK : BATCH);
}

FIXTURE(registering)
{
	struct meanwhile m;
	int map, tap;
};

FIXTURE_VARIANT(registering)
{
	struct kind kind;
};

MAP_KINDS(registering);

FIXTURE_SETUP(registering)
{
	ASSERT_TRUE(setup(&self->m, NULL));
	self->map = new_map(&variant->kind, 4);
	ASSERT_GE(self->map, 0);
}

FIXTURE_TEARDOWN(registering)
{
	close(self->tap);
	close(self->map);
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

static bool put_early(struct meanwhile *m)
{
	m->index = if_nametoindex("early");
	m->err = put_value(m->map, 0, m->index, -1);
	return true;
}

/*
 * A device can be found before it has the kernel's bulk queues, and a key may
 * lead to it from then on. (A call cannot be held while they are initialised.)
 */
TEST_F(registering, device_is_found)
{
	struct meanwhile *m = &self->m;

	m->map = self->map;
	ASSERT_TRUE(begin(m, put_early));
	EXPECT_TRUE(make_tap("early", &self->tap, 1));
	EXPECT_TRUE(end(m));
	EXPECT_EQ(m->err, 0);
	EXPECT_GT(m->index, 0);
	EXPECT_EQ(value_ifindex(self->map, 0), m->index);
}

FIXTURE(broadcast)
{
	struct meanwhile m;
	struct env e;
	int here;
};

FIXTURE_VARIANT(broadcast)
{
	struct kind kind;
};

GENERIC_KINDS(broadcast);

/*
 * Packets that are written to the tap are redirected in the writer's context,
 * because the file is blocking.
 */
FIXTURE_SETUP(broadcast)
{
	struct meanwhile *m = &self->m;
	struct env *e = &self->e;

	/* The function that the kernel calls after it has run a program. */
	ASSERT_TRUE(setup(m, "generic_xdp_tx"));
	ASSERT_TRUE(start_egress_over(e, variant->kind,
				      make_map_flags(variant->kind.claimed, variant->kind.type,
						     counting_size(&variant->kind), 4, 0)));
	ASSERT_TRUE(make_looker(e, "t0", "r0", "mtu 1500"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	set_var(e, "flags", BPF_F_BROADCAST);
	ASSERT_TRUE(make_tap("tap", e->tap, 1));
	ASSERT_EQ(fcntl(e->tap[0], F_SETFL, 0), 0);
	ASSERT_TRUE(attach(e, "tap", "redirect", false));

	self->here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->here, 0);
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	m->elsewhere = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(m->elsewhere, 0);
	ASSERT_TRUE(ip("link add far0 type veth peer name far1\n"
		       "link set far0 up\nlink set far1 up\n"));
	ASSERT_EQ(setns(self->here, CLONE_NEWNET), 0);
	m->net = e;
}

FIXTURE_TEARDOWN(broadcast)
{
	close(self->here);
	close(self->m.elsewhere);
	EXPECT_TRUE(finish(&self->e));
	teardown(&self->m);
	EXPECT_TRUE(module_refs_become(0));
}

static bool put_elsewhere(struct meanwhile *m)
{
	return !setns(m->elsewhere, CLONE_NEWNET) && !put_entry(m->net, 1, "far0", "asks_fib");
}

static bool write_frame(struct env *e, int nr)
{
	unsigned char frame[64];

	make_frame(frame, nr, sizeof(frame));
	return write(e->tap[0], frame, sizeof(frame)) == sizeof(frame);
}

/*
 * The map gets its first entry with a program while a packet is between two
 * steps of the kernel. It is too late to note the ingress of the packet, so the
 * program would see the namespace of its own entry.
 */
TEST_F(broadcast, first_program)
{
	struct meanwhile *m = &self->m;
	struct env *e = &self->e;

	ASSERT_TRUE(begin(m, put_elsewhere));
	EXPECT_TRUE(write_frame(e, 0));
	ASSERT_TRUE(end(m));
	EXPECT_EQ(settled(e, "r0", 1), 1);
	EXPECT_EQ(get_var(e, "nr_runs"), 0);
	/* In some runs, the packet is not for the new entry yet. */
	if (variant->kind.claimed)
		EXPECT_LE(entry_stats(e, 1).drops[REDIRMAP_DROP_PROG_ABORTED], 1);

	EXPECT_TRUE(write_frame(e, 1));
	EXPECT_EQ(settled(e, "r0", 2), 2);
	EXPECT_EQ(get_var(e, "nr_runs"), 1);
	EXPECT_EQ(run_of(e, 0)->ingress, if_nametoindex("tap"));
	EXPECT_TRUE(del(e, 1));
}

int main(int argc, char **argv)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("1..0 # SKIP needs two CPUs\n");
		return KSFT_SKIP;
	}
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
