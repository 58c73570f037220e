// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that always leave as packets, by the parameter "qdisc": they pass the
 * device's queueing discipline, and the packets that it refuses are counted.
 *
 * The device could transmit XDP frames. Stock maps know nothing of that, so all
 * maps here are claimed.
 */
#define _GNU_SOURCE
#include "countlib.h"
#include "harness.h"
#include "packetlib.h"
#include "sinklib.h"
#include "testlib.h"
#include "xdplib.h"

#define FRAMES 200

FIXTURE(queues)
{
	struct env e;
	struct sink sink;
};

FIXTURE_VARIANT(queues)
{
	struct kind kind;
};

CLAIMED_KINDS(queues);

/* t0 takes frames, because r0 has a program. */
FIXTURE_SETUP(queues)
{
	struct env *e = &self->e;

	ASSERT_TRUE(set_policy("qdisc", "rm_q*,rm_other"));
	ASSERT_TRUE(packets_begin(e, &variant->kind, "rm_queued"));
	ASSERT_TRUE(make_veth("t0", "r0", ""));
	ASSERT_TRUE(attach(e, "r0", "pass", false));
	ASSERT_TRUE(sink_open(&self->sink, "r0"));
}

FIXTURE_TEARDOWN(queues)
{
	sink_close(&self->sink);
	EXPECT_TRUE(finish(&self->e));
	EXPECT_TRUE(set_policy("qdisc", ""));
}

/* Without a queue the packets leave at once. */
TEST_F(queues, none)
{
	struct env *e = &self->e;

	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	sink_expect(&self->sink, 0, FRAMES, NUMBERED_LEN);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	EXPECT_TRUE(entry_counted(e, 0, FRAMES, NUMBERED_LEN, 0, 0));
}

/* A queue that is long enough has seen all packets. */
TEST_F(queues, fq_codel)
{
	struct env *e = &self->e;

	ASSERT_TRUE(sh("tc qdisc add dev t0 root fq_codel"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	sink_expect(&self->sink, 0, FRAMES, NUMBERED_LEN);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | grep -q 'Sent %d bytes %d pkt (dropped 0,'",
		       FRAMES * NUMBERED_LEN, FRAMES));
}

/* The ifindex that a key leads to, or -errno. */
static int leads_to_one(int map, __u32 key)
{
	__u32 ifindex;

	return bpf_map_lookup_elem(map, &key, &ifindex) ? -errno : (int)ifindex;
}

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	bool ok = f && fgets(text, size, f);

	if (f)
		fclose(f);
	return ok;
}

/* The statistics of the queue agree with the entry's counters. */
static bool agree(struct env *e, const char *dev)
{
	struct redirmap_stats stats = {};
	int i;

	for (i = 0; i < 12000; i++) {
		stats = entry_stats(e, 0);
		if (stats.packets + all_drops(&stats) == FRAMES)
			break;
		usleep(5000);
	}
	if (stats.packets + stats.drops[REDIRMAP_DROP_XMIT_DROP] != FRAMES || !stats.packets ||
	    stats.packets == FRAMES || stats.bytes != stats.packets * NUMBERED_LEN) {
		fprintf(stderr, "# %s: %llu packets of %llu bytes sent, %llu dropped\n", dev,
			stats.packets, stats.bytes, stats.drops[REDIRMAP_DROP_XMIT_DROP]);
		return false;
	}
	return sh("tc -s qdisc show dev %s | grep -q 'dropped %llu,'", dev,
		  stats.drops[REDIRMAP_DROP_XMIT_DROP]);
}

/*
 * A device without carrier has a queue that drops all packets, but returns the
 * code of a queue that is congested. A bond that does not watch its slaves
 * returns this code as well.
 */
