// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of groups with SO_REUSEPORT: they select a member by a key of a
 * socket map, or insert the socket that they run for. The kernel does both, so
 * the tables hold for stock and claimed maps.
 */
#include <poll.h>

#include "sockmake.h"

/* The sockets of a group, at the keys from 1 on. */
#define GROUP 3

/* Keys of sockets outside of the group, and of none. */
enum key { EMPTY = 0, CONNECTED = GROUP + 1, ELSEWHERE, PROTOCOL, FAMILY, BEYOND };

/* As in sock_groups.bpf.c. */
struct select_vars {
	__u32 key;
	__u32 calls;
	__s64 result;
};

FIXTURE(groups) {
	int array, hash;
	int map;	/* that of the variant */
	bool is_hash;
	struct bpf_object *obj;
	int used;
	int members[GROUP];
	int strangers[BEYOND];	/* by key */
	int other;
};

FIXTURE_VARIANT(groups) {
	struct kind kind;
};

SOCK_KINDS(groups);

FIXTURE_SETUP(groups)
{
	self->used = sockets_used();
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->array = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	self->hash = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKHASH, 8, SOCK_ENTRIES);
	self->map = self->is_hash ? self->hash : self->array;
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->obj = sock_load_file("sock_groups.bpf.o", self->array, self->hash, -1);
	ASSERT_NE(NULL, self->obj);
}

FIXTURE_TEARDOWN(groups)
{
	bpf_object__close(self->obj);
	close(self->array);
	close(self->hash);
	EXPECT_TRUE(sockets_become(self->used));
	EXPECT_TRUE(module_refs_become(base_refs));
}

static bool set_vars(struct bpf_object *obj, __u32 key)
{
	struct select_vars vars = { .key = key, .result = -ENODATA };
	__u32 zero = 0;

	return !bpf_map_update_elem(sock_vars_fd(obj), &zero, &vars, 0);
}

static struct select_vars get_vars(struct bpf_object *obj)
{
	struct select_vars vars = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(sock_vars_fd(obj), &zero, &vars);
	return vars;
}

