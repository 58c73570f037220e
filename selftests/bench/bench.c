// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's measuring part, which runs in the measured machine.
 *
 * usage: bench [--icount] [--rounds N] [--cpu N] [--module FILE]
 *	      [--symbols FILE] [--list] [GLOB...]
 *
 * It prints each result at once, as a line of JSON, and progress on stderr. The
 * exit status is 1 if a row has failed. scripts/lab/bench boots the machine,
 * loads the module (claim=rm_*), runs this program and makes the table.
 * --module names the module, for rows that unload it.
 *
 * With --icount, in a machine where QEMU counts a nanosecond for each
 * instruction, results are in instructions; otherwise in nanoseconds. --symbols
 * is for the profiler (scripts/lab/bench --profile): it adds the name of each
 * measurement, and saves the kernel's symbols.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"
#include "netlib.h"
#include "testlib.h"

struct options opt = { .rounds = 5 };
const char * const kind_names[NR_KINDS] = { "stock", "claimed" };

int *measurements;
bool kind_failed[NR_KINDS];
enum kind trial_kind = NR_KINDS;
jmp_buf trial;

static const struct row *current_row;

void fail(const char *fmt, ...)
{
	char why[512], *c;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	for (c = why; *c; c++)
		if (*c == '"' || *c == '\\' || *c == '\n')
			*c = '\'';
	printf("{\"row\": \"%s\"", current_row ? current_row->name : "setup");
	if (trial_kind < NR_KINDS)
		printf(", \"kind\": \"%s\"", kind_names[trial_kind]);
	printf(", \"error\": \"%s\"}\n", why);
	fflush(stdout);
	if (trial_kind == NR_KINDS)
		_exit(1);
	kind_failed[trial_kind] = true;
	longjmp(trial, 1);
}

void add(struct series *s, double value)
{
	if (s->n == MAX_ROUNDS)
		fail("more than %d rounds", MAX_ROUNDS);
	s->v[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct series sorted(const struct series *s)
{
	struct series copy = *s;

	qsort(copy.v, copy.n, sizeof(copy.v[0]), compare);
	return copy;
}

double median(const struct series *s)
{
	struct series by_size = sorted(s);

	if (!s->n)
		fail("nothing measured");
	return (by_size.v[(s->n - 1) / 2] + by_size.v[s->n / 2]) / 2;
}

static void report(const struct row *row, const char *part, enum kind kind,
	    const struct series *s)
{
	struct series by_size = sorted(s);

	printf("{\"row\": \"%s%s%s\", \"kind\": \"%s\", \"rounds\": %d, ",
	       row->name, *part ? "/" : "", part, kind_names[kind], s->n);
	printf("\"median\": %.3f, \"min\": %.3f, \"q1\": %.3f, \"q3\": %.3f, \"max\": %.3f}\n",
	       median(s), by_size.v[0], by_size.v[s->n / 4],
	       by_size.v[s->n - 1 - s->n / 4], by_size.v[s->n - 1]);
	fflush(stdout);
}

void report_kinds(const struct row *row, const char *part,
		  const struct series s[NR_KINDS])
{
	enum kind kind;

	trial_kind = NR_KINDS;
	for (kind = STOCK; kind < NR_KINDS; kind++)
		if (!kind_failed[kind])
			report(row, part, kind, &s[kind]);
}

int bench_map(enum kind kind, enum bpf_map_type type, __u32 value_size,
	      __u32 max_entries)
{
	int fd = make_map_flags(kind == CLAIMED, type, value_size, max_entries, 0);

	if (fd < 0)
		fail("no %s map of %u entries: %s", kind_names[kind], max_entries,
		     strerror(-fd));
	return fd;
}

void put(int map, __u32 key, __u32 ifindex)
{
	if (bpf_map_update_elem(map, &key, &ifindex, BPF_ANY))
		fail("cannot set key %u: %s", key, strerror(errno));
}

void measured(__u32 n)
{
	if (!opt.symbols)
		return;
	printf("{\"row\": \"%s\", \"kind\": \"%s\", \"measurement\": %d, \"n\": %u}\n",
	       current_row->name, kind_names[trial_kind], *measurements, n);
	fflush(stdout);
}

double slope(__u64 (*run)(void *ctx, __u32 n), void *ctx, __u32 few, __u32 many)
{
	__u64 short_run, long_run = run(ctx, many);

	measured(many);
	short_run = run(ctx, few);
	measured(few);
	return ((double)long_run - short_run) / (many - few);
}

/* Is a tick an instruction in this machine? */
static bool counts_instructions(void)
{
	__u64 n = 1000000, start = clock_ticks();
	double ratio;

	asm volatile("1: dec %0; jnz 1b" : "+r"(n));
	ratio = (clock_ticks() - start) / 2e6;
	return fabs(ratio - 1) < 0.02;
}

static bool run_row(const struct row *row)
{
	int status;
	pid_t pid;

	current_row = row;
	fprintf(stderr, "%s\n", row->name);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		row->run(row);
		/* Programs have symbols only while they are loaded. */
		if (opt.symbols && !sh("cat /proc/kallsyms > %s.%s", opt.symbols, row->name))
			fail("%s.%s: cannot be written", opt.symbols, row->name);
		exit(kind_failed[STOCK] || kind_failed[CLAIMED]);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ksft_exit_fail_perror("fork");
	if (WIFSIGNALED(status)) {
		printf("{\"row\": \"%s\", \"error\": \"killed by signal %d\"}\n",
		       row->name, WTERMSIG(status));
		fflush(stdout);
	}
	detach_all();
	/* The kernel frees maps a little later. */
	usleep(100000);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool wanted(const char *name, char **globs)
{
	if (!*globs)
		return true;
	for (; *globs; globs++)
		if (!fnmatch(*globs, name, 0))
			return true;
	return false;
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "icount", no_argument, NULL, 'i' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "symbols", required_argument, NULL, 's' },
		{ "module", required_argument, NULL, 'm' },
		{ "list", no_argument, NULL, 'l' },
		{}
	};
	static const struct row * const tables[] = {
		frame_rows, control_rows, device_rows, cpus_rows, command_rows,
		socket_rows,
	};
	const struct row *row;
	bool list = false, ok = true;
	unsigned int i;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'i':
			opt.icount = true;
			break;
		case 'r':
			opt.rounds = atoi(optarg);
			break;
		case 'c':
			opt.cpu = atoi(optarg);
			break;
		case 's':
			opt.symbols = optarg;
			break;
		case 'm':
			opt.module = optarg;
			break;
		case 'l':
			list = true;
			break;
		default:
			return 2;
		}
	}
	argv += optind;
	if (opt.rounds < 1 || opt.rounds > MAX_ROUNDS)
		ksft_exit_fail_msg("--rounds is 1 to %d\n", MAX_ROUNDS);

	/* Counted for all rows, which are processes. */
	measurements = mmap(NULL, sizeof(*measurements), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (measurements == MAP_FAILED)
		ksft_exit_fail_perror("mmap");

	if (!list) {
		run_on_cpu(opt.cpu);
		if (opt.icount && !counts_instructions())
			ksft_exit_fail_msg("a tick is no instruction here\n");
		libbpf_set_print(silent);
		net_init();
		receivers_init();
	}

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (row = tables[i]; row->name; row++) {
			if (!wanted(row->name, argv))
				continue;
			if (list)
				puts(row->name);
			else
				ok &= run_row(row);
		}
	}
	return !ok;
}
