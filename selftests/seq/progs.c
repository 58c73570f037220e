// SPDX-License-Identifier: GPL-2.0-only
/* Programs, and frames for them that the kernel makes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "insn.h"
#include "netlib.h"
#include "testlib.h"

/**
 * struct code - a program that is being made
 * @insns: its instructions
 * @n: their number
 */
struct code {
	struct bpf_insn insns[40];
	int n;
};

static void append(struct code *code, const struct bpf_insn *insns, int n)
{
	memcpy(code->insns + code->n, insns, n * sizeof(*insns));
	code->n += n;
}

#define EMIT(code, ...)							\
	do {								\
		const struct bpf_insn insns_[] = { __VA_ARGS__ };	\
									\
		append(code, insns_, sizeof(insns_) / sizeof(insns_[0]));	\
	} while (0)

static int load(struct player *p, enum table table, __u32 slot, enum bpf_prog_type type,
		enum bpf_attach_type attach, __u32 flags, const struct code *code)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.expected_attach_type = attach,
		.prog_flags = flags,
	);

	return keep(p, table, slot, bpf_prog_load(type, "seq", "GPL", code->insns, code->n, &opts));
}

/*
 * Fragments, for some programs: mostly for all of a sequence or for none,
 * because a map takes only programs that agree on this.
 */
static __u32 frags(struct player *p, __u32 a)
{
	return (a % 8 == 0) != (p->s->nr % 4 == 0) ? BPF_F_XDP_HAS_FRAGS : 0;
}

/* Flags of bpf_redirect_map(). */
static int redirect_flags(__u32 a)
{
	static const int flags[] = {
		0, XDP_DROP, XDP_PASS, BPF_F_BROADCAST, BPF_F_BROADCAST,
		BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS,
		XDP_TX,
	};

	return is_wrong(a) ? BPF_F_EXCLUDE_INGRESS : flags[a % 8];
}

/*
 * Programs begin with these instructions. Each one that a frame comes through
 * takes one from its TTL, because frames could go round for ever, and
 * broadcasts multiply them. The key is a byte of the frame: r6 is the context
 * then, and the key is in r3 and at r10 - 4.
 */
static void key_of_frame(struct code *code)
{
	EMIT(code, MOV(6, 1), LOAD_W(2, 1, 0), LOAD_W(4, 1, 4),
	     MOV(5, 2), ADD_K(5, FRAME_PATTERN), JUMP_GT(5, 4, 2),
	     LOAD_B(3, 2, FRAME_TTL), JUMP_NE_K(3, 0, 2), MOV_K(0, XDP_DROP), EXIT(),
	     ADD_K(3, -1), STORE_B(2, FRAME_TTL, 3),
	     LOAD_B(3, 2, FRAME_NR), AND_K(3, 7), STORE_W(10, -4, 3));
}

/* Looks the key up in a map; returns a verdict if there is nothing. */
static void look_up(struct code *code, int map, int verdict)
{
	EMIT(code, LOAD_MAP(1, map), HALF(), MOV(2, 10), ADD_K(2, -4),
	     CALL(BPF_FUNC_map_lookup_elem), JUMP_NE_K(0, 0, 2), MOV_K(0, verdict), EXIT());
}

int load_redirect(struct player *p, const __u32 *a)
{
	int map = fd_of(p, a[4] % 16 ? DEV_MAPS : SOCK_MAPS, a[1]), flags = redirect_flags(a[2]);
	struct code code = {};

	key_of_frame(&code);
	EMIT(&code, MOV(2, 3), LOAD_MAP(1, map), HALF(), MOV_K(3, flags),
	     CALL(BPF_FUNC_redirect_map), EXIT());
	say(p, " flags=%x", flags);
	p->s->broadcasts[a[0] % SLOTS] = flags & BPF_F_BROADCAST;
	return load(p, PROGS, a[0], BPF_PROG_TYPE_XDP, 0, frags(p, a[3]), &code);
}

