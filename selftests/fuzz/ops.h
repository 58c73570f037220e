/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations as text. */
#ifndef REDIRMAP_FUZZ_OPS_H
#define REDIRMAP_FUZZ_OPS_H

#include "state.h"

const char *cmd_name(__u64 cmd);
void print_op(FILE *f, const struct op *op);
/*
 * False with a message when the line is none; comments and blanks have cmd
 * NR_CMDS.
 */
bool parse_op(char *line, struct op *op);
/*
 * The fields that a command uses, one after the other; NULL behind the last
 * one.
 */
__u64 *op_field(struct op *op, int i);

#endif /* REDIRMAP_FUZZ_OPS_H */
