/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of dev_history*.c: a map of each kind, an outer map, the devices
 * t0 and t1, and history.bpf.c, which counts all frames.
 */
#ifndef REDIRMAP_HISTORY_H
#define REDIRMAP_HISTORY_H

#include <pthread.h>

#include "harness.h"
#include "egresslib.h"

#define MAP_SIZE 8

FIXTURE(history)
{
	struct env e;
	struct bpf_link *links[2];
	pthread_t thread;
	bool inner;
};

FIXTURE_VARIANT(history)
{
	struct kind kind;
};

NATIVE_KINDS(history);

/*
 * Loads the programs over a map of a kind, and makes an outer map for that
 * kind.
 */
static inline bool load_history(struct env *e, const struct kind *kind)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int map = new_map(kind, MAP_SIZE);
	int outer;

	opts.inner_map_fd = map;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 2, &opts);
	if (!open_object(e, "history.bpf.o") || !use_map(e, "targets", map) ||
	    !use_map(e, "outer", outer) || !load_object(e))
		return false;
	set_var(e, "nr_keys", 1);
	return true;
}

static inline struct bpf_link *attach_trace(struct env *e, const char *name)
{
	return bpf_program__attach(bpf_object__find_program_by_name(e->obj, name));
}

FIXTURE_SETUP(history)
{
	struct env *e = &self->e;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(load_history(e, &variant->kind));
	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_TRUE(make_target(e, "t1", "r1"));
	self->links[0] = attach_trace(e, "on_xmit");
	self->links[1] = attach_trace(e, "on_redirect_err");
	ASSERT_TRUE(self->links[0] && self->links[1]);
}

FIXTURE_TEARDOWN(history)
{
	bpf_link__destroy(self->links[0]);
	bpf_link__destroy(self->links[1]);
	EXPECT_TRUE(finish(&self->e));
}

/* Counts each frame once, wherever it is; receivers may have been deleted. */
static inline __u64 accounted_for(struct env *e)
{
	volatile __u64 *count = global(e, "received");
	__u64 sum = get_var(e, "not_found") + get_var(e, "dropped");
	int i;

	for (i = 0; i < DEVICES * QUEUES; i++)
		sum += count[i];
	return sum;
}

static inline bool all_accounted_for(struct env *e)
{
	int i;

	for (i = 0; i < 6000 && accounted_for(e) < get_var(e, "seen"); i++)
		usleep(10000);
	usleep(20000);
	if (accounted_for(e) == get_var(e, "seen"))
		return true;
	fprintf(stderr, "# %llu frames sent, %llu accounted for\n", get_var(e, "seen"),
		accounted_for(e));
	return false;
}

#endif /* REDIRMAP_HISTORY_H */
