/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STEP_H
#define REDIRMAP_STEP_H

/*
 * Steps of insmod and rmmod. A test lets each step of insmod fail once, and
 * compares the order in which the steps are taken and undone. In a build
 * without REDIRMAP_TEST_SECOND=y these functions do nothing. See
 * src/test/step.c.
 *
 * Context of all: insmod or rmmod.
 */
#ifdef REDIRMAP_TEST_SECOND
int rmap_step_begin(void);
void rmap_step_up(const void *step);
void rmap_step_down(const void *step);
#else
/* Returns 0, or the error with which the next step fails before it begins. */
static inline int rmap_step_begin(void)
{
	return 0;
}

/* A step was taken; @step is an object of the step: see src/test/step.c. */
static inline void rmap_step_up(const void *step)
{
}

/* The step is about to be undone. */
static inline void rmap_step_down(const void *step)
{
}
#endif

#endif /* REDIRMAP_STEP_H */
