/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STEP_H
#define REDIRMAP_STEP_H

/*
 * Steps of insmod and rmmod, for the suite: it lets each step of insmod fail once,
 * and looks at the order in which steps are taken back. Nothing of that is in a
 * module that users have. See src/test/step.c.
 *
 * Context of all: insmod or rmmod.
 */
#ifdef REDIRMAP_TEST_SECOND
int rmap_step_begin(void);
void rmap_step_up(const void *step);
void rmap_step_down(const void *step);
#else
/* 0, or the error that a step fails with before it has done anything. */
static inline int rmap_step_begin(void)
{
	return 0;
}

/* A step, any object of it, was taken. */
static inline void rmap_step_up(const void *step)
{
}

/* It is about to be taken back. */
static inline void rmap_step_down(const void *step)
{
}
#endif

#endif /* REDIRMAP_STEP_H */
