// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays sequences of system calls: options, rounds, the summary. See
 * "Sequences" in Documentation/testing.rst.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netlib.h"
#include "seq.h"
#include "testlib.h"

/* After so many sequences everything has to come back. */
#define ROUND 16

/* A number of the command line instead. */
static unsigned int round_of = ROUND;

struct options opt;
struct shared *shared;

/* As scripts/lab/profile-plugin.c expects them. */
static void mark_begin(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80; .ascii \"rmb1\"" ::: "memory");
}

static void mark_end(void)
{
	asm volatile(".byte 0x0f, 0x1f, 0x80; .ascii \"rmb0\"" ::: "memory");
}

/* What calls change for all of the machine. */
static void reset(void)
{
	write_str("/sys/kernel/tracing/events/redirmap/enable", "0");
	write_str("/sys/kernel/tracing/events/xdp/enable", "0");
	set_policy("claim", "rm_*");
	set_policy("packets", "");
	set_policy("qdisc", "");
	set_policy("early", "");
}

/* The parameters from which a sequence begins; some calls change them. */
static void set_parameters(const struct seq *s)
{
	static const char * const packets[] = { "*", "", "*", "rm_a" };
	static const char * const qdisc[] = { "", "", "", "*" };
	__u64 x = mix(opt.seed + s->nr);

	reset();
	set_policy("packets", packets[x % 4]);
	set_policy("qdisc", qdisc[x / 4 % 4]);
	set_policy("early", x / 16 % 2 ? "*" : "");
}

/* Waits until the first thread has begun the call, or its process has ended. */
static void wait_for_call(const struct seq *s, pid_t pid)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	siginfo_t info = {};
	int progress;

	for (;;) {
		progress = __atomic_load_n(&shared->progress, __ATOMIC_ACQUIRE);
		if (progress > s->kill_at)
			break;
		syscall(SYS_futex, &shared->progress, FUTEX_WAIT, progress, &moment, NULL, 0);
		if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid)
			break;
	}
}

static bool play_one(struct seq *s, unsigned int nr)
{
	int status = 0;
	pid_t pid;

	s->nr = nr;
	generate(s);
	set_parameters(s);
	if (opt.verbose)
		printf("# sequence %u: %d players, %d calls, killed at %d\n", nr, s->players,
		       s->n[0] + (s->players > 1 ? s->n[1] : 0), s->kill_at);
	fflush(stdout);
	shared->progress = 0;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play(s);
	}
	if (pid < 0) {
		perror("seq: fork");
		return false;
	}
	if (s->kill_at >= 0) {
		wait_for_call(s, pid);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && s->kill_at >= 0)
		return true;
	printf("# sequence %u: status %x\n", nr, status);
	return false;
}

static void write_symbols(void)
{
	char command[300];

	snprintf(command, sizeof(command), "cat /proc/kallsyms > %s", opt.symbols);
	if (system(command))
		fprintf(stderr, "seq: no symbols\n");
}

static bool prepare(void)
{
	int fd;

	/* Otherwise most of the time would be grace periods. */
	write_str("/sys/kernel/rcu_expedited", "1");
	libbpf_set_print(NULL);
	opt.in_place = live_frames_in_place();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED || !genl_family() || !enter_net())
		return false;
	fd = open("/proc/self/ns/net", O_RDONLY);
	/* Above the descriptors that calls choose at random. */
	base_net = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	close(fd);
	return base_net >= 0 && note_before();
}

static double minutes_since(double begun)
{
	return (now() - begun) / 60;
}

/* Plays all sequences; the number of failures. */
static int play_all(unsigned int *played, int *left)
{
	static struct seq s;
	unsigned int nr = opt.first;
	double begun = now(), told = begun;
	bool more = true;
	int bad = 0;

	for (; more; nr++) {
		bad += !play_one(&s, nr);
		++*played;
		reach_collect();
		more = opt.minutes ? minutes_since(begun) < opt.minutes : *played < opt.count;
		if (*played % round_of && more)
			continue;
		*left += what_is_left();
		if (now() - told < 10 && !*left)
			continue;
		told = now();
		printf("# %.0f s: sequences %u to %u, %lu calls, %lu good\n", told - begun,
		       opt.first, nr, shared->calls, shared->good);
		fflush(stdout);
		if (*left)
			break;
	}
	return bad;
}

