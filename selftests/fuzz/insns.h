/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions of BPF programs, as initialisers of struct bpf_insn. */
#ifndef REDIRMAP_FUZZ_INSNS_H
#define REDIRMAP_FUZZ_INSNS_H

#include <linux/bpf.h>

#define INSN(op, dst, src, offset, immediate) \
	{ .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (immediate) }
#define CALL(func) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##func)
#define MOVE(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define SET(dst, immediate) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, immediate)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define ADD(dst, immediate) INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, immediate)
#define LOAD_MAP_IN(dst, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd)
#define LOAD_MAP(fd) LOAD_MAP_IN(1, fd)
/* An address in an array's only value; its offset is in HIGH(). */
#define LOAD_VALUE_IN(dst, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_VALUE, 0, fd)
/* The second half of an instruction with 64 bits of data. */
#define HIGH(immediate) INSN(0, 0, 0, 0, immediate)
#define STORE_KEY(at, key) INSN(BPF_ST | BPF_W | BPF_MEM, 10, 0, at, key)
/* Jump over so many instructions if a register is 0, or is not. */
#define SKIP_IF(reg, count) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, count, 0)
#define SKIP_IF_NOT(reg, count) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, count, 0)

#endif /* REDIRMAP_FUZZ_INSNS_H */
