// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sockets that a socket map takes by their descriptors: all families and
 * states, and sockets that have another user. The kernel decides, so the table
 * holds for stock and claimed maps, and a claimed map counts each insert, and
 * each refused one by its errno.
 */
#include "sockmake.h"

#define ENTRIES 4

FIXTURE(sockets) {
	int map;
	int group;	/* a BPF_MAP_TYPE_REUSEPORT_SOCKARRAY */
	int used;
};

FIXTURE_VARIANT(sockets) {
	struct kind kind;
};

SOCK_KINDS(sockets);

FIXTURE_SETUP(sockets)
{
	self->used = sockets_used();
	ASSERT_TRUE(module_refs_become(base_refs));
	self->map = sock_map(variant->kind.claimed, variant->kind.type, 8, ENTRIES);
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->group = bpf_map_create(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, "group", 4, 8, 4, NULL);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(sockets)
{
	close(self->group);
	close(self->map);
	EXPECT_TRUE(sockets_become(self->used));
	EXPECT_TRUE(module_refs_become(base_refs));
}

static const struct {
	const char *name;
	int (*make)(int *other);
	int err;
	bool lacking;	/* some kernels do not have such sockets */
} makers[] = {
	{ "TCP, bound", tcp_bound, -EOPNOTSUPP },
	{ "TCP, listening", tcp_listener, 0 },
	{ "TCP, listening, IPv6", tcp6_listener, 0 },
	{ "TCP, listening, of a group", tcp_grouped, 0 },
	{ "TCP", tcp, 0 },
	{ "TCP, IPv6", tcp6, 0 },
	{ "TCP, half closed", tcp_half_closed, -EOPNOTSUPP },
	{ "TCP, half closed by the peer", tcp_peer_half_closed, -EOPNOTSUPP },
	{ "TCP with a ULP", tcp_ulp, -EINVAL, true },
	{ "UDP, not bound", udp_unbound, -EOPNOTSUPP },
	{ "UDP, bound", udp_bound, 0 },
	{ "UDP, bound, IPv6", udp6_bound, 0 },
	{ "UDP, bound, of a group", udp_grouped, 0 },
	{ "UDP, connected", udp_connected, 0 },
	{ "UDP-Lite", udplite, -EOPNOTSUPP, true },
	{ "MPTCP, closed", mptcp_closed, -EOPNOTSUPP, true },
	{ "MPTCP, listening", mptcp_listener, -EOPNOTSUPP, true },
	{ "MPTCP", mptcp, -EOPNOTSUPP, true },
	{ "MPTCP, accepted", mptcp_accepted, -EOPNOTSUPP, true },
	{ "TCP, accepted by MPTCP", mptcp_fallback, 0, true },
	{ "Unix stream", unix_stream, 0 },
	{ "Unix stream, closed", unix_stream_closed, -EOPNOTSUPP },
	{ "Unix stream, listening", unix_listener, -EOPNOTSUPP },
	{ "Unix datagrams", unix_dgram, 0 },
	{ "Unix datagrams, not connected", unix_dgram_closed, 0 },
	{ "Unix packets in sequence", unix_seqpacket, -EOPNOTSUPP },
	{ "ICMP", icmp, -EOPNOTSUPP },
	{ "netlink", netlink, -EOPNOTSUPP },
	{ "vsock, closed", vsock_closed, -EOPNOTSUPP, true },
};

TEST_F(sockets, by_fd)
{
	struct tally tally = {};
	unsigned int i;
	__u64 cookie;
	int fd;

	for (i = 0; i < ARRAY_SIZE(makers); i++) {
		int other = -1;

		fd = makers[i].make(&other);
		if (makers[i].lacking && protocol_lacks(fd)) {
			TH_LOG("# this kernel has no socket: %s", makers[i].name);
			continue;
		}
		ASSERT_LE(0, fd) {
			TH_LOG("%s", makers[i].name);
		}
		EXPECT_EQ(makers[i].err, sock_put(self->map, 1, fd, BPF_ANY)) {
			TH_LOG("%s", makers[i].name);
		}
		tally_add(&tally, makers[i].err, 1);
		EXPECT_EQ(makers[i].err ? -ENOENT : 0, sock_get(self->map, 1, &cookie));
		EXPECT_EQ(!makers[i].err, sock_is_at(self->map, 1, fd));
		/* A closed socket leaves the map: the next row finds none. */
		close(fd);
		close(other);
		EXPECT_EQ(-ENOENT, sock_get(self->map, 1, &cookie)) {
			TH_LOG("%s", makers[i].name);
		}
	}
	EXPECT_TRUE(tally_check(self->map, &tally));
}

/* sk_user_data has one user: socket maps, or the array of a group. */
TEST_F(sockets, used_by_others)
{
	int (*const make[])(int *other) = { tcp_grouped, udp_grouped };
	struct tally tally = {};
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(make); i++) {
		fd = make[i](NULL);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, sock_put(self->group, 0, fd, BPF_ANY));
		EXPECT_EQ(-EBUSY, sock_put(self->map, 1, fd, BPF_ANY));
		/* Before the flags are looked at. */
		EXPECT_EQ(-EBUSY, sock_put(self->map, 1, fd, BPF_EXIST));
		EXPECT_EQ(0, sock_del(self->group, 0));
		EXPECT_EQ(0, sock_put(self->map, 1, fd, BPF_ANY));
		EXPECT_EQ(0, sock_put(self->map, 2, fd, BPF_ANY));
		EXPECT_EQ(-EBUSY, sock_put(self->group, 0, fd, BPF_ANY));
		EXPECT_EQ(0, sock_del(self->map, 1));
		EXPECT_EQ(-EBUSY, sock_put(self->group, 0, fd, BPF_ANY));
		EXPECT_EQ(0, sock_del(self->map, 2));
		EXPECT_EQ(0, sock_put(self->group, 0, fd, BPF_ANY));
		EXPECT_EQ(-EBUSY, sock_put(self->map, 1, fd, BPF_ANY));
		tally_add(&tally, -EBUSY, 3);
		tally_add(&tally, 0, 2);
		close(fd);
	}
	EXPECT_TRUE(tally_check(self->map, &tally));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
