/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_XDP_TRACE_H
#define REDIRMAP_XDP_TRACE_H

#include <linux/rcupdate.h>
#include <linux/tracepoint-defs.h>

struct net_device;

extern struct tracepoint *rmap_trace_devmap_xmit_tp;
extern struct tracepoint *rmap_trace_redirect_err_tp;

void rmap_trace_devmap_xmit_call(const struct net_device *from,
				 const struct net_device *to, int sent,
				 int drops, int err);
int rmap_xdp_trace_init(void);

/**
 * rmap_trace_devmap_xmit_enabled() - is xdp:xdp_devmap_xmit enabled?
 *
 * Context: any.
 * Return: true when it is, and the caller should compute the arguments.
 */
static inline bool rmap_trace_devmap_xmit_enabled(void)
{
	/* The key is found at run time, so testing it would be a call. */
	return rcu_access_pointer(rmap_trace_devmap_xmit_tp->funcs);
}

/**
 * rmap_trace_devmap_xmit() - emit the kernel's xdp:xdp_devmap_xmit
 * @from: the ingress of the frames
 * @to: the device that the frames were handed to
 * @sent: number of frames that the driver has taken
 * @drops: number of lost frames
 * @err: the driver's error, or 0
 *
 * Runs in NAPI, bottom halves off, per flush and member.
 */
static inline void rmap_trace_devmap_xmit(const struct net_device *from,
					  const struct net_device *to, int sent,
					  int drops, int err)
{
	if (unlikely(rmap_trace_devmap_xmit_enabled()))
		rmap_trace_devmap_xmit_call(from, to, sent, drops, err);
}

#endif /* REDIRMAP_XDP_TRACE_H */
