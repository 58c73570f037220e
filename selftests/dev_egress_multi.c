// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several egress programs at once: entries for one device with different
 * programs, a program of several devices, members of a broadcast, inner maps,
 * frames of several ingress devices. For a single program see dev_egress.c.
 *
 * Every test runs on stock and on claimed maps, and expects the same, except
 * for one fault of the built-in, which is shown here: in native XDP, the
 * built-in runs the program of the first frame's entry for all frames to a
 * device in a NAPI poll. It is marked as an intended difference below.
 */
#define _GNU_SOURCE
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"
#include "egresslib.h"
#include "faultylib.h"

FIXTURE(multi)
{
	struct env e;
	bool confuses;	/* the map has that fault */
};

FIXTURE_VARIANT(multi)
{
	struct kind kind;
};

ALL_KINDS(multi);

FIXTURE_SETUP(multi)
{
	ASSERT_TRUE(start_egress(&self->e, variant->kind));
	self->confuses = !variant->kind.claimed && !variant->kind.generic;
}

FIXTURE_TEARDOWN(multi)
{
	EXPECT_TRUE(finish(&self->e));
}

/* --- one device ----------------------------------------------------------- */

/* INTENDED DIFFERENCE: each entry's own program runs, not that of the first. */
TEST_F(multi, one_device_two_programs)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t0", "mark_b"));
	set_var(e, "nr_keys", 2);
	/* one poll; 4 bulks, or more */
	ASSERT_EQ(send_new(e, 64, 64), 0);
	EXPECT_EQ(settled(e, "r0", 64), 64);
	if (self->confuses) {
		EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 64));
	} else {
		EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 2, 32));
		EXPECT_TRUE(seen_in_order(e, "r0", 'B', 1, 2, 32));
	}
	EXPECT_EQ(get_var(e, "nr_runs"), 64);

	/* several polls, of an odd number of frames */
	ASSERT_EQ(send_new(e, 201, 64), 0);
	EXPECT_EQ(settled(e, "r0", 201), 201);
	if (!self->confuses) {
		EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 2, 101));
		EXPECT_TRUE(seen_in_order(e, "r0", 'B', 1, 2, 100));
	}
}

/* The same with entries of two maps, one of which is stock. */
TEST_F(multi, one_device_two_maps)
{
	const struct bpf_devmap_val val = {
		.ifindex = if_nametoindex("t0"),
		.bpf_prog.fd = prog(&self->e, "mark_b"),
	};
	struct env *e = &self->e;
	__u32 key = 0;
	int inner;

	inner = new_map(&variant->kind, 8);
	ASSERT_GE(inner, 0);
	ASSERT_EQ(bpf_map_update_elem(inner, &key, &val, BPF_ANY), 0);
	ASSERT_EQ(bpf_map_update_elem(e->maps[1], &key, &inner, BPF_ANY), 0);
	close(inner);
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));

	set_var(e, "alternate", 1);
	forget_logs(e);
	ASSERT_EQ(send_to(e, "redirect_by_inner", 64, 64), 0);
	EXPECT_EQ(settled(e, "r0", 64), 64);
	if (self->confuses) {
		EXPECT_TRUE(seen_in_order(e, "r0", 'B', 0, 1, 64));
	} else {
		EXPECT_TRUE(seen_in_order(e, "r0", 'B', 0, 2, 32));
		EXPECT_TRUE(seen_in_order(e, "r0", 'A', 1, 2, 32));
	}
}

/*
 * The same fault as a way around a filter: key 0 has no program, key 1 has a
 * filter. INTENDED DIFFERENCE: frames to key 1 do not bypass the filter.
 */
TEST_F(multi, filter_is_not_bypassed)
{
	struct env *e = &self->e;
	__u64 *verdict = global(e, "verdict");
	int i;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = XDP_DROP;
	ASSERT_TRUE(put_prog(e, 1, "t0", "verdicts"));
	set_var(e, "nr_keys", 2);
	ASSERT_EQ(send_new(e, 64, 64), 0);
	if (self->confuses) {
		EXPECT_EQ(settled(e, "r0", 64), 64);
		EXPECT_EQ(get_var(e, "nr_runs"), 0);
	} else {
		EXPECT_EQ(settled(e, "r0", 32), 32);
		EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 2, 32));
		EXPECT_EQ(get_var(e, "nr_runs"), 32);
	}

	/* and the other way round: frames without a filter pass */
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	ASSERT_TRUE(put_prog(e, 1, "t0", NULL));
	ASSERT_EQ(send_new(e, 64, 64), 0);
	if (self->confuses) {
		EXPECT_EQ(settled(e, "r0", 0), 0);
	} else {
		EXPECT_EQ(settled(e, "r0", 32), 32);
		EXPECT_TRUE(seen_in_order(e, "r0", 0, 1, 2, 32));
	}
}

