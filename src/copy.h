/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_COPY_H
#define REDIRMAP_COPY_H

#include <linux/types.h>

struct xdp_frame;

struct xdp_frame *copy_frame(const struct xdp_frame *frame, bool roomy);

#endif /* REDIRMAP_COPY_H */
