// SPDX-License-Identifier: GPL-2.0-only
/* Programs: those in values, of all types, and those that use maps. */
#include "fds.h"
#include "frames.h"
#include "insns.h"
#include "outcome.h"
#include "progs.h"

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif

static const struct {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	__u32 flags;
} sorts[NR_PROGS] = {
	[PROG_A] = { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP },
	[PROG_B] = { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP },
	[PROG_FRAGS] = { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, BPF_F_XDP_HAS_FRAGS },
	[PROG_NO_ATTACH] = { BPF_PROG_TYPE_XDP },
	[PROG_CPUMAP] = { BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP },
	[PROG_SOCKET] = { BPF_PROG_TYPE_SOCKET_FILTER },
	[PROG_BOUND] = { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, BPF_F_XDP_DEV_BOUND_ONLY },
};

static bool loaded[NR_PROGS];

static bool load(unsigned int prog)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.expected_attach_type = sorts[prog].attach,
		.prog_flags = sorts[prog].flags,
	);
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int fd;

	if (prog == PROG_BOUND)
		opts.prog_ifindex = 1;
	fd = bpf_prog_load(sorts[prog].type, "fuzz", "GPL", insns, 2, &opts);
	/* Some kernels have no programs that are bound to a device. */
	if (fd < 0)
		return prog == PROG_BOUND;
	loaded[prog] = dup2(fd, FIRST_PROG_FD + prog) >= 0;
	close(fd);
	return loaded[prog];
}

bool progs_reset(void)
{
	unsigned int prog;

	for (prog = PROG_A; prog < NR_PROGS; prog++)
		if (!loaded[prog] && !load(prog))
			return false;
	return true;
}

/* LOAD: another program of the type. UNLOAD: entries keep their programs. */
void prog_step(const struct op *op)
{
	unsigned int prog = op->prog && op->prog < NR_PROGS ? op->prog : PROG_A;

	close(FIRST_PROG_FD + prog);
	loaded[prog] = false;
	if (op->cmd == LOAD)
		load(prog);
	note_outcome(op->cmd, 0);
}

/* A program that returns the entry of a key, as a value or as an action. */
static int load_user(const struct op *op, const struct pair *pair, int map_fd)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.prog_flags = op->frags ? BPF_F_XDP_HAS_FRAGS : 0,
	);
	const bool wide = pair->attr.value_size == 8;
	const struct bpf_insn redirect[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map_fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU | BPF_MOV | BPF_K, 2, 0, 0, op->key),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 3, 0, 0, op->flags),
		INSN(0, 0, 0, 0, op->flags >> 32),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	const struct bpf_insn lookup[] = {
		INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, op->key),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map_fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4, 0),
		INSN(BPF_LDX | BPF_W | BPF_MEM, 1, 0, wide ? 4 : 0, 0),
		INSN(BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 16),
		INSN(BPF_LDX | BPF_W | BPF_MEM, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_XOR | BPF_X, 0, 1, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int fd;

	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "fuzz_user", "GPL", op->mode ? redirect : lookup,
			   op->mode ? ARRAY_SIZE(redirect) : ARRAY_SIZE(lookup), &opts);
	return fd < 0 ? -errno : fd;
}

void prog_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	__u8 packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
	/* Programs read an address from an outer map. */
	int fd = is_outer(pair) ? -EINVAL : load_user(op, pair, pair_fd(pair, side, op->fd));

	if (fd < 0) {
		r->ret = fd;
		return;
	}
	if (op->mode == 2) {
		frames_run(op, fd, side, r);
		close(fd);
		return;
	}
	r->ret = bpf_prog_test_run_opts(fd, &opts);
	memcpy(r->out, &opts.retval, sizeof(opts.retval));
	r->len = sizeof(opts.retval);
	close(fd);
}
