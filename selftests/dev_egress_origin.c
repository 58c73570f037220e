// SPDX-License-Identifier: GPL-2.0-only
/*
 * Egress programs in generic XDP, and namespaces: programs see the true ingress
 * device, in whichever namespace it is, and helpers work in the namespace of
 * the frame, not in that of the target or the machine. Metadata that a program
 * puts in front of a packet remain.
 *
 * Every test runs on stock and on claimed maps, and expects the same of both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>

#include "harness.h"
#include "egresslib.h"

#define FRAMES 20

/* Return values of bpf_fib_lookup(): see the enum in linux/bpf.h. */
#define TOLD_MAX 16

/* The socket that asks_fib() looks up. */
static int sock = -1;

FIXTURE(origin)
{
	struct env e;
	int own, other;	/* namespaces */
};

FIXTURE_VARIANT(origin)
{
	struct kind kind;
};

GENERIC_KINDS(origin);

FIXTURE_SETUP(origin)
{
	self->other = -1;
	ASSERT_TRUE(start_egress(&self->e, variant->kind));
	self->own = open("/proc/thread-self/ns/net", O_RDONLY);
	ASSERT_GE(self->own, 0);
}

FIXTURE_TEARDOWN(origin)
{
	ASSERT_EQ(setns(self->own, CLONE_NEWNET), 0);
	close(self->own);
	if (self->other >= 0)
		close(self->other);
	if (sock >= 0)
		close(sock);
	EXPECT_TRUE(finish(&self->e));
}

/* Makes a socket in the namespace, at the address that asks_fib() looks up. */
static bool listen_there(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = htonl(0x0a090002),
	};

	sock = socket(AF_INET, SOCK_DGRAM, 0);
	return sock >= 0 && !bind(sock, (struct sockaddr *)&at, sizeof(at));
}

/*
 * Makes the namespace forward, with a route to the address that asks_fib()
 * looks up, and a socket.
 */
static bool know_way(const char *in, const char *out)
{
	char path[100];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", in);
	return write_str(path, "1") &&
	       ip("addr add 10.9.0.2/24 dev %s\n"
		  "neigh add 10.9.0.1 lladdr 02:00:00:00:00:09 dev %s\n", out, out) &&
	       listen_there();
}

/*
 * Makes a second namespace, to which key 0 leads through @prog. It has a device
 * with the ifindex of the frames' ingress, and no route.
 */
static bool lead_elsewhere(FIXTURE_DATA(origin) *self, const char *in, const char *prog)
{
	struct env *e = &self->e;
	int twin = if_nametoindex(in);

	if (unshare(CLONE_NEWNET))
		return false;
	self->other = open("/proc/thread-self/ns/net", O_RDONLY);
	return self->other >= 0 &&
	       ip("link add twin index %d type dummy\nlink set twin up\n"
		  "link add far0 index 901 type veth peer name far1 index 902\n"
		  "link set far0 up\nlink set far1 up\n", twin) &&
	       put_prog(e, 0, "far0", prog) && !setns(self->own, CLONE_NEWNET);
}

/* Deletes the other namespace, after the entries for its devices. */
static bool forget_elsewhere(FIXTURE_DATA(origin) *self)
{
	return del(&self->e, 0) && !setns(self->other, CLONE_NEWNET) &&
	       ip("link del far0\nlink del twin\n") && !setns(self->own, CLONE_NEWNET);
}

/*
 * Have all runs seen a device, has the FIB returned success to all, and have
 * all found the socket?
 */
static bool all_from(struct env *e, const char *in, int n)
{
	__u64 *told = global(e, "fib_told");
	int i, odd = 0;

	if (get_var(e, "nr_runs") != (__u64)n) {
		fprintf(stderr, "# %llu runs, not %d\n", get_var(e, "nr_runs"), n);
		return false;
	}
	for (i = 0; i < n; i++) {
		if (run_of(e, i)->ingress == if_nametoindex(in))
			continue;
		fprintf(stderr, "# run %d: ingress %u, not %u\n", i, run_of(e, i)->ingress,
			if_nametoindex(in));
		odd++;
	}
	for (i = 1; i < TOLD_MAX; i++) {
		if (!told[i])
			continue;
		fprintf(stderr, "# the FIB says %d to %llu\n", i, told[i]);
		odd++;
	}
	if (get_var(e, "sockets_found") != (__u64)n) {
		fprintf(stderr, "# %llu sockets found, not %d\n", get_var(e, "sockets_found"), n);
		odd++;
	}
	return !odd && told[0] == (__u64)n;
}

static void ask_from(struct env *e, const char *in)
{
	forget_logs(e);
	memset(global(e, "fib_told"), 0, TOLD_MAX * sizeof(__u64));
	set_var(e, "fib_from", if_nametoindex(in));
	set_var(e, "sockets_found", 0);
}

static bool write_frames(struct env *e, int n)
{
	unsigned char frame[64];
	int i;

	for (i = 0; i < n; i++) {
		make_frame(frame, i, sizeof(frame));
		if (write(e->tap[0], frame, sizeof(frame)) != sizeof(frame))
			return false;
	}
	return true;
}

