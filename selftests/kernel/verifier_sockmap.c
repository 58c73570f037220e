// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the kernel's verifier tests (since 6.12) that is about socket
 * maps. The kernel's prog_tests/verifier.c includes a hundred others.
 */
#include <test_progs.h>

#include "verifier_sockmap_mutate.skel.h"

void test_verifier_sockmap(void);

void test_verifier_sockmap(void)
{
	RUN_TESTS(verifier_sockmap_mutate);
}
