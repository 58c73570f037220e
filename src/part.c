// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of the module: insmod sets them up in the order of a table, and rmmod
 * tears them down in reverse order.
 *
 * This file owns no data. It runs in insmod and rmmod, which exclude each
 * other.
 */
#include <linux/init.h>

#include "part.h"
#include "step.h"

static int __init part_init(const struct part *part)
{
	int err = rmap_step_begin();

	if (!err && part->init)
		err = part->init();
	if (!err)
		rmap_step_up(part);
	return err;
}

static void part_exit(const struct part *part)
{
	rmap_step_down(part);
	if (part->exit)
		part->exit();
}

/**
 * rmap_part_init_all() - set parts up, the first one first
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
		err = part_init(&parts[i]);
		if (err) {
			rmap_part_exit_all(parts, i);
			return err;
		}
	}
	return 0;
}

/**
 * rmap_part_exit_all() - tear parts down, the last one first
 * @parts: the parts, which have been set up
 * @n: number of parts
 *
 * Context: rmmod, or a failing insmod; sleeps.
 */
void rmap_part_exit_all(const struct part *parts, unsigned int n)
{
	while (n--)
		part_exit(&parts[n]);
}
