// SPDX-License-Identifier: GPL-2.0-only
/*
 * Native XDP through a port: the egress program, the driver, the counters.
 *
 * A flush hands its frames to the real device's ndo_xdp_xmit. Those that it has
 * not taken go to the end, where the caller frees what is not gone by the return
 * value. With a program, frames pass that first. Those that it drops are freed at
 * once, and returned as gone; but the kernel makes an event of what is returned, so
 * while somebody listens they go to the end as well.
 *
 * XDP_XMIT_FLUSH is a doorbell for a NIC, so the driver gets it once a poll: with
 * the kernel's last call, which always has a frame. But a program may drop all
 * frames of the last call, and a member of a broadcast may get none of them
 * (too large, no memory, no longer a member), when the driver has frames of an
 * earlier call that wait for a flush. A call without frames is no cure: drivers
 * may do nothing then, or worse. So of the frames of a call without the flag the
 * last one is kept back, for each port and CPU, until it goes first in the next
 * one. Kept, at the end of each call:
 *
 *	before	call		frames that pass	kept	to the driver
 *	------	-------------	----------------	----	-------------
 *	no	no flag		none			no	no call
 *	no	no flag		n			last	the others, if any
 *	no	no flag		n, driver's error	no	none waits there
 *	yes	no flag		none			same	no call
 *	yes	no flag		n			last	kept one, the others
 *	no	flag		none			no	no call
 *	no	flag		n			no	n and the flag
 *	yes	flag		any number		no	kept one, all; the flag
 *	any	a bond, any	any number		no	all and the flag
 *
 * So where a driver has got frames without the flag, one is kept, and where one
 * is kept, a call with the flag follows in the same poll:
 * - a queue that the kernel has flushed without the flag has got one more frame,
 *   and stays on its list, since it flushes only to make room for that; so it
 *   calls once more, whatever has become of the map, the target or the device,
 *   since ports outlive the poll;
 * - a port that a broadcast has called without it is on a list of this CPU's,
 *   and the last call for the group, which comes for the same reason, ends with
 *   a flush of all that still keep a frame.
 * A driver that takes nothing, or is down by then, gets the flag all the same, as
 * it does from the kernel. A bond chooses a device for each frame, and a flag
 * with the last one leaves the others' waiting: so it gets it each time.
 *
 * Counters count the kept frame when the driver has answered. The kernel's event
 * xdp_devmap_xmit has it among those that were sent, as what is returned says; if
 * it is lost in the end, an event of its own tells that.
 *
 * All runs in NAPI (or in a cpumap kthread, or in BPF_PROG_TEST_RUN) with bottom
 * halves off, per flush: counters and kept frames are this CPU's (on PREEMPT_RT
 * because local_bh_disable() is a per-CPU lock), and a port outlives a grace
 * period after the last lookup that could lead here.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <net/xdp.h>

#include "dev_trace.h"
#include "egress.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"
#include "xdp_trace.h"

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
		rmap_stats_drop(stats, port->real, REDIRMAP_DROP_DRIVER_ERROR,
				n);
		return sent;
	}
	/* Of a single frame nothing was noted. */
	if (sent)
		stats_sent(stats, sent,
			   bytes - this_cpu_read(port_bytes_from[sent]));
	rmap_stats_drop(stats, port->real, REDIRMAP_DROP_RING_FULL, n - sent);
	return sent;
}

/*
 * The device has had ndo_xdp_xmit, and has it no more. No driver was called, so
 * there is no errno of one: none of the frames is taken.
 */
static noinline int port_count_no_xmit(const struct port *port, int n)
{
	rmap_port_drop(port, REDIRMAP_DROP_NO_XMIT, n);
	return 0;
}

