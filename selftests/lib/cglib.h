/* SPDX-License-Identifier: GPL-2.0-only */
/* A memory cgroup for tests: its charges and its limit. */
#ifndef REDIRMAP_CGLIB_H
#define REDIRMAP_CGLIB_H

#include <stdbool.h>

/*
 * Makes the cgroup, in a mount namespace of the caller's own whose sysfs is at
 * SYS (see enter_net()). False without memory cgroups.
 */
bool cg_make(void);

/*
 * Removes the cgroup, which must be empty. False also if a process in it was
 * killed.
 */
bool cg_remove(void);

/* The charges of the cgroup, in bytes. */
long cg_current(void);

/* The charges for a kind of memory, by its name in memory.stat. */
long cg_stat(const char *name);

/* Sets the limit, in bytes; a negative one means no limit. */
bool cg_limit(long bytes);

/* Makes the cgroup pay for the caller's allocations, or ends that. */
bool cg_pays(bool yes);

/* Charges of freed objects are returned one or more grace periods later. */
bool cg_gives_back(long before);

#endif /* REDIRMAP_CGLIB_H */
