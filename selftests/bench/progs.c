// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's BPF programs. The object is beside the executable. Only the
 * programs that a row uses are loaded, because others could change the result.
 */
#include <linux/if_link.h>

#include "bench.h"
#include "testlib.h"

struct bpf_object *open_object(const char *file, const char *prog, const char *extra)
{
	const char *path = beside(file);
	struct bpf_object *obj = bpf_object__open(path);
	struct bpf_program *p;

	if (!obj)
		fail("%s: %s", path, strerror(errno));

	bpf_object__for_each_program(p, obj) {
		const char *name = bpf_program__name(p);

		bpf_program__set_autoload(p, !strcmp(name, prog) ||
					  (extra && !strcmp(name, extra)));
	}
	return obj;
}

struct bpf_object *open_progs(const char *prog, const char *extra)
{
	return open_object("bench.bpf.o", prog, extra);
}

void load_progs(struct bpf_object *obj)
{
	int err = bpf_object__load(obj);

	if (err)
		fail("loading programs: %s", strerror(-err));
}

int prog_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

/* The only variable of the programs that is not constant. */
static int variables_fd(struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (strstr(bpf_map__name(map), ".bss"))
			break;
	}
	if (!map || bpf_map__value_size(map) != sizeof(struct bench_vars))
		fail("the programs have no variables");
	return bpf_map__fd(map);
}

void set_variables(struct bpf_object *obj, const struct bench_vars *vars)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(variables_fd(obj), &zero, vars, BPF_ANY))
		fail("setting variables: %s", strerror(errno));
}

void get_variables(struct bpf_object *obj, struct bench_vars *vars)
{
	__u32 zero = 0;

	if (bpf_map_lookup_elem(variables_fd(obj), &zero, vars))
		fail("reading variables: %s", strerror(errno));
}

void set_ifindex(struct bpf_object *obj, __u32 ifindex)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		if (strstr(bpf_map__name(map), ".rodata"))
			break;
	}
	if (!map || bpf_map__set_initial_value(map, &ifindex, sizeof(ifindex)))
		fail("the programs have no to_ifindex");
}

void attach(struct bpf_object *obj, const char *prog, const char *dev, int nr,
	    __u32 flags)
{
	int err = bpf_xdp_attach(index_of(dev, nr), prog_fd(obj, prog), flags, NULL);

	if (err)
		fail("attaching %s: %s", prog, strerror(-err));
}

static void detach(const char *dev, __u32 flags)
{
	int err = bpf_xdp_detach(index_of(dev, 0), flags, NULL);

	if (err)
		fail("detaching from %s: %s", dev, strerror(-err));
}

void detach_all(void)
{
	detach("keep", XDP_FLAGS_DRV_MODE);
	detach("src", XDP_FLAGS_SKB_MODE);
}

void receivers_init(void)
{
	struct bpf_object *obj = open_progs("drop", NULL);
	int i;

	load_progs(obj);
	for (i = 0; i < NR_PAIRS; i++)
		attach(obj, "drop", "p%d", i, XDP_FLAGS_DRV_MODE);
	bpf_object__close(obj);
}
