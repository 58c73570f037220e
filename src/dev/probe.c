// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes: frames that the kernel drops before, or after, a port has seen them.
 *
 * The kernel refuses a redirect to a device that is down, too small, or that
 * cannot transmit XDP frames, and tells the tracepoint xdp_redirect_err; in
 * generic XDP it drops what a driver was too busy for, and tells xdp_exception.
 * Listening there costs nothing while nothing fails.
 *
 * The probes run where the tracepoints are: in NAPI, bottom halves off, inside
 * the RCU read section that has looked up what they name.
 */
#include <linux/bpf.h>
#include <linux/tracepoint.h>
#include <trace/events/xdp.h>

#include "dev_layout.h"
#include "group.h"
#include "log.h"
#include "port.h"
#include "probe.h"
#include "stats_net.h"
#include "xdp_trace.h"

/* What an error of the kernel's enqueue means, or REDIRMAP_DROP_COUNT. */
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
 * Had the program nothing to redirect to? No helper was called, or the last one
 * found no entry, or bpf_redirect() named a device that is not there.
 */
static bool probe_had_no_target(enum bpf_map_type map_type, int err)
{
	return map_type == BPF_MAP_TYPE_UNSPEC &&
	       (err == -EBADRQC || err == -EINVAL);
}

/*
 * Is a packet that was too large for a port probably not segmented yet? The
 * tracepoint tells nothing of it. But in generic XDP what is longer than the device
 * that it has come by allows is mostly a packet of a local sender with TSO or GSO, or
 * one that GRO has made of several. Not always: what is written to a tap may be of any
 * length, and some NICs take more than their MTU.
 */
static bool probe_seems_unsegmented(const struct net_device *from,
				    const struct port *port)
{
	return rcu_access_pointer(from->xdp_prog) &&
	       port_frame_limit(from) <= port_frame_limit(&port->dev);
}

static void probe_port_drop(const struct port *port,
			    const struct net_device *from,
			    enum redirmap_drop reason)
{
	if (reason == REDIRMAP_DROP_TOO_LARGE &&
	    probe_seems_unsegmented(from, port))
		rmap_port_drop_unsegmented(port, 1);
	else
		rmap_port_drop(port, reason, 1);
}

/* Runs in NAPI, bottom halves off, per frame that could not be enqueued. */
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

	/* The built-in's entries begin with a device as well. */
	port = rmap_port_of_dev(entry->dev);
	if (port)
		probe_port_drop(port, dev, reason);
	else if (rmap_group_has_dev(entry->dev))
		rmap_group_drop(entry, reason, 1);
}

/* Runs in the receive path, bottom halves off, per packet that is dropped. */
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
 * rmap_probe_init() - begin to listen
 *
 * Context: insmod, after rmap_xdp_trace_init().
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
	pr_err("listening to the kernel's tracepoints failed (%d)\n", err);
	return err;
}

/**
 * rmap_probe_exit() - stop, and wait for probes that run
 *
 * Context: rmmod, with no map left.
 */
void rmap_probe_exit(void)
{
	unregister_trace_xdp_exception(probe_exception, NULL);
	tracepoint_probe_unregister(rmap_trace_redirect_err_tp,
				    probe_redirect_err, NULL);
	tracepoint_synchronize_unregister();
}
