// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of socket maps: attaching and links, inheritance, also after an
 * insert that fails, outer maps; which programs get helpers of the module, and
 * how long they keep the module.
 */
#include "genlib.h"
#include "sockprog.h"

FIXTURE(programs) {
	struct sock_maps maps;
	int map;	/* that of the variant */
	bool is_hash;
	struct bpf_object *obj;
	int msg, skb, parser;
	int source[2], target[2];
};

FIXTURE_VARIANT(programs) {
	struct kind kind;
};

SOCK_KINDS(programs);

FIXTURE_SETUP(programs)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->obj = sock_load_new(&self->maps, variant->kind.claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
	self->msg = sock_prog(self->obj, "msg", self->is_hash);
	self->skb = sock_prog(self->obj, "skb", self->is_hash);
	self->parser = bpf_program__fd(bpf_object__find_program_by_name(self->obj, "parser"));
	ASSERT_EQ(0, tcp_pair(AF_INET, self->source));
	ASSERT_EQ(0, tcp_pair(AF_INET, self->target));
}

FIXTURE_TEARDOWN(programs)
{
	close_pair(self->source);
	close_pair(self->target);
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs));
}

TEST_F(programs, attach)
{
	int other = sock_prog(self->obj, "proxy", self->is_hash);

	EXPECT_EQ(0, sock_query(self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(-ENOENT, sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(sock_prog_id(self->msg), sock_query(self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(0, sock_attach(self->parser, self->map, BPF_SK_SKB_STREAM_PARSER));
	EXPECT_EQ(0, sock_attach(self->skb, self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(sock_prog_id(self->skb), sock_query(self->map, BPF_SK_SKB_STREAM_VERDICT));
	/* One verdict program or the other. */
	EXPECT_EQ(-EBUSY, sock_query(self->map, BPF_SK_SKB_VERDICT));
	EXPECT_EQ(0, sock_attach(other, self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(sock_prog_id(other), sock_query(self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(-ENOENT, sock_detach(self->skb, self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(0, sock_detach(other, self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(0, sock_query(self->map, BPF_SK_SKB_STREAM_VERDICT));
	EXPECT_EQ(0, sock_detach(self->parser, self->map, BPF_SK_SKB_STREAM_PARSER));
	EXPECT_EQ(0, sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(-EINVAL, sock_detach(self->msg, self->map, BPF_SK_SKB_STREAM_VERDICT));
}

/* Since 6.12; other kernels refuse. */
TEST_F(programs, link)
{
	int link = bpf_link_create(self->msg, self->map, BPF_SK_MSG_VERDICT, NULL);

	if (link == -EINVAL)
		SKIP(return, "this kernel has no links of socket maps");
	ASSERT_LE(0, link);
	EXPECT_EQ(sock_prog_id(self->msg), sock_query(self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(-EBUSY, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(-EBUSY, sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(-EBUSY, bpf_link_create(self->msg, self->map, BPF_SK_MSG_VERDICT, NULL));
	close(link);
	EXPECT_EQ(0, sock_query(self->map, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
}

/* A socket takes the programs of the map when it goes in, and no later ones. */
TEST_F(programs, inherit)
{
	char byte;

	ASSERT_EQ(0, sock_put(self->map, 0, self->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 1, self->target[0], BPF_ANY));
	ASSERT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){ .key = 1, .flags = BPF_F_INGRESS }));
	EXPECT_EQ(1, send(self->source[0], "a", 1, 0));
	EXPECT_EQ(1, recv(self->source[1], &byte, 1, 0));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_EQ(0, sock_put(self->map, 0, self->source[0], BPF_ANY));
	EXPECT_EQ(1, send(self->source[0], "b", 1, 0));
	EXPECT_EQ(1, recv(self->target[0], &byte, 1, 0));
	EXPECT_EQ('b', byte);
	EXPECT_EQ(1, sock_vars(self->obj).calls);
}

/* A socket takes one program of each kind, whichever map has it. */
TEST_F(programs, clash)
{
	int other = self->is_hash ? self->maps.array : self->maps.hash;

	ASSERT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_attach(self->msg, other, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(0, sock_put(self->map, 0, self->source[0], BPF_ANY));
	EXPECT_EQ(-EBUSY, sock_put(other, 0, self->source[0], BPF_ANY));
	/* Also before the flags are looked at. */
	EXPECT_EQ(-EBUSY, sock_put(other, 0, self->source[0], BPF_EXIST));
	EXPECT_EQ(-EBUSY, sock_put(self->map, 0, self->source[0], BPF_NOEXIST));
	ASSERT_EQ(0, sock_detach(self->msg, other, BPF_SK_MSG_VERDICT));
	EXPECT_EQ(0, sock_put(other, 0, self->source[0], BPF_ANY));
}

/*
 * A fault of the kernel (see known_from_stock.rst): it gives the programs of a
 * map to a socket before it looks at the key. If the insert then fails, and the
 * socket is in another map, it keeps the programs.
 */
TEST_F(programs, failed_insert)
{
	int other = self->is_hash ? self->maps.array : self->maps.hash;
	/* A hash is full; an array has an empty slot at its end. */
	__u32 filled = self->is_hash ? SOCK_ENTRIES : SOCK_ENTRIES - 1, i;
	const struct {
		__u32 key, flags;
		int err;
		bool keeps;
	} rows[] = {
		{ 0, BPF_NOEXIST, -EEXIST, true },
		{ filled, BPF_EXIST, -ENOENT, true },
		/* The kernel compares the slot with the size before. */
		{ SOCK_ENTRIES, BPF_ANY, -E2BIG, self->is_hash },
	};
	char byte;

	for (i = 0; i < filled; i++)
		ASSERT_EQ(0, sock_put(self->map, i, self->target[0], BPF_ANY));
	ASSERT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){
			.key = SOCK_ENTRIES,
			.always = 1 + SK_PASS,
		}));
		/* A socket that is in no other map keeps nothing. */
		EXPECT_EQ(rows[i].err, sock_put(self->map, rows[i].key, self->source[0],
						rows[i].flags));
		EXPECT_EQ(1, send(self->source[0], "a", 1, 0));
		EXPECT_EQ(0, sock_vars(self->obj).calls);

		ASSERT_EQ(0, sock_put(other, 0, self->source[0], BPF_ANY));
		EXPECT_EQ(rows[i].err, sock_put(self->map, rows[i].key, self->source[0],
						rows[i].flags));
		EXPECT_EQ(1, send(self->source[0], "b", 1, 0));
		EXPECT_EQ(rows[i].keeps, sock_vars(self->obj).calls);
		if (rows[i].keeps)
			EXPECT_EQ(-EBUSY, sock_put(self->map, 1, self->source[0], BPF_EXIST));

		/* It loses the programs with its last map. */
		ASSERT_EQ(0, sock_del(other, 0));
		EXPECT_EQ(0, sock_put(self->map, 1, self->source[0], BPF_EXIST));
		ASSERT_EQ(0, sock_put(self->map, 1, self->target[1], BPF_EXIST));
		EXPECT_EQ(1, recv(self->source[1], &byte, 1, 0));
		EXPECT_EQ('a', byte);
		EXPECT_EQ(1, recv(self->source[1], &byte, 1, 0));
		EXPECT_EQ('b', byte);
	}
}

/* The same if the map has a parser, which since 6.12 takes TCP sockets only. */
TEST_F(programs, failed_insert_parser)
{
	int other = self->is_hash ? self->maps.array : self->maps.hash, udp[2], err;

	ASSERT_EQ(0, udp_pair(AF_INET, udp));
	ASSERT_EQ(0, sock_put(other, 0, udp[0], BPF_ANY));
	ASSERT_EQ(0, sock_attach(self->parser, self->map, BPF_SK_SKB_STREAM_PARSER));
	ASSERT_EQ(0, sock_attach(self->skb, self->map, BPF_SK_SKB_STREAM_VERDICT));
	err = sock_put(self->map, 0, udp[0], BPF_ANY);
	if (!err) {
		close_pair(udp);
		SKIP(return, "this kernel takes other sockets into a map with a parser");
	}
	EXPECT_EQ(-EOPNOTSUPP, err);
	ASSERT_EQ(0, sock_detach(self->parser, self->map, BPF_SK_SKB_STREAM_PARSER));
	EXPECT_EQ(-EBUSY, sock_put(self->map, 0, udp[0], BPF_ANY));
	ASSERT_EQ(0, sock_del(other, 0));
	EXPECT_EQ(0, sock_put(self->map, 0, udp[0], BPF_ANY));
	close_pair(udp);
}

/* Types of programs of two maps; the result of an insert into the other one. */
static const struct {
	enum bpf_attach_type one, other;
	int err;
} clashes[] = {
	{ BPF_SK_MSG_VERDICT, BPF_SK_MSG_VERDICT, -EBUSY },
	{ BPF_SK_SKB_STREAM_VERDICT, BPF_SK_SKB_STREAM_VERDICT, -EBUSY },
	{ BPF_SK_SKB_STREAM_VERDICT, BPF_SK_SKB_VERDICT, -EBUSY },
	{ BPF_SK_SKB_VERDICT, BPF_SK_SKB_STREAM_VERDICT, -EBUSY },
	{ BPF_SK_SKB_VERDICT, BPF_SK_SKB_VERDICT, -EBUSY },
	{ BPF_SK_SKB_STREAM_PARSER, BPF_SK_SKB_STREAM_PARSER, -EBUSY },
	/* A socket takes both. */
	{ BPF_SK_SKB_STREAM_VERDICT, BPF_SK_MSG_VERDICT, 0 },
	{ BPF_SK_MSG_VERDICT, BPF_SK_SKB_VERDICT, 0 },
};

TEST_F(programs, clash_by_type)
{
	const int progs[] = {
		[BPF_SK_MSG_VERDICT] = self->msg, [BPF_SK_SKB_STREAM_VERDICT] = self->skb,
		[BPF_SK_SKB_VERDICT] = self->skb, [BPF_SK_SKB_STREAM_PARSER] = self->parser,
	};
	int other = self->is_hash ? self->maps.array : self->maps.hash, pair[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clashes); i++) {
		enum bpf_attach_type one = clashes[i].one, two = clashes[i].other;

		ASSERT_EQ(0, tcp_pair(AF_INET, pair));
		ASSERT_EQ(0, sock_attach(progs[one], self->map, one));
		ASSERT_EQ(0, sock_attach(progs[two], other, two));
		EXPECT_EQ(0, sock_put(self->map, 0, pair[0], BPF_ANY));
		EXPECT_EQ(clashes[i].err, sock_put(other, 0, pair[0], BPF_ANY)) {
			TH_LOG("row %u", i);
		}
		EXPECT_EQ(!clashes[i].err, sock_is_at(other, 0, pair[0]));
		ASSERT_EQ(0, sock_detach(progs[two], other, two));
		EXPECT_EQ(0, sock_put(other, 0, pair[0], BPF_ANY));
		ASSERT_EQ(0, sock_detach(progs[one], self->map, one));
		close_pair(pair);
	}
}

/* Programs over stock maps keep the kernel's helpers, and only those. */
TEST_F(programs, helpers)
{
	static const char *const names[] = { "msg", "skb", "ops" };
	int array = sock_map(false, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	int hash = sock_map(false, BPF_MAP_TYPE_SOCKHASH, 8, SOCK_ENTRIES);
	struct bpf_object *stock = sock_load(array, hash, array);
	unsigned int i;
	int helper;

	ASSERT_NE(NULL, stock);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		helper = sock_helper_of(sock_prog(stock, names[i], self->is_hash));
		EXPECT_NE(0, helper);
		EXPECT_EQ(variant->kind.claimed,
			  sock_helper_of(sock_prog(self->obj, names[i], self->is_hash)) != helper) {
			TH_LOG("%s", names[i]);
		}
	}
	bpf_object__close(stock);
	close(array);
	close(hash);
}

/* A program keeps its maps, and so the module; so does an attached one. */
TEST_F(programs, keep_the_module)
{
	int prog = dup(self->msg);

	close_pair(self->source);
	sock_unload(&self->obj, &self->maps);
	/* Only the program's own map is left. */
	EXPECT_TRUE(module_refs_become(base_refs + variant->kind.claimed));
	if (variant->kind.claimed)
		EXPECT_FALSE(sh("rmmod redirmap 2>/dev/null"));
	close(prog);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* So does a socket that runs the program, and goes with the socket. */
TEST_F(programs, keep_by_socket)
{
	ASSERT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_put(self->map, 0, self->source[0], BPF_ANY));
	ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){ .key = 1 }));
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs + variant->kind.claimed));
	/* The map has dropped the program; the socket still has it. */
	EXPECT_EQ(-1, send(self->source[0], "a", 1, 0));
	EXPECT_EQ(EACCES, errno);
	if (variant->kind.claimed)
		EXPECT_FALSE(sh("rmmod redirmap 2>/dev/null"));
	close_pair(self->source);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* A map is freed with sockets in it, which go on as plain ones. */
TEST_F(programs, free_with_sockets)
{
	char byte;

	ASSERT_EQ(0, sock_put(self->map, 0, self->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 1, self->source[1], BPF_ANY));
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs));
	EXPECT_EQ(1, send(self->source[0], "a", 1, 0));
	EXPECT_EQ(1, recv(self->source[1], &byte, 1, 0));
	EXPECT_EQ('a', byte);
}

/* Redirects with an inner map; stock and claimed ones do not mix. */
TEST_F(programs, outer)
{
	int outer = sock_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, self->maps.array), stock, claimed, prog;
	__u32 zero = 0, one = 1, value;
	struct bpf_object *obj;
	char byte;

	ASSERT_LE(0, outer);
	stock = sock_map(false, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	claimed = sock_map(true, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	value = variant->kind.claimed ? stock : claimed;
	EXPECT_EQ(-EINVAL, bpf_map_update_elem(outer, &one, &value, 0));
	value = variant->kind.claimed ? claimed : stock;
	EXPECT_EQ(0, bpf_map_update_elem(outer, &one, &value, 0));
	value = self->maps.array;
	ASSERT_EQ(0, bpf_map_update_elem(outer, &zero, &value, 0));

	obj = bpf_object__open(beside("sock_inner.bpf.o"));
	ASSERT_NE(NULL, obj);
	ASSERT_EQ(0, bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "outer"), outer));
	ASSERT_EQ(0, bpf_object__load(obj));
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "msg"));
	EXPECT_EQ(!self->is_hash, sock_helper_of(prog) == sock_helper_of(self->msg));
	ASSERT_EQ(0, sock_attach(prog, self->maps.array, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_put(self->maps.array, 0, self->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_detach(prog, self->maps.array, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_put(self->maps.array, 1, self->target[0], BPF_ANY));
	EXPECT_EQ(1, send(self->source[0], "b", 1, 0));
	EXPECT_EQ(1, recv(self->target[0], &byte, 1, 0));
	EXPECT_EQ('b', byte);
	bpf_object__close(obj);
	close(outer);
	close(stock);
	close(claimed);
}

/*
 * A sleepable iterator runs outside of RCU read sections. The module needs one
 * to find the counters of the map, and for the kernel's operation, which reads
 * the psock of the socket. PROVE_RCU notices if there is none: also on stock
 * maps, which are left out there (see known_from_stock.rst).
 */
TEST_F(programs, sleepable)
{
	int outer = sock_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, self->map), iterator;
	/* As in sock_sleepable.bpf.c. */
	struct { __u64 done, failed; } vars;
	struct sock_counts counts;
	struct bpf_object *obj;
	struct bpf_link *link;
	__u32 zero = 0;
	char byte;

	if (!variant->kind.claimed && fewer(10) < 10)
		SKIP(return, "a debug kernel warns about the kernel's own delete");
	ASSERT_LE(0, outer);
	ASSERT_EQ(0, bpf_map_update_elem(outer, &zero, &self->map, 0));
	ASSERT_EQ(0, sock_put(self->map, 1, self->source[0], BPF_ANY));
	obj = bpf_object__open(beside("sock_sleepable.bpf.o"));
	ASSERT_NE(NULL, obj);
	ASSERT_EQ(0, bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "outer"), outer));
	ASSERT_EQ(0, bpf_object__load(obj));
	link = bpf_program__attach_iter(bpf_object__find_program_by_name(obj, "delete"), NULL);
	ASSERT_NE(NULL, link);
	iterator = bpf_iter_create(bpf_link__fd(link));
	ASSERT_LE(0, iterator);
	EXPECT_EQ(0, read(iterator, &byte, 1));
	ASSERT_EQ(0, bpf_map_lookup_elem(bpf_map__fd(bpf_object__find_map_by_name(obj, ".bss")),
					 &zero, &vars));
	/* The second delete finds no entry. */
	EXPECT_EQ(1, vars.done);
	EXPECT_EQ(1, vars.failed);
	if (variant->kind.claimed) {
		ASSERT_EQ(0, sock_counts(sock_map_id(self->map), &counts));
		EXPECT_EQ(1, counts.deletes);
	}
	EXPECT_FALSE(sock_is_at(self->map, 1, self->source[0]));
	close(iterator);
	bpf_link__destroy(link);
	bpf_object__close(obj);
	close(outer);
}

/* A pinned and frozen map is a map. */
TEST_F(programs, pin_and_freeze)
{
	int again;

	if (access("/sys/fs/bpf/", W_OK))
		ASSERT_TRUE(sh("mount -t bpf none /sys/fs/bpf"));
	ASSERT_EQ(0, bpf_obj_pin(self->map, "/sys/fs/bpf/sock_programs"));
	again = bpf_obj_get("/sys/fs/bpf/sock_programs");
	EXPECT_LE(0, again);
	EXPECT_EQ(0, unlink("/sys/fs/bpf/sock_programs"));
	EXPECT_EQ(0, sock_put(again, 0, self->source[0], BPF_ANY));
	EXPECT_EQ(0, bpf_map_freeze(again));
	EXPECT_EQ(-EPERM, sock_put(self->map, 1, self->source[0], BPF_ANY));
	EXPECT_EQ(-EPERM, sock_del(self->map, 0));
	EXPECT_TRUE(sock_is_at(self->map, 0, self->source[0]));
	close(again);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
