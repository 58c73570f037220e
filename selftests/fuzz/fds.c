// SPDX-License-Identifier: GPL-2.0-only
/* The descriptors that operations name: see fds.h. */
#include <limits.h>

#include "fds.h"

bool fds_init(void)
{
	int fd = open("/dev/null", O_RDWR);
	bool ok = fd >= 0 && dup2(fd, FILE_FD) >= 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

int pair_fd(const struct pair *pair, enum side side, __u64 fd)
{
	struct op op = { .prog = PROG_A };

	switch (fd) {
	case FD_FIRST:
	case FD_OTHER:
		return pair->made ? pair->fd[side][fd] : -1;
	case FD_CLOSED:
		return -1;
	case FD_PROG:
		return prog_fd(&op, pair, side);
	case FD_FILE:
		return FILE_FD;
	default:
		return GARBAGE_FD;
	}
}

int prog_fd(const struct op *op, const struct pair *pair, enum side side)
{
	switch (op->prog) {
	case PROG_NONE:
		return 0;
	case PROG_CLOSED:
		return FIRST_PROG_FD + NR_PROGS;
	case PROG_MINUS_1:
		return -1;
	case PROG_MIN:
		return INT_MIN;
	case PROG_GARBAGE:
		return INT_MAX;
	case PROG_MAP:
		return pair->made ? pair->peek[side] : -1;
	case PROG_FILE:
		return FILE_FD;
	default:
		return FIRST_PROG_FD + op->prog % NR_PROGS;
	}
}
