// SPDX-License-Identifier: GPL-2.0-only
/* A memory cgroup for tests: see cglib.h. */
#include <sys/mount.h>
#include <sys/stat.h>

#include "cglib.h"
#include "netlib.h"
#include "testlib.h"

#define CGROUPS SYS "/fs/cgroup"
#define CG CGROUPS "/redirmap-test"

/* Bytes that each CPU may have charged in advance. */
#define CHARGED_AHEAD (64 * 4096)

bool cg_make(void)
{
	return !mount("none", CGROUPS, "cgroup2", 0, NULL) &&
	       write_str(CGROUPS "/cgroup.subtree_control", "+memory") &&
	       (!mkdir(CG, 0700) || errno == EEXIST) && !access(CG "/memory.max", W_OK);
}

/* The figure behind a name in a file of lines, or -1. */
static long figure(const char *path, const char *name)
{
	char line[128], is[64];
	long val, found = -1;
	FILE *f;

	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", is, &val) == 2 && !strcmp(is, name))
			found = val;
	if (f)
		fclose(f);
	return found;
}

bool cg_remove(void)
{
	bool killed = figure(CG "/memory.events", "oom_kill");

	return cg_pays(false) && !rmdir(CG) && !killed;
}

long cg_current(void)
{
	char text[32] = "-1";
	FILE *f;

	f = fopen(CG "/memory.current", "r");
	if (f) {
		if (!fgets(text, sizeof(text), f))
			strcpy(text, "-1");
		fclose(f);
	}
	return atol(text);
}

long cg_stat(const char *name)
{
	return figure(CG "/memory.stat", name);
}

bool cg_limit(long bytes)
{
	char text[32] = "max";

	if (bytes >= 0)
		snprintf(text, sizeof(text), "%ld", bytes);
	return write_str(CG "/memory.max", text);
}

bool cg_pays(bool yes)
{
	return write_str(yes ? CG "/cgroup.procs" : CGROUPS "/cgroup.procs", "0");
}

bool cg_gives_back(long before)
{
	int i;

	/* CPUs still have charges in advance. */
	for (i = 0; i < 12000; i++) {
		if (cg_current() <= before + CHARGED_AHEAD * sysconf(_SC_NPROCESSORS_CONF))
			return true;
		usleep(5000);
	}
	fprintf(stderr, "# %ld bytes are charged, %ld were\n", cg_current(), before);
	return false;
}