static __always_inline int port_hand_on(const struct port *port,
					struct xdp_frame **frames, int n,
					u32 bytes, u32 flags)
{
	struct net_device *real = port->real;
	const struct net_device_ops *ops = READ_ONCE(real->netdev_ops);
	int sent;

	if (unlikely(!ops->ndo_xdp_xmit))
		return port_count_no_xmit(port, n);
	sent = ops->ndo_xdp_xmit(real, n, frames, flags);
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

/*
 * Send frames, after the one that was kept back, if any; or keep the last one.
 * Those that are lost are put at the end of @frames[@n], which they may have come
 * from. Runs as rmap_port_xmit(); returns what rmap_port_xmit() does.
 */
static noinline int port_send_bulk(const struct port *port,
				   struct bulkq_cpu *cpu,
				   struct port_bulk *bulk,
				   struct xdp_frame **frames, int n, u32 flags)
{
	struct xdp_frame **first = &bulk->frame[1], *kept = cpu->kept;
	int offered = n, sent = 0, taken = 0, lost;

	if (kept) {
		*--first = kept;
		offered++;
	}
	if (flags & XDP_XMIT_FLUSH) {
		cpu->kept = NULL;
		if (offered > DEV_MAP_BULK_SIZE) {
			/* Some drivers have no room for more in a call. */
			sent = port_send_some(port, first, DEV_MAP_BULK_SIZE,
					      flags & ~XDP_XMIT_FLUSH);
			if (port_send_some(port, &first[DEV_MAP_BULK_SIZE], 1,
					   flags) > 0)
				offered--;
		} else {
			sent = port_send_some(port, first, offered, flags);
		}
	} else {
		cpu->kept = first[--offered];
		if (offered)
			sent = port_send_some(port, first, offered, flags);
		if (unlikely(sent < 0) && !kept) {
			/* None waits at the driver: lost, as in one call. */
			rmap_port_drop(port, REDIRMAP_DROP_DRIVER_ERROR, 1);
			cpu->kept = NULL;
			offered++;
		}
	}
	if (likely(sent > 0))
		taken = sent;
	lost = offered - taken;
	if (likely(!lost))
		return n;

	if (lost > n) {
		/* The caller believes that the kept one is gone. */
		xdp_return_frame_rx_napi(kept);
		taken++;
		lost--;
	}
	memmove(&frames[n - lost], &first[taken], lost * sizeof(*frames));
	return sent < 0 && lost && lost == n ? sent : n - lost;
}

/*
 * With a program. Runs as rmap_port_xmit(). Only with @traced the caller gets what
 * the program drops, and the driver's error.
 */
static __always_inline int port_run_and_send(const struct port *port,
					     struct xdp_frame **frames, int n,
					     struct net_device *rx, u32 flags,
					     bool traced)
{
	struct bulkq_cpu *cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	/* What CONFIG_INIT_STACK_ALL_ZERO would clear is written first. */
	struct port_bulk bulk __uninitialized;
	int passed, dropped, sent;

	passed = rmap_egress_run(port->prog, frames, n, &bulk.frame[1],
				 traced ? frames : NULL, port->real, rx,
				 &cpu->stats);
	dropped = n - passed;
	if (!passed && !(cpu->kept && (flags & XDP_XMIT_FLUSH)))
		return traced ? 0 : n;
	if (netif_is_bond_master(port->real))
		flags |= XDP_XMIT_FLUSH;
	if (traced) {
		/* Behind those that are not dropped. */
		memmove(&frames[passed], frames, dropped * sizeof(*frames));
		return port_send_bulk(port, cpu, &bulk, frames, passed, flags);
	}
	sent = port_send_bulk(port, cpu, &bulk, &frames[dropped], passed, flags);
	return dropped + max(sent, 0);
}

/* The same for broadcasts; apart, for without a program it needs no canary. */
static noinline int port_run_and_send_bulk(const struct port *port,
					   struct port_bulk *bulk, int n,
					   struct net_device *rx, u32 flags,
					   bool traced)
{
	return port_run_and_send(port, &bulk->frame[1], n, rx, flags, traced);
}

/* With a program or not. Runs as rmap_port_xmit(); @traced as above. */
static __always_inline int port_xmit_bulk(const struct port *port,
					  struct port_bulk *bulk, int n,
					  struct net_device *rx, u32 flags,
					  bool traced)
{
	struct bulkq_cpu *cpu;

	if (port->prog)
		return port_run_and_send_bulk(port, bulk, n, rx, flags, traced);
	if (netif_is_bond_master(port->real))
		flags |= XDP_XMIT_FLUSH;
	cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	if ((flags & XDP_XMIT_FLUSH) && !cpu->kept)
		return port_send(port, &bulk->frame[1], n, flags);
	return port_send_bulk(port, cpu, bulk, &bulk->frame[1], n, flags);
}

/*
 * What a flush adds to counters, for who listens. xdp_devmap_xmit is the kernel's
 * for frames of its queues, and tells what we return; for those of broadcasts it
 * is ours, with the kept frame where it is sent or lost.
 */
static noinline int port_xmit_traced(const struct port *port,
				     struct xdp_frame **frames,
				     struct port_bulk *bulk, int n,
				     struct net_device *rx, u32 flags)
{
	struct bulkq_cpu *cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	int i, sent, lost = 0, kept = !!cpu->kept;
	struct redirmap_stats before, did;
	struct net_device *from = rx;

	if (!from)
		from = (bulk ? bulk->frame[1] : frames[0])->dev_rx;
	rmap_stats_read(&cpu->stats, &before);
	if (bulk)
		sent = port_xmit_bulk(port, bulk, n, rx, flags, true);
	else if (port->prog)
		sent = port_run_and_send(port, frames, n, rx, flags, true);
	else
		sent = port_send(port, frames, n, flags);
	rmap_stats_read(&cpu->stats, &did);

	did.packets -= before.packets;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++) {
		did.drops[i] -= before.drops[i];
		lost += did.drops[i];
	}
	did.error = sent < 0 ? -sent : 0;
	/* With the kept one, when it is done with. */
	trace_redirmap_flush(port->real, port->prog ? port->prog->aux->id : 0,
			     n + kept - !!cpu->kept, &did);

	if (bulk && (did.packets || lost))
		trace_devmap_xmit(from, &port->dev, did.packets, lost,
				  min(sent, 0));
	else if (!bulk && lost > n)
		trace_devmap_xmit(from, &port->dev, 0, lost - n, min(sent, 0));
	return sent;
}

