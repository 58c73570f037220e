// SPDX-License-Identifier: GPL-2.0-only
/*
 * Return values of egress programs: their effect on a frame, and the reports of
 * tracepoints.
 *
 * Every test runs on stock and on claimed maps and expects the same of both. If
 * a difference is intended, the test says so.
 */
#define _GNU_SOURCE
#include <sys/klog.h>

#include "egress.h"

#define SYSLOG_ACTION_READ_ALL 3

/* Makes printk_once() and the like print once more. */
#define WARN_ONCE_AGAIN "/sys/kernel/debug/clear_warn_once"

/*
 * How often a text occurs in the unchanged trace, which has the program's id.
 */
static int in_raw_trace(struct env *e, const char *text)
{
	char path[100], line[512];
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "%s/trace", e->trace_dir);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n += !!strstr(line, text);
	fclose(f);
	return n;
}

/* Is a text in the last part of the kernel log? */
__printf(1, 2)
static bool in_kernel_log(const char *fmt, ...)
{
	static char log[64 << 10];
	char text[200];
	va_list ap;
	int len;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = klogctl(SYSLOG_ACTION_READ_ALL, log, sizeof(log) - 1);
	if (len < 0)
		return false;
	log[len] = '\0';
	return strstr(log, text);
}

/* Sets the return values of verdicts(), in turn, from now on. */
static void set_verdicts(struct env *e, const __u64 *turn, int n)
{
	__u64 *verdict = global(e, "verdict");
	int i;

	for (i = 0; i < VERDICTS; i++)
		verdict[i] = turn[i % n];
}

/*
 * Some, all, or no frames of a bulk are dropped; native XDP traces bulks of 16.
 */
TEST_F(egress, drops)
{
	static const __u64 turn[] = { XDP_PASS, XDP_DROP };
	struct env *e = &self->e;

	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	set_verdicts(e, turn, 2);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 100, 64), 0);
	EXPECT_EQ(settled(e, "r0", 50), 50);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 2, 50));
	EXPECT_EQ(get_var(e, "nr_runs"), 100);
	EXPECT_TRUE(traced(e, "xdp_redirect", "err=0 map_id=OURS map_index=0", 100));
	EXPECT_TRUE(traced(e, "xdp_exception", "", 0));
	if (!e->generic) {
		/* live frames come in batches of 64 */
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=8 drops=8 err=0", 6));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=2 drops=2 err=0", 1));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "", 7));
	}

	set_verdicts(e, turn + 1, 1);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 40, 64), 0);
	EXPECT_EQ(settled(e, "r0", 0), 0);
	EXPECT_EQ(get_var(e, "nr_runs"), 40);
	if (!e->generic) {
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=0 drops=16 err=0", 2));
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=0 drops=8 err=0", 1));
	}

	set_verdicts(e, turn, 1);
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 40, 64), 0);
	EXPECT_EQ(settled(e, "r0", 40), 40);
	EXPECT_TRUE(seen_in_order(e, "r0", 0, 0, 1, 40));
	if (!e->generic)
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=16 drops=0 err=0", 2));
}

/* Any single frame of a bulk. */
TEST_F(egress, drops_one_or_all_but_one)
{
	static const int nr[] = { 0, 1, 7, 14, 15 };
	__u64 turn[VERDICTS];
	struct env *e = &self->e;
	int n, i, k;

	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	for (n = 0; n < ARRAY_SIZE(nr); n++) {
		i = nr[n];
		for (k = 0; k < VERDICTS; k++)
			turn[k] = k == i ? XDP_DROP : XDP_PASS;
		set_verdicts(e, turn, VERDICTS);
		ASSERT_EQ(send_new(e, 16, 64), 0);
		EXPECT_EQ(settled(e, "r0", 15), 15);

		for (k = 0; k < VERDICTS; k++)
			turn[k] = k == i ? XDP_PASS : XDP_DROP;
		set_verdicts(e, turn, VERDICTS);
		ASSERT_EQ(send_new(e, 16, 64), 0);
		EXPECT_EQ(settled(e, "r0", 1), 1);
		EXPECT_EQ(sight_of(e, 0)->nr, i);
	}
}

/*
 * A bulk that is sent, and then one whose frames the program drops, in the same
 * poll: the driver has had no XDP_XMIT_FLUSH for the first bulk yet.
 *
 * INTENDED DIFFERENCE: the built-in then never sets the flag, so those frames
 * wait until more come. A claimed map sets it. (Frames do not wait in a faulty
 * device, but it asserts the flag.)
 */
TEST_F(egress, last_bulk_dropped)
{
	static const int counts[] = { 32, 17, 31 };
	bool waits = !self->e.generic && !self->e.faulty && !variant->kind.claimed;
	struct env *e = &self->e;
	__u64 turn[VERDICTS];
	int i;

	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	for (i = 0; i < VERDICTS; i++)
		turn[i] = i < 16 ? XDP_PASS : XDP_DROP;
	set_verdicts(e, turn, VERDICTS);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		ASSERT_EQ(send_new(e, counts[i], 64), 0);
		EXPECT_EQ(settled(e, "r0", waits ? 0 : 16), waits ? 0 : 16);
		/*
		 * one more frame, which is sent; the next round starts a new
		 * bulk
		 */
		set_var(e, "nr_runs", 0);
		ASSERT_EQ(send_to(e, "redirect", 1, 64), 0);
		EXPECT_EQ(settled(e, "r0", 17), 17);
	}
}

