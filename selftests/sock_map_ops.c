// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on socket maps, with their errnos: by bpf(2) and by programs. The
 * kernel decides about all of them, so the tables hold for both kinds of maps.
 */
#include <limits.h>

#include "socklib.h"

#define ENTRIES 4

FIXTURE(ops) {
	int map;
	int small;	/* values of 4 bytes */
	int tcp[2];
	int fds[6];	/* by enum descriptor */
	bool hash;
};

FIXTURE_VARIANT(ops) {
	struct kind kind;
};

SOCK_KINDS(ops);

/* The descriptors that the tests insert. */
enum descriptor { TCP, LISTENER, CLOSED, PIPE, NO_FD, PACKET };

FIXTURE_SETUP(ops)
{
	int pipes[2];

	ASSERT_TRUE(module_refs_become(base_refs));
	self->hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->map = sock_map(variant->kind.claimed, variant->kind.type, 8, ENTRIES);
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->small = sock_map(variant->kind.claimed, variant->kind.type, 4, ENTRIES);
	ASSERT_LE(0, self->small);
	ASSERT_EQ(base_refs + 2 * variant->kind.claimed, module_refs());
	ASSERT_EQ(0, tcp_pair(AF_INET, self->tcp));
	ASSERT_EQ(0, pipe(pipes));
	close(pipes[1]);
	self->fds[TCP] = self->tcp[0];
	self->fds[LISTENER] = sock_server(AF_INET, SOCK_STREAM);
	self->fds[CLOSED] = socket(AF_INET, SOCK_STREAM, 0);
	self->fds[PIPE] = pipes[0];
	self->fds[NO_FD] = 1000;
	self->fds[PACKET] = socket(AF_PACKET, SOCK_RAW, 0);
	ASSERT_LE(0, self->fds[LISTENER]);
	ASSERT_LE(0, self->fds[PACKET]);
}

FIXTURE_TEARDOWN(ops)
{
	close_pair(self->tcp);
	close(self->fds[LISTENER]);
	close(self->fds[CLOSED]);
	close(self->fds[PIPE]);
	close(self->fds[PACKET]);
	close(self->map);
	close(self->small);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* Key 0 has a socket, the others have none. */
static const struct {
	enum descriptor fd;
	__u32 key;
	__u64 flags;
	int array;
	int hash;
} updates[] = {
	{ TCP, 1, BPF_ANY, 0, 0 },
	{ TCP, 1, BPF_NOEXIST, 0, 0 },
	{ TCP, 1, BPF_EXIST, -ENOENT, -ENOENT },
	{ TCP, 0, BPF_ANY, 0, 0 },
	{ TCP, 0, BPF_NOEXIST, -EEXIST, -EEXIST },
	{ TCP, 0, BPF_EXIST, 0, 0 },
	{ TCP, 1, BPF_EXIST + 1, -EINVAL, -EINVAL },
	{ TCP, 1, BPF_F_LOCK, -EINVAL, -EINVAL },
	{ TCP, 1, 1ULL << 32, -EINVAL, -EINVAL },
	{ TCP, ENTRIES, BPF_ANY, -E2BIG, 0 },
	{ TCP, ENTRIES, BPF_EXIST, -E2BIG, -ENOENT },
	{ TCP, -1U, BPF_ANY, -E2BIG, 0 },
	{ LISTENER, 1, BPF_ANY, 0, 0 },
	{ CLOSED, 1, BPF_ANY, -EOPNOTSUPP, -EOPNOTSUPP },
	{ CLOSED, ENTRIES, BPF_EXIST + 1, -EOPNOTSUPP, -EOPNOTSUPP },
	{ PIPE, 1, BPF_ANY, -ENOTSOCK, -ENOTSOCK },
	{ NO_FD, 1, BPF_ANY, -EBADF, -EBADF },
	{ NO_FD, ENTRIES, BPF_EXIST + 1, -EBADF, -EBADF },
	{ PACKET, 1, BPF_ANY, -EOPNOTSUPP, -EOPNOTSUPP },
};

TEST_F(ops, updates)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(updates); i++) {
		ASSERT_EQ(0, sock_put(self->map, 0, self->tcp[1], BPF_ANY));
		err = sock_put(self->map, updates[i].key, self->fds[updates[i].fd],
			       updates[i].flags);
		EXPECT_EQ(self->hash ? updates[i].hash : updates[i].array, err) {
			TH_LOG("row %u", i);
		}
		if (err) {
			EXPECT_TRUE(sock_is_at(self->map, 0, self->tcp[1]));
			continue;
		}
		EXPECT_TRUE(sock_is_at(self->map, updates[i].key, self->fds[updates[i].fd]));
		EXPECT_EQ(0, sock_del(self->map, updates[i].key));
	}
}

TEST_F(ops, values)
{
	__u64 large = (__u64)INT_MAX + 1, cookie = 0;
	__u32 key = 1, fd = self->tcp[0];

	EXPECT_EQ(-EINVAL, sock_put(self->map, 1, -1, BPF_ANY));
	EXPECT_NE(0, bpf_map_update_elem(self->map, &key, &large, BPF_ANY));
	EXPECT_EQ(EINVAL, errno);
	/* Values of 4 bytes have room for a descriptor, not for a cookie. */
	EXPECT_EQ(0, bpf_map_update_elem(self->small, &key, &fd, BPF_ANY));
	EXPECT_EQ(-ENOSPC, sock_get(self->small, 1, &cookie));
	EXPECT_EQ(-ENOSPC, sock_get(self->small, 0, &cookie));
	fd = -1;
	EXPECT_NE(0, bpf_map_update_elem(self->small, &key, &fd, BPF_ANY));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, sock_del(self->small, 1));
}

