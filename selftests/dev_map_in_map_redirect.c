// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that redirect through an outer map to the devices of an inner map,
 * while a task replaces the inner map. Stock and claimed inner maps give the
 * same results.
 */
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>

#include "inner_map.h"

/* Pairs of veth: a0 and b0, a1 and b1. */
static __u32 a[2], b[2];

struct swap {
	int outer;
	int inner[2];
	volatile bool *stop;
	unsigned long done, failed;
};

static void *swap_inner(void *arg)
{
	struct swap *s = arg;
	unsigned int state = 1;

	/* At random, because a fixed order may match that of the packets. */
	while (!*s->stop) {
		s->failed += !!set_elem(s->outer, 0, s->inner[rand_r(&state) % 2], BPF_ANY);
		s->done++;
	}
	return NULL;
}

static struct bpf_object *load_programs(int outer)
{
	struct bpf_object *obj = bpf_object__open(beside("map_in_map.bpf.o"));

	if (!obj)
		return NULL;
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "outer"), outer) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static int program_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

/* The program's return value for a packet. */
static int run_once(int prog)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = 1,
	);
	int err = bpf_prog_test_run_opts(prog, &opts);

	return err ?: (int)opts.retval;
}

/* Packets that are really sent to the target. */
static int run_live(int prog, int packets)
{
	/* An EtherType for local experiments. */
	char packet[64] = { [12] = 0x88, [13] = 0xb5 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = packets,
		.batch_size = 64,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	);

	return bpf_prog_test_run_opts(prog, &opts);
}

/* The number of packets that have arrived at b0 or b1. */
static unsigned long counted(struct bpf_object *obj, int i)
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "counts"));
	__u64 n = 0;

	bpf_map_lookup_elem(fd, &b[i], &n);
	return n;
}

/* The same, since the last call. */
static unsigned long arrived(struct bpf_object *obj, int i)
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "counts"));
	unsigned long n = counted(obj, i);
	__u64 zero = 0;

	bpf_map_update_elem(fd, &b[i], &zero, BPF_ANY);
	return n;
}

/* Waits for the last packets. */
static void settle(void)
{
	usleep(100000);
}

TEST_F(inner, redirect)
{
	volatile bool stop = false;
	struct swap s = { .outer = self->outer, .stop = &stop };
	unsigned long sent = 0, got[2] = {};
	struct bpf_object *obj;
	pthread_t thread;
	double end;
	int i, prog;

	for (i = 0; i < 2; i++) {
		s.inner[i] = make_map(variant->claimed, variant->type, 4);
		ASSERT_LE(0, s.inner[i]);
		ASSERT_EQ(0, set_elem(s.inner[i], 1, a[i], BPF_ANY));
	}
	obj = load_programs(self->outer);
	ASSERT_NE(NULL, obj);
	prog = program_fd(obj, "redirect");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, bpf_xdp_attach(b[i], program_fd(obj, "count"),
					    XDP_FLAGS_DRV_MODE, NULL));

	EXPECT_EQ(XDP_DROP, run_once(prog));
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	EXPECT_EQ(XDP_ABORTED, run_once(prog));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, set_elem(self->outer, 0, s.inner[i], BPF_ANY));
		EXPECT_EQ(XDP_REDIRECT, run_once(prog));
		EXPECT_EQ(0, run_live(prog, 100));
		settle();
		EXPECT_EQ(i ? 0 : 100, arrived(obj, 0));
		EXPECT_EQ(i ? 100 : 0, arrived(obj, 1));
	}
	/* Changes of an inner map do not affect the outer one. */
	EXPECT_EQ(0, del_elem(s.inner[1], 1));
	EXPECT_EQ(XDP_ABORTED, run_once(prog));
	EXPECT_EQ(0, set_elem(s.inner[1], 1, a[1], BPF_ANY));
	EXPECT_EQ(XDP_REDIRECT, run_once(prog));

	ASSERT_EQ(0, pthread_create(&thread, NULL, swap_inner, &s));
	end = now() + 1;
	/* A busy machine may take longer to use both maps. */
	while (now() < end || !counted(obj, 0) || !counted(obj, 1)) {
		/* No more than the veth's ring holds. */
		EXPECT_EQ(0, run_live(prog, 128));
		sent += 128;
		sched_yield();
	}
	stop = true;
	pthread_join(thread, NULL);
	settle();
	for (i = 0; i < 2; i++)
		got[i] = arrived(obj, i);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(1, s.done);
	EXPECT_LT(0, got[0]);
	EXPECT_LT(0, got[1]);
	EXPECT_GE(sent, got[0] + got[1]);
	EXPECT_LE(sent / 2, got[0] + got[1]);
	TH_LOG("%lu swaps; %lu packets sent, %lu and %lu arrived", s.done, sent, got[0], got[1]);

	for (i = 0; i < 2; i++) {
		bpf_xdp_attach(b[i], -1, XDP_FLAGS_DRV_MODE, NULL);
		close(s.inner[i]);
	}

	/* Only the program keeps the maps. */
	prog = dup(prog);
	bpf_object__close(obj);
	close(self->outer);
	close(self->template);
	self->outer = -1;
	self->template = -1;
	settle();
	EXPECT_EQ(XDP_REDIRECT, run_once(prog));
	EXPECT_LE(base_refs + 2 * variant->claimed, module_refs());
	close(prog);
	EXPECT_TRUE(module_refs_become(base_refs));
}

int main(int argc, char **argv)
{
	int i, ret;

	ret = maps_begin();
	if (ret)
		return ret;
	for (i = 0; i < 2; i++) {
		if (!sh("ip link add a%d type veth peer name b%d", i, i) ||
		    !sh("ip link set a%d up && ip link set b%d up", i, i)) {
			printf("Bail out! cannot make devices\n");
			return KSFT_FAIL;
		}
		a[i] = if_nametoindex(i ? "a1" : "a0");
		b[i] = if_nametoindex(i ? "b1" : "b0");
	}
	return test_harness_run(argc, argv);
}
