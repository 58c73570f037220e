/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions and devices that are held up: see modules/holdup.c. */
#ifndef REDIRMAP_HOLDLIB_H
#define REDIRMAP_HOLDLIB_H

#include <stdbool.h>

#define HOLDUP "/sys/module/holdup/parameters/"

/* Loads the module, with parameters; the caller unloads it. */
bool load_holdup(const char *params);

/* A number in a file becomes so large, or larger. */
bool becomes(const char *path, int want);

#endif /* REDIRMAP_HOLDLIB_H */
