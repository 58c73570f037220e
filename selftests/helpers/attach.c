// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach fentry|fexit FUNCTION
 *
 * Attaches a BPF program to a function of the kernel by a BPF trampoline, and
 * prints "attached" or "failed: ERRNO". When its standard input ends, it prints
 * how often the program has run, and exits.
 */

#include "testlib.h"

int main(int argc, char **argv)
{
	char c;
	const char *name, *other;
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_link *link;
	struct bpf_map *bss;

	if (argc != 3)
		return 2;
	name = !strcmp(argv[1], "fexit") ? "on_exit" : "on_entry";
	other = !strcmp(argv[1], "fexit") ? "on_entry" : "on_exit";

	obj = bpf_object__open(beside("attach.bpf.o"));
	if (!obj)
		return 2;
	prog = bpf_object__find_program_by_name(obj, name);
	bpf_program__set_autoload(bpf_object__find_program_by_name(obj, other), false);
	if (bpf_program__set_attach_target(prog, 0, argv[2]) ||
	    bpf_object__load(obj)) {
		printf("failed: %d\n", errno);
		return 1;
	}
	link = bpf_program__attach(prog);
	if (!link) {
		printf("failed: %d\n", errno);
		return 1;
	}
	printf("attached\n");
	fflush(stdout);

	while (read(0, &c, 1) > 0)
		;
	bss = bpf_object__find_map_by_name(obj, "attach.b.bss");
	if (!bss)
		bss = bpf_object__find_map_by_name(obj, ".bss");
	if (bss) {
		__u32 key = 0;
		__u64 hits = 0;

		if (!bpf_map_lookup_elem(bpf_map__fd(bss), &key, &hits))
			printf("hits: %llu\n", (unsigned long long)hits);
	}
	bpf_link__destroy(link);
	bpf_object__close(obj);
	return 0;
}
