/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by all tests in C: stock and claimed maps, the module's state, files,
 * memory.
 *
 * run-tests loads the module with claim=rm_*: a map whose name begins with
 * "rm_" is claimed, any other map is the kernel's.
 */
#ifndef REDIRMAP_TESTLIB_H
#define REDIRMAP_TESTLIB_H

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kselftest.h"

/* The kernel's own errno, which user space lacks: "not supported". */
#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

#define MODULE_DIR "/sys/module/redirmap"

/* Runs a shell command; true if it has succeeded. */
__printf(1, 2)
static inline bool sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return !system(cmd);
}

/*
 * The number of rounds, which is smaller on kernels that look for faults
 * (scripts/lab/check), because they are several times as slow.
 */
static inline int fewer(int rounds)
{
	const char *slow = getenv("REDIRMAP_SLOW");
	int factor = slow ? atoi(slow) : 1;

	return factor > 1 ? rounds / factor : rounds;
}

/* With LONG=1 (scripts/lab/check) random operations and races last longer. */
static inline bool is_long(void)
{
	const char *value = getenv("REDIRMAP_LONG");

	return value && atoi(value);
}

/* The number of rounds of random operations: @most with LONG=1. */
static inline int longer(int rounds, int most)
{
	return fewer(is_long() ? most : rounds);
}

static inline int read_int(const char *path)
{
	FILE *f = fopen(path, "r");
	int val = -1;

	if (f) {
		if (fscanf(f, "%d", &val) != 1)
			val = -1;
		fclose(f);
	}
	return val;
}

/*
 * The memory of a map in fdinfo, in bytes; 0 if fdinfo shows none. Includes the
 * reserve of a claimed map, on kernels that ask the map.
 */
static inline long map_memlock(int fd)
{
	char path[64], line[128];
	long val = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %ld", &val) == 1)
			break;
	if (f)
		fclose(f);
	return val;
}

static inline bool write_str(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ok;
}

/* Sets one of the module's parameters, for maps made from then on. */
static inline bool set_policy(const char *parameter, const char *globs)
{
	char path[128];

	snprintf(path, sizeof(path), MODULE_DIR "/parameters/%s", parameter);
	return write_str(path, *globs ? globs : "\n");
}

/*
 * The path of a file beside the test's executable; valid until the next call.
 */
static inline const char *beside(const char *file)
{
	static char path[600];
	char dir[512];
	ssize_t n;

	n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	if (n < 0)
		return file;
	dir[n] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dirname(dir), file);
	return path;
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline __u32 rnd(__u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* For main(): is there a module to test? Prints the reason if not. */
static inline bool can_test(void)
{
	bool root = !geteuid(), module = !access(MODULE_DIR, F_OK);

	if (!root || !module)
		printf("1..0 # SKIP %s\n", root ? "redirmap is not loaded" : "not root");
	return root && module;
}

/*
 * Does the kernel itself look for leaks? Then run-tests reads its report. Such
 * a kernel keeps freed memory for a while, so the memory appears to be in use.
 */
static inline bool kmemleak(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

/* The machine's memory in use without caches, in KiB; -1 if unknown. */
static inline long memory_in_use(void)
{
	char line[128];
	long total = 0, free = 0;
	FILE *f;

	write_str("/proc/sys/vm/drop_caches", "3");
	f = fopen("/proc/meminfo", "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemTotal: %ld", &total) != 1 &&
		    sscanf(line, "MemFree: %ld", &free) == 1)
			break;
	}
	fclose(f);
	return total - free;
}

/* References to the module: one for each claimed map. */
static inline int module_refs(void)
{
	return read_int(MODULE_DIR "/refcnt");
}

/* References are dropped by work items, some time after the last close. */
static inline bool module_refs_become(int want)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (module_refs() == want)
			return true;
		usleep(1000);
	}
	return false;
}

/*
 * The result of an update. On a busy machine the memory of a new entry may not
 * be ready (ENOMEM); then the update is repeated, as Documentation/counters.rst
 * says.
 */
#define PATIENTLY(update)						\
({									\
	int left_ = 60000, err_;					\
									\
	while ((err_ = (update)) == -ENOMEM && left_--)			\
		usleep(1000);						\
	err_;								\
})

/* Is a devmap claimed? Claimed maps have batches, stock ones do not. */
static inline bool is_claimed(int fd)
{
	__u32 key, value[64], next, count = 0;

	return bpf_map_lookup_batch(fd, NULL, &next, &key, value, &count, NULL) != -ENOTSUPP;
}

/*
 * Makes a map, claimed or stock. Returns the fd, or -errno; -ESTALE if the map
 * is claimed but should not be, or the other way round.
 */
static inline int make_map_flags(bool claimed, enum bpf_map_type type,
				 __u32 value_size, __u32 max_entries,
				 __u32 flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, claimed ? "rm_test" : "st_test", 4,
				value_size, max_entries, &opts);

	if (fd < 0)
		return -errno;
	/*
	 * A descriptor without read permission cannot be used for this check.
	 */
	if (!(flags & BPF_F_WRONLY) && is_claimed(fd) != claimed) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static inline int make_map(bool claimed, enum bpf_map_type type,
			   __u32 max_entries)
{
	return make_map_flags(claimed, type, 4, max_entries, 0);
}

#endif /* REDIRMAP_TESTLIB_H */
