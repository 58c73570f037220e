// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of devices while another CPU redirects frames to them. After each
 * event, frames go to the right device, or are dropped, and the entry exists,
 * or does not. A second device, key 1, has no events, and continues to get its
 * frames. dev_device_leaves.c tests the same events in detail, without traffic.
 *
 * The tests compare the numbers of redirected and of received frames since the
 * event.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "harness.h"
#include "niclib.h"
#include "testlib.h"
#include "xdplib.h"

/* Frames at a time, because the kernel's generator starts slowly. */
#define BURST 64
#define NATIVE_BURST 256
#define LEN 700

FIXTURE(traffic)
{
	struct env e;
	pthread_t thread;
	volatile bool stop;
	bool from_tap;
	pid_t other;	/* a process in another namespace */
};

FIXTURE_VARIANT(traffic)
{
	struct kind kind;
};

MODE_KINDS(traffic);

static int write_tap(struct env *e)
{
	unsigned char frame[FRAME_MAX];
	int i;

	for (i = 0; i < BURST; i++) {
		make_frame(frame, i, LEN);
		if (write(e->tap[0], frame, LEN) != LEN)
			return -errno;
	}
	return 0;
}

static void *run_traffic(void *arg)
{
	FIXTURE_DATA(traffic) *self = arg;
	struct env *e = &self->e;

	run_on_cpu(1);
	while (!self->stop) {
		if (!e->generic)
			send_live(e, "redirect_both", NATIVE_BURST, LEN);
		else if (self->from_tap)
			write_tap(e);
		else
			send_packets(e, BURST, LEN);
		/* Other tasks need the CPU as well. */
		usleep(1000);
	}
	return NULL;
}

/* Starts the frames: generic ones from a tap or a veth. */
static bool start_traffic(FIXTURE_DATA(traffic) *self, bool from_tap)
{
	struct env *e = &self->e;

	self->from_tap = from_tap;
	if (e->generic && from_tap && !make_tap("tap", e->tap, 1))
		return false;
	if (e->generic && !attach(e, from_tap ? "tap" : "g1", "redirect_both", true))
		return false;
	return !pthread_create(&self->thread, NULL, run_traffic, self);
}

/* Waits until so many more frames were redirected. */
static void pass_by(struct env *e, __u64 n)
{
	__u64 end = get_var(e, "seen") + n;

	while (get_var(e, "seen") < end)
		usleep(1000);
}

/* Does a receiver get some of very many frames? */
static bool flows(struct env *e, const char *dev)
{
	__u64 end = get_var(e, "seen") + 200000, want = received(e, dev) + 200;

	while (get_var(e, "seen") < end) {
		if (received(e, dev) >= want)
			return true;
		usleep(1000);
	}
	return false;
}

/* Does a receiver get no frames, after those that were on their way? */
static bool ebbs(struct env *e, const char *dev)
{
	__u64 before;
	int try;

	for (try = 0; try < 20; try++) {
		before = received(e, dev);
		pass_by(e, 10 * BURST);
		if (received(e, dev) == before)
			return true;
	}
	return false;
}

/* Traces the events that finish() needs, and not each frame. */
static bool trace_pages(struct env *e)
{
	char path[100];

	if (!trace_start(e))
		return false;
	snprintf(path, sizeof(path), "%s/events/xdp/enable", e->trace_dir);
	return write_str(path, "0");
}

FIXTURE_SETUP(traffic)
{
	const struct kind *kind = &variant->kind;
	struct env *e = &self->e;

	e->generic = kind->generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	ASSERT_TRUE(open_object(e, "redirect.bpf.o"));
	ASSERT_TRUE(use_map(e, "targets", make_map(kind->claimed, BPF_MAP_TYPE_DEVMAP, 8)));
	ASSERT_TRUE(use_map(e, "targets_too",
			    make_map(kind->claimed, BPF_MAP_TYPE_DEVMAP_HASH, 8)));
	ASSERT_TRUE(load_object(e));
	set_var(e, "nr_keys", 2);
	set_var(e, "flags", XDP_DROP);
	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_TRUE(make_target(e, "t1", "r1"));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	ASSERT_TRUE(put_all(e, 1, "t1"));
	ASSERT_TRUE(trace_pages(e));
}

FIXTURE_TEARDOWN(traffic)
{
	self->stop = true;
	if (self->thread)
		pthread_join(self->thread, NULL);
	if (self->other) {
		kill(self->other, SIGKILL);
		waitpid(self->other, NULL, 0);
	}
	EXPECT_TRUE(finish(&self->e));
}

TEST_F(traffic, down_and_up)
{
	struct env *e = &self->e;

	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	ASSERT_TRUE(ip("link set t0 down\n"));
	EXPECT_TRUE(ebbs(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));
	ASSERT_TRUE(ip("link set t0 up\n"));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_EQ(leads_to(e, 0), if_nametoindex("t0"));
}