/* Members of one group, which use a program: 0 or -errno. */
static int group_make(int type, int prog, int members[GROUP])
{
	struct sockaddr_storage at;
	socklen_t len = sock_loopback(AF_INET, &at);
	int i, fd;

	for (i = 0; i < GROUP; i++) {
		fd = grouped(socket(AF_INET, type | SOCK_NONBLOCK, 0));
		if (fd < 0)
			return fd;
		members[i] = fd;
		/* The first one gets a port, and the others the same one. */
		if (bind(fd, (struct sockaddr *)&at, len) ||
		    (type == SOCK_STREAM && listen(fd, 8)) ||
		    getsockname(fd, (struct sockaddr *)&at, &len))
			return -errno;
	}
	return setsockopt(members[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog,
			  sizeof(prog)) ? -errno : 0;
}

/*
 * A connection, or a datagram, to the group. The number of the member that gets
 * it; GROUP if none or several get it, and -errno if it cannot be sent.
 */
static int reached(int type, const int members[GROUP])
{
	int fd = sock_limit(socket(AF_INET, type, 0)), i, got = GROUP, n = 0, accepted;
	struct pollfd events[GROUP];
	char byte;

	if (sock_connect(fd, members[0]) ||
	    (type == SOCK_DGRAM && send(fd, "a", 1, 0) != 1)) {
		close(fd);
		return -errno;
	}
	for (i = 0; i < GROUP; i++)
		events[i] = (struct pollfd){ .fd = members[i], .events = POLLIN };
	poll(events, GROUP, 60000);
	for (i = 0; i < GROUP; i++) {
		if (type == SOCK_DGRAM) {
			if (recv(members[i], &byte, 1, 0) != 1)
				continue;
		} else {
			accepted = accept(members[i], NULL, NULL);
			if (accepted < 0)
				continue;
			close(accepted);
		}
		got = i;
		n++;
	}
	close(fd);
	return n == 1 ? got : GROUP;
}

/* Instead of a member: any of them, as the kernel chooses. */
#define ANY GROUP

static const struct {
	__u32 key;
	int err;
	int member;
} selections[] = {
	{ 1, 0, 0 },
	{ 2, 0, 1 },
	{ 3, 0, 2 },
	{ 1, 0, 0 },
	{ EMPTY, -ENOENT, ANY },
	{ BEYOND, -ENOENT, ANY },
	{ -1U, -ENOENT, ANY },
	{ CONNECTED, -EINVAL, ANY },
	{ ELSEWHERE, -EBADFD, ANY },
	{ PROTOCOL, -EPROTOTYPE, ANY },
	{ FAMILY, -EAFNOSUPPORT, ANY },
};

static int grouped_of(int family, int type)
{
	int fd = bound_to(grouped(socket(family, type, 0)), family);

	return type == SOCK_STREAM ? listening(fd) : fd;
}

/* Selections by a map that has the members, and sockets that are none. */
static bool group_fill(int map, int type, const int members[GROUP], int strangers[BEYOND],
		       int *other)
{
	__u32 key;
	int i;

	strangers[CONNECTED] = tcp(other);
	strangers[ELSEWHERE] = grouped_of(AF_INET, type);
	strangers[PROTOCOL] = grouped_of(AF_INET, type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM);
	strangers[FAMILY] = grouped_of(AF_INET6, type);
	for (i = 0; i < GROUP; i++)
		if (sock_put(map, i + 1, members[i], BPF_ANY))
			return false;
	for (key = CONNECTED; key < BEYOND; key++)
		if (sock_put(map, key, strangers[key], BPF_ANY))
			return false;
	return true;
}

static void group_close(int members[GROUP], int strangers[BEYOND], int other)
{
	__u32 key;
	int i;

	for (i = 0; i < GROUP; i++)
		close(members[i]);
	for (key = CONNECTED; key < BEYOND; key++)
		close(strangers[key]);
	close(other);
}

static int program(struct bpf_object *obj, const char *name, bool is_hash)
{
	char full[32];

	snprintf(full, sizeof(full), "%s_%s", name, is_hash ? "hash" : "socks");
	return bpf_program__fd(bpf_object__find_program_by_name(obj, full));
}

TEST_F(groups, select)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct select_vars vars;
	unsigned int i, t;
	int member;

	for (t = 0; t < ARRAY_SIZE(types); t++) {
		ASSERT_EQ(0, group_make(types[t], program(self->obj, "select", self->is_hash),
					self->members));
		ASSERT_TRUE(group_fill(self->map, types[t], self->members, self->strangers,
				       &self->other));
		for (i = 0; i < ARRAY_SIZE(selections); i++) {
			ASSERT_TRUE(set_vars(self->obj, selections[i].key));
			member = reached(types[t], self->members);
			vars = get_vars(self->obj);
			EXPECT_EQ(1, vars.calls);
			EXPECT_EQ(selections[i].err, (int)vars.result) {
				TH_LOG("type %d, row %u", types[t], i);
			}
			if (selections[i].member != ANY) {
				EXPECT_EQ(selections[i].member, member) {
					TH_LOG("type %d, row %u", types[t], i);
				}
				continue;
			}
			EXPECT_LE(0, member);
			EXPECT_GT(GROUP, member) {
				TH_LOG("type %d, row %u", types[t], i);
			}
		}
		/* A member that has left the map, and a closed one. */
		EXPECT_EQ(0, sock_del(self->map, 2));
		ASSERT_TRUE(set_vars(self->obj, 2));
		EXPECT_GT(GROUP, reached(types[t], self->members));
		EXPECT_EQ(-ENOENT, (int)get_vars(self->obj).result);
		close(self->members[2]);
		self->members[2] = -1;
		ASSERT_TRUE(set_vars(self->obj, 3));
		EXPECT_GT(2, reached(types[t], self->members));
		EXPECT_EQ(-ENOENT, (int)get_vars(self->obj).result);
		group_close(self->members, self->strangers, self->other);
	}
}

/* A program of a group inserts the socket that it runs for. */
TEST_F(groups, insert)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	struct tally tally = {};
	unsigned int t;
	int i, found;

	for (t = 0; t < ARRAY_SIZE(types); t++) {
		ASSERT_EQ(0, group_make(types[t], program(self->obj, "insert", self->is_hash),
					self->members));
		ASSERT_TRUE(set_vars(self->obj, 1));
		EXPECT_GT(GROUP, reached(types[t], self->members));
		EXPECT_EQ(1, get_vars(self->obj).calls);
		EXPECT_EQ(0, (int)get_vars(self->obj).result);
		found = 0;
		for (i = 0; i < GROUP; i++)
			found += sock_is_at(self->map, 1, self->members[i]);
		EXPECT_EQ(1, found);
		tally_add(&tally, 0, 1);
		/* An array has no such key. */
		ASSERT_TRUE(set_vars(self->obj, SOCK_ENTRIES));
		EXPECT_GT(GROUP, reached(types[t], self->members));
		EXPECT_EQ(self->is_hash ? 0 : -E2BIG, (int)get_vars(self->obj).result);
		tally_add(&tally, self->is_hash ? 0 : -E2BIG, 1);
		for (i = 0; i < GROUP; i++)
			close(self->members[i]);
	}
	EXPECT_TRUE(tally_check(self->map, &tally));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
