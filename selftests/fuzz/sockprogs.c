// SPDX-License-Identifier: GPL-2.0-only
/* Programs of socket maps: see sockprogs.h. */
#include <stddef.h>

#include "acts.h"
#include "fds.h"
#include "insns.h"
#include "sockprogs.h"

static const struct {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
} ways[] = {
	{ BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_VERDICT },
	{ BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT },
	{ BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_PARSER },
	{ BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_VERDICT },
};

enum bpf_attach_type sock_attach_type(__u64 mode)
{
	return ways[mode % ARRAY_SIZE(ways)].attach;
}

/*
 * Loaded once. They let everything pass. To parsers each byte is a message, so
 * none waits for another packet: known_from_stock.rst has the fault of others,
 * "Redirected bytes are not counted, not spliced, or lost".
 */
static int plain_prog(__u64 mode)
{
	const struct bpf_insn insns[] = { SET(0, SK_PASS), EXIT() };
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	static int progs[NR_SOCK_MODES];
	int *prog = &progs[mode];

	if (!*prog) {
		opts.expected_attach_type = sock_attach_type(mode);
		*prog = bpf_prog_load(ways[mode % ARRAY_SIZE(ways)].type, "fuzz_sock", "GPL",
				      insns, ARRAY_SIZE(insns), &opts);
		if (*prog < 0)
			failed("cannot load a program of socket maps: %s", strerror(-*prog));
	}
	return *prog;
}

static bool has_sockets(const struct pair *pair)
{
	return pair->made && is_sock(pair);
}

int sock_prog(const struct op *op, enum side side)
{
	const struct pair *pair = &state.pairs[(op->map + op->inner) % NR_PAIRS];
	const __u64 mode = op->mode % NR_SOCK_MODES;
	const enum bpf_attach_type type = sock_attach_type(mode);

	if (!has_sockets(pair))
		pair = pair_of(op);
	if (mode < FIRST_ACTING_MODE || type == BPF_SK_SKB_STREAM_PARSER || !has_sockets(pair))
		return plain_prog(mode);
	return act_prog(pair, side, type);
}

static int load(const struct bpf_insn *insns, size_t size)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fuzz_user", "GPL", insns,
			       size / sizeof(*insns), NULL);

	return fd < 0 ? -errno : fd;
}

/* Returns the family of the socket at the key; 0 without a socket. */
static int load_lookup(const struct op *op, int map)
{
	const struct bpf_insn insns[] = {
		STORE_KEY(-4, op->key),
		LOAD_MAP(map),
		HIGH(0),
		MOVE(2, 10),
		ADD(2, -4),
		CALL(map_lookup_elem),
		SKIP_IF(0, 1),
		EXIT(),
		INSN(BPF_LDX | BPF_W | BPF_MEM, 6, 0, offsetof(struct bpf_sock, family), 0),
		MOVE(1, 0),
		CALL(sk_release),
		MOVE(0, 6),
		EXIT(),
	};

	return load(insns, sizeof(insns));
}

/* Returns the result. */
static int load_delete(const struct op *op, int map)
{
	const struct bpf_insn insns[] = {
		STORE_KEY(-4, op->key),
		LOAD_MAP(map),
		HIGH(0),
		MOVE(2, 10),
		ADD(2, -4),
		CALL(map_delete_elem),
		EXIT(),
	};

	return load(insns, sizeof(insns));
}

/* Inserts the socket at the other key as well; returns the result. */
static int load_copy(const struct op *op, int map)
{
	const struct bpf_insn insns[] = {
		STORE_KEY(-4, op->key),
		STORE_KEY(-8, op->key2),
		LOAD_MAP(map),
		HIGH(0),
		MOVE(2, 10),
		ADD(2, -4),
		CALL(map_lookup_elem),
		SKIP_IF(0, 1),
		EXIT(),
		MOVE(6, 0),
		LOAD_MAP(map),
		HIGH(0),
		MOVE(2, 10),
		ADD(2, -8),
		MOVE(3, 6),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 4, 0, 0, op->flags),
		HIGH(op->flags >> 32),
		CALL(map_update_elem),
		MOVE(7, 0),
		MOVE(1, 6),
		CALL(sk_release),
		MOVE(0, 7),
		EXIT(),
	};

	return load(insns, sizeof(insns));
}

void sock_prog_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	int map = pair_fd(pair, side, op->fd), fd;
	__u8 packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	fd = op->mode == 2 ? load_copy(op, map) : op->mode ? load_delete(op, map) :
							    load_lookup(op, map);
	if (fd < 0) {
		r->ret = fd;
		return;
	}
	r->ret = bpf_prog_test_run_opts(fd, &opts);
	memcpy(r->out, &opts.retval, sizeof(opts.retval));
	r->len = sizeof(opts.retval);
	close(fd);
}
