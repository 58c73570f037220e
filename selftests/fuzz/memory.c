// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's memory: what has failed leaves none behind, nor do maps that are
 * gone. It may take a while, for work items free it; and what leaks a little at
 * a time takes many times to be seen.
 */
#include "memory.h"

/* How long memory may take to be free: work items free it; in ms. */
#define MAX_WAIT 5000

/*
 * How much the kernel may keep for later, in KiB: pages of per-CPU memory,
 * slabs, and the memory of programs' code, 2 MiB at a time, each of which one
 * user keeps.
 */
static const struct {
	const char *name;
	long tolerance;
} kinds[MEMORY_KINDS] = {
	{ "Percpu", 4096 },
	{ "SUnreclaim", 8192 },
	{ "VmallocUsed", 8192 },
};

bool memory_read(struct memory *memory)
{
	char line[128], name[32];
	unsigned int i, found = 0;
	long value;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31[^:]: %ld", name, &value) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (!strcmp(name, kinds[i].name)) {
				memory->kib[i] = value;
				found++;
			}
		}
	}
	if (f)
		fclose(f);
	return found == ARRAY_SIZE(kinds) || failed("no /proc/meminfo");
}

/* The kind of which there is too much; -1 if there is none. */
static int too_much(const struct memory *now, const struct memory *before, int many)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (now->kib[i] > before->kib[i] + many * kinds[i].tolerance)
			return i;
	return -1;
}

bool memory_returns(const struct memory *before, int many)
{
	struct memory now;
	int which, tries;

	/*
	 * Such kernels look for leaks themselves, and keep what is freed from
	 * use.
	 */
	if (kmemleak())
		return true;
	for (tries = 0; ; tries++) {
		if (!memory_read(&now))
			return false;
		which = too_much(&now, before, many);
		if (which < 0)
			return true;
		if (tries == MAX_WAIT)
			return failed("%s was %ld KiB, and is %ld", kinds[which].name,
				      before->kib[which], now.kib[which]);
		usleep(1000);
	}
}