TEST_F(queues, no_carrier_below)
{
	struct env *e = &self->e;

	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond0 group %d type bond mode active-backup miimon 0\n"
		       "link set v0 master bond0\nlink set v1 up\nlink set bond0 up\n",
		       GROUP, GROUP));
	ASSERT_EQ(put_entry(e, 0, "bond0", NULL), 0);
	ASSERT_TRUE(ip("link set v1 down\n"));
	ASSERT_TRUE(sh("until ip link show v0 | grep -qE 'state (LOWERLAYER)?DOWN'; do "
		       "sleep 0.1; done"));
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(entry_counted(e, 0, 0, 0, REDIRMAP_DROP_XMIT_DROP, FRAMES));
}

/*
 * A queue of the bond's own takes packets, and its return code is not that of
 * the slave without carrier.
 */
TEST_F(queues, no_carrier_below_a_queue)
{
	struct redirmap_stats stats;
	struct env *e = &self->e;
	int i;

	ASSERT_TRUE(ip("link add v0 group %d type veth peer name v1\n"
		       "link add bond0 group %d type bond mode active-backup miimon 0\n"
		       "link set v0 master bond0\nlink set v1 up\nlink set bond0 up\n",
		       GROUP, GROUP));
	ASSERT_TRUE(sh("tc qdisc add dev bond0 root handle 1: tbf rate 80bit burst 1540 "
		       "latency 1000s && tc qdisc add dev bond0 parent 1:1 fq_codel limit 10 "
		       "target 1000s interval 1000s"));
	ASSERT_EQ(put_entry(e, 0, "bond0", NULL), 0);
	ASSERT_TRUE(ip("link set v1 down\n"));
	ASSERT_TRUE(sh("until ip link show v0 | grep -qE 'state (LOWERLAYER)?DOWN'; do "
		       "sleep 0.1; done"));
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	for (i = 0; i < 12000; i++) {
		stats = entry_stats(e, 0);
		if (stats.packets + all_drops(&stats) == FRAMES)
			break;
		usleep(5000);
	}
	EXPECT_EQ(FRAMES, stats.packets);
}

