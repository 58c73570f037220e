// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's memory: operations that failed, and freed maps, leave none in
 * use. Work items may free it later. A small leak shows only after many
 * operations.
 */
#include "memory.h"

/* Time in milliseconds until memory must be free; work items free it. */
#define MAX_WAIT 5000

/*
 * KiB that the kernel may keep: pages of per-CPU memory, slabs, and the memory
 * of programs' code, which is allocated in units of 2 MiB and stays as long as
 * it has one user.
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

/* A kind of memory of which too much is in use; -1 without one. */
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
	 * Such kernels look for leaks themselves, and keep freed memory for a
	 * while.
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
