// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes count frames that the kernel drops before a port gets them, or after a
 * port has refused them.
 *
 * The kernel refuses a redirect to a device that is down, whose MTU is too
 * small, or that cannot transmit XDP frames, and emits the tracepoint
 * xdp_redirect_err. In generic XDP it drops packets that a busy driver has
 * refused, and emits xdp_exception. Probes on these tracepoints cost nothing as
 * long as no frame is dropped.
 *
 * This file owns no data. The probes run where the tracepoints are: in NAPI or
 * the receive path, bottom halves off, inside the RCU read section in which the
 * kernel has looked up the entry and the device. The tracepoints switch
 * preemption off, so the probes may not take a spinlock_t, which sleeps on
 * PREEMPT_RT.
 */
#include <linux/bpf.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <net/rtnetlink.h>
#include <trace/events/xdp.h>

#include "dev_layout.h"
#include "group.h"
#include "log.h"
#include "port.h"
#include "probe.h"
#include "stats_net.h"
#include "xdp_trace.h"

/* The reason for an error of the kernel's enqueue, or REDIRMAP_DROP_COUNT. */
static enum redirmap_drop probe_reason(int err)
{
	switch (err) {
	case -ENETDOWN:
		return REDIRMAP_DROP_DEV_DOWN;
	case -EMSGSIZE:
		return REDIRMAP_DROP_TOO_LARGE;
	case -EOPNOTSUPP:
		return REDIRMAP_DROP_NO_XMIT;
	case -EOVERFLOW:
		return REDIRMAP_DROP_NO_HEADROOM;
	default:
		return REDIRMAP_DROP_COUNT;
	}
}

/*
 * Had the program nothing to redirect to? It has called no helper, or the last
 * helper has found no entry, or bpf_redirect() has named a missing device.
 */
static bool probe_had_no_target(enum bpf_map_type map_type, int err)
{
	return map_type == BPF_MAP_TYPE_UNSPEC &&
	       (err == -EBADRQC || err == -EINVAL);
}

/*
 * Is a packet that was too large for a port probably not segmented yet? The
 * tracepoint does not pass the packet. But if, in generic XDP, a packet is
 * longer than its ingress device allows, mostly a local sender with TSO or GSO
 * has sent it, or GRO has made it of several packets. There are exceptions: a
 * packet that is written to a tap may have any length, and some NICs receive
 * packets longer than their MTU.
 */
static bool probe_seems_unsegmented(const struct net_device *from,
				    const struct port *port)
{
	return port_device_limit(from) <= port_frame_limit(port);
}

/*
 * A tap runs packets that are not segmented in generic XDP, also if its program
 * was attached for native XDP. The tracepoint does not distinguish them from
 * native frames.
 */
static bool probe_is_tap(const struct net_device *from)
{
	return from->rtnl_link_ops &&
	       !strcmp(from->rtnl_link_ops->kind, "tun");
}

static void probe_port_drop(const struct port *port,
			    const struct net_device *from,
			    enum redirmap_drop reason)
{
	bool generic = rcu_access_pointer(from->xdp_prog), unsegmented = false;

	if (reason == REDIRMAP_DROP_TOO_LARGE &&
	    (generic || probe_is_tap(from))) {
		unsegmented = probe_seems_unsegmented(from, port);
		/* The port's next packet is examined. */
		if (generic || unsegmented)
			rmap_port_expect_unsegmented(port);
	}
	if (unsegmented)
		rmap_port_drop_unsegmented(port, 1);
	else
		rmap_port_drop(port, reason, 1);
}

/* Runs in NAPI, bottom halves off, per frame that was not enqueued. */
static void probe_redirect_err(void *data, const struct net_device *dev,
			       const struct bpf_prog *prog, const void *tgt,
			       int err, enum bpf_map_type map_type, u32 map_id,
			       u32 index)
{
	enum redirmap_drop reason = probe_reason(err);
	const struct kern_dtab_netdev *entry = tgt;
	const struct port *port;

	if (probe_had_no_target(map_type, err)) {
		rmap_stats_net_no_target(dev);
		return;
	}
	if (!entry || reason == REDIRMAP_DROP_COUNT ||
	    (map_type != BPF_MAP_TYPE_DEVMAP &&
	     map_type != BPF_MAP_TYPE_DEVMAP_HASH))
		return;

	/* Entries of stock maps begin with a device as well. */
	port = rmap_port_of_dev(entry->dev);
	if (port)
		probe_port_drop(port, dev, reason);
	else if (rmap_group_has_dev(entry->dev))
		rmap_group_drop(entry, reason, 1);
}

/* Runs in the receive path, bottom halves off, per dropped packet. */
static void probe_exception(void *data, const struct net_device *dev,
			    const struct bpf_prog *prog, u32 act)
{
	const struct port *port;

	if (act != XDP_TX)
		return;
	port = rmap_port_of_dev(dev);
	if (port)
		rmap_port_drop(port, REDIRMAP_DROP_GENERIC, 1);
}

/**
 * rmap_probe_init() - register the probes
 *
 * Context: insmod, sleeps, after rmap_xdp_trace_init().
 * Return: 0 or a negative errno.
 */
int __init rmap_probe_init(void)
{
	int err;

	err = tracepoint_probe_register(rmap_trace_redirect_err_tp,
					probe_redirect_err, NULL);
	if (err)
		goto complain;
	err = register_trace_xdp_exception(probe_exception, NULL);
	if (err)
		goto unregister_redirect_err;
	return 0;

unregister_redirect_err:
	tracepoint_probe_unregister(rmap_trace_redirect_err_tp,
				    probe_redirect_err, NULL);
complain:
	pr_err("setting probes on the kernel's tracepoints failed (%d)\n", err);
	return err;
}

/**
 * rmap_probe_exit() - unregister the probes, and wait for running ones
 *
 * Context: rmmod, sleeps; no map is left.
 */
void rmap_probe_exit(void)
{
	unregister_trace_xdp_exception(probe_exception, NULL);
	tracepoint_probe_unregister(rmap_trace_redirect_err_tp,
				    probe_redirect_err, NULL);
	tracepoint_synchronize_unregister();
}
