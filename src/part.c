// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of the module: brought up in the order of a table, torn down in the
 * reverse one.
 *
 * In insmod and rmmod, which exclude each other.
 */
#include <linux/init.h>

#include "part.h"

/**
 * rmap_part_init_all() - bring parts up, the first one first
 * @parts: the parts
 * @n: how many
 *
 * Context: insmod, sleeps.
 * Return: 0, or the error of the part that failed; those before it have been
 * torn down then.
 */
int __init rmap_part_init_all(const struct part *parts, unsigned int n)
{
	unsigned int i;
	int err;

	for (i = 0; i < n; i++) {
		if (!parts[i].init)
			continue;
		err = parts[i].init();
		if (err) {
			rmap_part_exit_all(parts, i);
			return err;
		}
	}
	return 0;
}

/**
 * rmap_part_exit_all() - tear parts down, the last one first
 * @parts: the parts, which are up
 * @n: how many
 *
 * Context: rmmod, or insmod that fails; sleeps.
 */
void rmap_part_exit_all(const struct part *parts, unsigned int n)
{
	while (n--)
		if (parts[n].exit)
			parts[n].exit();
}
