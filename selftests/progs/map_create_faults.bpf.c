// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_map_create_faults.c: a security module that forbids maps of a given
 * name.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EPERM 1

struct bpf_map {
	char name[16];
} __attribute__((preserve_access_index));

/* The hook has another name in older kernels: the test selects one. */
SEC("lsm")
int BPF_PROG(forbid, struct bpf_map *map)
{
	return map->name[3] == 'n' && map->name[4] == 'o' ? -EPERM : 0;
}

char LICENSE[] SEC("license") = "GPL";
