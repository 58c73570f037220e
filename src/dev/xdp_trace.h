/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_XDP_TRACE_H
#define REDIRMAP_XDP_TRACE_H

#include <linux/jump_label.h>
#include <linux/tracepoint-defs.h>

struct net_device;

extern struct tracepoint *rmap_trace_devmap_xmit_tp;
extern struct tracepoint *rmap_trace_redirect_err_tp;

void rmap_trace_devmap_xmit_call(const struct net_device *from,
				 const struct net_device *to, int sent,
				 int drops, int err);
int rmap_xdp_trace_init(void);

/**
 * trace_devmap_xmit_enabled() - does somebody listen to xdp:xdp_devmap_xmit?
 *
 * Context: any.
 * Return: true when it is worth to work for its arguments.
 */
static inline bool trace_devmap_xmit_enabled(void)
{
	return static_key_enabled(&rmap_trace_devmap_xmit_tp->key);
}

/**
 * trace_devmap_xmit() - emit the kernel's xdp:xdp_devmap_xmit
 * @from: where the frames have come from
 * @to: the device that they were handed to
 * @sent: how many it has taken
 * @drops: how many are lost
 * @err: the driver's error, or 0
 *
 * Context: bottom halves off.
 */
static inline void trace_devmap_xmit(const struct net_device *from,
				     const struct net_device *to, int sent,
				     int drops, int err)
{
	if (unlikely(trace_devmap_xmit_enabled()))
		rmap_trace_devmap_xmit_call(from, to, sent, drops, err);
}

#endif /* REDIRMAP_XDP_TRACE_H */
