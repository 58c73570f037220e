// SPDX-License-Identifier: GPL-2.0-only
/*
 * The harness's time limits, on kernels that are slow: alarm() in the place of
 * libc's, which the harness calls for each test. REDIRMAP_SLOW is how many
 * times longer a test may take.
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