int load_outer_redirect(struct player *p, const __u32 *a)
{
	int map = fd_of(p, OUTERS, a[1]), flags = redirect_flags(a[2]);
	struct code code = {};

	key_of_frame(&code);
	look_up(&code, map, XDP_DROP);
	EMIT(&code, MOV(1, 0), LOAD_W(2, 10, -4), MOV_K(3, flags), CALL(BPF_FUNC_redirect_map),
	     EXIT());
	say(p, " flags=%x", flags);
	p->s->broadcasts[a[0] % SLOTS] = flags & BPF_F_BROADCAST;
	return load(p, PROGS, a[0], BPF_PROG_TYPE_XDP, 0, frags(p, a[3]), &code);
}

/* A program that reads a map, or only returns: also a redirect to nothing. */
int load_plain(struct player *p, const __u32 *a)
{
	int verdict = a[2] % 6;
	struct code code = {};

	key_of_frame(&code);
	if (a[4] % 2) {
		look_up(&code, fd_of(p, DEV_MAPS, a[1]), verdict);
		EMIT(&code, LOAD_W(0, 0, 0), AND_K(0, 3), EXIT());
	} else {
		EMIT(&code, MOV_K(0, verdict), EXIT());
	}
	say(p, " verdict=%d", verdict);
	p->s->broadcasts[a[0] % SLOTS] = false;
	return load(p, PROGS, a[0], BPF_PROG_TYPE_XDP, 0, frags(p, a[3]), &code);
}

int load_egress(struct player *p, const __u32 *a)
{
	static const int verdicts[] = {
		XDP_PASS, XDP_PASS, XDP_PASS, XDP_PASS, XDP_DROP, XDP_ABORTED, XDP_TX, XDP_REDIRECT,
	};
	static const int heads[] = { 0, 0, 8, -8, 0, -40, 0, 20 };
	int verdict = verdicts[a[1] % 8];
	struct code code = {};

	EMIT(&code, MOV(6, 1), MOV_K(2, heads[a[2] % 8]), CALL(BPF_FUNC_xdp_adjust_head),
	     MOV(1, 6), MOV_K(2, a[3] % 4 ? 0 : -4), CALL(BPF_FUNC_xdp_adjust_tail),
	     MOV_K(0, verdict), EXIT());
	say(p, " verdict=%d head=%d", verdict, heads[a[2] % 8]);
	return load(p, EGRESS, a[0], BPF_PROG_TYPE_XDP,
		    is_wrong(a[4]) ? BPF_XDP_CPUMAP : BPF_XDP_DEVMAP, frags(p, a[4]), &code);
}

/* A program of messages or packets, whose key is fixed. */
int load_sk_program(struct player *p, const __u32 *a)
{
	int map = fd_of(p, SOCK_MAPS, a[1]), helper, key = a[4] % SLOTS;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	bool msg = a[3] % 2, hash;
	struct code code = {};

	bpf_obj_get_info_by_fd(map, &info, &size);
	hash = info.type == BPF_MAP_TYPE_SOCKHASH;
	if (msg)
		helper = hash ? BPF_FUNC_msg_redirect_hash : BPF_FUNC_msg_redirect_map;
	else
		helper = hash ? BPF_FUNC_sk_redirect_hash : BPF_FUNC_sk_redirect_map;
	EMIT(&code, MOV_K(2, key), STORE_W(10, -4, 2), LOAD_MAP(2, map), HALF());
	if (hash)
		EMIT(&code, MOV(3, 10), ADD_K(3, -4));
	else
		EMIT(&code, MOV_K(3, key));
	/* 2 is no flag. */
	EMIT(&code, MOV_K(4, a[2] % 3), CALL(helper), EXIT());
	p->s->msgs[a[0] % SLOTS] = msg;
	say(p, " %s hash=%d key=%d", msg ? "msg" : "skb", hash, key);
	return load(p, SOCK_PROGS, a[0], msg ? BPF_PROG_TYPE_SK_MSG : BPF_PROG_TYPE_SK_SKB,
		    msg ? BPF_SK_MSG_VERDICT : 0, 0, &code);
}

