// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that devmap once had, and that a device map must not have. Here are
 * the faults that no other file tests:
 *
 *  - an entry, its program or its map was freed, or its device was deleted,
 *    while redirected frames waited in a bulk queue (frames were sent through
 *    freed memory, or never, or the device could not be unregistered);
 *  - delete with a key of 2^31 or more (an index below 0).
 *
 * The others:
 *
 *  - a size of a hash that is rounded up above 2^31 (a table without buckets):
 *    max_entries in dev_map_create.c;
 *  - hash maps that did not notice devices that unregister (their references
 *    kept the devices): unregister in dev_device_leaves.c;
 *  - no receive queue for egress programs (ctx->ingress_ifindex read through a
 *    NULL pointer): devices and queues in dev_egress.c;
 *  - an egress program that writes to a shared packet, in a broadcast of
 *    generic XDP: own_copies in dev_egress_broadcast.c;
 *  - a redirect that was looked up and not used, and was used by another
 *    program after its entry was freed: dev_redirect_stale.c;
 *  - faults of broadcasts: dev_broadcast*.c.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "history.h"

#define FRAMES 40
/* Frames that are queued when the sender waits, less than a bulk. */
#define QUEUED 10

/* --- while frames are queued ---------------------------------------------- */

static void *send_slowly(void *arg)
{
	FIXTURE_DATA(history) *self = arg;

	run_on_cpu(1);
	return (void *)(long)send_live(&self->e, self->inner ? "redirect_by_inner" : "redirect",
				       FRAMES, 64);
}

/*
 * Starts to send frames on the other CPU, and returns when QUEUED of them are
 * queued and the sender waits; finish_send() lets the sender continue.
 */
static bool begin_send(FIXTURE_DATA(history) *self)
{
	struct env *e = &self->e;
	int i;

	if (!trace_start(e))
		return false;
	set_var(e, "wait_before", QUEUED + 1);
	if (pthread_create(&self->thread, NULL, send_slowly, self))
		return false;
	for (i = 0; i < 60000 && !get_var(e, "waiting"); i++)
		usleep(1000);
	return get_var(e, "waiting");
}

/*
 * Lets the sender continue, after some time in which no frame may be sent. True
 * if no thread has waited for longer than the sender may wait.
 */
static bool finish_send(FIXTURE_DATA(history) *self)
{
	struct env *e = &self->e;
	void *err;

	usleep(20000);
	set_var(e, "go_on", 1);
	if (pthread_join(self->thread, &err))
		return false;
	if (err || get_var(e, "waited_in_vain"))
		fprintf(stderr, "# sending: %ld%s\n", (long)err,
			get_var(e, "waited_in_vain") ? ", waited in vain" : "");
	return !err && !get_var(e, "waited_in_vain");
}

/*
 * The fault: the bulk queue belonged to the entry, and was freed with it (until
 * 5.6, when it became the device's). Queued frames are sent nevertheless.
 */
TEST_F(history, entry_deleted)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", NULL));
	ASSERT_TRUE(begin_send(self));
	EXPECT_TRUE(del(e, 0));
	EXPECT_EQ(value_id(e->map, 0), -ENOENT);
	ASSERT_TRUE(finish_send(self));
	EXPECT_EQ(settled(e, "r0", QUEUED), QUEUED);
	EXPECT_EQ(get_var(e, "not_found"), FRAMES - QUEUED);
}

TEST_F(history, entry_replaced)
{
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", NULL));
	ASSERT_TRUE(begin_send(self));
	EXPECT_TRUE(put_prog(e, 0, "t1", NULL));
	ASSERT_TRUE(finish_send(self));
	EXPECT_EQ(settled(e, "r0", QUEUED), QUEUED);
	EXPECT_EQ(settled(e, "r1", FRAMES - QUEUED), FRAMES - QUEUED);
}

/*
 * Only the entry keeps the program, which has not run yet when it is deleted.
 */
