// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steps of insmod that fail, only for tests.
 *
 * This file owns the parameters "fail", the number of the step that fails, and
 * "steps", which logs each step. Only a build with REDIRMAP_TEST_SECOND=y has
 * this file. See core_second_family.py.
 *
 * The functions run in insmod and rmmod, which exclude each other.
 */
#include <linux/errno.h>
#include <linux/module.h>

#include "log.h"
#include "step.h"

static unsigned int fail;
module_param(fail, uint, 0444);
MODULE_PARM_DESC(fail, "number of the step of insmod that fails; 0: none");

static bool steps;
module_param(steps, bool, 0444);
MODULE_PARM_DESC(steps, "log each step");

static unsigned int step_count;

/**
 * rmap_step_begin() - called before a step of insmod is taken
 *
 * Context: insmod.
 * Return: 0, or -EREMOTEIO if this step has to fail.
 */
int rmap_step_begin(void)
{
	return ++step_count == fail ? -EREMOTEIO : 0;
}

/**
 * rmap_step_up() - called after a step of insmod was taken
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
 * rmap_step_down() - called before a step of insmod is undone
 * @step: as for rmap_step_up()
 *
 * Context: rmmod, or insmod that fails.
 */
void rmap_step_down(const void *step)
{
	if (steps)
		pr_info("down %pS\n", step);
}
