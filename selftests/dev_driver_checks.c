// SPDX-License-Identifier: GPL-2.0-only
/*
 * The assertions of modules/faulty_check.c find their faults: a call without a
 * fault is silent, and each call with a fault is reported by the name of its
 * assertion. Tests that use devices of faulty_dev.c depend on that.
 */
#define _GNU_SOURCE
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"
#include "xdplib.h"

#define MARK "WARNING: faulty: "

/* In the order of modules/faulty_provoke.c: the first report of each. */
static const char * const complaints[] = {
	"", "context", "count", "count", "flags", "place", "align", "len", "meta",
	"headroom", "page", "memory", "memory", "frame_sz", "frame_sz", "frags", "frags", "frags",
	"truesize", "pfmemalloc", "shared", "shared", "flush", "page",
	"network",
};

FIXTURE(checks)
{
	struct env e;
	int log;
};

FIXTURE_SETUP(checks)
{
	ASSERT_TRUE(make_net(&self->e));
	ASSERT_TRUE(make_faulty("f0"));
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_GE(self->log, 0);
	printf("# allow-log: " MARK "[a-z_]*: f0:\n");
}

FIXTURE_TEARDOWN(checks)
{
	close(self->log);
	EXPECT_TRUE(del_net(&self->e));
}

/*
 * 1 if the next complaint is this one, 0 if there is none, -1 if it is another.
 */
static int complains(int log, const char *what)
{
	size_t len = strlen(what);
	char record[1024], *at;
	ssize_t n;

	while ((n = read(log, record, sizeof(record) - 1)) > 0) {
		record[n] = '\0';
		at = strstr(record, MARK);
		if (!at)
			continue;
		at += strlen(MARK);
		if (!strncmp(at, what, len) && at[len] == ':')
			return 1;
		fprintf(stderr, "# not %s, but %s", what, at);
		return -1;
	}
	return !len;
}

TEST_F(checks, each_one)
{
	int i, tries, found;

	for (i = 0; i < ARRAY_SIZE(complaints); i++) {
		lseek(self->log, 0, SEEK_END);
		ASSERT_TRUE(turn("f0", "provoke", i));
		/* On PREEMPT_RT an RCU callback reports a missing flush. */
		for (tries = 0; tries < 60000; tries++) {
			found = complains(self->log, complaints[i]);
			if (found)
				break;
			usleep(1000);
		}
		EXPECT_EQ(found, 1) {
			TH_LOG("fault %d: %s", i, complaints[i]);
		}
	}
	EXPECT_FALSE(turn("f0", "provoke", i));
	EXPECT_EQ(errno, EINVAL);
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
