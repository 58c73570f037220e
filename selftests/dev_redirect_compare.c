// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same frames through a stock and a claimed map, one after the other: the
 * same traces, field by field, the same statistics, and the same transmit
 * queues.
 *
 * BPF_F_TEST_XDP_LIVE_FRAMES generates frames for native XDP; for generic XDP a
 * packet socket sends them on the peer of a veth. Each test has a network
 * namespace of its own.
 */
#define _GNU_SOURCE

#include "faultylib.h"
#include "harness.h"
#include "redirect.h"
#include "testlib.h"
#include "xdplib.h"

#define NOTE_MAX 4096

FIXTURE(compare)
{
	struct env e;
	char *trace[2];
	char note[2][NOTE_MAX];
};

FIXTURE_VARIANT(compare)
{
	enum bpf_map_type type;
	bool generic;
};

FIXTURE_VARIANT_ADD(compare, array_native)
{
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(compare, hash_native)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(compare, array_generic)
{
	.type = BPF_MAP_TYPE_DEVMAP, .generic = true,
};

FIXTURE_VARIANT_ADD(compare, hash_generic)
{
	.type = BPF_MAP_TYPE_DEVMAP_HASH, .generic = true,
};

FIXTURE_SETUP(compare)
{
	self->e.generic = variant->generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(&self->e));
	self->trace[0] = calloc(1, TRACE_MAX);
	self->trace[1] = calloc(1, TRACE_MAX);
	ASSERT_TRUE(self->trace[0] && self->trace[1]);
}

FIXTURE_TEARDOWN(compare)
{
	trace_end(&self->e);
	EXPECT_TRUE(del_net(&self->e));
	EXPECT_TRUE(module_refs_become(0));
}

/* Adds a line to the compared text, after the traces. */
__attribute__((format(printf, 2, 3)))
static void note(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + len, NOTE_MAX - len, fmt, ap);
	va_end(ap);
}

static void note_stats(char *text, const char *dev, const struct rtnl_link_stats *before)
{
	struct rtnl_link_stats now = {};

	link_stats(dev, &now);
	note(text, "%s: tx %u bytes %u dropped %u errors %u\n", dev,
	     now.tx_packets - before->tx_packets, now.tx_bytes - before->tx_bytes,
	     now.tx_dropped - before->tx_dropped, now.tx_errors - before->tx_errors);
}

/* Loads the programs over a map of a kind, fills it, and starts the traces. */
static bool begin(struct env *e, enum bpf_map_type type, bool claimed,
		  const char * const *devs)
{
	int map = make_map(claimed, type, MAP_SIZE);
	__u32 key;

	if (map < 0 || !load(e, map))
		return false;
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	for (key = 0; *devs; devs++, key++)
		if (!put(e, key, *devs))
			return false;
	if (e->generic && !attach(e, "g1", "redirect", true))
		return false;
	return trace_start(e);
}

static bool end(struct env *e, char *trace)
{
	usleep(20000);
	if (!trace_read(e, trace))
		return false;
	if (!e->generic && !pages_are_back(e))
		return false;
	if (e->generic && !attach(e, "g1", NULL, true))
		return false;
	unload(e);
	return module_refs_become(0);
}

static bool set_programs(struct env *e, const char * const *devs, bool on)
{
	for (; *devs; devs++)
		if (!attach(e, *devs, on ? "receive" : NULL, e->generic))
			return false;
	return true;
}

/*
 * Sends frames, and waits until the program has seen all of them: then its
 * variables may be changed. In generic XDP a packet waits for a softirq.
 */
static int send_all(struct env *e, const char *program, int n, int len)
{
	__u64 want = get_var(e, "seen") + n;
	int err = send_to(e, program, n, len);

	return err ?: all_seen(e, want) ? 0 : -ETIMEDOUT;
}

