// SPDX-License-Identifier: GPL-2.0-only
/*
 * Permissions for the module itself: its parameter, its files, its removal. For
 * the netlink family and the command see core_netlink.py and cmd_usage.py, for
 * maps dev_map_privileges.c.
 */
#include <sys/mount.h>

#include "harness.h"
#include "userlib.h"

#define SYSFS "/mnt"
#define CLAIM MODULE_DIR "/parameters/claim"

static int do_open(const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? -errno : 0;
}

static int do_read_claim(const void *arg)
{
	return do_open(CLAIM, O_RDONLY);
}

static int do_write_claim(const void *arg)
{
	return do_open(CLAIM, O_WRONLY);
}

static int do_write_mounted_claim(const void *arg)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", SYSFS, "sysfs", 0, NULL))
		return -errno;
	return do_open(SYSFS "/module/redirmap/parameters/claim", O_WRONLY);
}

/* Root by uid only, like root of a container without uids of its own. */
static int write_claim_as_powerless_root(void)
{
	int ret = NOT_WHO, status;
	pid_t pid = fork();

	if (!pid) {
		int fd = set_caps(0) ? open(CLAIM, O_WRONLY) : -1;

		_exit(fd < 0 ? 255 : write(fd, "rm_none", 7) == 7 ? 0 : errno);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		ret = -WEXITSTATUS(status);
	return ret;
}

static int do_rmmod(const void *arg)
{
	return syscall(__NR_delete_module, "redirmap", O_NONBLOCK) ? -errno : 0;
}

/* All users may read the policy, and only root may write it. */
TEST(module)
{
	int who;

	for (who = 0; who < WHO_COUNT; who++) {
		EXPECT_EQ(0, as(who, do_read_claim, NULL));
		EXPECT_EQ(-EACCES, as(who, do_write_claim, NULL));
		EXPECT_EQ(-EPERM, as(who, do_rmmod, NULL));
	}
	EXPECT_EQ(-EACCES, as(CONTAINED, do_write_mounted_claim, NULL));
	EXPECT_EQ(-EPERM, write_claim_as_powerless_root());
	/*
	 * Files that others may write, or read although they contain addresses.
	 */
	EXPECT_TRUE(sh("! find %s -type f -perm /022 | grep .", MODULE_DIR));
	EXPECT_TRUE(sh("! find %s/sections -type f -perm /077 | grep .", MODULE_DIR));
}

int main(int argc, char **argv)
{
	if (!can_test())
		return KSFT_SKIP;
	return users_setup() ?: test_harness_run(argc, argv);
}