/* Two equal entries behave like one. */
TEST_F(multi, one_device_one_program_twice)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t0", "mark_a"));
	set_var(e, "nr_keys", 2);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 64, 64), 0);
	EXPECT_EQ(settled(e, "r0", 64), 64);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 64));
	if (!e->generic)
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=16 drops=0 err=0", 4));
	/* one is deleted, the other one remains */
	ASSERT_TRUE(del(e, 0));
	set_var(e, "first_key", 1);
	set_var(e, "nr_keys", 1);
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_EQ(marked(e, "r0", 'A'), 20);
}

/* --- several devices ------------------------------------------------------ */

TEST_F(multi, two_devices_one_program)
{
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(make_checker(e, "t1", "r1", "mtu 1500"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t1", "mark_a"));
	set_var(e, "nr_keys", 2);
	ASSERT_EQ(send_new(e, 64, 64), 0);
	EXPECT_EQ(settled(e, "r0", 32), 32);
	EXPECT_EQ(settled(e, "r1", 32), 32);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 2, 32));
	EXPECT_TRUE(seen_in_order(e, "r1", 'A', 1, 2, 32));
	EXPECT_EQ(get_var(e, "nr_runs"), 64);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(run_of(e, i)->egress,
			  if_nametoindex(run_of(e, i)->nr % 2 ? "t1" : "t0"));

	/* one device is deleted */
	ASSERT_TRUE(ip("link del t1\n"));
	ASSERT_EQ(send_new(e, 64, 64), 0);
	EXPECT_EQ(settled(e, "r0", 32), 32);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 2, 32));
}

/* Entries with and without a program, for two devices, in one poll. */
TEST_F(multi, all_sorts)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_checker(e, "t1", "r1", "mtu 1500"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t1", "mark_b"));
	ASSERT_TRUE(put_prog(e, 2, "t0", NULL));
	ASSERT_TRUE(put_prog(e, 3, "t1", "mark_a"));
	/* 4: nothing */
	set_var(e, "nr_keys", 5);
	ASSERT_EQ(send_new(e, 100, 64), 0);
	EXPECT_EQ(settled(e, "r0", 40), 40);
	EXPECT_EQ(settled(e, "r1", 40), 40);
	if (self->confuses)
		return;
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 5, 20));
	EXPECT_TRUE(seen_in_order(e, "r1", 'B', 1, 5, 20));
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 2, 5, 20));
	EXPECT_TRUE(seen_in_order(e, "r1", 'A', 3, 5, 20));
}

/* A device that cannot transmit XDP frames, which generic XDP does not need. */
TEST_F(multi, device_without_xdp)
{
	struct rtnl_link_stats stats;
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));
	ASSERT_TRUE(put_prog(e, 0, "d0", "mark_a"));
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_TRUE(traced(e, e->generic ? "xdp_redirect" : "xdp_redirect_err",
			   e->generic ? "err=0 map_id=OURS" : "err=-95 map_id=OURS", 20));
	EXPECT_EQ(get_var(e, "nr_runs"), e->generic ? 20 : 0);
	ASSERT_EQ(link_stats("d0", &stats), 0);
	EXPECT_EQ(stats.tx_packets, e->generic ? 20 : 0);
}

/* A device that leaves and comes back has no program until it gets one. */
TEST_F(multi, device_comes_back)
{
	struct env *e = &self->e;
	__u32 id = prog_id(prog(e, "mark_a"));
	int home;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(put_prog(e, 1, "t0", "mark_b"));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);

	/*
	 * to another namespace, which finds this one by the test's pid, and
	 * back
	 */
	home = open("/proc/self/ns/net", O_RDONLY);
	ASSERT_GE(home, 0);
	ASSERT_TRUE(sh("unshare -n sh -c 'nsenter --net=/proc/%d/fd/%d"
		       " ip link set t0 netns $$ && ip link set t0 netns %d'",
		       getpid(), home, getpid()));
	close(home);
	EXPECT_EQ(value_id(e->map, 0), -ENOENT);
	EXPECT_EQ(value_id(e->map, 1), -ENOENT);
	ASSERT_TRUE(ip("link set t0 group %d up\n", GROUP));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 0), 0);

	ASSERT_TRUE(put_prog(e, 1, "t0", NULL));
	set_var(e, "first_key", 1);
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_EQ(marked(e, "r0", 0), 20);
	ASSERT_TRUE(put_prog(e, 1, "t0", "mark_a"));
	ASSERT_EQ(send_new(e, 20, 64), 0);
	EXPECT_EQ(settled(e, "r0", 20), 20);
	EXPECT_EQ(marked(e, "r0", 'A'), 20);
	EXPECT_EQ(value_id(e->map, 1), id);
}

