/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the parts of the benchmark.
 *
 * A row is one line of the result: a case that is measured on stock and on
 * claimed maps in turn. Each row runs in a process of its own, so that its
 * objects disappear with it, and a row that fails does not stop the others.
 * Programs that it has attached would remain, and keep their maps: main()
 * detaches them.
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

/* Veth pairs d0/p0 to d63/p63: frames that are sent on dN arrive at pN. */
#define NR_PAIRS 64
/* Dummy devices n0 to n3, which count frames to send, and free them. */
#define NR_DUMMIES 4

#define MAX_ROUNDS 99

enum kind { STOCK, CLAIMED, NR_KINDS };

/**
 * struct row - a case to measure
 * @name: name of the row in scripts/lab/bench
 * @run: measures and reports; calls fail() on errors
 * @arg: argument of @run
 */
struct row {
	const char *name;
	void (*run)(const struct row *row);
	const void *arg;
};

/**
 * struct series - measurements of one quantity, one for each round
 * @n: number of measurements
 * @v: the values
 */
struct series {
	int n;
	double v[MAX_ROUNDS];
};

/**
 * struct options - how to measure
 * @icount: a tick is an instruction (QEMU's icount), otherwise a nanosecond
 * @rounds: number of measurements of each kind
 * @cpu: CPU that runs the measured code
 * @symbols: file for the kernel's symbols, for the profiler, or NULL
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
 * Reports an error. Ends the row and its process, or only the measurement of
 * the present kind of maps.
 */
__attribute__((format(printf, 1, 2), noreturn))
void fail(const char *fmt, ...);

/*
 * if (try_kind(kind)) { ... } else if the kind fails, or has failed before.
 * Variables that change inside must be in memory.
 */
#define try_kind(kind) \
	(!kind_failed[trial_kind = (kind)] && !setjmp(trial))

extern int *measurements;
extern bool kind_failed[NR_KINDS];
extern enum kind trial_kind;
extern jmp_buf trial;

/* Instructions in icount mode, otherwise nanoseconds. */
static inline __u64 clock_ticks(void)
{
	struct timespec ts;

	if (opt.icount)
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * Marks that scripts/lab/profile-plugin.c recognises; it examines the code
 * between the two.
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

/* Names the last measurement for the user of the profiler. */
void measured(__u32 n);

void add(struct series *s, double value);
double median(const struct series *s);

/* Ticks for each additional unit; the fixed cost of a run cancels out. */
double slope(__u64 (*run)(void *ctx, __u32 n), void *ctx, __u32 few, __u32 many);

/* Reports the results of a row, or of a part of it; "" means the whole row. */
void report_kinds(const struct row *row, const char *part,
		  const struct series s[NR_KINDS]);

/* Makes a map of that kind; fails if it is not of that kind. */
int bench_map(enum kind kind, enum bpf_map_type type, __u32 value_size,
	      __u32 max_entries);
void put(int map, __u32 key, __u32 ifindex);

/* net.c */

void net_init(void);
void link_add_dummy(const char *name);
void link_del(unsigned int ifindex);
unsigned int index_of(const char *fmt, int nr);
/*
 * Number of frames that have arrived behind devices: at all pN for "d%d", at
 * the port for a bridge; for others the number that the devices have sent.
 */
__u64 frames_arrived(const char *fmt);
/*
 * Makes tc redirect the packets that "src" receives to a device; with @n above
 * 1, mirror them to the others. Or ends that.
 */
void set_tc(bool on, const char *fmt, int n);

/* progs.c */

/* Of the object in FILE, only PROG is loaded, and EXTRA if it is not NULL. */
struct bpf_object *open_object(const char *file, const char *prog, const char *extra);
/* The programs of bench.bpf.c. */
struct bpf_object *open_progs(const char *prog, const char *extra);
void load_progs(struct bpf_object *obj);
int prog_fd(struct bpf_object *obj, const char *name);
void set_variables(struct bpf_object *obj, const struct bench_vars *vars);
void get_variables(struct bpf_object *obj, struct bench_vars *vars);
/* Sets the ifindex of the program redirect_ifindex(), before it is loaded. */
void set_ifindex(struct bpf_object *obj, __u32 ifindex);
void attach(struct bpf_object *obj, const char *prog, const char *dev, int nr,
	    __u32 flags);
/* Attaches programs to devices and hooks. */
void detach_all(void);
/* Makes all pN count their frames. */
void receivers_init(void);

/* work.c */

/* CPU time of all kworkers. */
__u64 kworkers_ns(void);
/* Waits until kworkers have been idle for a while. */
void settle(void);

/* devices.c */

/* Loads or unloads the module. */
void set_module(bool loaded);

/* frames.c, control.c, devices.c, cpus.c, command.c, sockets.c */
extern const struct row frame_rows[], control_rows[], device_rows[], cpus_rows[],
			command_rows[], socket_rows[];

#endif /* REDIRMAP_BENCH_H */
