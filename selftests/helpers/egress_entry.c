// SPDX-License-Identifier: GPL-2.0-only
/*
 * egress_entry MAP KEY DEV
 *
 * Makes a key of a map, which is found by its name, lead to DEV through the
 * program short_only of tools.bpf.o. No tool can write a program's fd into a
 * map.
 */
#include "testlib.h"

static int map_by_name(const char *name)
{
	struct bpf_map_info info;
	__u32 id = 0, len;
	int fd;

	while (!bpf_map_get_next_id(id, &id)) {
		fd = bpf_map_get_fd_by_id(id);
		len = sizeof(info);
		memset(&info, 0, sizeof(info));
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) &&
		    !strcmp(info.name, name))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static int load_egress(void)
{
	struct bpf_object *obj = bpf_object__open(beside("tools.bpf.o"));
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), "short_only"));
	bpf_object__for_each_map(map, obj)
		bpf_map__set_autocreate(map, false);
	if (bpf_object__load(obj))
		return -1;
	return bpf_program__fd(bpf_object__find_program_by_name(obj, "short_only"));
}

int main(int argc, char **argv)
{
	struct bpf_devmap_val val = {};
	__u32 key;

	if (argc != 4)
		return 2;
	key = atoi(argv[2]);
	val.ifindex = if_nametoindex(argv[3]);
	val.bpf_prog.fd = load_egress();
	if (val.bpf_prog.fd < 0)
		return 1;
	return !!bpf_map_update_elem(map_by_name(argv[1]), &key, &val, BPF_ANY);
}
