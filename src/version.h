/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The version of the module, the command, the documentation and the packages.
 *
 * This is the only place that has the number. Documentation/changes.rst says
 * what each version has changed; its first section is for this version.
 * scripts/lab/version prints it.
 */
#ifndef REDIRMAP_VERSION_H
#define REDIRMAP_VERSION_H

#define REDIRMAP_VERSION "0.1"

#endif