/* The type that the program in a slot was loaded for, or any. */
static enum bpf_attach_type sk_attach(struct player *p, __u32 prog, __u32 a)
{
	int slot = slot_of(p, SOCK_PROGS, prog);
	bool msg = slot >= 0 && p->s->msgs[slot];

	if ((a % 8 == 0) != msg)
		return BPF_SK_MSG_VERDICT;
	return a / 8 % 2 ? BPF_SK_SKB_VERDICT : BPF_SK_SKB_STREAM_VERDICT;
}

int attach_sk_program(struct player *p, const __u32 *a)
{
	enum bpf_attach_type type = sk_attach(p, a[0], a[2]);
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	int prog = fd_of(p, SOCK_PROGS, a[0]), map = fd_of(p, SOCK_MAPS, a[1]);

	say(p, " type=%d", type);
	/* Kernels since 6.10 have such links. */
	if (a[3] % 4 == 0)
		return keep(p, LINKS, a[4], bpf_link_create(prog, map, type, &opts));
	return bpf_prog_attach(prog, map, type, is_wrong(a[3]));
}

int detach_sk_program(struct player *p, const __u32 *a)
{
	enum bpf_attach_type type = sk_attach(p, a[0], a[2]);
	int map = fd_of(p, SOCK_MAPS, a[1]);

	say(p, " type=%d", type);
	if (a[3] % 2)
		return bpf_prog_detach(map, type);
	return bpf_prog_detach2(fd_of(p, SOCK_PROGS, a[0]), map, type);
}

static int run(struct player *p, const __u32 *a, bool live)
{
	int slot = slot_of(p, PROGS, a[0]), prog = fd_of(p, PROGS, a[0]);
	unsigned char frame[FRAME_MAX];
	struct xdp_md ctx = { .ingress_ifindex = 1 };
	int len = a[2] % 8 ? 60 + a[2] % 200 : 60 + a[2] % 1441;
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = len,
		.ctx_in = &ctx,
		.ctx_size_in = sizeof(ctx),
		.repeat = a[3] % 8 ? 1 + a[3] % 70 : 0,
		.flags = live ? BPF_F_TEST_XDP_LIVE_FRAMES : 0,
		.batch_size = live ? a[4] % 80 : 0,
	);

	/* Copies of such frames have wrong bytes: see netlib.h. */
	if (live && !opt.in_place && (slot < 0 || p->s->broadcasts[slot]))
		return -EOPNOTSUPP;
	make_frame(frame, a[5] % 256, len);
	frame[FRAME_TTL] = 1 + a[5] / 256 % 3;
	ctx.data_end = len;
	if (a[1] % 2)
		ctx.ingress_ifindex = dev_of(p, a[1] / 2);
	if (is_wrong(a[4]))
		ctx.rx_queue_index = a[4] % 4;
	say(p, " len=%d repeat=%d batch=%u", len, opts.repeat, opts.batch_size);
	return bpf_prog_test_run_opts(prog, &opts);
}

int run_live(struct player *p, const __u32 *a)
{
	return run(p, a, true);
}

int run_once(struct player *p, const __u32 *a)
{
	return run(p, a, false);
}

static enum table prog_table(__u32 a)
{
	static const enum table tables[] = { PROGS, EGRESS, SOCK_PROGS };

	return tables[a % 3];
}

int close_prog(struct player *p, const __u32 *a)
{
	enum table table = prog_table(a[1]);
	int slot = slot_of(p, table, a[0]), fd;

	if (slot < 0)
		return -ENOENT;
	say(p, " table=%d slot=%d", table, slot);
	fd = __atomic_exchange_n(&p->s->fds[table][slot], -1, __ATOMIC_RELAXED);
	return result(close(fd));
}

int prog_info(struct player *p, const __u32 *a)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info), maps[8];

	info.nr_map_ids = 8;
	info.map_ids = (unsigned long)maps;
	return bpf_obj_get_info_by_fd(fd_of(p, prog_table(a[1]), a[0]), &info, &size);
}
