/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kselftest_harness.h, with a longer time limit than 30 seconds, because some
 * tests need more on an emulated machine that shares its processors.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300

#endif /* HARNESS_H */
