// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation, as in sock_faults.c: inserts of a TCP
 * socket that has received bytes, into a map that the parameter early selects
 * if it is a claimed one. Each insert either fails with ENOMEM, and the bytes
 * can be read, or it succeeds, and the program gets them. No byte is lost.
 *
 * An insert by bpf(2) runs the program before it returns. An insert by a
 * program needs a work item for that, and succeeds without: then the bytes wait
 * until more arrive, as in a stock map.
 *
 * A problem of the kernel: if a hash has no memory for the entry, and the
 * socket was in another map before, it keeps the program of the hash, and the
 * next insert returns EBUSY. See "A socket keeps the programs of a map after a
 * failed insert" in Documentation/known_from_stock.rst; sock_programs has it
 * without faults of memory.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#include "faultlib.h"
#include "socklib.h"
#include "sockcount.h"
#include "sockprog.h"

#define SOURCE 1
#define TARGET 2
#define NOBODY 7

FIXTURE(faults) {
	struct sock_maps maps;
	int map;	/* that of the variant */
	__u32 id;	/* of a claimed map, or 0 */
	bool is_hash;
	struct bpf_object *obj;
	int source[2];	/* the peer, and the socket that is inserted */
	int target[2];	/* the target of redirects, and its peer */
	int refs;
};

FIXTURE_VARIANT(faults) {
	struct kind kind;
};

SOCK_KINDS(faults);

FIXTURE_SETUP(faults)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	ASSERT_TRUE(set_policy("early", "rm_sock"));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->obj = sock_load_new(&self->maps, variant->kind.claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
	self->id = variant->kind.claimed ? sock_map_id(self->map) : 0;
	ASSERT_EQ(0, tcp_pair(AF_INET6, self->target));
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_EQ(0, sock_attach(sock_prog(self->obj, "skb", self->is_hash), self->map,
				 BPF_SK_SKB_STREAM_VERDICT));
	self->refs = module_refs();
}

FIXTURE_TEARDOWN(faults)
{
	close_pair(self->target);
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(set_policy("early", ""));
	EXPECT_TRUE(module_refs_become(base_refs));
}

/*
 * The socket is in the map. Its early bytes have run the program, or wait until
 * more bytes arrive. Returns whether they have waited.
 */
static bool gets_all(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self, int reader)
{
	bool waited = !sock_vars(self->obj).calls;

	EXPECT_TRUE(sock_is_at(self->map, SOURCE, self->source[1]));
	if (!waited) {
		EXPECT_TRUE(gets(reader, "abcde"));
	}
	EXPECT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(reader, waited ? "abcdefghi" : "fghi"));
	return waited;
}

/* The socket is not in the map, and has its bytes. */
static void stays_out(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self)
{
	__u64 cookie;

	EXPECT_EQ(-ENOENT, sock_get(self->map, SOURCE, &cookie));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(self->source[1], "abcde"));
	EXPECT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->source[1], "fghi"));
}

/* Inserts by bpf(2). Returns the number of failures. */
static int insert_round(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			struct sock_vars vars, bool to_target)
{
	struct sock_counts counts = {};
	struct faults faults = {};
	int err;

	while (faults_next(&faults)) {
		EXPECT_EQ(0, tcp_pair(AF_INET, self->source));
		EXPECT_TRUE(send_early(self->source, "abcde"));
		EXPECT_TRUE(sock_set(self->obj, vars));
		EXPECT_TRUE(sock_counts_begin(self->id, &counts));
		faults_begin(&faults);
		err = sock_put(self->map, SOURCE, self->source[1], BPF_ANY);
		faults_end(&faults, err);
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(-ENOMEM, err);
			stays_out(_metadata, self);
		} else {
			EXPECT_TRUE(sock_counted(self->id, &counts, 1, 0, 0));
			/* The module itself allocates nothing for them. */
			EXPECT_EQ(!self->id, gets_all(_metadata, self, to_target ?
						      self->target[0] : self->source[1]));
			EXPECT_EQ(0, sock_del(self->map, SOURCE));
		}
		close_pair(self->source);
	}
	EXPECT_FAULTS(&faults, 0);
	return faults.failures;
}

static void insert_each(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			struct sock_vars vars, bool to_target)
{
	/* Copies of key and value, the link, the psock, the entry of a hash. */
	int least = 4 + self->is_hash, failures, round = 0;

	/* Pages for slabs shift the numbers of the other allocations. */
	do
		failures = insert_round(_metadata, self, vars, to_target);
	while (failures < least && ++round < FAULTS_ROUNDS);
	EXPECT_LE(least, failures);
}