/* Invalid return values: frames are dropped, and the kernel log gets a line. */
TEST_F(egress, invalid_verdicts)
{
	static const struct {
		__u64 verdict;
		const char *name, *text;
	} invalid[] = {
		{ XDP_ABORTED, "ABORTED", NULL },
		{ XDP_TX, "TX", "Driver unsupported XDP return value 3" },
		{ XDP_REDIRECT, "REDIRECT", "Driver unsupported XDP return value 4" },
		{ 5, "0x5", "Illegal XDP return value 5" },
		{ 0xffffffff, "0xffffffff", "Illegal XDP return value 4294967295" },
	};
	__u32 id = prog_id(prog(&self->e, "verdicts"));
	struct env *e = &self->e;
	__u64 turn[2];
	char text[200];
	int i;

	printf("# allow-log: XDP return value [0-9]+ on prog verdicts\n");
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	for (i = 0; i < ARRAY_SIZE(invalid); i++) {
		turn[0] = invalid[i].verdict;
		turn[1] = XDP_PASS;
		set_verdicts(e, turn, 2);
		ASSERT_TRUE(write_str(WARN_ONCE_AGAIN, "1"));
		ASSERT_TRUE(trace_start(e));
		ASSERT_EQ(send_new(e, 40, 64), 0);
		EXPECT_EQ(settled(e, "r0", 20), 20);
		EXPECT_TRUE(seen_in_order(e, "r0", 0, 1, 2, 20));

		/*
		 * the egress program and its device, not those of the ingress
		 */
		snprintf(text, sizeof(text), "prog_id=%u action=%s ifindex=%u\n", id,
			 invalid[i].name, if_nametoindex("t0"));
		EXPECT_TRUE(traced(e, "xdp_exception", "", 20));
		EXPECT_EQ(in_raw_trace(e, text), 20);
		if (!e->generic) {
			EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=8 drops=8 err=0", 2));
			EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=4 drops=4 err=0", 1));
		}
		if (invalid[i].text)
			EXPECT_TRUE(in_kernel_log("%s on prog verdicts (id %u) dev N/A",
						  invalid[i].text, id)) {
				TH_LOG("the kernel log lacks: %s", invalid[i].text);
			}
	}
}

/*
 * The driver takes some of the frames that the program has passed: the program
 * drops some frames, and makes some too long for the peer.
 */
TEST_F(egress, driver_takes_a_part)
{
	static const __u64 turn[] = {
		XDP_PASS, XDP_DROP, XDP_PASS, XDP_PASS, XDP_DROP, XDP_PASS, XDP_DROP,
		GROW_AND_PASS,
	};
	struct env *e = &self->e;

	if (e->faulty)
		SKIP(return, "it takes frames of any length");
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	set_verdicts(e, turn, 8);
	ASSERT_TRUE(trace_start(e));
	/*
	 * The page of a frame that was made longer may be used for a later
	 * frame of the same run (if page_owner leaves the pool no stock of
	 * pages), and that frame is still as long. So each run has pages of its
	 * own.
	 */
	ASSERT_EQ(send_new(e, 16, 64), 0);
	ASSERT_EQ(send_to(e, "redirect", 16, 64), 0);
	if (e->generic) {
		/* one by one; there may be no room to make one longer */
		EXPECT_EQ(settled(e, "r0", 16 + get_var(e, "unshaped")),
			  16 + get_var(e, "unshaped"));
	} else {
		/*
		 * veth takes the frames before the first one that is too long
		 */
		EXPECT_EQ(get_var(e, "unshaped"), 0);
		EXPECT_EQ(settled(e, "r0", 8), 8);
		EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=4 drops=12 err=0", 2));
	}
	EXPECT_EQ(get_var(e, "nr_runs"), 32);
}

/* The driver takes no frame, and returns an errno. */
TEST_F(egress, driver_takes_none)
{
	static const __u64 verdicts[] = { XDP_PASS, XDP_DROP };
	struct env *e = &self->e;

	if (e->generic)
		SKIP(return, "native only");
	ASSERT_TRUE(put_prog(e, 0, "t0", "verdicts"));
	set_verdicts(e, verdicts, 2);
	if (e->faulty) {
		ASSERT_TRUE(turn("t0", "error", ENXIO));
	} else {
		ASSERT_TRUE(ip("link set r0 down\n"));
	}
	ASSERT_TRUE(trace_start(e));
	ASSERT_EQ(send_new(e, 32, 64), 0);
	EXPECT_TRUE(traced(e, "xdp_devmap_xmit", "sent=0 drops=16 err=-6", 2));
	EXPECT_EQ(get_var(e, "nr_runs"), 32);
	EXPECT_EQ(received(e, "r0"), 0);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