TEST_F(traffic, mtu)
{
	struct env *e = &self->e;

	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	ASSERT_TRUE(ip("link set t0 mtu 600\n"));
	EXPECT_TRUE(ebbs(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));
	ASSERT_TRUE(ip("link set t0 mtu 1500\n"));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_EQ(leads_to(e, 0), if_nametoindex("t0"));
}

TEST_F(traffic, rename)
{
	struct env *e = &self->e;
	int ifindex = if_nametoindex("t0");

	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	/* older kernels rename only devices that are down */
	ASSERT_TRUE(ip("link set t0 down\nlink set t0 name other\nlink set other up\n"));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));
	EXPECT_EQ(leads_to(e, 0), ifindex);
}

/* Starts a process that has a namespace, to which devices can be moved. */
static bool make_other(FIXTURE_DATA(traffic) *self)
{
	int ready[2];
	char c;

	if (pipe(ready))
		return false;
	self->other = fork();
	if (!self->other) {
		if (!unshare(CLONE_NEWNET) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	return self->other > 0 && read(ready[0], &c, 1) == 1;
}

static bool in_other(FIXTURE_DATA(traffic) *self, const char *command)
{
	return sh("nsenter -t %d -n ip %s", self->other, command);
}

/*
 * As put_all(), from inside that namespace, because an ifindex belongs to the
 * caller's namespace.
 */
static bool put_from_other(FIXTURE_DATA(traffic) *self, __u32 key, const char *dev)
{
	int here = open("/proc/thread-self/ns/net", O_RDONLY), there;
	char path[40];
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", self->other);
	there = open(path, O_RDONLY);
	ok = !setns(there, CLONE_NEWNET) && put_all(&self->e, key, dev);
	ok = !setns(here, CLONE_NEWNET) && ok;
	close(here);
	close(there);
	return ok;
}

TEST_F(traffic, moved_to_other_namespace)
{
	struct env *e = &self->e;
	char home[40];

	ASSERT_TRUE(make_other(self));
	snprintf(home, sizeof(home), "link set t0 netns %d", getpid());
	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	ASSERT_TRUE(ip("link set t0 netns %d\n", self->other));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(ebbs(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));

	/* the device can be a target in its new namespace */
	ASSERT_TRUE(in_other(self, "link set t0 up"));
	EXPECT_TRUE(ebbs(e, "r0"));
	ASSERT_TRUE(put_from_other(self, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));

	ASSERT_TRUE(in_other(self, home));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(ebbs(e, "r0"));
	ASSERT_TRUE(ip("link set t0 up\n"));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));
}

TEST_F(traffic, namespace_deleted)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_other(self));
	ASSERT_TRUE(start_traffic(self, false));
	ASSERT_TRUE(ip("link set t0 netns %d\n", self->other));
	ASSERT_TRUE(in_other(self, "link set t0 up"));
	ASSERT_TRUE(put_from_other(self, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));

	kill(self->other, SIGKILL);
	waitpid(self->other, NULL, 0);
	self->other = 0;
	/*
	 * a work item of the kernel ends the namespace; r0 is deleted with its
	 * peer
	 */
	while (if_nametoindex("r0"))
		usleep(10000);
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(flows(e, "r1"));

	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));
}

/* Unloads a driver, which is busy as long as there is a reference to it. */
static bool unload_driver(const char *name)
{
	char path[40];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	while (!access(path, F_OK)) {
		if (!sh("rmmod %s ", name))
			usleep(10000);
	}
	return true;
}

TEST_F(traffic, dummy_unloaded)
{
	struct env *e = &self->e;

	ASSERT_TRUE(start_traffic(self, false));
	ASSERT_TRUE(ip("link add x0 type dummy\nlink set x0 up\n"));
	ASSERT_TRUE(put_all(e, 0, "x0"));
	pass_by(e, 10 * BURST);
	EXPECT_EQ(leads_to(e, 0), if_nametoindex("x0"));
	ASSERT_TRUE(unload_driver("dummy"));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(flows(e, "r1"));
}

/* A tap keeps its driver until its last file is closed. */
TEST_F(traffic, tun_unloaded)
{
	struct env *e = &self->e;
	int fd;

	ASSERT_TRUE(start_traffic(self, false));
	ASSERT_TRUE(make_tap("x0", &fd, 1));
	ASSERT_TRUE(put_all(e, 0, "x0"));
	while (!drain_tap(fd))
		;
	close(fd);
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	ASSERT_TRUE(unload_driver("tun"));
	EXPECT_TRUE(flows(e, "r1"));
}

