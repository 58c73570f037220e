/* SPDX-License-Identifier: GPL-2.0-only */
/* The descriptors that operations name: of maps, of programs, and bad ones. */
#ifndef REDIRMAP_FUZZ_FDS_H
#define REDIRMAP_FUZZ_FDS_H

#include "state.h"

/*
 * Programs have these descriptors, so that those of closed programs are not
 * reused.
 */
#define FIRST_PROG_FD 800
/* The same holds for sockets, those of both sides. */
#define FIRST_SOCK_FD 820
/* No map, no program and no socket; and no descriptor. */
#define FILE_FD 790
#define GARBAGE_FD 777

bool fds_init(void);
int pair_fd(const struct pair *pair, enum side side, __u64 fd);
int prog_fd(const struct op *op, const struct pair *pair, enum side side);

#endif /* REDIRMAP_FUZZ_FDS_H */
