// SPDX-License-Identifier: GPL-2.0-only
/*
 * Native XDP through a port: the egress program, the driver, the counters.
 *
 * A flush hands its frames to the real device's ndo_xdp_xmit. With a program,
 * they pass that first; what it drops goes to the end, where the caller frees
 * what the return value says was not taken.
 *
 * All runs in NAPI (or in a cpumap kthread, or in BPF_PROG_TEST_RUN) with bottom
 * halves off, per flush: counters are this CPU's, and a port outlives a grace
 * period after the last lookup that could lead here.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <net/xdp.h>

#include "egress.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"
#include "trace.h"

/*
 * Bytes of each frame of a flush and of those behind it. A driver may change a
 * frame before it refuses it (virtio_net puts a header of its own in front), so
 * what it has not taken is known from before the call. Nothing of ours runs
 * inside the call: one for a CPU is enough, and costs the stack no canary.
 */
static DEFINE_PER_CPU_ALIGNED(u32 [DEV_MAP_BULK_SIZE], port_bytes_from);

/* The driver has not taken all; the others are still there, to be freed. */
static noinline int port_count_part(const struct port *port, int n, int sent,
				    u32 bytes)
{
	struct stats_cpu *stats = port_counters(port);

	if (sent < 0) {
		WRITE_ONCE(stats->error, -sent);
		stats_drop(stats, port->real, REDIRMAP_DROP_DRIVER_ERROR, n);
		return sent;
	}
	/* Of a single frame nothing was noted. */
	if (sent)
		stats_sent(stats, sent,
			   bytes - this_cpu_read(port_bytes_from[sent]));
	stats_drop(stats, port->real, REDIRMAP_DROP_RING_FULL, n - sent);
	return sent;
}

static __always_inline int port_hand_on(const struct port *port,
					struct xdp_frame **frames, int n,
					u32 bytes, u32 flags)
{
	struct net_device *real = port->real;
	int sent;

	sent = real->netdev_ops->ndo_xdp_xmit(real, n, frames, flags);
	if (unlikely(sent != n))
		return port_count_part(port, n, sent, bytes);
	stats_sent(port_counters(port), n, bytes);
	return n;
}

/* Frames with fragments are among them. */
static noinline int port_send_frags(const struct port *port,
				    struct xdp_frame **frames, int n, u32 flags)
{
	u32 *from = this_cpu_ptr(port_bytes_from);
	u32 bytes = 0;
	int i;

	for (i = n - 1; i >= 0; i--) {
		bytes += xdp_get_frame_len(frames[i]);
		from[i] = bytes;
	}
	return port_hand_on(port, frames, n, bytes, flags);
}

/* Runs in NAPI, bottom halves off, per frame: its length, and what it has. */
static __always_inline void port_add_frame(struct xdp_frame **frames, size_t i,
					   u32 *bytes, u32 *seen)
{
	*bytes += frames[i]->len;
	*seen |= frames[i]->flags;
	/* Add and test in memory, rather than all sums first. */
	OPTIMIZER_HIDE_VAR(*bytes);
	OPTIMIZER_HIDE_VAR(*seen);
	this_cpu_write(port_bytes_from[i], *bytes);
}

/* One frame, as polls that are not busy have: it is all or nothing. */
static noinline int port_send_one(const struct port *port,
				  struct xdp_frame **frames, u32 flags)
{
	if (unlikely(xdp_frame_has_frags(*frames)))
		return port_send_frags(port, frames, 1, flags);
	return port_hand_on(port, frames, 1, (*frames)->len, flags);
}

/*
 * Runs in NAPI, bottom halves off, per flush. What is kept across the driver's
 * call is saved and restored each time, so it is little.
 */
static noinline int port_send_some(const struct port *port,
				   struct xdp_frame **frames, int n, u32 flags)
{
	u32 bytes = 0, seen = 0;
	size_t i = (u32)n;

