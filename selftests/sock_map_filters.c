// SPDX-License-Identifier: GPL-2.0-only
/*
 * Socket filters whose socket inserts itself into a socket map, and deletes it;
 * flow dissectors, which get no socket, and can only delete. The kernel
 * decides, so the table holds for stock and claimed maps, and a claimed map
 * counts each insert, each refused one by its errno, and each delete.
 */
#include <sys/mman.h>

#include "sockmake.h"

/* As in sock_filters.bpf.c. */
#define ENTRIES 16

struct filter_vars {
	__u32 key;
	__u32 deletes;
	__u64 flags;
	__s64 result;
};

/* The result of nothing. */
#define UNSEEN 1

FIXTURE(filters) {
	int array, hash;
	int map;	/* that of the variant */
	bool is_hash;
	int used;
	struct bpf_object *obj;
	struct filter_vars *vars;
};

FIXTURE_VARIANT(filters) {
	struct kind kind;
};

SOCK_KINDS(filters);

static int map_of(struct bpf_object *obj, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(obj, name));
}

FIXTURE_SETUP(filters)
{
	self->used = sockets_used();
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->array = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKMAP, 8, ENTRIES);
	self->hash = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKHASH, 8, ENTRIES);
	self->map = self->is_hash ? self->hash : self->array;
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->obj = sock_load_file("sock_filters.bpf.o", self->array, self->hash, -1);
	ASSERT_NE(NULL, self->obj);
	self->vars = mmap(NULL, sizeof(*self->vars), PROT_READ | PROT_WRITE, MAP_SHARED,
			  map_of(self->obj, ".bss"), 0);
	ASSERT_NE(MAP_FAILED, self->vars);
}

FIXTURE_TEARDOWN(filters)
{
	munmap(self->vars, sizeof(*self->vars));
	bpf_object__close(self->obj);
	close(self->array);
	close(self->hash);
	EXPECT_TRUE(sockets_become(self->used));
	EXPECT_TRUE(module_refs_become(base_refs));
}

static int program(struct bpf_object *obj, const char *name, bool is_hash)
{
	char full[32];

	snprintf(full, sizeof(full), "%s_%s", name, is_hash ? "hash" : "socks");
	return bpf_program__fd(bpf_object__find_program_by_name(obj, full));
}

/* Key 0 has another socket. */
static const struct {
	bool deletes;
	__u32 key;
	__u64 flags;
	int array;
	int hash;
} rows[] = {
	{ false, 1, BPF_EXIST, -ENOENT, -ENOENT },
	{ false, 1, BPF_NOEXIST, 0, 0 },
	{ false, 1, BPF_NOEXIST, -EEXIST, -EEXIST },
	{ false, 1, BPF_EXIST, 0, 0 },
	{ false, 0, BPF_NOEXIST, -EEXIST, -EEXIST },
	{ false, 1, BPF_EXIST + 1, -EINVAL, -EINVAL },
	{ true, 1, BPF_ANY, 0, 0 },
	{ true, 1, BPF_ANY, -EINVAL, -ENOENT },
	{ false, ENTRIES, BPF_ANY, -E2BIG, 0 },
};

/* A packet that @from sends passes the filter of its receiver. */
static int filtered(struct filter_vars *vars, int from, int to)
{
	char byte;

	vars->result = UNSEEN;
	if (send(from, "a", 1, 0) != 1 || recv(to, &byte, 1, 0) != 1)
		return -ENODATA;
	return (int)vars->result;
}

TEST_F(filters, insert_and_delete)
{
	int (*const make[])(int *other) = { tcp, tcp6, udp_connected, unix_dgram };
	struct sock_counts counts;
	int fd, peer = -1, resident, resident_peer = -1, prog, err;
	struct tally tally = {};
	__u64 deletes = 0;
	unsigned int i, n;

	prog = program(self->obj, "filter", self->is_hash);
	resident = tcp(&resident_peer);
	ASSERT_LE(0, resident);
	ASSERT_EQ(0, sock_put(self->map, 0, resident, BPF_ANY));
	tally_add(&tally, 0, 1);
	for (n = 0; n < ARRAY_SIZE(make); n++) {
		fd = make[n](&peer);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)));
		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			self->vars->key = rows[i].key;
			self->vars->flags = rows[i].flags;
			self->vars->deletes = rows[i].deletes;
			err = self->is_hash ? rows[i].hash : rows[i].array;
			EXPECT_EQ(err, filtered(self->vars, peer, fd)) {
				TH_LOG("socket %u, row %u", n, i);
			}
			if (!rows[i].deletes)
				tally_add(&tally, err, 1);
			else if (!err)
				deletes++;
			if (!err)
				EXPECT_EQ(!rows[i].deletes,
					  sock_is_at(self->map, rows[i].key, fd));
		}
		EXPECT_TRUE(sock_is_at(self->map, 0, resident));
		EXPECT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_DETACH_BPF, &prog, sizeof(prog)));
		close(fd);
		close(peer);
	}
	EXPECT_TRUE(tally_check(self->map, &tally));
	if (variant->kind.claimed) {
		ASSERT_EQ(0, sock_counts(sock_map_id(self->map), &counts));
		EXPECT_EQ(ARRAY_SIZE(make), deletes);
		EXPECT_EQ(deletes, counts.deletes);
	}
	close(resident);
	close(resident_peer);
}

/* The result of a flow dissector's delete. */
static int dissected(struct bpf_object *obj, bool is_hash, struct filter_vars *vars)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	vars->result = UNSEEN;
	if (bpf_prog_test_run_opts(program(obj, "dissector", is_hash), &opts))
		return -ENODATA;
	return (int)vars->result;
}

TEST_F(filters, dissectors)
{
	struct sock_counts counts;
	int fd, peer = -1;

	fd = tcp(&peer);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sock_put(self->map, 1, fd, BPF_ANY));
	self->vars->key = 1;
	EXPECT_EQ(0, dissected(self->obj, self->is_hash, self->vars));
	EXPECT_FALSE(sock_is_at(self->map, 1, fd));
	EXPECT_EQ(self->is_hash ? -ENOENT : -EINVAL,
		  dissected(self->obj, self->is_hash, self->vars));
	if (variant->kind.claimed) {
		ASSERT_EQ(0, sock_counts(sock_map_id(self->map), &counts));
		EXPECT_EQ(1, counts.deletes);
	}
	close(fd);
	close(peer);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
