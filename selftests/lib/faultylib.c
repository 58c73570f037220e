// SPDX-License-Identifier: GPL-2.0-only
/* Devices whose drivers fail: see faultylib.h. */
#include <pthread.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "countlib.h"
#include "faultylib.h"
#include "testlib.h"

#define BACKLOG "/proc/sys/net/core/netdev_max_backlog"

static bool load_faulty(void)
{
	struct utsname name;
	char file[200];

	uname(&name);
	snprintf(file, sizeof(file), "../%s-selftests/modules/faulty.ko", name.release);
	/* A test that was killed has left the module loaded. */
	return !access("/sys/module/faulty", F_OK) || sh("insmod %s", beside(file));
}

/*
 * A CPU's backlog, which packets to other devices go through, has room for all
 * frames of a test.
 */
static bool set_backlog(int packets)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", packets);
	return write_str(BACKLOG, text);
}

/* The harness calls exit(), so it runs in a process of its own. */
static int run_apart(int (*run)(int argc, char **argv), int argc, char **argv)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(run(argc, argv));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return KSFT_FAIL;
	return WEXITSTATUS(status);
}

int with_faulty(int (*run)(int argc, char **argv), int argc, char **argv)
{
	int ret, backlog = read_int(BACKLOG);

	if (!can_test())
		return KSFT_SKIP;
	if (!load_faulty()) {
		printf("Bail out! faulty.ko does not load\n");
		return KSFT_FAIL;
	}
	if (!set_backlog(100000))
		return KSFT_FAIL;
	ret = run_apart(run, argc, argv);
	if (set_backlog(backlog) && sh("rmmod faulty"))
		return ret;
	printf("Bail out! faulty.ko does not unload\n");
	return KSFT_FAIL;
}

bool turn(const char *dev, const char *knob, int value)
{
	char path[100], text[16];

	snprintf(path, sizeof(path), SYS "/class/net/%s/faulty/%s", dev, knob);
	snprintf(text, sizeof(text), "%d", value);
	return write_str(path, text);
}

int knob(const char *dev, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), SYS "/class/net/%s/faulty/%s", dev, name);
	return read_int(path);
}

bool has_knob(const char *dev, const char *knob)
{
	char path[100];

	snprintf(path, sizeof(path), SYS "/class/net/%s/faulty/%s", dev, knob);
	return !access(path, W_OK);
}

bool make_faulty(const char *dev)
{
	return ip("link add %s mtu 3300 group %d type faulty\nlink set %s up\n", dev, GROUP, dev);
}

bool make_faulty_pair(const char *dev, const char *peer, const char *args)
{
	return ip("link add %s group %d %s type faulty\n"
		  "link property add dev %s altname %s\nlink set %s up\n",
		  dev, GROUP, args, dev, peer, dev);
}

/* The device is found by its alternative name. */
bool is_faulty_peer(const char *dev)
{
	char name[IF_NAMESIZE];

	return if_indextoname(if_nametoindex(dev), name) && strcmp(name, dev);
}

const char *faulty_name(int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "f%d", i);
	return name;
}

bool faulty_begin(struct cast *c, const struct kind *kind, int n)
{
	struct env *e = &c->e;
	int i;

	e->generic = kind->generic;
	c->from = CAST_WIRE;
	if (!c->value_size)
		c->value_size = counting_size(kind);
	if (!module_refs_become(0) || !make_net(e) || !cast_load(c, kind, 8) ||
	    !trace_start(e) || !make_faulty("s0") ||
	    !attach(e, "s0", c->frags ? "broadcast_frags" : "broadcast", e->generic))
		return false;
	set_var(e, "flags", 0);
	for (i = 0; i < n; i++)
		if (!make_faulty(faulty_name(i)) ||
		    !attach(e, faulty_name(i), "look_at", true))
			return false;
	return true;
}

int faulty_send_two(struct cast *c, int len, int n, int more, int other)
{
	__u64 all = n + more;
	int err, i;

	cast_forget(c);
	set_var(&c->e, "want_len", len);
	if (!turn("s0", "hold", 1))
		return -errno;
	err = send_on(c->e.sock, "s0", 0, n, len) ?:
	      send_on(c->e.sock, "s0", n, more, other);
	if (!turn("s0", "hold", 0))
		return -errno;
	/* Softirqs may lag behind, but the loop does not interrupt them. */
	for (i = 0; i < 20000 && !err && get_var(&c->e, "seen") < all; i++)
		usleep(1000);
	return err ?: get_var(&c->e, "seen") == all ? 0 : -ETIMEDOUT;
}

int faulty_send(struct cast *c, int n, int len)
{
	return faulty_send_two(c, len, n, 0, len);
}

/* On another CPU, which stays in softirqs until the poll continues. */
static void *release(void *arg)
{
	run_on_cpu(1);
	return turn("s0", "hold", 0) ? arg : NULL;
}

bool faulty_send_until(struct cast *c, pthread_t *thread, int n, int len, int stop)
{
	int i;

	cast_forget(c);
	set_var(&c->e, "want_len", len);
	if (!turn("s0", "pause", stop) || !turn("s0", "hold", 1) ||
	    send_on(c->e.sock, "s0", 0, n, len) ||
	    pthread_create(thread, NULL, release, c))
		return false;
	for (i = 0; i < 60000 && knob("s0", "paused") != 1; i++)
		usleep(1000);
	return knob("s0", "paused") == 1;
}

bool faulty_go_on(struct cast *c, pthread_t thread, int n)
{
	void *ok;
	int i;

	if (!turn("s0", "pause", 0) || pthread_join(thread, &ok) || !ok)
		return false;
	for (i = 0; i < 20000 && get_var(&c->e, "seen") < (__u64)n; i++)
		usleep(1000);
	return get_var(&c->e, "seen") == (__u64)n;
}

bool some_got(struct cast *c, const char *dev, __u64 n)
{
	__u64 got = settled(&c->e, dev, n), bad = cast_counted(c, "bad", dev);

	if (got == n && !bad)
		return true;
	fprintf(stderr, "# %s got %llu frames, not %llu; %llu with wrong bytes\n", dev, got,
		n, bad);
	return false;
}
