/* SPDX-License-Identifier: GPL-2.0-only */
/* Counts of the programs that watch allocations: see memory.bpf.c. */
#ifndef REDIRMAP_MEMORY_BPF_H
#define REDIRMAP_MEMORY_BPF_H

#include <linux/types.h>

/**
 * struct bench_memory - memory that the kernel has allocated
 * @percpu: bytes of each CPU's areas
 * @slab: bytes of objects, in the sizes of their caches
 * @turn: for one object, the turn in which it was allocated
 */
struct bench_memory {
	__s64 percpu;
	__s64 slab;
	__u32 turn;
	__u32 unused;
};

/**
 * struct bench_watch - the allocations that the programs count
 * @objects: count objects
 * @turn: number that changes when earlier allocations are to be ignored
 */
struct bench_watch {
	__u32 objects;
	__u32 turn;
};

#endif /* REDIRMAP_MEMORY_BPF_H */
