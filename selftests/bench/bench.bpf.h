/* SPDX-License-Identifier: GPL-2.0-only */
/* Variables of the programs that the benchmark measures: see bench.bpf.c. */
#ifndef REDIRMAP_BENCH_BPF_H
#define REDIRMAP_BENCH_BPF_H

#include <linux/types.h>

#define NR_KEYS 1024

/**
 * struct bench_vars - variables of programs
 * @keys: the keys that redirect_turn() uses, one after the other
 * @turn: number of keys that it has used
 * @calls: calls of the driver that driver_calls() has seen
 * @flushes: number of these calls with XDP_XMIT_FLUSH
 */
struct bench_vars {
	__u32 keys[NR_KEYS];
	__u32 turn;
	__u32 calls;
	__u32 flushes;
};

#endif /* REDIRMAP_BENCH_BPF_H */
