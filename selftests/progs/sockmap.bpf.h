/* SPDX-License-Identifier: GPL-2.0-only */
/* A socket map, of type SOCKMAP or SOCKHASH, whose values are cookies. */
#ifndef REDIRMAP_SOCKMAP_BPF_H
#define REDIRMAP_SOCKMAP_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SOCK_MAP(name, map_type, entries)				\
struct {								\
	__uint(type, BPF_MAP_TYPE_##map_type);				\
	__uint(key_size, sizeof(__u32));				\
	__uint(value_size, sizeof(__u64));				\
	__uint(max_entries, entries);					\
} name SEC(".maps")

#endif
