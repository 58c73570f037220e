/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BENCH_BPF_H
#define REDIRMAP_BENCH_BPF_H

#include <linux/types.h>

#define NR_KEYS 1024

/**
 * struct bench_vars - what programs read and write
 * @keys: the keys that redirect_turn() uses, one after the other
 * @turn: how many it has used
 * @calls: of the driver that driver_calls() has seen
 * @flushes: those of them with XDP_XMIT_FLUSH
 */
struct bench_vars {
	__u32 keys[NR_KEYS];
	__u32 turn;
	__u32 calls;
	__u32 flushes;
};

#endif /* REDIRMAP_BENCH_BPF_H */
