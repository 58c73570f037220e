/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_DUMP_H
#define REDIRMAP_SOCK_DUMP_H

#include <net/genetlink.h>

extern const struct genl_ops rmap_sock_dump_requests[];

#endif /* REDIRMAP_SOCK_DUMP_H */