/* Inner maps with programs, replaced between polls. */
TEST_F(multi, inner_maps)
{
	static const char * const names[] = { "mark_a", "mark_b", NULL };
	struct env *e = &self->e;
	struct bpf_devmap_val val = { .ifindex = if_nametoindex("t0") };
	__u32 key = 0;
	int i, inner;

	for (i = 0; i < 6; i++) {
		inner = new_map(&variant->kind, 8);
		ASSERT_GE(inner, 0);
		val.bpf_prog.fd = names[i % 3] ? prog(e, names[i % 3]) : -1;
		ASSERT_EQ(bpf_map_update_elem(inner, &key, &val, BPF_ANY), 0);
		ASSERT_EQ(bpf_map_update_elem(e->maps[1], &key, &inner, BPF_ANY), 0);
		close(inner);
		forget_logs(e);
		ASSERT_EQ(send_to(e, "redirect_by_inner", 20, 64), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_EQ(marked(e, "r0", names[i % 3] ? names[i % 3][5] - 'a' + 'A' : 0), 20);
	}
}

/* --- several ingress devices ---------------------------------------------- */

FIXTURE(cpumap)
{
	struct env e;
};

FIXTURE_VARIANT(cpumap)
{
	struct kind kind;
};

NATIVE_KINDS(cpumap);

FIXTURE_SETUP(cpumap)
{
	struct bpf_cpumap_val val = { .qsize = 192 };
	struct env *e = &self->e;
	__u32 cpu = 0;
	int cpus;

	ASSERT_TRUE(start_egress(e, variant->kind));
	cpus = bpf_map__fd(bpf_object__find_map_by_name(e->obj, "cpus"));
	val.bpf_prog.fd = prog(e, "redirect_on_cpu");
	ASSERT_EQ(bpf_map_update_elem(cpus, &cpu, &val, BPF_ANY), 0);
	ASSERT_TRUE(make_veth("i0", "j0", ""));
	ASSERT_TRUE(make_veth("i1", "j1", ""));
}

FIXTURE_TEARDOWN(cpumap)
{
	EXPECT_TRUE(finish(&self->e));
}

/*
 * Frames of two devices through one CPUMAP: its thread redirects them in
 * batches of 8, and flushes after each. The thread has CPU 0, and waits until
 * the test does.
 */
static int send_by_two(struct env *e, bool live)
{
	int i, err = 0;

	forget_logs(e);
	set_var(e, "numbered", !live);
	if (!hog_cpu(true))
		return -EPERM;
	for (i = 0; i < 32 && !err; i++) {
		/*
		 * one device only: the kernel patches text when a program runs
		 * twice, and waits
		 */
		if (live)
			err = send_live_from(e, "redirect_to_cpu", i % 2 ? "i1" : "i0", 1, 64);
		else
			err = send_on(e->sock, i % 2 ? "j1" : "j0", i, 1, 64);
	}
	return hog_cpu(false) ? err : -EPERM;
}

/* The number of runs with another ingress device than that of the frame. */
static int wrong_ingress(struct env *e)
{
	int i, wrong = 0;

	for (i = 0; i < 32; i++) {
		struct run *run = run_of(e, i);

		wrong += run->ingress != if_nametoindex(run->nr % 2 ? "i1" : "i0");
	}
	return wrong;
}

/*
 * INTENDED DIFFERENCE: a program of a claimed map sees the ingress device of
 * each frame. With the built-in it sees that of the first frame for the whole
 * batch.
 */
TEST_F(cpumap, ingress_devices)
{
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_TRUE(attach(e, "i0", "redirect_to_cpu", false));
	ASSERT_TRUE(attach(e, "i1", "redirect_to_cpu", false));
	ASSERT_EQ(send_by_two(e, false), 0);
	EXPECT_EQ(settled(e, "r0", 32), 32);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 32));
	EXPECT_EQ(get_var(e, "nr_runs"), 32);
	for (i = 0; i < 32; i++)
		EXPECT_EQ(run_of(e, i)->egress, if_nametoindex("t0"));
	EXPECT_EQ(!wrong_ingress(e), variant->kind.claimed);
}

/*
 * The same with frames of the kernel's generator. On older kernels such a frame
 * stores its ingress device elsewhere, where the built-in does not find it.
 */
TEST_F(cpumap, ingress_of_live_frames)
{
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(put_prog(e, 0, "t0", "mark_a"));
	ASSERT_EQ(send_by_two(e, true), 0);
	EXPECT_EQ(settled(e, "r0", 32), 32);
	EXPECT_TRUE(seen_in_order(e, "r0", 'A', 0, 1, 32));
	for (i = 0; i < 32; i++)
		EXPECT_TRUE(run_of(e, i)->ingress == if_nametoindex("i0") ||
			    run_of(e, i)->ingress == if_nametoindex("i1"));
	EXPECT_EQ(!wrong_ingress(e), variant->kind.claimed);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