/* Compares all kinds of unicast. */
TEST_F(compare, trace)
{
	static const char * const devs[] = { "t0", "t1", "t2", "d0", NULL };
	static const char * const peers[] = { "r0", "r1", NULL };
	struct rtnl_link_stats before[4];
	struct env *e = &self->e;
	int claimed, i;

	ASSERT_TRUE(make_veth("t0", "r0", "mtu 1500"));
	e->faulty = !variant->generic;
	ASSERT_TRUE(make_pair(e, "t1", "r1", "mtu 1500"));
	ASSERT_TRUE(make_veth("t2", "r2", "mtu 1500"));
	ASSERT_TRUE(ip("link add d0 group %d type dummy\nlink set d0 up\n", GROUP));

	for (claimed = 0; claimed < 2; claimed++) {
		for (i = 0; devs[i]; i++)
			ASSERT_EQ(link_stats(devs[i], &before[i]), 0);
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(set_programs(e, peers, true));

		/*
		 * one target; two and a missing one; a veth without a program;
		 * a dummy
		 */
		ASSERT_EQ(send_all(e, "redirect", 37, 64), 0);
		set_var(e, "nr_keys", 5);
		ASSERT_EQ(send_all(e, "redirect", 64, 128), 0);
		set_var(e, "nr_keys", 1);
		set_var(e, "first_key", 2);
		ASSERT_EQ(send_all(e, "redirect", 20, 64), 0);
		set_var(e, "first_key", 3);
		ASSERT_EQ(send_all(e, "redirect", 5, 64), 0);
		/* too long, down */
		set_var(e, "first_key", 1);
		ASSERT_EQ(send_all(e, "redirect", 18, 1519), 0);
		ASSERT_TRUE(ip("link set t1 down\n"));
		ASSERT_EQ(send_all(e, "redirect", 18, 64), 0);
		ASSERT_TRUE(ip("link set t1 up\n"));
		ASSERT_EQ(send_all(e, "redirect", 18, 64), 0);
		/* redirects of failed lookups, and without a lookup */
		set_var(e, "first_key", 7);
		ASSERT_EQ(send_all(e, "redirect_anyway", 3, 64), 0);
		ASSERT_EQ(send_all(e, "redirect_bare", 3, 64), 0);
		/* another first key, and another last lookup */
		set_var(e, "second_key", 0);
		ASSERT_EQ(send_all(e, "redirect_twice", 17, 64), 0);

		settled(e, "r0", 0);
		note(self->note[claimed], "r0 got %llu, r1 %llu\n",
		     received(e, "r0"), received(e, "r1"));
		for (i = 0; devs[i]; i++)
			note_stats(self->note[claimed], devs[i], &before[i]);
		ASSERT_TRUE(set_programs(e, peers, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	/* the traces are not empty */
	EXPECT_GT(strlen(self->trace[0]), 10000);
	EXPECT_EQ(strstr(self->note[0], "r0 got 0"), NULL);
}

/* The transmit queue of a veth that generic XDP selects: by flow. */
TEST_F(compare, veth_queues_by_flow)
{
	static const char * const devs[] = { "t0", NULL };
	struct env *e = &self->e;
	int claimed, q, used = 0;

	if (!variant->generic)
		SKIP(return, "generic only");
	ASSERT_TRUE(make_veth("t0", "r0", "numtxqueues 4 numrxqueues 4"));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_EQ(send_n(e, 100, 64), 0);
		EXPECT_EQ(settled(e, "r0", 100), 100);
		for (q = 0; q < QUEUES; q++) {
			note(self->note[claimed], "%llu\n", received_on(e, "r0", q));
			used += !!received_on(e, "r0", q);
		}

		/* fewer queues are in use */
		ASSERT_TRUE(sh("ethtool -L t0 tx 2"));
		forget_received(e);
		ASSERT_EQ(send_n(e, 100, 64), 0);
		EXPECT_EQ(settled(e, "r0", 100), 100);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "%llu\n", received_on(e, "r0", q));
		EXPECT_EQ(received_on(e, "r0", 2) + received_on(e, "r0", 3), 0);

		ASSERT_TRUE(sh("ethtool -L t0 tx 1"));
		forget_received(e);
		ASSERT_EQ(send_n(e, 20, 64), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_EQ(received_on(e, "r0", 0), 20);

		ASSERT_TRUE(sh("ethtool -L t0 tx 4"));
		ASSERT_TRUE(attach(e, "r0", NULL, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_GE(used, 4);
}

/* The same for frames whose receive queue is known, which selects the queue. */
TEST_F(compare, veth_queues_by_rx_queue)
{
	static const char * const devs[] = { "t0", NULL };
	unsigned char frame[FRAME_MAX];
	struct env *e = &self->e;
	int claimed, q, i;

	if (!variant->generic)
		SKIP(return, "generic only");
	ASSERT_TRUE(make_veth("t0", "r0", "numtxqueues 4 numrxqueues 4"));
	ASSERT_TRUE(make_tap("tap", e->tap, QUEUES));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_TRUE(attach(e, "tap", "redirect", true));
		for (q = 0; q < QUEUES; q++) {
			forget_received(e);
			for (i = 0; i < 10; i++) {
				make_frame(frame, i, 64);
				ASSERT_EQ(write(e->tap[q], frame, 64), 64);
			}
			EXPECT_EQ(settled(e, "r0", 10), 10);
			EXPECT_EQ(received_on(e, "r0", q), 10);
			for (i = 0; i < QUEUES; i++)
				note(self->note[claimed], "%d to %d: %llu\n", q, i,
				     received_on(e, "r0", i));
		}
		ASSERT_TRUE(attach(e, "tap", NULL, true));
		ASSERT_TRUE(attach(e, "r0", NULL, false));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
}

/* A driver with its own ndo_select_queue, and its queues when they are full. */
TEST_F(compare, tap_queues)
{
	static const char * const devs[] = { "tap", NULL };
	struct rtnl_link_stats before;
	struct env *e = &self->e;
	int claimed, q;

	ASSERT_TRUE(make_tap("tap", e->tap, QUEUES));
	for (claimed = 0; claimed < 2; claimed++) {
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_EQ(link_stats("tap", &before), 0);
		ASSERT_EQ(send_n(e, 100, 64), 0);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "queue %d: %d\n", q, drain_tap(e->tap[q]));

		ASSERT_TRUE(ip("link set tap txqueuelen 10\n"));
		ASSERT_EQ(send_n(e, 100, 64), 0);
		for (q = 0; q < QUEUES; q++)
			note(self->note[claimed], "queue %d: %d\n", q, drain_tap(e->tap[q]));
		ASSERT_TRUE(ip("link set tap txqueuelen 500\n"));
		note_stats(self->note[claimed], "tap", &before);
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_EQ(strstr(self->note[0], "dropped 0 "), NULL);
}

/*
 * A driver that returns "busy" and stops its queue (veth of 6.12; older ones
 * drop): the core of the stack drops and counts later frames, until the queue
 * is woken. The receiver's NAPI thread shares a CPU with this test, which keeps
 * it from running.
 */
TEST_F(compare, stopped_queue)
{
	static const char * const devs[] = { "t0", NULL };
	struct rtnl_link_stats before;
	struct env *e = &self->e;
	int claimed, err;

	if (!variant->generic)
		SKIP(return, "generic only");
	for (claimed = 0; claimed < 2; claimed++) {
		/* with the same ifindexes for both */
		ASSERT_TRUE(ip("link add t0 index 100 group %d type veth peer name r0 index 101\n"
			       "link set t0 up\nlink set r0 up\n", GROUP));
		ASSERT_TRUE(sh("tc qdisc replace dev t0 root pfifo"));
		ASSERT_TRUE(begin(e, variant->type, claimed, devs));
		ASSERT_TRUE(attach(e, "r0", "receive", false));
		ASSERT_TRUE(thread_napi("r0", 0));
		ASSERT_EQ(link_stats("t0", &before), 0);

		ASSERT_TRUE(hog_cpu(true));
		err = send_n(e, 300, 64);
		ASSERT_TRUE(hog_cpu(false));
		ASSERT_EQ(err, 0);
		EXPECT_EQ(settled(e, "r0", 256), 256);
		note_stats(self->note[claimed], "t0", &before);

		ASSERT_EQ(send_n(e, 10, 64), 0);
		EXPECT_EQ(settled(e, "r0", 266), 266);
		note_stats(self->note[claimed], "t0", &before);
		ASSERT_TRUE(ip("link del t0\n"));
		ASSERT_TRUE(end(e, self->trace[claimed]));
	}
	EXPECT_TRUE(same_text(self->note[0], self->note[1]));
	EXPECT_TRUE(same_text(self->trace[0], self->trace[1]));
	EXPECT_NE(strstr(self->note[0], "dropped 44 "), NULL);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