TEST_F(history, program_deleted)
{
	int i, pass = make_egress(XDP_PASS), drop = make_egress(XDP_DROP);
	__u32 ids[2] = { prog_id(pass), prog_id(drop) };
	struct env *e = &self->e;

	ASSERT_EQ(put_value(e->map, 0, if_nametoindex("t0"), pass), 0);
	ASSERT_EQ(put_value(e->map, 1, if_nametoindex("t1"), drop), 0);
	set_var(e, "nr_keys", 2);
	close(pass);
	close(drop);
	ASSERT_TRUE(begin_send(self));
	EXPECT_TRUE(del(e, 0));
	EXPECT_TRUE(put_prog(e, 1, "t1", NULL));
	usleep(20000);
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(prog_lives(ids[i]));
	ASSERT_TRUE(finish_send(self));
	EXPECT_EQ(settled(e, "r0", QUEUED / 2), QUEUED / 2);
	/*
	 * INTENDED DIFFERENCE: the built-in does not notice that frames to t1
	 * in one poll are for different programs: see dev_egress_multi.c.
	 */
	if (variant->kind.claimed) {
		EXPECT_EQ(settled(e, "r1", (FRAMES - QUEUED) / 2), (FRAMES - QUEUED) / 2);
	}
	EXPECT_EQ(get_var(e, "not_found"), (FRAMES - QUEUED) / 2);
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(prog_goes(ids[i]));
}

/* From a program, because on 6.1 lookups by bpf(2) wait until programs end. */
static bool has_inner(struct env *e)
{
	unsigned char frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	return !bpf_prog_test_run_opts(prog(e, "has_inner"), &opts) && opts.retval == XDP_PASS;
}

/* Waits until programs that may have found the inner map have ended. */
static void *delete_inner(void *arg)
{
	FIXTURE_DATA(history) *self = arg;
	__u32 key = 0;

	return (void *)(long)bpf_map_delete_elem(self->e.maps[1], &key);
}

/*
 * An inner map that only the outer map keeps, with its entries and their
 * programs.
 */
TEST_F(history, map_destroyed)
{
	int i, inner, pass = make_egress(XDP_PASS);
	__u32 key = 0, id = prog_id(pass);
	struct env *e = &self->e;
	pthread_t thread;
	void *err;

	inner = new_map(&variant->kind, MAP_SIZE);
	ASSERT_GE(inner, 0);
	ASSERT_EQ(put_value(inner, 0, if_nametoindex("t0"), pass), 0);
	close(pass);
	ASSERT_EQ(bpf_map_update_elem(e->maps[1], &key, &inner, BPF_ANY), 0);
	close(inner);

	self->inner = true;
	ASSERT_TRUE(begin_send(self));
	ASSERT_EQ(pthread_create(&thread, NULL, delete_inner, self), 0);
	for (i = 0; i < 60000 && has_inner(e); i++)
		usleep(1000);
	EXPECT_FALSE(has_inner(e));
	EXPECT_TRUE(prog_lives(id));
	/* rmmod fails while there is a map that has not been freed */
	if (variant->kind.claimed)
		EXPECT_NE(syscall(SYS_delete_module, "redirmap", O_NONBLOCK), 0);
	ASSERT_TRUE(finish_send(self));
	ASSERT_EQ(pthread_join(thread, &err), 0);
	EXPECT_EQ(err, NULL);
	EXPECT_EQ(settled(e, "r0", QUEUED), QUEUED);
	EXPECT_EQ(get_var(e, "not_found"), FRAMES - QUEUED);
	EXPECT_TRUE(prog_goes(id));
}

/* Is a device deleted, or visibly about to be? */
static bool is_leaving(struct env *e, const char *dev)
{
	struct ifreq req = {};

	strcpy(req.ifr_name, dev);
	return ioctl(e->sock, SIOCGIFFLAGS, &req) || !(req.ifr_flags & IFF_RUNNING);
}

/*
 * Starts an ip(8) that waits for commands. Starting it needs the disk, whose
 * interrupts may be handled by the CPU of the sender: on PREEMPT_RT only when
 * that CPU enables bottom halves.
 */
static FILE *wait_for_commands(void)
{
	FILE *ip = popen("exec ip -batch -", "w");
	int i;

	if (!ip)
		return NULL;
	fprintf(ip, "link set r1 txqueuelen 777\n");
	fflush(ip);
	for (i = 0; i < 10000; i++) {
		if (read_int(SYS "/class/net/r1/tx_queue_len") == 777)
			return ip;
		usleep(1000);
	}
	pclose(ip);
	return NULL;
}

