/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of allocations: an operation is repeated, and its first allocation
 * fails, then its second one, and so on, until it meets no fault. Needs a
 * kernel with fault injection: see Documentation/testing.rst.
 *
 *	struct faults faults = {};
 *
 *	while (faults_next(&faults)) {
 *		faults_begin(&faults);
 *		err = operation();
 *		faults_end(&faults, err);
 *	}
 *
 * A fault may also hit an allocation that can be done without, such as one of a
 * kernel that looks for faults, or one that is repeated in another way. So an
 * operation may succeed in spite of it.
 */
#ifndef REDIRMAP_FAULTLIB_H
#define REDIRMAP_FAULTLIB_H

#include <sys/mman.h>

#include "testlib.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
/* More allocations than any operation of a test makes. */
#define FAULTS_MOST 20000
/* The most repetitions of all attempts, while an allocation was not met. */
#define FAULTS_ROUNDS 20

/**
 * struct faults - an operation that is repeated
 * @fd: FAIL_NTH of this thread; 0 before the first attempt
 * @n: number of the allocation that fails in this attempt
 * @hit: the last attempt has met a fault
 * @failures: number of attempts that have failed
 */
struct faults {
	int fd;
	int n;
	bool hit;
	int failures;
};

/*
 * For main(): lets all allocations fail, without a line in the kernel log. 0,
 * or the exit status if the kernel cannot do that.
 */
static inline int can_fail(void)
{
	static const char *const knobs[] = {
		"failslab/ignore-gfp-wait", "failslab/verbose", "fail_page_alloc/ignore-gfp-wait",
		"fail_page_alloc/min-order", "fail_page_alloc/verbose",
	};
	char path[128];
	unsigned int i;

	if (access(FAIL_NTH, W_OK)) {
		printf("1..0 # SKIP this kernel has no fault injection\n");
		return KSFT_SKIP;
	}
	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", knobs[i]);
		if (!write_str(path, "0")) {
			printf("1..0 # SKIP this kernel has no %s\n", path);
			return KSFT_SKIP;
		}
	}
	return 0;
}

static inline bool faults_write(const struct faults *faults, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(faults->fd, text, len, 0) == len;
}

/*
 * Prepares the next attempt; false if the last one met no fault. If there is an
 * attempt, its number is n.
 */
static inline bool faults_next(struct faults *faults)
{
	if (!faults->fd) {
		faults->fd = open(FAIL_NTH, O_RDWR);
		/* Otherwise faults would hit pages of the test itself. */
		mlockall(MCL_CURRENT | MCL_FUTURE);
	} else if (!faults->hit || faults->n == FAULTS_MOST) {
		close(faults->fd);
		return false;
	}
	faults->n++;
	return true;
}

/* The next allocations of this thread are those of the operation. */
static inline void faults_begin(struct faults *faults)
{
	faults_write(faults, faults->n);
}

/* Ends the injection; @err is the result of the operation, 0 for success. */
static inline void faults_end(struct faults *faults, int err)
{
	char left[16] = "";

	/* 0: the allocation was made, and has failed. */
	faults->hit = pread(faults->fd, left, sizeof(left) - 1, 0) > 0 && !atoi(left);
	faults_write(faults, 0);
	faults->failures += !!err;
}

/*
 * After the attempts: the last one met no fault, and as many as expected have
 * failed, or more.
 */
#define EXPECT_FAULTS(faults, least)						\
	do {									\
		EXPECT_FALSE((faults)->hit);					\
		EXPECT_LE(least, (faults)->failures);				\
		TH_LOG("%d allocations, %d failures", (faults)->n - 1,		\
		       (faults)->failures);					\
	} while (0)

#endif /* REDIRMAP_FAULTLIB_H */
