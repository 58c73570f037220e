// SPDX-License-Identifier: GPL-2.0-only
/* Acting programs of socket maps: see acts.h. */
#include <stddef.h>
#include <sys/mman.h>

#include "acts.h"
#include "insns.h"

/* More than an episode can load. */
#define MAX_LOADED 4096
/* Marks numbers of act_number(), which are no ids. */
#define NUMBER 0x80000000

enum way { STREAM, SKB, MSG, NR_WAYS };

static int rules_fd[NR_SIDES];
static struct rules *rules[NR_SIDES];
/* Descriptors; 0 is none. */
static int progs[NR_PAIRS][NR_WAYS][NR_SIDES];
static __u32 ids[MAX_LOADED][NR_SIDES];
static unsigned int nr_loaded;

bool acts_init(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int side;

	for (side = 0; side < NR_SIDES; side++) {
		rules_fd[side] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fuzz_rules", sizeof(__u32),
						sizeof(struct rules), 1, &opts);
		if (rules_fd[side] < 0)
			return false;
		rules[side] = mmap(NULL, sizeof(struct rules), PROT_READ | PROT_WRITE, MAP_SHARED,
				   rules_fd[side], 0);
		if (rules[side] == MAP_FAILED)
			return false;
	}
	return true;
}

struct rules *acts_rules(enum side side)
{
	return rules[side];
}

struct code {
	struct bpf_insn insns[64];
	unsigned int n;
};

static void emit(struct code *code, struct bpf_insn insn)
{
	if (code->n < ARRAY_SIZE(code->insns))
		code->insns[code->n++] = insn;
}

#define EMIT(...) emit(code, (struct bpf_insn)__VA_ARGS__)
/* Fields of the rule, which r7 points to. */
#define READ32(dst, field) \
	INSN(BPF_LDX | BPF_W | BPF_MEM, dst, 7, offsetof(struct rule, field), 0)
#define READ64(dst, field) \
	INSN(BPF_LDX | BPF_DW | BPF_MEM, dst, 7, offsetof(struct rule, field), 0)
#define ADD_1(field, fetch) \
	INSN(BPF_STX | BPF_DW | BPF_ATOMIC, 7, 1, offsetof(struct rule, field), BPF_ADD | (fetch))

/*
 * The beginning; r6 becomes the context. Empty packets pass, and so does one
 * run too many.
 */
static void emit_begin(struct code *code, enum side side, enum way way)
{
	EMIT(MOVE(6, 1));
	EMIT(LOAD_VALUE_IN(7, rules_fd[side]));
	EMIT(HIGH(way == MSG ? offsetof(struct rules, msg) : offsetof(struct rules, skb)));
	if (way != MSG) {
		EMIT(INSN(BPF_LDX | BPF_W | BPF_MEM, 0, 6, offsetof(struct __sk_buff, len), 0));
		EMIT(SKIP_IF(0, 2));
		EMIT(SET(0, SK_PASS));
		EMIT(EXIT());
	}
	EMIT(SET(1, 1));
	EMIT(ADD_1(runs, BPF_FETCH));
	EMIT(READ64(2, limit));
	EMIT(INSN(BPF_JMP | BPF_JLT | BPF_X, 1, 2, 2, 0));
	EMIT(SET(0, SK_PASS));
	EMIT(EXIT());
}

/* Packets of other sockets pass. */
static void emit_cookie(struct code *code)
{
	EMIT(READ64(8, cookie));
	EMIT(SKIP_IF_NOT(8, 5));
	EMIT(MOVE(1, 6));
	EMIT(CALL(get_socket_cookie));
	EMIT(INSN(BPF_JMP | BPF_JEQ | BPF_X, 0, 8, 2, 0));
	EMIT(SET(0, SK_PASS));
	EMIT(EXIT());
}

static void emit_bytes(struct code *code)
{
	EMIT(READ32(2, apply));
	EMIT(SKIP_IF_NOT(2, 2));
	EMIT(MOVE(1, 6));
	EMIT(CALL(msg_apply_bytes));
	EMIT(READ32(2, cork));
	EMIT(SKIP_IF_NOT(2, 2));
	EMIT(MOVE(1, 6));
	EMIT(CALL(msg_cork_bytes));
}

