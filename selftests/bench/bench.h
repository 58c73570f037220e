/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the parts of the benchmark.
 *
 * A row is one line of the result: a case, measured on stock and on claimed
 * maps in turn. Each row runs in a process of its own, so that what it has made
 * goes away with it, and a row that fails stops no other one. Programs that it
 * has attached would stay, and keep their maps: main() detaches them.
 */
#ifndef REDIRMAP_BENCH_H
#define REDIRMAP_BENCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/libbpf.h>

#include "bench.bpf.h"

/* Veth pairs d0/p0 to d63/p63: what is sent to dN arrives at pN. */
#define NR_PAIRS 64
/* Dummy devices n0 to n3, which count what they are to send, and free it. */
#define NR_DUMMIES 4

#define MAX_ROUNDS 99

enum kind { STOCK, CLAIMED, NR_KINDS };

/**
 * struct row - a case to measure
 * @name: what scripts/lab/bench knows it by
 * @run: measures and reports; calls fail() when it cannot
 * @arg: for @run
 */
struct row {
	const char *name;
	void (*run)(const struct row *row);
	const void *arg;
};

/**
 * struct series - measurements of one quantity, one for each round
 * @n: how many
 * @v: the values
 */
struct series {
	int n;
	double v[MAX_ROUNDS];
};

/**
 * struct options - how to measure
 * @icount: a tick is an instruction (QEMU's icount); else a nanosecond
 * @rounds: how often each kind is measured
 * @cpu: where
 * @symbols: a file for the kernel's symbols, for the profiler, or NULL
 * @module: redirmap.ko, for rows that unload it
 */
struct options {
	bool icount;
	int rounds;
	int cpu;
	const char *symbols;
	const char *module;
};

extern struct options opt;
extern const char * const kind_names[NR_KINDS];

/* bench.c */

/*
 * The row has failed, and its process ends, or only the kind of maps that is
 * being tried. Says why.
 */
__attribute__((format(printf, 1, 2), noreturn))
void fail(const char *fmt, ...);

/*
 * if (try_kind(kind)) { ... } else if it fails, or has failed before. Variables
 * that change inside have to be in memory.
 */
#define try_kind(kind) \
	(!kind_failed[trial_kind = (kind)] && !setjmp(trial))

extern int *measurements;
extern bool kind_failed[NR_KINDS];
extern enum kind trial_kind;
extern jmp_buf trial;

/* Instructions in icount mode, else nanoseconds. */
static inline __u64 clock_ticks(void)
{
	struct timespec ts;

	if (opt.icount)
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * The marks that scripts/lab/profile-plugin.c knows; what it looks at lies
 * between.
 */
static inline void mark_begin(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80; .ascii \"rmb1\"" ::: "memory");
}

static inline void mark_end(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80; .ascii \"rmb0\"" ::: "memory");
	++*measurements;
}

/* The measured part lies between these two; end() returns the ticks. */
static inline __u64 begin(void)
{
	mark_begin();
	return clock_ticks();
}

static inline __u64 end(__u64 start)
{
	__u64 ticks = clock_ticks() - start;

	mark_end();
	return ticks;
}

/* Tells the profiler's user what the last measurement was of. */
void measured(__u32 n);

void add(struct series *s, double value);
double median(const struct series *s);

/* Ticks for each more: what a run costs as such cancels. */
double slope(__u64 (*run)(void *ctx, __u32 n), void *ctx, __u32 few, __u32 many);

/* A row's results, or those of its part; "" is no part. */
void report_kinds(const struct row *row, const char *part,
		  const struct series s[NR_KINDS]);

/* A map of that kind; fails if it is none. */
int bench_map(enum kind kind, enum bpf_map_type type, __u32 value_size,
	      __u32 max_entries);
void put(int map, __u32 key, __u32 ifindex);

/* net.c */

void net_init(void);
void link_add_dummy(const char *name);
void link_del(unsigned int ifindex);
unsigned int index_of(const char *fmt, int nr);
/* Frames that all pN, and all nN, have got. */
__u64 frames_received(void);
__u64 frames_dropped_by_dummies(void);

/* progs.c */

struct bpf_object *open_progs(const char *prog, const char *extra);
void load_progs(struct bpf_object *obj);
int prog_fd(struct bpf_object *obj, const char *name);
void set_variables(struct bpf_object *obj, const struct bench_vars *vars);
void get_variables(struct bpf_object *obj, struct bench_vars *vars);
/* For the program redirect_ifindex(), before it is loaded. */
void set_ifindex(struct bpf_object *obj, __u32 ifindex);
void attach(struct bpf_object *obj, const char *prog, const char *dev, int nr,
	    __u32 flags);
/* Devices and hooks that rows attach to. */
void detach_all(void);
/* Lets all pN count what they get. */
void receivers_init(void);

/* work.c */

/* CPU time of all kworkers. */
__u64 kworkers_ns(void);
/* Until they have been quiet for a while, whatever they wait for. */
void settle(void);

/* devices.c */

/* Lets the module be there, or not. */
void set_module(bool loaded);

/* frames.c, control.c, devices.c, cpus.c, command.c */
extern const struct row frame_rows[], control_rows[], device_rows[], cpus_rows[],
			command_rows[];

#endif /* REDIRMAP_BENCH_H */
