/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_MEMORY_BPF_H
#define REDIRMAP_MEMORY_BPF_H

#include <linux/types.h>

/**
 * struct bench_memory - what the kernel has allocated
 * @percpu: bytes of each CPU's areas
 * @slab: bytes of objects, as large as their caches make them
 * @turn: of a single piece, the turn that it was allocated in
 */
struct bench_memory {
	__s64 percpu;
	__s64 slab;
	__u32 turn;
	__u32 unused;
};

/**
 * struct bench_watch - what is counted
 * @objects: whether objects are
 * @turn: changed when what has been allocated before is to be forgotten
 */
struct bench_watch {
	__u32 objects;
	__u32 turn;
};

#endif /* REDIRMAP_MEMORY_BPF_H */
