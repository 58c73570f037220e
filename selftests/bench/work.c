// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's work items, and waiting for their end. */
#include <dirent.h>

#include "bench.h"
#include "testlib.h"

/* The run time of a task in nanoseconds, if it is a kworker. */
static __u64 kworker_ns(const char *pid)
{
	char path[64], comm[32] = "";
	unsigned long long ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = '\0';
	fclose(f);
	if (strncmp(comm, "kworker/", 8))
		return 0;

	snprintf(path, sizeof(path), "/proc/%.20s/schedstat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

__u64 kworkers_ns(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	__u64 sum = 0;

	while ((entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			sum += kworker_ns(entry->d_name);
	closedir(proc);
	return sum;
}

void settle(void)
{
	__u64 then, later = kworkers_ns();
	int quiet = 0;

	while (quiet < 5) {
		then = later;
		usleep(20000);
		later = kworkers_ns();
		quiet = later - then < 200000 ? quiet + 1 : 0;
	}
}
