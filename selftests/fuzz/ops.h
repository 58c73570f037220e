/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations as text. */
#ifndef REDIRMAP_FUZZ_OPS_H
#define REDIRMAP_FUZZ_OPS_H

#include "state.h"

const char *cmd_name(__u64 cmd);
void print_op(FILE *f, const struct op *op);
/*
 * Reads a line. False with a message if it is invalid; comments and empty lines
 * have cmd NR_CMDS.
 */
bool parse_op(char *line, struct op *op);
/* The fields that a command uses, in order; NULL after the last one. */
__u64 *op_field(struct op *op, int i);

#endif /* REDIRMAP_FUZZ_OPS_H */
