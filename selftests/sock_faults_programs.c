// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation, as in sock_faults.c: programs that use a
 * socket map are loaded, attached and linked, and outer maps get socket maps.
 * Each time the operation either fails and leaves nothing, or succeeds. A
 * program over a claimed map that could be loaded calls the module's helper.
 *
 * A failed load returns ENOMEM; or EINVAL, if the kernel has no memory for the
 * program; or ENOTSUPP, if it has none for the machine code, and no
 * interpreter; or EFAULT, if before 6.16 the verifier has none for the state of
 * a branch.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#include "faultlib.h"
#include "sockprog.h"

/* Instructions. */
#define CALL(func)	{ .code = BPF_JMP | BPF_CALL, .imm = (func) }
#define EXIT		{ .code = BPF_JMP | BPF_EXIT }
#define SET(reg, to)	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (to) }
#define COPY(reg, from)	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (reg),		\
			  .src_reg = (from) }
#define ADD(reg, to)	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (reg), .imm = (to) }
#define ZERO_AT(offset)	{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10,		\
			  .off = (offset) }
#define LOAD_MAP(reg, fd)								\
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (reg),				\
	  .src_reg = BPF_PSEUDO_MAP_FD, .imm = (fd) }
/* The second half of LOAD_MAP() */
#define LOAD_END	{}
#define SKIP_IF_ZERO(reg, n)								\
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (reg), .off = (n) }

/* The helpers that the module replaces, for arrays and hashes. */
static const struct call {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	int helper[2];
	bool key_on_stack[2];
} calls[] = {
	{ "sk_msg", BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT,
	  { BPF_FUNC_msg_redirect_map, BPF_FUNC_msg_redirect_hash }, { false, true } },
	{ "sk_skb", BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_VERDICT,
	  { BPF_FUNC_sk_redirect_map, BPF_FUNC_sk_redirect_hash }, { false, true } },
	{ "sock_ops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS,
	  { BPF_FUNC_sock_map_update, BPF_FUNC_sock_hash_update }, { true, true } },
};

FIXTURE(faults) {
	struct sock_maps maps;
	int map;	/* that of the variant */
	bool is_hash;
	struct bpf_object *obj;
	int msg;
};

FIXTURE_VARIANT(faults) {
	struct kind kind;
};

SOCK_KINDS(faults);

FIXTURE_SETUP(faults)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->obj = sock_load_new(&self->maps, variant->kind.claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
	self->msg = sock_prog(self->obj, "msg", self->is_hash);
}

/* A program that is left keeps its map, and so the module. */
FIXTURE_TEARDOWN(faults)
{
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* An fd or -errno. */
static int load_insns(const struct call *call, const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = call->attach);
	int fd = bpf_prog_load(call->type, "sock_faults", "GPL", insns, n, &opts);

	return fd < 0 ? -errno : fd;
}

/* The third argument: the key, or its address. */
static void set_key(const struct call *call, bool is_hash, struct bpf_insn insns[2])
{
	if (call->key_on_stack[is_hash]) {
		insns[0] = (struct bpf_insn)COPY(BPF_REG_3, BPF_REG_10);
		insns[1] = (struct bpf_insn)ADD(BPF_REG_3, -4);
	} else {
		insns[0] = (struct bpf_insn)SET(BPF_REG_3, 0);
		insns[1] = (struct bpf_insn)ADD(BPF_REG_3, 0);
	}
}

static int load_call(const struct call *call, int map, bool is_hash)
{
	struct bpf_insn insns[] = {
		LOAD_MAP(BPF_REG_2, map),
		LOAD_END,
		ZERO_AT(-4),
		{},
		{},
		SET(BPF_REG_4, 0),
		CALL(call->helper[is_hash]),
		SET(BPF_REG_0, 1),
		EXIT,
	};

	set_key(call, is_hash, insns + 3);
	return load_insns(call, insns, ARRAY_SIZE(insns));
}

/* The map comes from an outer map. */
static int load_outer(const struct call *call, int outer, bool is_hash)
{
	struct bpf_insn insns[] = {
		COPY(BPF_REG_6, BPF_REG_1),
		ZERO_AT(-4),
		LOAD_MAP(BPF_REG_1, outer),
		LOAD_END,
		COPY(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -4),
		CALL(BPF_FUNC_map_lookup_elem),
		SKIP_IF_ZERO(BPF_REG_0, 6),
		COPY(BPF_REG_1, BPF_REG_6),
		COPY(BPF_REG_2, BPF_REG_0),
		{},
		{},
		SET(BPF_REG_4, 0),
		CALL(call->helper[is_hash]),
		SET(BPF_REG_0, 1),
		EXIT,
	};

	set_key(call, is_hash, insns + 10);
	return load_insns(call, insns, ARRAY_SIZE(insns));
}

static void load_each(struct __test_metadata *_metadata,
		      int (*load)(const struct call *call, int map, bool is_hash),
		      const struct call *call, int map, bool is_hash)
{
	struct faults faults = {};
	int prog, helper;

	/* libbpf tries the kernel's features out. */
	prog = load(call, map, is_hash);
	ASSERT_LE(0, prog);
	helper = sock_helper_of(prog);
	ASSERT_LT(0, helper);
	close(prog);
	while (faults_next(&faults)) {
		faults_begin(&faults);
		prog = load(call, map, is_hash);
		faults_end(&faults, prog < 0);
		if (prog < 0) {
			EXPECT_TRUE(faults.hit);
			EXPECT_TRUE(prog == -ENOMEM || prog == -ENOTSUPP || prog == -EFAULT ||
				    prog == -EINVAL) {
				TH_LOG("allocation %d: %d", faults.n, prog);
			}
			continue;
		}
		EXPECT_EQ(helper, sock_helper_of(prog));
		close(prog);
	}
	EXPECT_FAULTS(&faults, 10);
}

