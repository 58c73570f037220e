// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation, as in sock_faults.c: netlink requests
 * about claimed socket maps. The answer is complete, or the request fails with
 * ENOMEM or ENOBUFS; a dump may fail after some of its messages. Nothing keeps
 * the module when the netlink socket is closed, and the next answer is
 * complete.
 *
 * One number may be missing: the sockets in a hash, because there is no memory
 * for the two keys that count them.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#include "faultlib.h"
#include "genlib.h"
#include "socklib.h"

/* A dump of so many sockets takes several parts. */
#define ENTRIES 300

FIXTURE(faults) {
	int map;
	__u32 id;
	int refs;
	int pair[2];
};

FIXTURE_VARIANT(faults) {
	enum bpf_map_type type;
};

FIXTURE_VARIANT_ADD(faults, claimed_array) { BPF_MAP_TYPE_SOCKMAP };
FIXTURE_VARIANT_ADD(faults, claimed_hash) { BPF_MAP_TYPE_SOCKHASH };

FIXTURE_SETUP(faults)
{
	__u32 i;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->map = sock_map(true, variant->type, 8, ENTRIES);
	ASSERT_LE(0, self->map);
	self->id = sock_map_id(self->map);
	ASSERT_EQ(0, udp_pair(AF_INET6, self->pair));
	for (i = 0; i < ENTRIES; i++)
		ASSERT_EQ(0, sock_put(self->map, i, self->pair[0], BPF_ANY));
	/* An update that has failed, as part of the answer. */
	ASSERT_EQ(-EEXIST, sock_put(self->map, 0, self->pair[0], BPF_NOEXIST));
	self->refs = module_refs();
}

FIXTURE_TEARDOWN(faults)
{
	close_pair(self->pair);
	close(self->map);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* A complete answer, as it is without a fault. */
static bool is_complete(const struct genl_answer *answer, const struct genl_answer *want,
			bool hit)
{
	struct genl_answer is = *answer;

	if (hit && is.counts.present == -1U)
		is.counts.present = want->counts.present;
	return is.messages == want->messages && is.keys == want->keys &&
	       !memcmp(&is.counts, &want->counts, sizeof(is.counts));
}

static void ask_each(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self, int command,
		     bool dump, __u32 id, __u32 messages)
{
	struct genl_answer want, answer;
	struct faults faults = {};
	int fd, err;

	fd = genl_open();
	ASSERT_EQ(0, genl_ask(fd, command, dump, id, &want));
	close(fd);
	EXPECT_EQ(messages, want.messages);
	while (faults_next(&faults)) {
		fd = genl_open();
		ASSERT_LE(0, fd);
		faults_begin(&faults);
		err = genl_ask(fd, command, dump, id, &answer);
		faults_end(&faults, err);
		close(fd);
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_TRUE(err == -ENOMEM || err == -ENOBUFS) {
				TH_LOG("allocation %d: %d", faults.n, err);
			}
			EXPECT_GE(messages, answer.messages);
		} else {
			EXPECT_TRUE(is_complete(&answer, &want, faults.hit));
		}
		EXPECT_TRUE(module_refs_become(self->refs));
		fd = genl_open();
		EXPECT_EQ(0, genl_ask(fd, command, dump, id, &answer));
		close(fd);
		EXPECT_TRUE(is_complete(&answer, &want, false));
	}
	EXPECT_FAULTS(&faults, 2);
}

TEST_F(faults, map)
{
	ask_each(_metadata, self, REDIRMAP_CMD_MAP_GET, false, self->id, 1);
}

TEST_F(faults, maps)
{
	ask_each(_metadata, self, REDIRMAP_CMD_MAP_GET, true, 0, 1);
}

TEST_F(faults, state)
{
	ask_each(_metadata, self, REDIRMAP_CMD_STATE_GET, false, 0, 1);
}

TEST_F(faults, sockets)
{
	ask_each(_metadata, self, REDIRMAP_CMD_SOCKET_GET, true, self->id, ENTRIES);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: can_fail() ?: test_harness_run(argc, argv);
}
