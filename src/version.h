/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The version of the module, the command, the documentation and the packages.
 *
 * This is the only place that has the number. Documentation/changes.rst lists
 * the changes of each version; its first section is for this version.
 * scripts/lab/version prints the number.
 */
#ifndef REDIRMAP_VERSION_H
#define REDIRMAP_VERSION_H

#define REDIRMAP_VERSION "0.1"

#endif
