/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of dev_egress.c and dev_egress_verdicts.c: key 0 leads to t0, a
 * veth or a device that checks its frames, without a program.
 */
#ifndef REDIRMAP_EGRESS_H
#define REDIRMAP_EGRESS_H

#include "egresslib.h"
#include "faultylib.h"
#include "harness.h"

FIXTURE(egress)
{
	struct env e;
};

FIXTURE_VARIANT(egress)
{
	struct kind kind;
};

ALL_KINDS(egress);
FAULTY_KINDS(egress);

FIXTURE_SETUP(egress)
{
	ASSERT_TRUE(start_egress(&self->e, variant->kind));
}

FIXTURE_TEARDOWN(egress)
{
	EXPECT_TRUE(finish(&self->e));
}

#endif /* REDIRMAP_EGRESS_H */