TEST_F(ops, lookups_and_deletes)
{
	__u64 cookie;

	EXPECT_EQ(-ENOENT, sock_get(self->map, 0, &cookie));
	EXPECT_EQ(-ENOENT, sock_get(self->map, ENTRIES, &cookie));
	EXPECT_EQ(self->hash ? -ENOENT : -EINVAL, sock_del(self->map, 0));
	EXPECT_EQ(self->hash ? -ENOENT : -EINVAL, sock_del(self->map, ENTRIES));
	ASSERT_EQ(0, sock_put(self->map, 0, self->tcp[0], BPF_ANY));
	EXPECT_EQ(0, sock_get(self->map, 0, &cookie));
	EXPECT_EQ(sock_cookie(self->tcp[0]), cookie);
	EXPECT_EQ(0, sock_del(self->map, 0));
	EXPECT_EQ(-ENOENT, sock_get(self->map, 0, &cookie));
}

TEST_F(ops, full)
{
	__u32 i;

	for (i = 0; i < ENTRIES; i++)
		ASSERT_EQ(0, sock_put(self->map, i, self->tcp[0], BPF_NOEXIST));
	EXPECT_EQ(-E2BIG, sock_put(self->map, ENTRIES, self->tcp[0], BPF_ANY));
	/* Replacing needs no room. */
	EXPECT_EQ(0, sock_put(self->map, 0, self->tcp[1], BPF_EXIST));
	EXPECT_EQ(0, sock_del(self->map, 1));
	EXPECT_EQ(0, sock_put(self->map, 1, self->tcp[1], BPF_NOEXIST));
}

TEST_F(ops, next_key)
{
	__u32 key, *prev = NULL, seen = 0, n = 0;

	ASSERT_EQ(0, sock_put(self->map, 1, self->tcp[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 3, self->tcp[1], BPF_ANY));
	while (n <= ENTRIES && !bpf_map_get_next_key(self->map, prev, &key)) {
		prev = &key;
		seen |= 1 << key;
		n++;
	}
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(self->hash ? 2 : ENTRIES, n);
	EXPECT_EQ(self->hash ? 0xa : 0xf, seen);
}

/* A socket leaves all maps when it is closed, and a map all sockets. */
TEST_F(ops, close)
{
	__u64 cookie;
	char byte;

	ASSERT_EQ(0, sock_put(self->map, 2, self->tcp[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 3, self->tcp[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 1, self->tcp[0], BPF_ANY));
	close(self->tcp[1]);
	self->tcp[1] = -1;
	EXPECT_EQ(0, read(self->tcp[0], &byte, 1));
	EXPECT_EQ(-ENOENT, sock_get(self->map, 2, &cookie));
	EXPECT_EQ(-ENOENT, sock_get(self->map, 3, &cookie));
	EXPECT_TRUE(sock_is_at(self->map, 1, self->tcp[0]));
}

/* Programs insert and delete by helpers and by the operations of the map. */
TEST_F(ops, programs)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int map, cgroup, link, client, server;
	socklen_t len = sizeof(at);
	struct sock_maps maps;
	struct bpf_object *obj;

	obj = sock_load_new(&maps, variant->kind.claimed);
	ASSERT_NE(NULL, obj);
	map = self->hash ? maps.hash : maps.array;
	ASSERT_EQ(0, sock_put(maps.from, 0, self->tcp[0], BPF_ANY));

	EXPECT_EQ(0, sock_run(obj, "update", self->hash, 1, BPF_NOEXIST));
	EXPECT_TRUE(sock_is_at(map, 1, self->tcp[0]));
	EXPECT_EQ(-EEXIST, sock_run(obj, "update", self->hash, 1, BPF_NOEXIST));
	EXPECT_EQ(-EINVAL, sock_run(obj, "update", self->hash, 1, BPF_EXIST + 1));
	EXPECT_EQ(-ENOENT, sock_run(obj, "update", self->hash, 2, BPF_EXIST));
	EXPECT_EQ(0, sock_run(obj, "delete", self->hash, 1, 0));
	EXPECT_EQ(self->hash ? -ENOENT : -EINVAL, sock_run(obj, "delete", self->hash, 1, 0));

	/* A socket that connects inserts itself. */
	if (access("/sys/fs/cgroup/cgroup.procs", F_OK))
		ASSERT_TRUE(sh("mount -t cgroup2 none /sys/fs/cgroup"));
	cgroup = open("/sys/fs/cgroup", O_RDONLY);
	ASSERT_LE(0, cgroup);
	/* Ends with the process. */
	link = bpf_link_create(sock_prog(obj, "ops", self->hash), cgroup,
			       BPF_CGROUP_SOCK_OPS, NULL);
	ASSERT_LE(0, link);
	client = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(client, (struct sockaddr *)&at, len));
	ASSERT_EQ(0, getsockname(client, (struct sockaddr *)&at, &len));
	ASSERT_TRUE(sock_set(obj, (struct sock_vars){ .key = 5, .port = ntohs(at.sin_port),
						      .result = -ENODATA }));
	server = sock_server(AF_INET, SOCK_STREAM);
	EXPECT_EQ(0, sock_connect(client, server));
	EXPECT_EQ(0, sock_vars(obj).result);
	EXPECT_TRUE(sock_is_at(map, 5, client));

	close(link);
	close(cgroup);
	close(client);
	close(server);
	sock_unload(&obj, &maps);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
