// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broadcasts with BPF_F_EXCLUDE_INGRESS: frames are not sent back to the
 * ingress device. For devices above it see dev_broadcast_upper.c.
 *
 * Every test runs on a stock and on a claimed map. INTENDED DIFFERENCE: in
 * native XDP, a stock map takes a device of another namespace for the ingress
 * device if both have the same ifindex.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/prctl.h>

#include "exclude.h"

TEST_F(exclude, ingress_device)
{
	struct cast *c = &self->c;

	EXPECT_TRUE(comes_back(c, 0));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));

	/*
	 * under several keys, among them the first and the last one of the map
	 */
	exclude(c, true);
	ASSERT_TRUE(put(&c->e, 15, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 3));
}

/* A frame without a remaining member is consumed, which is not an error. */
TEST_F(exclude, nobody_else)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(del(&c->e, 0));
	ASSERT_TRUE(del(&c->e, 8));
	ASSERT_TRUE(put(&c->e, 0, "g1"));
	ASSERT_EQ(cast_send(c, FRAMES, 100), 0);
	EXPECT_TRUE(traced(&c->e, "xdp_redirect", "err=0 map_id=OURS", FRAMES));
	EXPECT_TRUE(traced(&c->e, "xdp_redirect_err", "", 0));
	EXPECT_TRUE(cast_got(c, "g0", 0, 0));
	EXPECT_TRUE(cast_all_got(c, 0, 2, 0, 0));
}

/* The ingress device changes from frame to frame, and is a member. */
TEST_F(exclude, several_ingress_devices)
{
	struct cast *c = &self->c;
	int round;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	ASSERT_TRUE(cast_look(c, "h0"));
	ASSERT_TRUE(attach(&c->e, "h1", "broadcast", variant->kind.generic));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "h1"));
	for (round = 0; round < 3; round++) {
		EXPECT_TRUE(comes_back(c, 0));
		EXPECT_TRUE(cast_got(c, "h0", FRAMES, 1));
		cast_forget(c);
		ASSERT_EQ(send_on(c->e.sock, "h0", 0, FRAMES, 100), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
		EXPECT_TRUE(cast_got(c, "h0", 0, 0));
	}
}

/*
 * A member in another namespace, with the ifindex of the ingress device.
 *
 * INTENDED DIFFERENCE: claimed maps compare devices, and send.
 */
TEST_F(exclude, same_ifindex_elsewhere)
{
	struct cast *c = &self->c;
	bool sends = variant->kind.claimed;
	int own, other, ifindex = if_nametoindex("g1");

	own = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_GE(own, 0);
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	other = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_GE(other, 0);
	ASSERT_TRUE(ip("link add x0 index %d mtu 3300 type veth peer name x1 mtu 3300 index 200\n"
		       "link set x0 up\nlink set x1 up\n", ifindex));
	ASSERT_TRUE(cast_look(c, "x1"));
	ASSERT_TRUE(put(&c->e, 3, "x0"));

	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	ASSERT_TRUE(put(&c->e, 5, "g1"));
	EXPECT_TRUE(comes_back(c, 0));
	ASSERT_EQ(setns(other, CLONE_NEWNET), 0);
	EXPECT_TRUE(cast_got(c, "x1", sends ? FRAMES : 0, sends));

	/* nothing arrived there for that reason, and for no other */
	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));
	ASSERT_EQ(setns(other, CLONE_NEWNET), 0);
	EXPECT_TRUE(cast_got(c, "x1", FRAMES, 1));
	ASSERT_TRUE(ip("link del x0\n"));
	ASSERT_EQ(setns(own, CLONE_NEWNET), 0);
	close(own);
	close(other);
}

/* The poll of a NAPI thread, which is not that of a cpumap. */
TEST_F(exclude, threaded_napi)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(thread_napi("g1", 0));
	EXPECT_TRUE(comes_back(c, 0));
	EXPECT_TRUE(comes_back(c, 0));
	exclude(c, false);
	EXPECT_TRUE(comes_back(c, 1));
}

/* Frames to all, to all except the ingress, and to one device, in one batch. */
TEST_F(exclude, mixed)
{
	static const char * const peers[] = { "p0", "p1", "g0" };
	struct cast *c = &self->c;
	__u32 (*got)[NUMBERS];
	int i, nr, n = 90;

	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(attach(&c->e, "g1", "broadcast_mixed", variant->kind.generic));
	/* the thread's poll gets many frames at once */
	ASSERT_TRUE(thread_napi("g1", 0));
	ASSERT_EQ(cast_send(c, n, 100), 0);
	for (i = 0; i < 3; i++) {
		int wrong = 0, of_3 = 3 - i;

		/*
		 * the first device gets all frames, the second one no unicast
		 * frame
		 */
		EXPECT_EQ(settled(&c->e, peers[i], n / 3 * of_3), n / 3 * of_3);
		got = global(&c->e, "got");
		for (nr = 0; nr < n; nr++)
			wrong += got[if_nametoindex(peers[i])][nr] != (nr % 3 == 2 ? i == 0 :
								       nr % 3 == 1 ? i <= 1 : 1);
		EXPECT_EQ(wrong, 0);
	}
}

