// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time limits of the harness on slow kernels. The harness calls alarm() for
 * each test; this alarm() replaces libc's. A test may take REDIRMAP_SLOW times
 * as long.
 */
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

unsigned int alarm(unsigned int seconds)
{
	const char *slow = getenv("REDIRMAP_SLOW");
	int factor = slow ? atoi(slow) : 1;
	struct itimerval new = {
		.it_value.tv_sec = seconds * (factor > 0 ? factor : 1),
	}, old;

	setitimer(ITIMER_REAL, &new, &old);
	return old.it_value.tv_sec;
}
