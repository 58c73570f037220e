// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of the command redirmap: rows that run it and, instead of stock
 * maps, another command: Python alone for its start, bpftool for a list of the
 * same maps.
 *
 * The cost is the CPU time of the command in user space and in the kernel.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"
#include "testlib.h"

#define MAPS 10000

/**
 * struct commands - the commands that are compared
 * @argv: the command for each kind
 */
struct commands {
	const char *argv[NR_KINDS][5];
};

/*
 * Thousands of nanoseconds, or of instructions with icount; the clock is not
 * more precise.
 */
static double cost_of(const char * const argv[])
{
	struct rusage usage;
	int status, out;
	pid_t pid;

	begin();
	pid = fork();
	if (!pid) {
		/* Closes all maps that the row has opened. */
		close_range(3, ~0U, 0);
		out = open("/dev/null", O_WRONLY);
		if (out < 0 || dup2(out, STDOUT_FILENO) < 0)
			_exit(126);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status)
		fail("%s: fails", argv[0]);
	end(0);
	return 1e3 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) +
	       1e9 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
}

/* The cost of both commands. Their first run reads them from the disk. */
static void measure(const struct commands *commands,
		    struct series costs[NR_KINDS])
{
	volatile enum kind kind;
	volatile int round;

	for (kind = STOCK; kind < NR_KINDS; kind++)
		if (try_kind(kind))
			cost_of(commands->argv[kind]);
	for (round = 0; round < opt.rounds; round++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			add(&costs[kind], cost_of(commands->argv[kind]));
			measured(1);
		}
	}
}

static void run_start(const struct row *row)
{
	static struct series costs[NR_KINDS];

	measure(row->arg, costs);
	report_kinds(row, "", costs);
}

/* Each map has one entry, the same in all. */
static void make_maps(void)
{
	struct rlimit files = { .rlim_cur = MAPS + 100, .rlim_max = MAPS + 100 };
	unsigned int target = index_of("n%d", 0);
	int i;

	trial_kind = NR_KINDS;
	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("setrlimit: %s", strerror(errno));
	for (i = 0; i < MAPS; i++)
		put(bench_map(CLAIMED, BPF_MAP_TYPE_DEVMAP, 4, 4), 0, target);
}

static void run_list(const struct row *row)
{
	static struct series none[NR_KINDS], all[NR_KINDS];
	enum kind kind;
	int i;

	measure(row->arg, none);
	make_maps();
	measure(row->arg, all);
	for (kind = STOCK; kind < NR_KINDS; kind++)
		for (i = 0; i < all[kind].n; i++)
			all[kind].v[i] = (all[kind].v[i] - median(&none[kind])) / MAPS;
	report_kinds(row, "", all);
}

static const struct commands
	start = { { { "/usr/bin/python3", "-c", "pass" }, { "scripts/command/redirmap" } } },
	start_json = { { { "/usr/bin/python3", "-c", "pass" },
			 { "scripts/command/redirmap", "--json" } } },
	list = { { { "bpftool", "map", "show" }, { "scripts/command/redirmap" } } },
	list_json = { { { "bpftool", "--json", "map", "show" },
			{ "scripts/command/redirmap", "--json" } } };

const struct row command_rows[] = {
	{ "command-start", run_start, &start },
	{ "command-start-json", run_start, &start_json },
	{ "command-list", run_list, &list },
	{ "command-list-json", run_list, &list_json },
	{}
};
