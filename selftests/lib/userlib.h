/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Users with few rights: unprivileged users, users with one capability, and
 * root of a user and network namespace of its own; and their actions.
 */
#ifndef REDIRMAP_USERLIB_H
#define REDIRMAP_USERLIB_H

#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "testlib.h"

#define NOBODY_UID 65534

#define CAP(name) (1ULL << CAP_##name)
/* Instead of an errno: the child could not become that user. */
#define NOT_WHO 1000

enum who { NOBODY, CONTAINED, ONLY_BPF, ONLY_NET_ADMIN, BPF_NET_ADMIN, WHO_COUNT };

static const char *const who_names[] = {
	"nobody", "root of a container", "CAP_BPF", "CAP_NET_ADMIN", "CAP_BPF and CAP_NET_ADMIN",
};

static const __u64 who_caps[] = {
	[ONLY_BPF] = CAP(BPF),
	[ONLY_NET_ADMIN] = CAP(NET_ADMIN),
	[BPF_NET_ADMIN] = CAP(BPF) | CAP(NET_ADMIN),
};

static inline bool set_caps(__u64 caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return !syscall(__NR_capset, &head, data);
}

/*
 * The child becomes that user for good. Root of a container is the user nobody
 * outside, as in most containers.
 */
static inline bool become(enum who who)
{
	prctl(PR_SET_KEEPCAPS, 1);
	if (syscall(__NR_setgroups, 0, NULL) || setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) ||
	    setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID))
		return false;
	if (who != CONTAINED)
		return set_caps(who_caps[who]);
	/* Otherwise /proc/self would belong to root. */
	prctl(PR_SET_DUMPABLE, 1);
	return set_caps(0) && !unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) &&
	       write_str("/proc/self/uid_map", "0 65534 1");
}

/* The result of an action of another user, with the test's descriptors. */
static inline int as(enum who who, int (*act)(const void *arg), const void *arg)
{
	int fds[2], ret = NOT_WHO;
	pid_t pid;

	if (pipe(fds))
		return NOT_WHO;
	pid = fork();
	if (!pid) {
		if (become(who))
			ret = act(arg);
		_exit(write(fds[1], &ret, sizeof(ret)) != sizeof(ret));
	}
	close(fds[1]);
	if (read(fds[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = NOT_WHO;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return ret;
}

static inline int do_nothing(const void *arg)
{
	return 0;
}

/* For main(): 0, or the exit status if a test cannot become one of them. */
static inline int users_setup(void)
{
	int who;

	for (who = 0; who < WHO_COUNT; who++) {
		if (!as(who, do_nothing, NULL))
			continue;
		printf("1..0 # SKIP cannot become %s\n", who_names[who]);
		return KSFT_SKIP;
	}
	return 0;
}

#endif /* REDIRMAP_USERLIB_H */
