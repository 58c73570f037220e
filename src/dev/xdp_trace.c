// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of the kernel that are not exported: insmod finds them by name.
 *
 * This module emits xdp_devmap_xmit for the flushes of a broadcast's members,
 * because the kernel flushes only the group. probe.c has a probe on
 * xdp_redirect_err.
 *
 * This file owns the pointers to both tracepoints, which change at insmod only.
 * The tracepoints are called where frames are redirected and flushed, bottom
 * halves off.
 */
#include <linux/netdevice.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "log.h"
#include "xdp_trace.h"

struct tracepoint *rmap_trace_devmap_xmit_tp __ro_after_init;
struct tracepoint *rmap_trace_redirect_err_tp __ro_after_init;

typedef void (*trace_devmap_xmit_t)(void *data, const struct net_device *from,
				    const struct net_device *to, int sent,
				    int drops, int err);

/**
 * rmap_trace_devmap_xmit_call() - call the probes of xdp:xdp_devmap_xmit
 * @from: as for rmap_trace_devmap_xmit()
 * @to: as for rmap_trace_devmap_xmit()
 * @sent: as for rmap_trace_devmap_xmit()
 * @drops: as for rmap_trace_devmap_xmit()
 * @err: as for rmap_trace_devmap_xmit()
 *
 * Runs in NAPI, bottom halves off, per flush and member, while the tracepoint
 * is enabled.
 */
void rmap_trace_devmap_xmit_call(const struct net_device *from,
				 const struct net_device *to, int sent,
				 int drops, int err)
{
	struct tracepoint_func *func;

	preempt_disable_notrace();
	func = rcu_dereference_raw(rmap_trace_devmap_xmit_tp->funcs);
	for (; func && func->func; func++)
		((trace_devmap_xmit_t)func->func)(func->data, from, to, sent,
						  drops, err);
	preempt_enable_notrace();
}

static void __init trace_find(struct tracepoint *tp, void *priv)
{
	if (!strcmp(tp->name, "xdp_devmap_xmit"))
		rmap_trace_devmap_xmit_tp = tp;
	else if (!strcmp(tp->name, "xdp_redirect_err"))
		rmap_trace_redirect_err_tp = tp;
}

/**
 * rmap_xdp_trace_init() - find the kernel's tracepoints
 *
 * Context: insmod.
 * Return: 0, or -EOPNOTSUPP when this kernel lacks one of them.
 */
int __init rmap_xdp_trace_init(void)
{
	for_each_kernel_tracepoint(trace_find, NULL);
	if (rmap_trace_devmap_xmit_tp && rmap_trace_redirect_err_tp)
		return 0;
	pr_err("this kernel has no tracepoint %s\n",
	       rmap_trace_devmap_xmit_tp ?
	       "xdp_redirect_err" : "xdp_devmap_xmit");
	return -EOPNOTSUPP;
}