/* The helper's result is the verdict; without a redirect, 0 is. */
static void emit_end(struct code *code, const struct pair *pair, enum side side, enum way way)
{
	EMIT(SET(0, 0));
	EMIT(READ32(1, redirect));
	EMIT(SKIP_IF_NOT(1, is_hash(pair) ? 16 : 13));
	EMIT(READ32(3, key));
	if (is_hash(pair)) {
		EMIT(INSN(BPF_STX | BPF_W | BPF_MEM, 10, 3, -4, 0));
		EMIT(MOVE(3, 10));
		EMIT(ADD(3, -4));
	}
	EMIT(LOAD_MAP_IN(2, pair->peek[side]));
	EMIT(HIGH(0));
	EMIT(MOVE(1, 6));
	EMIT(READ64(4, flags));
	EMIT(INSN(BPF_JMP | BPF_CALL, 0, 0, 0,
		  is_hash(pair) ? way == MSG ? BPF_FUNC_msg_redirect_hash :
					       BPF_FUNC_sk_redirect_hash :
				  way == MSG ? BPF_FUNC_msg_redirect_map :
					       BPF_FUNC_sk_redirect_map));
	EMIT(SET(1, 1));
	EMIT(SKIP_IF(0, 2));
	EMIT(ADD_1(refused, 0));
	EMIT(INSN(BPF_JMP | BPF_JA, 0, 0, 3, 0));
	EMIT(READ32(2, and));
	EMIT(SKIP_IF_NOT(2, 1));
	EMIT(ADD_1(redirected, 0));
	EMIT(READ32(2, and));
	EMIT(INSN(BPF_ALU64 | BPF_AND | BPF_X, 0, 2, 0, 0));
	EMIT(READ32(2, or));
	EMIT(INSN(BPF_ALU64 | BPF_OR | BPF_X, 0, 2, 0, 0));
	EMIT(EXIT());
}

static int load(const struct pair *pair, enum side side, enum way way)
{
	static const struct {
		enum bpf_prog_type type;
		enum bpf_attach_type attach;
	} ways[] = {
		[STREAM] = { BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_VERDICT },
		[SKB] = { BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_VERDICT },
		[MSG] = { BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = ways[way].attach);
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	struct code code = {};
	int fd;

	emit_begin(&code, side, way);
	if (way == MSG)
		emit_bytes(&code);
	else
		emit_cookie(&code);
	emit_end(&code, pair, side, way);
	fd = bpf_prog_load(ways[way].type, "fuzz_act", "GPL", code.insns, code.n, &opts);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len)) {
		failed("cannot load an acting program: %s", strerror(errno));
		return -1;
	}
	ids[nr_loaded % MAX_LOADED][side] = info.id;
	return fd;
}

int act_prog(const struct pair *pair, enum side side, enum bpf_attach_type attach)
{
	enum way way = attach == BPF_SK_MSG_VERDICT ? MSG :
		       attach == BPF_SK_SKB_VERDICT ? SKB : STREAM;
	int *fds = progs[pair - state.pairs][way], i;

	if (!fds[STOCK]) {
		for (i = 0; i < NR_SIDES; i++)
			fds[i] = load(pair, i, way);
		nr_loaded++;
	}
	return fds[side];
}

void acts_close(const struct pair *pair)
{
	int way, side;

	for (way = 0; way < NR_WAYS; way++) {
		for (side = 0; side < NR_SIDES; side++) {
			int *fd = &progs[pair - state.pairs][way][side];

			if (*fd > 0)
				close(*fd);
			*fd = 0;
		}
	}
}

__u32 act_number(__u32 id, enum side side)
{
	unsigned int i;

	for (i = 0; i < nr_loaded && i < MAX_LOADED; i++)
		if (ids[i][side] == id)
			return NUMBER | i;
	return id;
}
