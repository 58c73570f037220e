// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of the module: insmod brings them up in the order of a table, and rmmod
 * tears them down in reverse order.
 *
 * This file owns no data. It runs in insmod and rmmod, which exclude each
 * other.
 */
#include <linux/init.h>

#include "part.h"

/**
 * rmap_part_init_all() - bring parts up, the first one first
 * @parts: the parts
 * @n: number of parts
 *
 * Context: insmod, sleeps.
 * Return: 0, or the error of the part that failed; the parts before it have
 * been torn down then.
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
 * @parts: the parts, which have been brought up
 * @n: number of parts
 *
 * Context: rmmod, or a failing insmod; sleeps.
 */
void rmap_part_exit_all(const struct part *parts, unsigned int n)
{
	while (n--)
		if (parts[n].exit)
			parts[n].exit();
}
