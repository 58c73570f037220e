/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memory cgroup for tests: what it is charged for, and how much it may have.
 */
#ifndef REDIRMAP_CGLIB_H
#define REDIRMAP_CGLIB_H

#include <stdbool.h>

/*
 * Makes the cgroup, in a mount namespace of the caller's own that has its sysfs
 * at SYS (see enter_net()). False where there are no memory cgroups.
 */
bool cg_make(void);

/*
 * Removes it; nothing may be in it. False also when a process in it was killed.
 */
bool cg_remove(void);

/* Its charges, in bytes. */
long cg_current(void);

/* Of this for a kind of memory, as in memory.stat. */
long cg_stat(const char *name);

/* From here on it may have so many bytes, or, if negative, any number. */
bool cg_limit(long bytes);

/* From here on the cgroup pays for the caller's allocations, or no longer. */
bool cg_pays(bool yes);

/*
 * Charges of freed objects are given back a grace period, and perhaps more,
 * later.
 */
bool cg_gives_back(long before);

#endif /* REDIRMAP_CGLIB_H */