/* Each packet that a full queue refuses is counted. */
TEST_F(queues, tbf_and_pfifo)
{
	struct env *e = &self->e;

	ASSERT_TRUE(sh("tc qdisc add dev t0 root handle 1: tbf rate 80bit burst 1540 "
		       "latency 1000s && tc qdisc add dev t0 parent 1:1 pfifo limit 10"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(agree(e, "t0"));
}

/*
 * fq_codel takes a packet and drops another one, which was counted as sent:
 * only the statistics of fq_codel count this drop.
 */
TEST_F(queues, fq_codel_is_full)
{
	struct env *e = &self->e;
	struct redirmap_stats stats;

	ASSERT_TRUE(sh("tc qdisc add dev t0 root handle 1: tbf rate 80bit burst 1540 "
		       "latency 1000s && tc qdisc add dev t0 parent 1:1 fq_codel limit 10 "
		       "target 1000s interval 1000s"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(counted_in_all(e, 0, FRAMES, 0, 0));
	stats = entry_stats(e, 0);
	EXPECT_EQ(stats.bytes, FRAMES * NUMBERED_LEN);
	/* tbf has sent some, 10 wait, and fq_codel has dropped all others. */
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | awk '/qdisc fq_codel/ { child = 1 } "
		       "!child && / pkt / { sent = $4 } child && / pkt / { dropped = $7 + 0 } "
		       "child && /backlog/ { waits = $3 + 0 } "
		       "END { print \"# sent\", sent, \"dropped\", dropped, \"waits\", waits; "
		       "exit !(sent && waits == 10 && sent + dropped + waits == %d) }'",
		       FRAMES));
}

/*
 * A device without a carrier drops packets, although its return code reports
 * congestion.
 */
TEST_F(queues, no_carrier)
{
	struct env *e = &self->e;

	ASSERT_TRUE(sh("tc qdisc add dev t0 root pfifo limit 1000"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_TRUE(ip("link set r0 down\n"));
	/* A work item takes the queue off. */
	ASSERT_TRUE(sh("for i in $(seq 500); do ip -o link show t0 | "
		       "grep -q 'state LOWERLAYERDOWN' && exit; sleep 0.02; done; exit 1"));
	ASSERT_EQ(send_on(e->sock, "g0", 0, 20, NUMBERED_LEN), 0);
	EXPECT_TRUE(entry_counted(e, 0, 0, NUMBERED_LEN, REDIRMAP_DROP_XMIT_DROP, 20));
}

/*
 * The backlog outlives the map and its target, and is dropped with the device.
 * The map and the target do not wait for it. Its pages are those of the
 * ingress's pool.
 */
TEST_F(queues, backlog_outlives_the_map)
{
	struct env *e = &self->e;

	ASSERT_TRUE(trace_start(e));
	ASSERT_TRUE(sh("tc qdisc add dev t0 root tbf rate 80bit burst 1540 limit 100000"));
	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	ASSERT_EQ(send_on(e->sock, "g0", 0, 50, NUMBERED_LEN), 0);
	ASSERT_TRUE(entry_counted(e, 0, 50, NUMBERED_LEN, 0, 0));
	ASSERT_TRUE(attach(e, "g1", NULL, false));
	unload(e);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(sh("rmmod redirmap"));
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | grep -Eq 'backlog [1-9][0-9]*b'"));
	/* The ingress goes first, so its pool waits for the backlog. */
	EXPECT_TRUE(ip("link del g0\n"));
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | grep -Eq 'backlog [1-9][0-9]*b'"));
	EXPECT_TRUE(ip("link del t0\n"));
	EXPECT_TRUE(pages_are_back(e));
	EXPECT_TRUE(sh("insmod $REDIRMAP_KO claim=$REDIRMAP_CLAIM"));
	EXPECT_TRUE(set_policy("packets", "*"));
}

/* A map with "qdisc" and one without have two targets, with own counters. */
TEST_F(queues, two_maps_of_one_device)
{
	struct env *e = &self->e, other = {};
	int map;

	ASSERT_TRUE(sh("tc qdisc add dev t0 root pfifo limit 1000"));
	map = bpf_map_create(variant->kind.type, "rm_plain", 4, 4, 8, NULL);
	ASSERT_GE(map, 0);
	other.map = map;
	ASSERT_TRUE(put(&other, 0, "t0"));
	close(map);
	map = bpf_map_create(variant->kind.type, "rm_other", 4, 4, 8, NULL);
	ASSERT_GE(map, 0);
	other.map = map;
	ASSERT_TRUE(put(&other, 0, "t0"));
	EXPECT_EQ(leads_to_one(map, 0), if_nametoindex("t0"));
	close(map);

	ASSERT_EQ(put_entry(e, 0, "t0", NULL), 0);
	sink_expect(&self->sink, 0, FRAMES, NUMBERED_LEN);
	ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
	EXPECT_TRUE(sink_ok(&self->sink));
	EXPECT_TRUE(entry_counted(e, 0, FRAMES, NUMBERED_LEN, 0, 0));
	EXPECT_TRUE(sh("tc -s qdisc show dev t0 | grep -q '%d pkt (dropped 0,'", FRAMES));
}

/* Bad globs are refused, and the old ones stay. */
TEST(bad_globs)
{
	static const char *const parameters[] = { "packets", "qdisc" };
	char path[128], before[64], after[64];
	unsigned int i;

	printf("# allow-log: redirmap: (packets|qdisc):\n");
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(set_policy(parameters[i], "rm_a,rm_b?"));
		snprintf(path, sizeof(path), MODULE_DIR "/parameters/%s", parameters[i]);
		EXPECT_FALSE(write_str(path, "rm_["));
		EXPECT_EQ(errno, EINVAL);
		EXPECT_FALSE(write_str(path, "rm_a,,b"));
		EXPECT_EQ(errno, EINVAL);
		ASSERT_TRUE(read_text(path, after, sizeof(after)));
		snprintf(before, sizeof(before), "rm_a,rm_b?\n");
		EXPECT_EQ(strcmp(before, after), 0);
	}
	EXPECT_TRUE(set_policy("packets", "*"));
	EXPECT_TRUE(set_policy("qdisc", ""));
}

TEST_HARNESS_MAIN
