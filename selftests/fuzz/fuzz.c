// SPDX-License-Identifier: GPL-2.0-only
/*
 * Differential fuzzer: runs the same random operations on a stock and on a
 * claimed map, and compares the results. See Documentation/testing.rst, and
 * usage() below.
 */
#include <getopt.h>
#include <signal.h>

#include "diffs.h"
#include "gen.h"
#include "maps.h"
#include "memory.h"
#include "ops.h"
#include "outcome.h"
#include "run.h"
#include "shrink.h"
#include "state.h"
#include "streams.h"

#define MAX_REPLAY 100000
/* Memory is compared after so many episodes, when all maps are freed. */
#define LOOK 32
/* Memory that they may keep, in units of the limit for one operation. */
#define EPISODES_KEEP 4
/* So many operations must have redirected data of sockets in each way. */
#define MANY 20000

struct options {
	__u64 seed;
	__u64 ops;
	__u64 first;
	double seconds;
	const char *replay;
	bool stats;
};

static void usage(void)
{
	printf("usage: fuzz [OPTION]...\n"
	       "  --seed N      seed of the random numbers (default: the time; printed at the start)\n"
	       "  --ops N       the number of operations (1000000)\n"
	       "  --seconds N   end after this time\n"
	       "  --first N     start with this episode, for example after a crash in it\n"
	       "  --replay FILE run the operations in FILE\n"
	       "  --strict NAME treat a documented difference as a failure\n"
	       "  --list        print the names of the documented differences\n"
	       "  --stats       at the end, print the number of each command's results\n"
	       "  --verbose     print each operation and its results\n"
	       "Operations run in episodes of %d, each on new maps.\n"
	       "Exit status: 0, 1 after a failure, 4 when nothing can be tested.\n",
	       EPISODE_OPS);
}

/* A seed for each episode, so that a run can begin with any of them. */
static __u64 episode_seed(__u64 seed, __u64 episode)
{
	__u64 x = seed + (episode + 1) * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static void report(struct op *ops, int n, const struct options *opt, __u64 episode)
{
	char first[sizeof(state.failure)];
	int i, left = n;

	strcpy(first, state.failure);
	printf("# failure in episode %llu, after %d operations: %s\n", episode, n, first);
	printf("# shrinking it\n");
	fflush(stdout);
	left = run_ops(ops, n) < 0 ? 0 : shrink(ops, n);
	if (!left) {
		printf("# it did not happen again: repeat it with --seed %llu --first %llu\n",
		       opt->seed, episode);
		left = n;
	} else {
		run_ops(ops, left);
	}
	printf("# --- reproducer: seed %llu, episode %llu, %d operations\n", opt->seed, episode,
	       left);
	printf("# %s\n", *state.failure ? state.failure : first);
	for (i = 0; i < left; i++)
		print_op(stdout, &ops[i]);
	printf("# --- end of the reproducer\n");
	fflush(stdout);
}

/*
 * No map is left. So no more memory may be in use than the first time. A leak
 * over many episodes is not shrunk.
 */
static bool look_at_memory(const struct options *opt, __u64 episode)
{
	static struct memory first;
	static bool begun;

	*state.failure = '\0';
	if (begun ? memory_returns(&first, EPISODES_KEEP) : memory_read(&first)) {
		begun = true;
		return true;
	}
	printf("# after episode %llu: %s\n", episode, state.failure);
	printf("# repeat it with --seed %llu --first %llu\n", opt->seed, opt->first);
	fflush(stdout);
	return false;
}

static bool fuzz(const struct options *opt)
{
	static struct op ops[EPISODE_OPS];
	__u64 episode, done = 0, seed;
	double start = now(), told = start;
	bool ok = true, look;
	int n = 0;

	printf("# seed %llu\n", opt->seed);
	fflush(stdout);
	for (episode = opt->first; done < opt->ops && ok; episode++) {
		if (opt->seconds && now() - start >= opt->seconds)
			break;
		seed = episode_seed(opt->seed, episode);
		ok = begin_episode();
		for (n = 0; ok && n < EPISODE_OPS && done < opt->ops; n++, done++) {
			if (opt->seconds && !(n % 64) && now() - start >= opt->seconds)
				break;
			generate(&ops[n], &seed);
			ok = run_op(&ops[n]);
		}
		look = episode == opt->first || !(episode % LOOK);
		if (ok)
			ok = end_episode(look);
		if (!ok)
			report(ops, n, opt, episode);
		else if (look)
			ok = look_at_memory(opt, episode);
		if (now() - told >= 10) {
			told = now();
			printf("# %llu operations, %.0f s, episode %llu\n", done, told - start,
			       episode);
			fflush(stdout);
		}
	}
	if (ok && !maps_are_gone()) {
		printf("# claimed maps remain after the last close\n");
		ok = false;
	}
	if (ok)
		ok = look_at_memory(opt, episode - 1);
	if (ok && done >= MANY && !streams_redirected()) {
		printf("# no message or packet was redirected to egress, or to ingress\n");
		ok = false;
	}
	if (opt->stats)
		print_outcomes();
	streams_print();
	printf("# %llu operations in %.1f s, %.0f us each; %llu frames left as packets\n", done,
	       now() - start, (now() - start) * 1e6 / (done ?: 1), state.packets);
	return ok;
}

static bool replay(const char *path)
{
	struct op *ops = calloc(MAX_REPLAY, sizeof(*ops));
	FILE *f = fopen(path, "r");
	char line[1024];
	int n = 0, at;
	bool ok = true;

	if (!f || !ops) {
		perror(path);
		return false;
	}
	while (ok && n < MAX_REPLAY && fgets(line, sizeof(line), f)) {
		ok = parse_op(line, &ops[n]);
		n += ok && ops[n].cmd != NR_CMDS;
	}
	fclose(f);
	if (ok) {
		state.thorough = true;
		at = run_ops(ops, n);
		ok = at < 0;
		if (ok)
			printf("# %d operations, no difference\n", n);
		else
			printf("# operation %d of %d: %s\n", at + 1, n, state.failure);
	}
	free(ops);
	return ok;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "first", required_argument, NULL, 'f' },
		{ "replay", required_argument, NULL, 'r' },
		{ "strict", required_argument, NULL, 'x' },
		{ "list", no_argument, NULL, 'l' },
		{ "stats", no_argument, NULL, 'c' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct options opt = { .seed = time(NULL), .ops = 1000000 };
	int c;
	bool ok;

	while ((c = getopt_long(argc, argv, "hv", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			opt.ops = strtoull(optarg, NULL, 0);
			break;
		case 't':
			opt.seconds = strtod(optarg, NULL);
			break;
		case 'f':
			opt.first = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			opt.replay = optarg;
			break;
		case 'x':
			state.strict = optarg;
			if (!known_difference(optarg)) {
				fprintf(stderr, "no documented difference \"%s\"\n", optarg);
				return KSFT_FAIL;
			}
			break;
		case 'c':
			opt.stats = true;
			break;
		case 'v':
			state.verbose = true;
			break;
		case 'l':
			list_differences();
			return 0;
		default:
			usage();
			return c == 'h' ? 0 : KSFT_FAIL;
		}
	}
	if (!can_test())
		return KSFT_SKIP;
	if (!fuzz_init()) {
		printf("1..0 # SKIP no network namespaces\n");
		return KSFT_SKIP;
	}
	ok = opt.replay ? replay(opt.replay) : fuzz(&opt);
	maps_reset();
	return ok ? 0 : KSFT_FAIL;
}