/* Live frames can come from any device that the test names. */
TEST_F(exclude, live_frames)
{
	struct cast *c = &self->c;

	if (variant->kind.generic || (!variant->kind.claimed && !live_frames_in_place()))
		SKIP(return, "no live frames");
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	set_var(&c->e, "numbered_here", 1);
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "m0", FRAMES, 100), 0);
	EXPECT_TRUE(cast_got(c, "p0", 0, 0));
	EXPECT_TRUE(cast_got(c, "p1", FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "g1", FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", 0, 0));
	/* a device that is not in the map */
	cast_forget(c);
	ASSERT_EQ(send_live_from(&c->e, "broadcast", "p0", FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_TRUE(cast_got(c, "g0", FRAMES, 1));
}

/* Even numbers come from g0, odd ones from h0; @even and @odd are expected. */
static bool got_only(struct cast *c, const char *dev, int n, bool even, bool odd)
{
	__u32 device = if_nametoindex(dev) % DEVICES;
	__u32 (*got)[NUMBERS] = global(&c->e, "got");
	__u64 *bad = global(&c->e, "bad");
	int i, wrong = 0;

	settled(&c->e, dev, (even + odd) * n / 2);
	for (i = 0; i < NUMBERS; i++)
		wrong += got[device][i] != (i < n && (i % 2 ? odd : even));
	if (wrong || bad[device])
		fprintf(stderr, "# %s: %d numbers not as often as they should, %llu bad\n",
			dev, wrong, bad[device]);
	return !wrong && !bad[device];
}

/*
 * Frames of two devices in one batch of a cpumap's thread: each frame goes to
 * all members except its own ingress device.
 */
TEST_F(exclude, two_devices_through_cpumap)
{
	struct cast *c = &self->c;
	static const char * const receivers[] = { "g0", "h0", "p0", "p1" };
	struct bpf_cpumap_val val = { .qsize = 512 };
	__u32 cpu;
	int i;

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	/* Generic XDP does not run on packets that a cpumap has redirected. */
	for (i = 0; i < 4 && variant->kind.generic; i++) {
		ASSERT_TRUE(attach(&c->e, receivers[i], NULL, true));
		ASSERT_TRUE(attach(&c->e, receivers[i], "look_at", false));
	}
	ASSERT_TRUE(variant->kind.generic || cast_look(c, "h0"));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	ASSERT_TRUE(put(&c->e, 4, "h1"));
	val.bpf_prog.fd = prog(&c->e, "broadcast_cpu");
	for (cpu = 0; cpu < 2; cpu++) {
		int cpus = bpf_object__find_map_fd_by_name(c->e.obj, "cpus");

		/*
		 * The thread has CPU 1 for itself, or shares CPU 0 with the
		 * test, so that frames accumulate.
		 */
		if (cpu >= (__u32)sysconf(_SC_NPROCESSORS_ONLN))
			break;
		ASSERT_EQ(bpf_map_update_elem(cpus, &cpu, &val, BPF_ANY), 0);
		set_var(&c->e, "to_cpu_nr", cpu);
		ASSERT_TRUE(attach(&c->e, "g1", NULL, variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "g1", "to_cpu", variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "h1", NULL, variant->kind.generic));
		ASSERT_TRUE(attach(&c->e, "h1", "to_cpu", variant->kind.generic));
		cast_forget(c);
		set_var(&c->e, "want_len", 100);
		for (i = 0; i < 200; i++) {
			ASSERT_EQ(send_on(c->e.sock, i % 2 ? "h0" : "g0", i, 1, 100), 0);
			/*
			 * A cpumap runs the program on the first packet of a
			 * batch only.
			 */
			if (variant->kind.generic) {
				ASSERT_EQ(settled(&c->e, "p1", i + 1), i + 1);
			}
		}
		EXPECT_TRUE(cast_all_got(c, 0, 2, 200, 1));
		EXPECT_TRUE(got_only(c, "g0", 200, false, true));
		EXPECT_TRUE(got_only(c, "h0", 200, true, false));
	}
}

/*
 * The frames of h1 are redirected by the thread of a cpumap, those of g1 by the
 * thread of its NAPI.
 */
static bool send_by_threads(struct cast *c)
{
	cast_forget(c);
	set_var(&c->e, "want_len", 100);
	return !send_on(c->e.sock, "h0", 0, FRAMES, 100) &&
	       cast_all_got(c, 0, 2, FRAMES, 1) && comes_back(c, 0);
}

/* Makes this thread, under a name, look up the names of functions. */
static bool look_up_as(const char *name)
{
	char buf[4096];
	bool ok;
	int fd;

	fd = open("/proc/timer_list", O_RDONLY);
	ok = fd >= 0 && !prctl(PR_SET_NAME, name);
	while (ok && read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	return !prctl(PR_SET_NAME, "test") && ok;
}

/* Threads of both kinds redirect frames: then their functions are known. */
TEST_F(exclude, threads_are_looked_up_once)
{
	struct cast *c = &self->c;
	struct bpf_cpumap_val val = { .qsize = 512 };
	struct bpf_link *link, *flushes;
	struct env count = {};
	__u32 cpu = 0;

	if (variant->kind.generic)
		SKIP(return, "no thread flushes frames");
	ASSERT_TRUE(open_object(&count, "lookups.bpf.o"));
	ASSERT_TRUE(load_object(&count));
	link = bpf_program__attach(bpf_object__find_program_by_name(count.obj, "looked_up"));
	ASSERT_NE(link, NULL);
	flushes = bpf_program__attach(bpf_object__find_program_by_name(count.obj, "flushed"));
	ASSERT_NE(flushes, NULL);

	/* The program counts. */
	ASSERT_TRUE(look_up_as("napi/test"));
	ASSERT_TRUE(look_up_as("cpumap/test"));
	EXPECT_GT(get_var(&count, "of_napi"), 0);
	EXPECT_GT(get_var(&count, "of_cpumap"), 0);

	ASSERT_TRUE(make_veth("h0", "h1", "mtu 3300"));
	ASSERT_TRUE(cast_look(c, "h0"));
	ASSERT_TRUE(put(&c->e, 3, "g1"));
	val.bpf_prog.fd = prog(&c->e, "broadcast_cpu");
	ASSERT_EQ(bpf_map_update_elem(bpf_object__find_map_fd_by_name(c->e.obj, "cpus"),
				      &cpu, &val, BPF_ANY), 0);
	set_var(&c->e, "to_cpu_nr", cpu);
	ASSERT_TRUE(attach(&c->e, "h1", "to_cpu", false));
	ASSERT_TRUE(thread_napi("g1", 0));
	EXPECT_TRUE(send_by_threads(c));

	set_var(&count, "of_napi", 0);
	set_var(&count, "of_cpumap", 0);
	set_var(&count, "flushes_of_napi", 0);
	set_var(&count, "flushes_of_cpumap", 0);
	EXPECT_TRUE(send_by_threads(c));
	EXPECT_TRUE(send_by_threads(c));
	EXPECT_GT(get_var(&count, "flushes_of_napi"), 0);
	EXPECT_GT(get_var(&count, "flushes_of_cpumap"), 0);
	EXPECT_EQ(get_var(&count, "of_napi"), 0);
	EXPECT_EQ(get_var(&count, "of_cpumap"), 0);
	bpf_link__destroy(flushes);
	bpf_link__destroy(link);
	unload(&count);
}

/* The CPUs that process received packets, a mask. */
#define RPS(dev) SYS "/class/net/" dev "/queues/rx-0/rps_cpus"

static int write_frames(struct cast *c, int n, int len)
{
	unsigned char frame[FRAME_MAX];
	int i;

	cast_forget(c);
	set_var(&c->e, "want_len", len);
	for (i = 0; i < n; i++) {
		make_frame(frame, i, len);
		if (write(c->e.tap[0], frame, len) != len)
			return -errno;
	}
	return 0;
}

/*
 * A tap, whose driver runs native programs on frames of its own, or on packets,
 * as generic XDP, if the tap's file is blocking.
 */
TEST_F(exclude, tap_is_ingress)
{
	struct cast *c = &self->c;

	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	ASSERT_TRUE(attach(&c->e, "tap", "broadcast", variant->kind.generic));
	ASSERT_TRUE(put(&c->e, 3, "tap"));
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_EQ(drain_tap(c->e.tap[0]), 0);

	ASSERT_EQ(fcntl(c->e.tap[0], F_SETFL, 0), 0);
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	ASSERT_EQ(fcntl(c->e.tap[0], F_SETFL, O_NONBLOCK), 0);
	EXPECT_EQ(drain_tap(c->e.tap[0]), 0);

	exclude(c, false);
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_EQ(drain_tap(c->e.tap[0]), FRAMES);

	/*
	 * While frames wait for the receiver's CPU, tun cuts the next ones from
	 * the same fragment, and some cross a page.
	 */
	exclude(c, true);
	ASSERT_TRUE(write_str(is_faulty_peer("p1") ? RPS("m1") : RPS("p1"), "2"));
	ASSERT_EQ(write_frames(c, FRAMES, 100), 0);
	EXPECT_TRUE(cast_all_got(c, 0, 2, FRAMES, 1));
	EXPECT_EQ(drain_tap(c->e.tap[0]), 0);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
