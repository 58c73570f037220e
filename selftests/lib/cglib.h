/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup for tests: what it is charged for, and how much it may have. */
#ifndef REDIRMAP_CGLIB_H
#define REDIRMAP_CGLIB_H

#include <stdbool.h>

/*
 * Makes the cgroup, in a mount namespace of the caller's own that has its sysfs at
 * SYS (see enter_net()). False where there are no memory cgroups.
 */
bool cg_make(void);

/* Removes it; nothing may be in it. False also when somebody in it was killed. */
bool cg_remove(void);

/* What it is charged for, in bytes. */
long cg_current(void);

/* Of this for a kind of memory, as in memory.stat. */
long cg_stat(const char *name);

/* From here on it may have so many bytes, or, if negative, any number. */
bool cg_limit(long bytes);

/* What the caller allocates from here on the cgroup pays for, or no longer. */
bool cg_pays(bool yes);

/* What is no more is given back a grace period, and perhaps more, later. */
bool cg_gives_back(long before);

#endif /* REDIRMAP_CGLIB_H */
