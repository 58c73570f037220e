// SPDX-License-Identifier: GPL-2.0-only
/* Tiny limits, lost capabilities, and the module's files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "cglib.h"
#include "testlib.h"

/* Calls that are played within a limit. */
static int limited(struct player *p, const __u32 *a)
{
	static call_func * const funcs[] = {
		create_dev_map, create_sock_map, update_entry, batch_update, create_outer,
		map_by_id, load_redirect, dup_map,
	};
	__u32 b[ARGS];
	int i;

	for (i = 0; i < ARGS; i++)
		b[i] = mix(a[i]) >> 20;
	return funcs[a[0] % 8](p, b);
}

/* Few descriptors are free, or there is no locked memory. */
int few_descriptors(struct player *p, const __u32 *a)
{
	int what = a[1] % 4 ? RLIMIT_NOFILE : RLIMIT_MEMLOCK, free = open("/dev/null", O_RDONLY);
	struct rlimit old, few;
	int err;

	close(free);
	if (getrlimit(what, &old))
		return -errno;
	few = old;
	few.rlim_cur = what == RLIMIT_MEMLOCK || free < 0 ? 0 : free + a[2] % 2;
	setrlimit(what, &few);
	err = limited(p, a);
	setrlimit(what, &old);
	return err;
}

/* The memory cgroup has no memory left, or little. */
int little_memory(struct player *p, const __u32 *a)
{
	static call_func * const funcs[] = {
		create_dev_map, create_sock_map, update_entry, batch_update,
	};
	int err;

	if (!p->s->cgroup || p->s->players > 1 || !cg_pays(true))
		return -EOPNOTSUPP;
	cg_limit(cg_current() + 4096 * (a[1] % 16));
	err = funcs[a[2] % 4](p, a);
	cg_limit(-1);
	cg_pays(false);
	return err;
}

/* From now on this thread lacks a capability. */
int lose_capability(struct player *p, const __u32 *a)
{
	static const int caps[] = {
		CAP_NET_ADMIN, CAP_BPF, CAP_SYS_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_MODULE,
		CAP_SYS_RESOURCE, CAP_DAC_OVERRIDE,
	};
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int cap = caps[a[0] % 8];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[cap / 32].effective &= ~(1u << cap % 32);
	say(p, " capability=%d", cap);
	return result(syscall(SYS_capset, &head, data));
}

int write_parameter(struct player *p, const __u32 *a)
{
	static const char * const names[] = { "claim", "packets", "qdisc", "early" };
	static const char * const values[] = {
		"rm_*", "*", "", "rm_a,rm_b", "rm_[ab]*,st_?", "rm_*", "[", "a,,b",
		"\\", "rm_*\n", "rm_packets", "*", "*,*,*,*,*,*,*,*,*,*,*,*", "rm_a", "rm_*", "*",
	};
	const char *name = names[a[0] % 4], *value = values[a[1] % 16];

	/* Otherwise few sequences have claimed maps. */
	if (a[0] % 4 == 0 && a[2] % 2)
		value = "rm_*";
	say(p, " %s=%s", name, value);
	return set_policy(name, value) ? 0 : -errno;
}

int read_files(struct player *p, const __u32 *a)
{
	static const char * const names[] = {
		"/parameters/claim", "/parameters/packets", "/parameters/qdisc",
		"/parameters/early", "/refcnt", "/version",
	};
	char path[128], text[512];
	int fd, err;

	snprintf(path, sizeof(path), MODULE_DIR "%s", names[a[0] % 6]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = result(read(fd, text, 1 + a[1] % sizeof(text)));
	close(fd);
	return err;
}

/* The module's tracepoints, or all of XDP. */
int trace_events(struct player *p, const __u32 *a)
{
	const char *of = a[0] % 4 ? "redirmap" : "xdp", *value = a[1] % 4 ? "1" : "0";
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%s/enable", of);
	say(p, " %s %s", of, value);
	return write_str(path, value) ? 0 : -errno;
}

/* A further process has all descriptors for a moment, and closes some. */
int fork_child(struct player *p, const __u32 *a)
{
	pid_t pid = fork();
	int i;

	if (!pid) {
		for (i = 0; i < (int)(a[0] % 8); i++)
			close(a[1] / (i + 1) % 64);
		_exit(0);
	}
	return result(a[2] % 2 ? waitpid(pid, NULL, 0) : pid);
}
