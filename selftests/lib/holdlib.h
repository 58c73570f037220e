/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions and devices that are held up: see modules/holdup.c. */
#ifndef REDIRMAP_HOLDLIB_H
#define REDIRMAP_HOLDLIB_H

#include <stdbool.h>

#define HOLDUP "/sys/module/holdup/parameters/"

/* Loads the module, with parameters. The caller unloads it. */
bool load_holdup(const char *params);

/* Waits until a number in a file is at least so large. */
bool becomes(const char *path, int want);

#endif /* REDIRMAP_HOLDLIB_H */
