/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of dev_broadcast_exclude.c and dev_broadcast_upper.c. The ingress
 * device is g1, whose driver runs the program in its poll; its peer g0 sees all
 * frames that are sent back. The members m0 and m1 must get all frames.
 */
#ifndef REDIRMAP_EXCLUDE_H
#define REDIRMAP_EXCLUDE_H

#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define FRAMES 40

FIXTURE(exclude)
{
	struct cast c;
};

FIXTURE_VARIANT(exclude)
{
	struct kind kind;
};

ALL_KINDS(exclude);

/* Makes broadcasts exclude the ingress device, or include it. */
static inline void exclude(struct cast *c, bool on)
{
	set_var(&c->e, "flags", BPF_F_BROADCAST | (on ? BPF_F_EXCLUDE_INGRESS : 0));
}

FIXTURE_SETUP(exclude)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(cast_begin(c, &variant->kind, CAST_WIRE, 16));
	ASSERT_TRUE(cast_look(c, "g0"));
	ASSERT_TRUE(cast_members(c, 0, 2));
	ASSERT_TRUE(cast_put(c, 0, 8, 0, 2));
	exclude(c, true);
}

FIXTURE_TEARDOWN(exclude)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/* Sends frames: do m0 and m1 get them, and does g0 get each so many times? */
static inline bool comes_back(struct cast *c, int times)
{
	return !cast_send(c, FRAMES, 100) && cast_all_got(c, 0, 2, FRAMES, 1) &&
	       cast_got(c, "g0", times ? FRAMES : 0, times);
}

#endif /* REDIRMAP_EXCLUDE_H */