TEST_F(origin, same_namespace)
{
	struct env *e = &self->e;

	ASSERT_TRUE(know_way("g1", "t0"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "asks_fib"));
	ask_from(e, "g1");
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_TRUE(all_from(e, "g1", FRAMES));
}

/* tun runs native programs as generic XDP if its file is blocking. */
TEST_F(origin, tap_that_may_block)
{
	struct env *e = &self->e;

	ASSERT_TRUE(make_tap("tap", e->tap, 1));
	ASSERT_EQ(fcntl(e->tap[0], F_SETFL, 0), 0);
	ASSERT_TRUE(know_way("tap", "t0"));
	ASSERT_TRUE(put_prog(e, 0, "t0", "asks_fib"));
	ASSERT_TRUE(attach(e, "tap", "redirect", false));
	ask_from(e, "tap");
	ASSERT_TRUE(write_frames(e, FRAMES));
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_TRUE(all_from(e, "tap", FRAMES));
}

/* For programs, the frames remain in their namespace. */
TEST_F(origin, target_elsewhere)
{
	struct env *e = &self->e;

	ASSERT_TRUE(know_way("g1", "t0"));
	ASSERT_TRUE(lead_elsewhere(self, "g1", "asks_fib"));
	ask_from(e, "g1");
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 64), 0);
	ASSERT_TRUE(all_seen(e, FRAMES));
	EXPECT_TRUE(all_from(e, "g1", FRAMES));
	EXPECT_TRUE(forget_elsewhere(self));
}

/* Members of a broadcast, in this namespace and in another one. */
TEST_F(origin, broadcast_elsewhere)
{
	struct env *e = &self->e;

	ASSERT_TRUE(know_way("g1", "t0"));
	ASSERT_TRUE(lead_elsewhere(self, "g1", "asks_fib"));
	ASSERT_TRUE(put_prog(e, 1, "t0", "asks_fib"));
	set_var(e, "flags", BPF_F_BROADCAST);
	ask_from(e, "g1");
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_TRUE(all_from(e, "g1", 2 * FRAMES));
	EXPECT_TRUE(forget_elsewhere(self));
}

/*
 * An entry that native XDP has used before: the first packet of generic XDP has
 * its true ingress as well.
 */
TEST_F(origin, after_native)
{
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(put_prog(e, 0, "t0", "asks_fib"));
	ASSERT_TRUE(make_veth("n0", "n1", ""));
	ASSERT_TRUE(attach(e, "r0", NULL, true));
	ASSERT_TRUE(attach(e, "r0", "look", false));
	ask_from(e, "g1");
	ASSERT_EQ(send_live_from(e, "redirect", "n0", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_EQ(get_var(e, "nr_runs"), FRAMES);

	ASSERT_TRUE(know_way("g1", "t0"));
	ask_from(e, "g1");
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_EQ(get_var(e, "nr_runs"), FRAMES);
	for (i = 0; i < FRAMES; i++)
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex("g1"));
	EXPECT_EQ(*(__u64 *)global(e, "fib_told"), FRAMES);

	/* and in native XDP it behaves as before */
	ask_from(e, "g1");
	ASSERT_EQ(send_live_from(e, "redirect", "n0", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_EQ(get_var(e, "nr_runs"), FRAMES);
	for (i = 0; i < FRAMES; i++)
		EXPECT_EQ(run_of(e, i)->ingress, if_nametoindex("n0"));
	ask_from(e, "g1");
	ASSERT_EQ(send_to(e, "redirect", FRAMES, 64), 0);
	EXPECT_EQ(settled(e, "r0", FRAMES), FRAMES);
	EXPECT_TRUE(all_from(e, "g1", FRAMES));
}

static bool attach_tc(struct env *e, const char *dev)
{
	LIBBPF_OPTS(bpf_tc_hook, hook,
		.ifindex = if_nametoindex(dev),
		.attach_point = BPF_TC_INGRESS,
	);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog(e, "look_tc"));

	return !bpf_tc_hook_create(&hook) && !bpf_tc_attach(&hook, &opts);
}

/*
 * The stack behind a veth can read the metadata that a program has put in front
 * of a packet.
 */
TEST_F(origin, metadata)
{
	struct env *e = &self->e;
	int round;

	ASSERT_TRUE(make_veth("m0", "m1", "mtu 1500"));
	ASSERT_TRUE(attach_tc(e, "m1"));
	ASSERT_TRUE(put_prog(e, 0, "m0", "prepend"));
	/* unicast, and as the only member of a broadcast */
	for (round = 0; round < 2; round++) {
		set_var(e, "tc_metas", 0);
		ASSERT_EQ(send_new(e, FRAMES, 64), 0);
		settled(e, "r0", 0);
		EXPECT_EQ(get_var(e, "tc_metas"), FRAMES);
		EXPECT_EQ(get_var(e, "tc_others"), 0);
		set_var(e, "flags", BPF_F_BROADCAST);
	}
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
