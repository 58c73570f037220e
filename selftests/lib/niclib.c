// SPDX-License-Identifier: GPL-2.0-only
/* Virtio NICs for tests: see niclib.h. */
#include <glob.h>

#include "netlib.h"
#include "niclib.h"
#include "testlib.h"

#define DRIVER "virtio_net"

/* The addresses that scripts/lab/vm gives, without the last digit. */
#define ADDRESS "02:72:6d:00:00:0"

static bool fetch_nic(int nr)
{
	char address[32] = "";
	bool ok = false;
	glob_t found;
	size_t i;

	/*
	 * This sysfs is that of the machine's own namespace: see enter_net().
	 */
	glob("/sys/class/net/*/address", 0, NULL, &found);
	for (i = 0; i < found.gl_pathc && !ok; i++) {
		FILE *f = fopen(found.gl_pathv[i], "r");

		if (f && fgets(address, sizeof(address), f) &&
		    !strncmp(address, ADDRESS, strlen(ADDRESS)) &&
		    address[strlen(ADDRESS)] == '1' + nr)
			ok = sh("nsenter -t 1 -n ip link set $(basename $(dirname %s)) "
				"down netns %d name nic%d", found.gl_pathv[i], getpid(), nr);
		if (f)
			fclose(f);
	}
	globfree(&found);
	return ok && ip("link set nic%d up\n", nr);
}

bool fetch_nics(struct nics *nics)
{
	nics->loaded = access("/sys/module/" DRIVER, F_OK) && sh("modprobe -q " DRIVER);
	if (fetch_nic(0) && fetch_nic(1))
		return true;
	if (nics->loaded)
		sh("rmmod " DRIVER);
	return false;
}

bool return_nics(const struct nics *nics)
{
	if (nics->loaded)
		return sh("rmmod " DRIVER);
	return ip("link set nic0 netns 1\nlink set nic1 netns 1\n");
}