	/*
	 * The driver will read these lines; once sent, frames are not ours. Four
	 * at a time, for this is all that is done per frame.
	 */
	if (i & 1)
		port_add_frame(frames, --i, &bytes, &seen);
	if (i & 2) {
		port_add_frame(frames, --i, &bytes, &seen);
		port_add_frame(frames, --i, &bytes, &seen);
	}
	for (; i; i -= 4) {
		port_add_frame(frames, i - 1, &bytes, &seen);
		port_add_frame(frames, i - 2, &bytes, &seen);
		port_add_frame(frames, i - 3, &bytes, &seen);
		port_add_frame(frames, i - 4, &bytes, &seen);
	}
	if (unlikely(seen & XDP_FLAGS_HAS_FRAGS))
		return port_send_frags(port, frames, n, flags);
	return port_hand_on(port, frames, n, bytes, flags);
}

static __always_inline int port_send(const struct port *port,
				     struct xdp_frame **frames, int n,
				     u32 flags)
{
	if (n == 1)
		return port_send_one(port, frames, flags);
	return port_send_some(port, frames, n, flags);
}

static __always_inline int port_run_and_send(const struct port *port,
					     struct xdp_frame **frames, int n,
					     struct net_device *rx, u32 flags)
{
	if (port->prog) {
		n = egress_run(port->prog, frames, n, port->real, rx,
			       port_counters(port));
		if (!n)
			return 0;
		/* The call that would flush later may find all dropped. */
		flags |= XDP_XMIT_FLUSH;
	}
	return port_send(port, frames, n, flags);
}

/* The same for who listens to redirmap_flush: what a flush adds to counters. */
static noinline int port_xmit_traced(const struct port *port,
				     struct xdp_frame **frames, int n,
				     struct net_device *rx, u32 flags)
{
	struct redirmap_stats before, did;
	int i, sent;

	stats_read(port_counters(port), &before);
	sent = port_run_and_send(port, frames, n, rx, flags);
	stats_read(port_counters(port), &did);

	did.packets -= before.packets;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++)
		did.drops[i] -= before.drops[i];
	did.error = sent < 0 ? -sent : 0;
	trace_redirmap_flush(port->real, port->prog ? port->prog->aux->id : 0,
			     n, &did);
	return sent;
}

/**
 * port_xmit() - send frames to a port's device, by its program if it has one
 * @port: the port
 * @frames: at most DEV_MAP_BULK_SIZE frames, put into another order when some
 *	are dropped
 * @n: how many there are
 * @rx: the device that they have come by; NULL when each frame tells
 * @flags: as of ndo_xdp_xmit
 *
 * Runs in NAPI, bottom halves off, per flush.
 *
 * Return: how many, from the first one on, the driver has taken, or its error;
 * the others are the caller's to free, and counted.
 */
int port_xmit(const struct port *port, struct xdp_frame **frames, int n,
	      struct net_device *rx, u32 flags)
{
	if (trace_redirmap_flush_enabled())
		return port_xmit_traced(port, frames, n, rx, flags);
	return port_run_and_send(port, frames, n, rx, flags);
}

/**
 * port_xdp_xmit() - flush of the bulk queue of a port without a program
 * @dev: the pseudo device
 * @n: how many frames there are, at most DEV_MAP_BULK_SIZE
 * @frames: the frames
 * @flags: as of ndo_xdp_xmit
 *
 * Runs in NAPI (or in a cpumap kthread, or in BPF_PROG_TEST_RUN), bottom halves
 * off, once per up to 16 frames.
 *
 * Return: as of port_xmit(). The kernel frees what was not taken, and traces it.
 */
int port_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		  u32 flags)
{
	const struct port *port = port_of(dev);

	lockdep_assert_in_softirq();
	if (trace_redirmap_flush_enabled())
		return port_xmit_traced(port, frames, n, NULL, flags);
	return port_send(port, frames, n, flags);
}

/**
 * port_xdp_xmit_prog() - the same of a port with a program
 * @dev: the pseudo device
 * @n: how many frames there are
 * @frames: the frames
 * @flags: as of ndo_xdp_xmit
 *
 * Runs as port_xdp_xmit().
 *
 * Return: as of port_xmit().
 */
int port_xdp_xmit_prog(struct net_device *dev, int n,
		       struct xdp_frame **frames, u32 flags)
{
	lockdep_assert_in_softirq();
	return port_xmit(port_of(dev), frames, n, ingress_of_queue(frames, n),
			 flags);
}
