// SPDX-License-Identifier: GPL-2.0-only
/* Functions and devices that are held up: see holdlib.h. */
#include <sys/utsname.h>

#include "holdlib.h"
#include "testlib.h"

bool load_holdup(const char *params)
{
	struct utsname name;
	char file[200];

	uname(&name);
	snprintf(file, sizeof(file), "../%s-selftests/modules/holdup.ko", name.release);
	/* A test that was killed has left the module loaded. */
	return sh("rmmod holdup 2>/dev/null; insmod %s %s", beside(file), params);
}

bool becomes(const char *path, int want)
{
	int i;

	for (i = 0; i < 20000; i++) {
		if (read_int(path) >= want)
			return true;
		usleep(1000);
	}
	return false;
}