static int port_xmit_or_trace(const struct port *port, struct port_bulk *bulk,
			      int n, struct net_device *rx, u32 flags)
{
	if (trace_redirmap_flush_enabled() || trace_devmap_xmit_enabled())
		return port_xmit_traced(port, NULL, bulk, n, rx, flags);
	return port_xmit_bulk(port, bulk, n, rx, flags, false);
}

/* The list of this CPU's ports that a broadcast has made keep a frame. */
static DEFINE_PER_CPU(const struct port *, port_keepers);

/* The last one is followed by itself. */
static void port_list_keeper(const struct port *port, struct bulkq_cpu *cpu)
{
	if (cpu->next_keeper)
		return;
	cpu->next_keeper = this_cpu_read(port_keepers) ?: port;
	this_cpu_write(port_keepers, port);
}

/**
 * rmap_port_flush_keepers() - flush the ports that a broadcast has left without
 * it
 * @rx: the device that the frames have come by, for the tracepoint
 *
 * Runs in NAPI, bottom halves off, at the end of a call for a group with
 * XDP_XMIT_FLUSH. Where several groups have calls in a poll, the first one does
 * it for all; the others then keep nothing any more.
 */
void rmap_port_flush_keepers(struct net_device *rx)
{
	const struct port *next = this_cpu_read(port_keepers), *port;
	struct port_bulk none __uninitialized;
	struct bulkq_cpu *cpu;

	if (!next)
		return;
	this_cpu_write(port_keepers, NULL);
	do {
		port = next;
		cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
		next = cpu->next_keeper;
		cpu->next_keeper = NULL;
		if (cpu->kept)
			port_xmit_or_trace(port, &none, 0, rx, XDP_XMIT_FLUSH);
	} while (next != port);
}

/**
 * rmap_port_xmit() - send frames to a port's device, by its program if it has
 * one
 * @port: the port
 * @bulk: the frames, put into another order when some are lost
 * @n: how many there are, not 0
 * @rx: the device that they have come by; NULL when each frame tells
 * @flags: as of ndo_xdp_xmit; without XDP_XMIT_FLUSH, rmap_port_flush_keepers()
 *	has to follow
 *
 * Runs in NAPI, bottom halves off, per flush of a group and member. Emits
 * xdp_devmap_xmit, as the kernel does for its queues.
 *
 * Return: how many, from the first one on, are gone: taken by the driver, kept
 * for the next call, or freed, since the program has dropped them; or the driver's
 * error, with none gone. The others are the caller's to free, and counted.
 */
int rmap_port_xmit(const struct port *port, struct port_bulk *bulk, int n,
		   struct net_device *rx, u32 flags)
{
	int sent = port_xmit_or_trace(port, bulk, n, rx, flags);
	struct bulkq_cpu *cpu;

	if (flags & XDP_XMIT_FLUSH)
		return sent;
	cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	if (cpu->kept)
		port_list_keeper(port, cpu);
	return sent;
}

/**
 * rmap_port_xdp_xmit() - flush of the bulk queue of a port without a program
 * @dev: the pseudo device
 * @n: how many frames there are, at most DEV_MAP_BULK_SIZE
 * @frames: the frames
 * @flags: as of ndo_xdp_xmit
 *
 * Runs in NAPI (or in a cpumap kthread, or in BPF_PROG_TEST_RUN), bottom halves
 * off, once per up to 16 frames.
 *
 * Return: as of rmap_port_xmit(). The kernel frees what was not taken, and
 * traces it.
 */
int rmap_port_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		       u32 flags)
{
	const struct port *port = port_of(dev);

	lockdep_assert_in_softirq();
	if (trace_redirmap_flush_enabled())
		return port_xmit_traced(port, frames, NULL, n, NULL, flags);
	return port_send(port, frames, n, flags);
}

/**
 * rmap_port_xdp_xmit_prog() - the same of a port with a program
 * @dev: the pseudo device
 * @n: how many frames there are
 * @frames: the frames
 * @flags: as of ndo_xdp_xmit
 *
 * Runs as rmap_port_xdp_xmit().
 *
 * Return: as of rmap_port_xmit().
 */
int rmap_port_xdp_xmit_prog(struct net_device *dev, int n,
			    struct xdp_frame **frames, u32 flags)
{
	const struct port *port = port_of(dev);
	struct net_device *rx = ingress_of_queue(frames, n);

	lockdep_assert_in_softirq();
	if (trace_redirmap_flush_enabled() || trace_devmap_xmit_enabled())
		return port_xmit_traced(port, frames, NULL, n, rx, flags);
	return port_run_and_send(port, frames, n, rx, flags, false);
}
