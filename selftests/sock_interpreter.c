// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that the kernel interprets (net.core.bpf_jit_enable=0): they get the
 * helpers of the module as well, so claimed maps count their redirects. Kernels
 * with CONFIG_BPF_JIT_ALWAYS_ON have no interpreter.
 */
#include <sys/wait.h>

#include "sockcase.h"
#include "sockprog.h"

FIXTURE(interpreter) {
	struct sock_case c;
};

FIXTURE_VARIANT(interpreter) {
	struct kind kind;
};

SOCK_KINDS(interpreter);

FIXTURE_SETUP(interpreter)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(interpreter)
{
	EXPECT_TRUE(case_end(&self->c));
}

/* Is the program interpreted? */
static bool interpreted(struct sock_case *c, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(sock_prog(c->obj, name, c->is_hash), &info, &len) &&
	       info.xlated_prog_len && !info.jited_prog_len;
}

TEST_F(interpreter, messages)
{
	struct sock_case *c = &self->c;

	EXPECT_TRUE(interpreted(c, "msg"));
	ASSERT_TRUE(case_redirects(c, "msg", BPF_SK_MSG_VERDICT, c->source[0], c->target[0],
				   (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	EXPECT_TRUE(send_text(c->source[0], "to ingress"));
	EXPECT_TRUE(gets(c->target[0], "to ingress"));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = TARGET }));
	EXPECT_TRUE(send_text(c->source[0], "to egress"));
	EXPECT_TRUE(gets(c->target[1], "to egress"));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = NOBODY }));
	EXPECT_EQ(-1, send(c->source[0], "refused", 7, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){
		.msg_ingress = 1,
		.msg_egress = 1,
		.refused = 1,
	}));
}

TEST_F(interpreter, packets)
{
	struct sock_case *c = &self->c;

	EXPECT_TRUE(interpreted(c, "skb"));
	ASSERT_TRUE(case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1], c->target[0],
				   (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	EXPECT_TRUE(send_text(c->source[0], "to ingress"));
	EXPECT_TRUE(gets(c->target[0], "to ingress"));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = TARGET }));
	EXPECT_TRUE(send_text(c->source[0], "to egress"));
	EXPECT_TRUE(gets(c->target[1], "to egress"));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = NOBODY }));
	EXPECT_TRUE(send_text(c->source[0], "refused"));
	EXPECT_TRUE(sock_calls_become(c->obj, 1));
	EXPECT_EQ(0, sock_vars(c->obj).passed);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){
		.skb_ingress = 1,
		.skb_egress = 1,
		.refused = 1,
	}));
}

/* Updates and deletes of programs, which call operations of the map. */
TEST_F(interpreter, operations)
{
	struct sock_case *c = &self->c;

	EXPECT_TRUE(interpreted(c, "update"));
	ASSERT_EQ(0, sock_put(c->maps.from, 0, c->source[0], BPF_ANY));
	EXPECT_EQ(0, sock_run(c->obj, "update", c->is_hash, 5, BPF_NOEXIST));
	EXPECT_TRUE(sock_is_at(c->map, 5, c->source[0]));
	EXPECT_EQ(-EEXIST, sock_run(c->obj, "update", c->is_hash, 5, BPF_NOEXIST));
	EXPECT_EQ(0, sock_run(c->obj, "delete", c->is_hash, 5, 0));
	EXPECT_EQ(c->is_hash ? -ENOENT : -EINVAL,
		  sock_run(c->obj, "delete", c->is_hash, 5, 0));
	if (c->claimed) {
		struct sock_counts counts = {};

		EXPECT_EQ(0, sock_counts(sock_map_id(c->map), &counts));
		EXPECT_EQ(1, counts.inserts);
		EXPECT_EQ(1, counts.deletes);
	}
}

/* Redirects through an inner map, whose program was loaded with a template. */
TEST_F(interpreter, outer)
{
	struct sock_case *c = &self->c;
	int outer = sock_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, c->maps.array), prog;
	struct bpf_object *obj = bpf_object__open(beside("sock_inner.bpf.o"));
	__u32 zero = 0, value = c->maps.array;
	struct sock_counts counts = {};

	ASSERT_LE(0, outer);
	ASSERT_EQ(0, bpf_map_update_elem(outer, &zero, &value, 0));
	ASSERT_NE(NULL, obj);
	ASSERT_EQ(0, bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "outer"), outer));
	ASSERT_EQ(0, bpf_object__load(obj));
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "msg"));
	ASSERT_EQ(0, sock_attach(prog, c->maps.array, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_put(c->maps.array, 0, c->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_detach(prog, c->maps.array, BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, sock_put(c->maps.array, 1, c->target[0], BPF_ANY));
	EXPECT_TRUE(send_text(c->source[0], "inner"));
	EXPECT_TRUE(gets(c->target[0], "inner"));
	if (c->claimed) {
		EXPECT_EQ(0, sock_counts(sock_map_id(c->maps.array), &counts));
		EXPECT_EQ(1, sock_accepted(&counts));
	}
	bpf_object__close(obj);
	close(outer);
}

#define JIT "/proc/sys/net/core/bpf_jit_enable"

int main(int argc, char **argv)
{
	int jit = read_int(JIT), status = 0;
	char old[16];
	pid_t pid;

	if (!can_test())
		return KSFT_SKIP;
	if (!write_str(JIT, "0")) {
		printf("1..0 # SKIP this kernel has no interpreter of programs\n");
		return KSFT_SKIP;
	}
	/*
	 * The child exits, and has its own network namespace, where this file
	 * does not exist.
	 */
	pid = fork();
	if (!pid)
		return sock_setup() ?: test_harness_run(argc, argv);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		status = -1;
	snprintf(old, sizeof(old), "%d", jit);
	if (!write_str(JIT, old) || read_int(JIT) != jit)
		return KSFT_FAIL;
	return status < 0 ? KSFT_FAIL : WEXITSTATUS(status);
}
