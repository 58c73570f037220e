/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BULKQ_H
#define REDIRMAP_BULKQ_H

#include "layout.h"

struct xdp_dev_bulk_queue;

struct xdp_dev_bulk_queue __percpu *bulkq_alloc(gfp_t gfp);
void bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		struct net_device *port);
void bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq);
bool bulkq_layout_is_known(const struct net_device *real);

#endif /* REDIRMAP_BULKQ_H */
