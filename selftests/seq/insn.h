/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions of BPF programs. */
#ifndef SEQ_INSN_H
#define SEQ_INSN_H

#include <linux/bpf.h>

#define INSN(op, d, s, o, i) \
	((struct bpf_insn) { .code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

#define MOV(d, s)	INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_K(d, k)	INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, k)
#define ADD_K(d, k)	INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, k)
#define AND_K(d, k)	INSN(BPF_ALU64 | BPF_AND | BPF_K, d, 0, 0, k)
#define LOAD_W(d, s, o)	INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define LOAD_B(d, s, o)	INSN(BPF_LDX | BPF_MEM | BPF_B, d, s, o, 0)
#define STORE_W(d, o, s) INSN(BPF_STX | BPF_MEM | BPF_W, d, s, o, 0)
#define STORE_B(d, o, s) INSN(BPF_STX | BPF_MEM | BPF_B, d, s, o, 0)
#define JUMP_GT(d, s, o) INSN(BPF_JMP | BPF_JGT | BPF_X, d, s, o, 0)
#define JUMP_NE_K(d, k, o) INSN(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, k)
#define CALL(f)		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT()		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* The second half of a LOAD_MAP() follows. */
#define LOAD_MAP(d, fd)	INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd)
#define HALF()		INSN(0, 0, 0, 0, 0)

#endif /* SEQ_INSN_H */
