// SPDX-License-Identifier: GPL-2.0-only
/*
 * The faults of dev_history.c at random: frames from two CPUs, while entries
 * and programs change, and until the module is unloaded.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "history.h"

static volatile bool stop;

struct sender {
	struct env *e;
	int cpu;
	__u64 sent;
};

static void *send_on_and_on(void *arg)
{
	struct sender *sender = arg;

	run_on_cpu(sender->cpu);
	while (!stop) {
		if (!send_live(sender->e, "redirect", 50, 64))
			sender->sent += 50;
		/* other tasks need the CPU as well */
		usleep(1000);
	}
	return NULL;
}

/*
 * Frames from two CPUs, while entries are deleted and replaced, and programs
 * with them: each frame is received once, or counted as lost for a reason.
 */
TEST_F(history, no_frame_lost)
{
	static const char * const devs[] = { "t0", "t1" };
	struct env *e = &self->e;
	struct sender sender[2];
	pthread_t thread[2];
	int i, prog;
	__u32 last = 0;

	ASSERT_TRUE(put_prog(e, 0, "t0", NULL));
	set_var(e, "nr_keys", 4);
	stop = false;
	for (i = 0; i < 2; i++) {
		sender[i] = (struct sender){ .e = e, .cpu = i };
		ASSERT_EQ(pthread_create(&thread[i], NULL, send_on_and_on, &sender[i]), 0);
	}
	for (i = 0; i < 300; i++) {
		prog = i % 3 ? make_egress(i % 4 ? XDP_PASS : XDP_DROP) : -1;
		if (prog >= 0)
			last = prog_id(prog);
		EXPECT_EQ(put_value(e->map, i % 4, if_nametoindex(devs[i / 3 % 2]), prog), 0);
		close(prog);
		if (i % 5 == 0)
			del(e, (i + 2) % 4);
		if (i % 16 == 0)
			usleep(1000);
	}
	stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(sender[0].sent + sender[1].sent, get_var(e, "seen"));
	EXPECT_GT(received(e, "r0") + received(e, "r1"), 0);
	EXPECT_TRUE(all_accounted_for(e));
	for (i = 0; i < 4; i++)
		del(e, i);
	EXPECT_TRUE(prog_goes(last));
}

/*
 * Traffic until a map is closed; the module is unloaded as soon as the map has
 * dropped its reference. The module's targets of devices are freed with it.
 */
TEST_F(history, module_unloads)
{
	const char *ko = getenv("REDIRMAP_KO"), *claim = getenv("REDIRMAP_CLAIM");
	struct env *e = &self->e;
	char param[64];
	int round, fd, i, pass;

	if (!variant->kind.claimed)
		SKIP(return, "the kernel's own maps have no module");
	if (!ko || !claim)
		SKIP(return, "run-tests sets the module to load");
	snprintf(param, sizeof(param), "claim=%s", claim);

	for (round = 0; round < 5; round++) {
		struct sender sender = { .e = e, .cpu = 1 };
		pthread_t thread;

		pass = make_egress(XDP_PASS);
		ASSERT_EQ(put_value(e->map, 0, if_nametoindex("t0"), pass), 0);
		ASSERT_EQ(put_value(e->map, 1, if_nametoindex("t1"), 0), 0);
		close(pass);
		set_var(e, "nr_keys", 2);
		stop = false;
		ASSERT_EQ(pthread_create(&thread, NULL, send_on_and_on, &sender), 0);
		while (received(e, "r0") + received(e, "r1") < 100)
			usleep(1000);
		EXPECT_NE(syscall(SYS_delete_module, "redirmap", O_NONBLOCK), 0);
		stop = true;
		pthread_join(thread, NULL);
		EXPECT_TRUE(all_accounted_for(e));

		bpf_link__destroy(self->links[0]);
		bpf_link__destroy(self->links[1]);
		ASSERT_TRUE(attach(e, "r0", NULL, false));
		ASSERT_TRUE(attach(e, "r1", NULL, false));
		unload(e);
		for (i = 0; i < 5000; i++) {
			if (!syscall(SYS_delete_module, "redirmap", O_NONBLOCK))
				break;
			usleep(1000);
		}
		EXPECT_EQ(module_refs(), -1);
		fd = open(ko, O_RDONLY | O_CLOEXEC);
		EXPECT_EQ(syscall(SYS_finit_module, fd, param, 0), 0);
		close(fd);

		ASSERT_TRUE(load_history(e, &variant->kind));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_TRUE(attach(e, "r1", "receive", false));
		self->links[0] = attach_trace(e, "on_xmit");
		self->links[1] = attach_trace(e, "on_redirect_err");
	}
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
