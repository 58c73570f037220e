// SPDX-License-Identifier: GPL-2.0-only
/* Plays a sequence: see seq.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cglib.h"
#include "netlib.h"
#include "seq.h"
#include "testlib.h"

void say(struct player *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!opt.verbose)
		return;
	va_start(ap, fmt);
	n = vsnprintf(p->text + p->len, sizeof(p->text) - p->len, fmt, ap);
	va_end(ap);
	p->len += n;
	if (p->len >= (int)sizeof(p->text))
		p->len = sizeof(p->text) - 1;
}

int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

int slot_of(struct player *p, enum table table, __u32 a)
{
	int i, slot;

	for (i = 0; i < SLOTS; i++) {
		slot = (a + i) % SLOTS;
		if (__atomic_load_n(&p->s->fds[table][slot], __ATOMIC_RELAXED) >= 0)
			return slot;
	}
	return -1;
}

int fd_of(struct player *p, enum table table, __u32 a)
{
	static const char * const names[] = {
		"dev map", "sock map", "outer", "prog", "egress", "sk prog", "link", "net",
		"sock", "genl",
	};
	int slot, fd;

	switch (a >> 8 & 63) {
	case 0:
	case 1:
		table = (a >> 14) % TABLES;
		break;
	case 2:
		say(p, " fd=-1");
		return -1;
	case 3:
		/* closed, or of anything */
		say(p, " fd=%u", (a >> 14) % 64);
		return (a >> 14) % 64;
	}
	slot = slot_of(p, table, a);
	fd = slot < 0 ? -1 : p->s->fds[table][slot];
	say(p, " %s=%d(%d)", names[table], slot, fd);
	return fd;
}

int dev_of(struct player *p, __u32 a)
{
	int i, ifindex = 0;

	switch (a >> 8 & 31) {
	case 0:
		ifindex = (a >> 14) % 40;
		break;
	case 1:
		ifindex = a;
		break;
	default:
		for (i = 0; i < DEVS && !ifindex; i++)
			ifindex = p->s->devs[(a + i) % DEVS].ifindex;
	}
	say(p, " dev=%d", ifindex);
	return ifindex;
}

int keep(struct player *p, enum table table, __u32 a, int fd)
{
	int old, err = fd < 0 ? -errno : 0;

	if (err)
		return err;
	say(p, " slot=%u fd=%d", a % SLOTS, fd);
	old = __atomic_exchange_n(&p->s->fds[table][a % SLOTS], fd, __ATOMIC_RELAXED);
	if (old >= 0)
		close(old);
	return 0;
}

void keep_dev(struct player *p, __u32 a, int ifindex, int peer)
{
	p->s->devs[a % DEVS] = (struct dev) { ifindex, peer };
}

/* The process that started this one kills it from then on, if it is to. */
static void note_progress(struct player *p, int call)
{
	if (p->nr)
		return;
	__atomic_store_n(&shared->progress, call + 1, __ATOMIC_RELEASE);
	if (call == p->s->kill_at)
		syscall(SYS_futex, &shared->progress, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void play_call(struct player *p, const struct call *call)
{
	const struct kind_of_call *kind = &kinds_of_calls[call->what];
	int err;

	p->len = 0;
	p->text[0] = '\0';
	if (opt.verbose)
		printf("# %u.%d %s ...\n", p->s->nr, p->nr, kind->name);
	err = kind->run(p, call->a);
	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
	if (err >= 0)
		__atomic_fetch_add(&shared->good, 1, __ATOMIC_RELAXED);
	if (opt.verbose)
		printf("# %u.%d %s:%s = %d\n", p->s->nr, p->nr, kind->name, p->text, err);
}

static void *play_list(void *arg)
{
	struct player *p = arg;
	int i;

	p->at_home = true;
	for (i = 0; i < p->s->n[p->nr]; i++) {
		note_progress(p, i);
		play_call(p, &p->s->calls[p->nr][i]);
	}
	return NULL;
}

/* Close all descriptors in random order, instead of all at once. */
static void leave(struct seq *s)
{
	int order[TABLES * SLOTS], n = TABLES * SLOTS, i, k, tmp;
	__u64 state = mix(s->nr);

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n - 1; i > 0; i--) {
		state = mix(state);
		k = state % (i + 1);
		tmp = order[i];
		order[i] = order[k];
		order[k] = tmp;
	}
	for (i = 0; i < n; i++)
		if (s->fds[order[i] / SLOTS][order[i] % SLOTS] >= 0)
			close(s->fds[order[i] / SLOTS][order[i] % SLOTS]);
}

/*
 * A map that keeps the sockets: see "Sequences" in testing.rst. Its descriptor
 * is the last one that an exit closes.
 */
static int make_anchor(void)
{
	int low = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "st_anchor", 4, 8, 256, NULL);
	int fd = fcntl(low, F_DUPFD_CLOEXEC, 300);

	close(low);
	return fd;
}

static bool go_home(struct seq *s)
{
	if (!enter_net() || mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		return false;
	s->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return s->home >= 0 && !set_link_up(1, true) && watch_namespace(s->nr);
}

void play(struct seq *s)
{
	static struct player players[PLAYERS];
	pthread_t thread[PLAYERS];
	int i;

	if (!go_home(s)) {
		perror("seq: no network namespace");
		_exit(3);
	}
	memset(s->fds, 0xff, sizeof(s->fds));
	memset(s->devs, 0, sizeof(s->devs));
	s->anchor = make_anchor();
	/* Otherwise pages of this process would be charged as well. */
	s->cgroup = cg_make() && !mlockall(MCL_CURRENT | MCL_FUTURE);
	for (i = 0; i < s->players; i++)
		players[i] = (struct player) { .s = s, .nr = i, .sender = -1 };
	for (i = 1; i < s->players; i++)
		if (pthread_create(&thread[i], NULL, play_list, &players[i]))
			s->players = i;
	play_list(&players[0]);
	for (i = 1; i < s->players; i++)
		pthread_join(thread[i], NULL);
	if (s->leave)
		leave(s);
	fflush(stdout);
	_exit(0);
}
