// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steps of insmod that fail, for the suite alone.
 *
 * Owns the parameters "fail", the number of the step that fails, and "steps", which
 * lets the log tell of each step. In a build of the module with
 * REDIRMAP_TEST_SECOND=y. See core_second_family.py.
 *
 * In insmod and rmmod, which exclude each other.
 */
#include <linux/errno.h>
#include <linux/module.h>

#include "log.h"
#include "step.h"

static unsigned int fail;
module_param(fail, uint, 0444);
MODULE_PARM_DESC(fail, "the step of insmod that fails, from 1 on; 0: none");

static bool steps;
module_param(steps, bool, 0444);
MODULE_PARM_DESC(steps, "tell of each step in the log");

static unsigned int step_count;

/**
 * rmap_step_begin() - a step of insmod is about to be taken
 *
 * Context: insmod.
 * Return: 0, or -EREMOTEIO when it is the one that is to fail.
 */
int rmap_step_begin(void)
{
	return ++step_count == fail ? -EREMOTEIO : 0;
}

/**
 * rmap_step_up() - a step of insmod was taken
 * @step: an object of the step, which has a name in kallsyms
 *
 * Context: insmod.
 */
void rmap_step_up(const void *step)
{
	if (steps)
		pr_info("up %pS\n", step);
}

/**
 * rmap_step_down() - a step of insmod is about to be taken back
 * @step: as for rmap_step_up()
 *
 * Context: rmmod, or insmod that fails.
 */
void rmap_step_down(const void *step)
{
	if (steps)
		pr_info("down %pS\n", step);
}