/*
 * The device leaves, which has to wait until the frames have been sent. The
 * fault: the entry's reference to the device was dropped before that.
 */
static void leave(struct __test_metadata *_metadata, FIXTURE_DATA(history) *self,
		  const char *dev, const char *command)
{
	int i, pass = make_egress(XDP_PASS);
	struct env *e = &self->e;
	__u32 id = prog_id(pass);
	FILE *ip;

	ASSERT_EQ(put_value(e->map, 0, if_nametoindex(dev), pass), 0);
	close(pass);
	ASSERT_FALSE(is_leaving(e, dev));
	ip = wait_for_commands();
	ASSERT_NE(ip, NULL);
	ASSERT_TRUE(begin_send(self));
	fprintf(ip, "%s\n", command);
	fflush(ip);
	for (i = 0; i < 60000 && !is_leaving(e, dev); i++)
		usleep(1000);
	EXPECT_TRUE(is_leaving(e, dev));
	/* the deletion has begun and cannot end: the entry must be complete */
	EXPECT_TRUE(prog_lives(id));
	ASSERT_TRUE(finish_send(self));
	EXPECT_EQ(pclose(ip), 0);
	EXPECT_EQ(value_id(e->map, 0), -ENOENT);
	EXPECT_TRUE(prog_goes(id));
}

TEST_F(history, device_unregisters)
{
	leave(_metadata, self, "t0", "link del t0");
	EXPECT_TRUE(all_accounted_for(&self->e));
}

TEST_F(history, other_device_unregisters)
{
	/* the frames that it has taken are deleted with it */
	ASSERT_TRUE(make_tap("tap", self->e.tap, 1));
	leave(_metadata, self, "tap", "link del tap");
}

TEST_F(history, device_moves)
{
	leave(_metadata, self, "t0", "link set t0 netns 1");
	EXPECT_TRUE(all_accounted_for(&self->e));
	/* a namespace in which finish() does not look */
	EXPECT_TRUE(sh("nsenter -t 1 -n ip link del t0"));
}

/* --- keys ----------------------------------------------------------------- */

/*
 * The fault: the key was an int, so in an array of more than 2^31 slots such a
 * key was an index below 0. An array of that size needs 16 GiB. A smaller one
 * shows that such keys do not lead to other slots.
 */
TEST_F(history, delete_of_large_keys)
{
	static const __u32 high[] = { 0x80000000, 0xc0000000, 0xfffffff8, 0x7ffffff8 };
	bool hash = variant->kind.type == BPF_MAP_TYPE_DEVMAP_HASH;
	struct env *e = &self->e;
	__u32 key, k;
	int i;

	for (k = 0; k < MAP_SIZE; k++)
		ASSERT_TRUE(put_prog(e, k, "t0", NULL));
	for (i = 0; i < ARRAY_SIZE(high); i++) {
		for (k = 0; k < MAP_SIZE; k++) {
			key = high[i] + k;
			EXPECT_EQ(bpf_map_delete_elem(e->map, &key),
				  hash ? -ENOENT : -EINVAL);
		}
	}
	for (k = 0; k < MAP_SIZE; k++)
		EXPECT_EQ(value_id(e->map, k), 0);
	if (!hash)
		return;

	/* a hash accepts them like any other key */
	for (i = 0; i < ARRAY_SIZE(high); i++) {
		ASSERT_TRUE(del(e, i));
		ASSERT_TRUE(put_prog(e, high[i], "t1", NULL));
	}
	for (i = 0; i < ARRAY_SIZE(high); i++) {
		EXPECT_TRUE(del(e, high[i]));
		EXPECT_FALSE(del(e, high[i]));
		EXPECT_EQ(value_id(e->map, high[i]), -ENOENT);
	}
	for (k = ARRAY_SIZE(high); k < MAP_SIZE; k++)
		EXPECT_EQ(value_ifindex(e->map, k), if_nametoindex("t0"));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