TEST_F(traffic, veth_unloaded)
{
	struct env *e = &self->e;

	/* g0 and g1 are of this driver as well */
	ASSERT_TRUE(start_traffic(self, true));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_TRUE(flows(e, "r1"));
	ASSERT_TRUE(unload_driver("veth"));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_EQ(leads_to(e, 1), -ENOENT);
	pass_by(e, 10 * BURST);

	ASSERT_TRUE(make_target(e, "t0", "r0"));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));
}

/* A bond, key 0, which gets its slaves t0 and t1 while it is in the map. */
static bool make_bond(struct env *e)
{
	/* otherwise it makes a bond in the machine's own namespace */
	return sh("modprobe bonding max_bonds=0") &&
	       ip("link set t0 down\nlink set t1 down\n"
		  "link add b0 group %d type bond mode active-backup miimon 10\n", GROUP) &&
	       put_all(e, 0, "b0") && del_all(e, 1) &&
	       ip("link set t0 master b0\nlink set t1 master b0\n"
		  "link set b0 up type bond active_slave t0\n");
}

TEST_F(traffic, bonding_unloaded)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_bond(e));
	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	ASSERT_TRUE(unload_driver("bonding"));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(ebbs(e, "r0"));
	EXPECT_TRUE(ebbs(e, "r1"));

	/* the slaves are free */
	ASSERT_TRUE(ip("link set t0 up\n"));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	EXPECT_TRUE(flows(e, "r0"));
}

TEST_F(traffic, virtio_net_unloaded)
{
	struct env *e = &self->e;
	struct nics nics;

	if (!fetch_nics(&nics))
		SKIP(return, NO_NICS);
	if (!nics.loaded) {
		return_nics(&nics);
		SKIP(return, "virtio_net is in use");
	}
	ASSERT_TRUE(attach(e, "nic0", "pass", e->generic));
	ASSERT_TRUE(attach(e, "nic1", "receive", e->generic));
	ASSERT_TRUE(put_all(e, 0, "nic0"));
	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "nic1"));
	ASSERT_TRUE(return_nics(&nics));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(flows(e, "r1"));
}

/* The frames that have come to a device, with a program or without. */
static unsigned int came_to(const char *dev)
{
	struct rtnl_link_stats stats = {};

	link_stats(dev, &stats);
	return stats.rx_packets;
}

/* A veth accepts frames of native XDP while its peer has a program. */
TEST_F(traffic, peer_program)
{
	struct env *e = &self->e;
	unsigned int before;
	int i;

	ASSERT_TRUE(make_veth("t2", "r2", ""));
	ASSERT_TRUE(put_all(e, 0, "t2"));
	ASSERT_TRUE(start_traffic(self, false));
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(flows(e, "r1"));
		EXPECT_TRUE(ebbs(e, "r2"));
		before = came_to("r2");
		pass_by(e, 10 * BURST);
		/* generic XDP does not need that */
		EXPECT_EQ(came_to("r2") > before, e->generic);
		if (i)
			break;
		ASSERT_TRUE(attach(e, "r2", "receive", e->generic));
		EXPECT_TRUE(flows(e, "r2"));
		ASSERT_TRUE(attach(e, "r2", NULL, e->generic));
	}
	EXPECT_EQ(leads_to(e, 0), if_nametoindex("t2"));
}

TEST_F(traffic, bond_slaves)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_bond(e));
	ASSERT_TRUE(start_traffic(self, false));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_TRUE(ebbs(e, "r1"));

	/*
	 * another slave becomes active: by command, and because the first is
	 * down
	 */
	ASSERT_TRUE(ip("link set b0 type bond active_slave t1\n"));
	EXPECT_TRUE(flows(e, "r1"));
	EXPECT_TRUE(ebbs(e, "r0"));
	ASSERT_TRUE(ip("link set t1 down\n"));
	EXPECT_TRUE(flows(e, "r0"));
	EXPECT_TRUE(ebbs(e, "r1"));
	ASSERT_TRUE(ip("link set t1 up\n"));

	/*
	 * released: one slave, and the last one, without which the bond still
	 * works
	 */
	ASSERT_TRUE(ip("link set t0 nomaster\n"));
	EXPECT_TRUE(flows(e, "r1"));
	EXPECT_TRUE(ebbs(e, "r0"));
	ASSERT_TRUE(ip("link set t1 nomaster\n"));
	EXPECT_TRUE(ebbs(e, "r1"));
	EXPECT_EQ(leads_to(e, 0), if_nametoindex("b0"));

	ASSERT_TRUE(ip("link set t0 down\nlink set t0 master b0\n"));
	EXPECT_TRUE(flows(e, "r0"));
	ASSERT_TRUE(ip("link del b0\n"));
	EXPECT_EQ(leads_to(e, 0), -ENOENT);
	EXPECT_TRUE(ebbs(e, "r0"));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
