/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of a map's elements: the fixture, for stock and claimed
 * maps of both types; and programs that look up keys.
 */
#ifndef REDIRMAP_ELEMS_H
#define REDIRMAP_ELEMS_H

#include <bpf/libbpf.h>

#include "harness.h"
#include "maplib.h"

/* As in map_ops.bpf.c. */
#define MAP_OPS_KEYS 16
struct map_ops_packet {
	__u32 want[MAP_OPS_KEYS];
	__u32 hits;
	__u32 wrong;
	__u32 missed;
	__u32 last;
};

/*
 * Loads a program of map_ops.bpf.o over a map; NULL if the kernel refuses it.
 */
static inline struct bpf_object *load_program(const char *name, int map_fd)
{
	struct bpf_object *obj = bpf_object__open(beside("map_ops.bpf.o"));
	struct bpf_program *prog;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "devs"), map_fd) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static inline int program_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

static inline int run_lookup_all(int prog_fd, int repeat, struct map_ops_packet *packet)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(*packet),
		.data_out = packet,
		.data_size_out = sizeof(*packet),
		.repeat = repeat,
	);
	int err = bpf_prog_test_run_opts(prog_fd, &opts);

	return err ?: (int)opts.retval;
}

FIXTURE(elems) {
	int fd;		/* four entries of four bytes */
	bool is_array;
};

FIXTURE_VARIANT(elems) {
	struct kind kind;
};

MAP_KINDS(elems);

FIXTURE_SETUP(elems)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_array = variant->kind.type == BPF_MAP_TYPE_DEVMAP;
	self->fd = make_map(variant->kind.claimed, variant->kind.type, 4);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(base_refs + variant->kind.claimed, module_refs());
}

FIXTURE_TEARDOWN(elems)
{
	close(self->fd);
}

#define MAKE_MAP(value_size, n, flags)						\
({										\
	int _refs = module_refs();						\
	int _fd = make_map_flags(variant->kind.claimed, variant->kind.type,	\
				 value_size, n, flags);				\
										\
	ASSERT_LE(0, _fd);							\
	ASSERT_EQ(_refs + variant->kind.claimed, module_refs());		\
	_fd;									\
})

#endif /* REDIRMAP_ELEMS_H */