TEST_F(faults, redirected)
{
	insert_each(_metadata, self, (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS },
		    true);
}

TEST_F(faults, passed)
{
	insert_each(_metadata, self, (struct sock_vars){ .key = NOBODY, .always = 1 + SK_PASS },
		    false);
}

/* Runs the program that inserts, with the fault; its result, or -errno. */
static int insert_by_program(FIXTURE_DATA(faults) *self, struct faults *faults)
{
	struct sock_vars vars = {
		.key = SOURCE, .flags = BPF_NOEXIST, .result = -ENODATA,
	};
	struct bpf_sk_lookup ctx = { .family = AF_INET };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	int prog = sock_prog(self->obj, "update", self->is_hash), err;

	if (!sock_set(self->obj, vars))
		return -ENODATA;
	faults_begin(faults);
	err = bpf_prog_test_run_opts(prog, &opts);
	faults_end(faults, err);
	/* Before 6.4, operations return an int; its upper half is zeroes. */
	return err ?: (int)sock_vars(self->obj).result;
}

/* Results of insert_by_program(). */
struct by_program {
	int failures;
	int waited;	/* inserts without a work item */
	int kept;	/* failures after which the socket has a program */
};

static struct by_program insert_each_by_program(struct __test_metadata *_metadata,
						FIXTURE_DATA(faults) *self)
{
	struct sock_counts counts = {};
	struct by_program did = {};
	struct faults faults = {};
	__u64 cookie;
	bool waits;
	int err;

	while (faults_next(&faults)) {
		EXPECT_EQ(0, tcp_pair(AF_INET, self->source));
		EXPECT_EQ(0, sock_put(self->maps.from, 0, self->source[1], BPF_ANY));
		EXPECT_TRUE(send_early(self->source, "abcde"));
		EXPECT_TRUE(sock_counts_begin(self->id, &counts));
		err = insert_by_program(self, &faults);
		/* A work item keeps the module until it has run. */
		EXPECT_TRUE(module_refs_become(self->refs));
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(-ENOMEM, err);
			/* Perhaps there was no memory to run the program. */
			EXPECT_TRUE(sock_counted(self->id, &counts, 0, 0, 1) ||
				    sock_counted(self->id, &counts, 0, 0, 0));
			EXPECT_EQ(-ENOENT, sock_get(self->map, SOURCE, &cookie));
			EXPECT_EQ(0, sock_vars(self->obj).calls);
			did.failures++;
			/* The next insert succeeds, by bpf(2). */
			err = sock_put(self->map, SOURCE, self->source[1], BPF_NOEXIST);
			did.kept += err == -EBUSY;
			EXPECT_EQ(0, self->is_hash && err == -EBUSY ? 0 : err);
			waits = !self->id;
		} else {
			EXPECT_TRUE(sock_counted(self->id, &counts, 1, 0, 0));
			waits = !sock_vars(self->obj).calls;
			EXPECT_TRUE(waits ? !self->id || faults.hit : self->id);
			did.waited += waits;
		}
		if (!err) {
			EXPECT_EQ(waits, gets_all(_metadata, self, self->source[1]));
			EXPECT_EQ(0, sock_del(self->map, SOURCE));
		}
		EXPECT_EQ(0, sock_del(self->maps.from, 0));
		close_pair(self->source);
	}
	EXPECT_FAULTS(&faults, 0);
	return did;
}

/*
 * The program that inserts and the program that redirects have one key, and
 * BPF_NOEXIST is BPF_F_INGRESS: the socket's bytes are redirected to itself.
 */
TEST_F(faults, by_program)
{
	/* The socket has a psock: the link, the entry of a hash; the item. */
	int least = 1 + self->is_hash, round = 0;
	struct by_program did;

	/* Pages for slabs shift the numbers of the other allocations. */
	do
		did = insert_each_by_program(_metadata, self);
	while ((did.failures < least || !did.waited) && ++round < FAULTS_ROUNDS);
	EXPECT_LE(least, did.failures);
	EXPECT_LE(1, did.waited);
	TH_LOG("%d inserts without a work item, %d programs that are kept", did.waited, did.kept);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: can_fail() ?: test_harness_run(argc, argv);
}
