/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_COPY_H
#define REDIRMAP_COPY_H

#include <linux/types.h>

struct xdp_frame;

int rmap_copy_frames(struct xdp_frame **copy, struct xdp_frame **frame, int n,
		     bool roomy);

#endif /* REDIRMAP_COPY_H */