/* Prints the calls with their random numbers, and plays none. */
static int list_all(void)
{
	static struct seq s;
	unsigned int i;
	int k, call;

	for (i = 0; i < opt.count; i++) {
		s.nr = opt.first + i;
		generate(&s);
		for (k = 0; k < s.players; k++)
			for (call = 0; call < s.n[k]; call++)
				printf("%u.%d %s %x %x\n", s.nr, k,
				       kinds_of_calls[s.calls[k][call].what].name,
				       s.calls[k][call].a[0], s.calls[k][call].a[1]);
	}
	return 0;
}

static void usage(int status)
{
	fprintf(status ? stderr : stdout,
		"usage: seq [OPTION]...\n"
		"  --seed N       the seed of all sequences (1)\n"
		"  --first N      the number of the first sequence (0)\n"
		"  --count N      number of sequences (16)\n"
		"  --minutes N    play for so many minutes, instead of --count\n"
		"  --round N      after so many sequences everything has to come back (16)\n"
		"  --verbose      print each call, before it is played and with its result\n"
		"  --any          succeed although a named function was not reached\n"
		"  --no-trace     do not trace the functions of the module\n"
		"  --list         print the calls, and play none\n"
		"  --wanted       print the named functions\n"
		"  --marks, --symbols FILE    for scripts/lab/reach\n"
		"Exit status: 0; 1 after a failure; 2 if the player cannot begin.\n");
	exit(status);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "round", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'c' },
		{ "minutes", required_argument, NULL, 'm' },
		{ "symbols", required_argument, NULL, 'y' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "marks", no_argument, NULL, 'k' },
		{ "no-trace", no_argument, NULL, 't' },
		{ "any", no_argument, NULL, 'a' },
		{ "list", no_argument, NULL, 'l' },
		{ "wanted", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int c, bad, left = 0, reached = 0, all = 0, missing = 0;
	bool trace = true, any = false, list = false;
	unsigned int played = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	opt = (struct options) { .seed = 1, .count = ROUND };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			opt.first = atoi(optarg);
			break;
		case 'c':
			opt.count = atoi(optarg);
			break;
		case 'r':
			round_of = atoi(optarg) ?: 1;
			break;
		case 'm':
			opt.minutes = atoi(optarg);
			break;
		case 'y':
			opt.symbols = optarg;
			break;
		case 'v':
			opt.verbose = true;
			break;
		case 'k':
			opt.marks = true;
			break;
		case 't':
			trace = false;
			break;
		case 'a':
			any = true;
			break;
		case 'w':
			print_wanted();
			return 0;
		case 'l':
			list = true;
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	}
	if (optind < argc)
		usage(2);
	printf("# seed %llu, from sequence %u on\n", opt.seed, opt.first);
	fflush(stdout);
	if (list)
		return list_all();
	if (!prepare() || (trace && !reach_begin())) {
		fprintf(stderr, "seq: cannot begin without root, redirmap, namespaces, a tracer\n");
		write_str("/sys/kernel/rcu_expedited", "0");
		return 2;
	}
	if (opt.symbols)
		write_symbols();
	if (opt.marks)
		mark_begin();
	bad = play_all(&played, &left);
	reset();
	if (opt.marks)
		mark_end();
	write_str("/sys/kernel/rcu_expedited", "0");
	rmdir("/sys/fs/cgroup/redirmap-test");
	if (trace)
		missing = reach_end(&reached, &all);
	printf("# %u sequences run, %lu calls, %lu good; ", played, shared->calls, shared->good);
	if (trace)
		printf("%d of %d functions reached, %d missing; ", reached, all, missing);
	printf("%d failed; %d things did not come back\n", bad, left);
	return bad || left || (missing && !any);
}
