/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of unicast redirects: the programs of redirect.bpf.c over
 * a map, and frames for them.
 */
#ifndef REDIRMAP_REDIRECT_H
#define REDIRMAP_REDIRECT_H

#include "xdplib.h"

#define MAP_SIZE 8

/* Loads the programs over a map. */
static inline bool load(struct env *e, int map)
{
	return open_object(e, "redirect.bpf.o") && use_map(e, "targets", map) &&
	       load_object(e);
}

static inline int send_n(struct env *e, int n, int len)
{
	return send_to(e, "redirect", n, len);
}

#endif /* REDIRMAP_REDIRECT_H */