TEST_F(faults, load)
{
	int stock, prog, helper;
	const struct call *call;

	stock = sock_map(false, variant->kind.type, 8, SOCK_ENTRIES);
	ASSERT_LE(0, stock);
	for (call = calls; call < calls + ARRAY_SIZE(calls); call++) {
		TH_LOG("%s", call->name);
		prog = load_call(call, stock, self->is_hash);
		helper = sock_helper_of(prog);
		close(prog);
		prog = load_call(call, self->map, self->is_hash);
		EXPECT_EQ(variant->kind.claimed, sock_helper_of(prog) != helper);
		close(prog);
		load_each(_metadata, load_call, call, self->map, self->is_hash);
	}
	close(stock);
}

TEST_F(faults, load_with_outer)
{
	int outer = sock_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, self->map);
	const struct call *call;

	ASSERT_LE(0, outer);
	for (call = calls; call < calls + ARRAY_SIZE(calls); call++) {
		TH_LOG("%s", call->name);
		load_each(_metadata, load_outer, call, outer, self->is_hash);
	}
	close(outer);
}

/* The kernel allocates nothing at present. */
TEST_F(faults, attach_and_detach)
{
	__u32 id = sock_prog_id(self->msg);
	struct faults on = {}, off = {};
	int err;

	while (faults_next(&on)) {
		faults_begin(&on);
		err = sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT);
		faults_end(&on, err);
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(err ? 0 : id, sock_query(self->map, BPF_SK_MSG_VERDICT));
		if (!err)
			EXPECT_EQ(0, sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT));
	}
	EXPECT_FAULTS(&on, 0);
	while (faults_next(&off)) {
		EXPECT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
		faults_begin(&off);
		err = sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT);
		faults_end(&off, err);
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(err ? id : 0, sock_query(self->map, BPF_SK_MSG_VERDICT));
	}
	EXPECT_FAULTS(&off, 0);
}

/* Since 6.12. A link that failed is not attached. */
TEST_F(faults, link)
{
	__u32 id = sock_prog_id(self->msg);
	struct faults faults = {};
	int link;

	link = bpf_link_create(self->msg, self->map, BPF_SK_MSG_VERDICT, NULL);
	if (link == -EINVAL)
		SKIP(return, "this kernel has no links of socket maps");
	ASSERT_LE(0, link);
	close(link);
	while (faults_next(&faults)) {
		faults_begin(&faults);
		link = bpf_link_create(self->msg, self->map, BPF_SK_MSG_VERDICT, NULL);
		faults_end(&faults, link < 0);
		if (link < 0) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(-ENOMEM, link);
			EXPECT_EQ(0, sock_query(self->map, BPF_SK_MSG_VERDICT));
			EXPECT_EQ(0, sock_attach(self->msg, self->map, BPF_SK_MSG_VERDICT));
			EXPECT_EQ(0, sock_detach(self->msg, self->map, BPF_SK_MSG_VERDICT));
			continue;
		}
		EXPECT_EQ(id, sock_query(self->map, BPF_SK_MSG_VERDICT));
		close(link);
		EXPECT_EQ(0, sock_query(self->map, BPF_SK_MSG_VERDICT));
	}
	/* The link, its file. */
	EXPECT_FAULTS(&faults, 2);
}

/* A claimed template gives an outer map a reference to the module. */
TEST_F(faults, outer)
{
	static const enum bpf_map_type types[] = {
		BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
	};
	int outer, refs = module_refs();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		struct faults faults = {};

		while (faults_next(&faults)) {
			faults_begin(&faults);
			outer = sock_outer(types[i], self->map);
			faults_end(&faults, outer < 0);
			if (outer < 0) {
				EXPECT_TRUE(faults.hit);
				EXPECT_EQ(-ENOMEM, outer);
			} else {
				EXPECT_EQ(refs + variant->kind.claimed, module_refs());
				close(outer);
			}
			EXPECT_TRUE(module_refs_become(refs));
		}
		EXPECT_FAULTS(&faults, 2);
	}
}

TEST_F(faults, inner)
{
	int outer = sock_outer(BPF_MAP_TYPE_HASH_OF_MAPS, self->map), err;
	__u32 key = 1, value = self->map, id;
	struct faults put = {}, delete = {};

	ASSERT_LE(0, outer);
	while (faults_next(&put)) {
		faults_begin(&put);
		err = bpf_map_update_elem(outer, &key, &value, BPF_ANY);
		faults_end(&put, err);
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(!!err, !!bpf_map_lookup_elem(outer, &key, &id));
		if (!err)
			EXPECT_EQ(0, bpf_map_delete_elem(outer, &key));
	}
	/* Copies of key and value, the entry. */
	EXPECT_FAULTS(&put, 2);
	ASSERT_EQ(0, bpf_map_update_elem(outer, &key, &value, BPF_ANY));
	while (faults_next(&delete)) {
		faults_begin(&delete);
		err = bpf_map_delete_elem(outer, &key);
		faults_end(&delete, err);
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(!err, !!bpf_map_lookup_elem(outer, &key, &id));
		if (!err)
			EXPECT_EQ(0, bpf_map_update_elem(outer, &key, &value, BPF_ANY));
	}
	EXPECT_FAULTS(&delete, 1);
	close(outer);
}

int main(int argc, char **argv)
{
	int status = sock_setup() ?: can_fail();

	if (status)
		return status;
	/*
	 * A failed vmalloc() for a program prints its stack. Reports of faults
	 * of the kernel have further lines.
	 */
	puts("# allow-log: Call Trace");
	fflush(stdout);
	return test_harness_run(argc, argv);
}
