/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BULKQ_H
#define REDIRMAP_BULKQ_H

#include "layout.h"

struct xarray;
struct xdp_dev_bulk_queue;

struct xdp_dev_bulk_queue __percpu *bulkq_alloc(gfp_t gfp);
void bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		struct net_device *port);
void bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq);
bool bulkq_layout_is_known(const struct net_device *real);
void bulkq_promise(int count);

struct xdp_dev_bulk_queue __percpu *bulkq_take_spare(struct xarray *spares,
						     u32 ifindex);
void bulkq_put_spare(struct xarray *spares, u32 ifindex,
		     struct xdp_dev_bulk_queue __percpu *bulkq);
void bulkq_free_spares(struct xarray *spares);

void bulkq_module_init(void);
void bulkq_module_exit(void);

#endif /* REDIRMAP_BULKQ_H */
