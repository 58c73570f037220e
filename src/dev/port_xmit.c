// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports transmit the frames of native XDP: those of their bulk queues, and
 * those of broadcasts.
 *
 * If there is an egress program, it runs first. port_send.c hands the frames to
 * the driver. Frames that the driver has not taken are moved to the end of the
 * array, and the caller frees the frames behind the number that is returned.
 * The frames that the program drops are freed at once and returned as taken;
 * but the kernel traces the return value, so while the tracepoint is enabled
 * these frames are moved to the end as well.
 *
 * XDP_XMIT_FLUSH makes a driver ring its NIC's doorbell, which is expensive. So
 * a port passes the flag on once per poll, with the kernel's last call, which
 * always has a frame. (Ports of one device and the groups of maps do so
 * independently of each other.) But a program may drop all frames of the last
 * call, and a member of a broadcast may get none of them (too large, no memory,
 * no longer a member), while the driver has frames of an earlier call that wait
 * for a flush. A call with the flag, but without frames, does not help: some
 * drivers ignore it, and a bond returns an error. So for each port and CPU the
 * last frame of a call without the flag is kept back, and goes first in the
 * next call. The cases, by whether a frame is kept before the call, the flag,
 * and the number of frames that pass the program:
 *
 *	kept	flag	frames		kept after	the driver gets
 *	----	----	------		----------	---------------
 *	no	no	none		no		no call
 *	no	no	n		last		the others, if any
 *	no	no	n, and the	no		the others, and has
 *			driver fails			none that waits
 *	yes	no	none		same		no call
 *	yes	no	n		last		kept one, the others
 *	no	yes	none		no		no call
 *	no	yes	n		no		all, and the flag
 *	yes	yes	fewer than 16	no		kept one, all, and the
 *							flag
 *	yes	yes	16		no		kept one; then the
 *							others, and the flag
 *
 * The kept frame and a full bulk are too many for one call. The kept frame goes
 * first and alone, so that the call with the flag has the whole bulk, like the
 * kernel's: sfc rings the doorbell only if it takes a frame in this call, and
 * its ring may have room for some frames of the bulk, but not for the last one.
 *
 * So when a driver has got frames without the flag, a frame is kept, and when a
 * frame is kept, a call with the flag follows in the same poll:
 * - The kernel flushes a queue without the flag only to make room for one more
 *   frame. So the queue gets that frame and stays on the kernel's list, and the
 *   kernel calls once more at the end of the poll. The port still exists then,
 *   even if the map, the target or the device was removed, because a port
 *   outlives the poll.
 * - A port that a broadcast has called without the flag is put on a list of
 *   this CPU. For the same reason there is a last call for the group, with the
 *   flag, and this call ends with a flush of all listed ports that still keep a
 *   frame.
 * A driver that has taken no frame before, or whose device is down by then,
 * gets the flag all the same, as it does from the kernel. A bond selects a
 * slave for each frame, so a flag with the last frame would not flush the other
 * slaves: instead of a kept frame, a bond gets the flag with each call. So does
 * the driver of a port without a program that drops frames which are too long
 * (PORT_TEST_LENGTH), because the last call may have no other frames.
 *
 * The kept frame is counted when the driver has taken or refused it. The
 * kernel's event xdp_devmap_xmit counts it as sent in the call that keeps it,
 * because the return value does. If the frame is lost later, an additional
 * event reports that.
 *
 * All of this runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN),
 * bottom halves off, per flush, under flush_lock(). That protects the CPU's
 * kept frames and port_keepers. A port outlives a grace period after the last
 * lookup that could return it.
 *
 * Where polls preempt each other (see flush.h), "poll" above means the poll
 * that has put the first frame on the kernel's queue. The queue is on the list
 * of this poll, which flushes the frames of other polls as well, and is in an
 * RCU read section until then.
 */
#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <net/xdp.h>

#include "compat.h"
#include "dev_trace.h"
#include "egress.h"
#include "ingress.h"
#include "port.h"
#include "stats.h"
#include "xdp_trace.h"

static __always_inline int port_send_batch(const struct port *port,
					   struct xdp_frame **frames, int n,
					   u32 flags)
{
	if (n == 1)
		return rmap_port_send_one(port, frames, flags);
	return rmap_port_send_some(port, frames, n, flags);
}

/*
 * Send frames behind the kept one, if any; without the flag keep the last one.
 * The frames are in @bulk; lost ones are moved to the end of @frames, an array
 * of @n. Runs in NAPI, bottom halves off, per flush; returns the same as
 * rmap_port_xmit().
 */
static noinline int port_send_bulk(const struct port *port,
				   struct bulkq_cpu *cpu,
				   struct port_bulk *bulk,
				   struct xdp_frame **frames, int n, u32 flags)
{
	struct xdp_frame **first = &bulk->frame[1], *kept = cpu->kept;
	int offered = n, sent = 0, taken = 0, lost;
	int refused = 0;

	if (kept) {
		*--first = kept;
		offered++;
	}
	if (flags & XDP_XMIT_FLUSH) {
		cpu->kept = NULL;
		if (offered > DEV_MAP_BULK_SIZE) {
			/* Some drivers take no more frames in one call. */
			if (rmap_port_send_one(port, first, 0) > 0) {
				first++;
				offered--;
			} else {
				refused = 1;
			}
		}
		sent = rmap_port_send_some(port, &first[refused],
					   offered - refused, flags);
		/* Lost frames are behind the others. */
		if (unlikely(refused) && sent > 0)
			first[sent] = first[0];
	} else {
		cpu->kept = first[--offered];
		if (offered)
			sent = rmap_port_send_some(port, first, offered, flags);
		if (unlikely(sent < 0) && !kept) {
			/* No frame waits in the driver: drop the last, too. */
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
		/*
		 * An earlier call has returned the kept frame as taken. All
		 * frames are lost, perhaps in another order, or replaced by
		 * copies, so any of them is freed in its place.
		 */
		xdp_return_frame_rx_napi(first[taken]);
		taken++;
		lost--;
	}
	memmove(&frames[n - lost], &first[taken], lost * sizeof(*frames));
	return sent < 0 && lost && lost == n ? sent : n - lost;
}

/*
 * Run the program, and send the frames that it passes. Only if @traced, the
 * caller gets the dropped frames and the driver's error. Frames that are too
 * long count as lost, and the caller gets them: they are behind the others, so
 * from then on @n is the number of the others. Runs in NAPI, bottom halves off,
 * per flush.
 */
static __always_inline int port_run_and_send(const struct port *port,
					     struct xdp_frame **frames, int n,
					     struct net_device *rx, u32 flags,
					     bool traced)
{
	struct bulkq_cpu *cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	/*
	 * CONFIG_INIT_STACK_ALL_ZERO need not clear it: frames are written
	 * first.
	 */
	struct port_bulk bulk __uninitialized;
	int passed, dropped, sent;

	/* The program may change the length, so this comes first. */
	if (unlikely(READ_ONCE(port->unsegmented)))
		n = rmap_port_drop_long(port, frames, n);

	passed = rmap_egress_run(port->prog, frames, n, &bulk.frame[1],
				 traced ? frames : NULL, port->real, rx,
				 &cpu->stats);
	dropped = n - passed;
	if (!passed && !(cpu->kept && (flags & XDP_XMIT_FLUSH)))
		return traced ? 0 : n;
	if (netif_is_bond_master(port->real))
		flags |= XDP_XMIT_FLUSH;
	if (traced) {
		/* Dropped frames go behind the others. */
		memmove(&frames[passed], frames, dropped * sizeof(*frames));
		return port_send_bulk(port, cpu, &bulk, frames, passed, flags);
	}
	sent = port_send_bulk(port, cpu, &bulk, &frames[dropped], passed, flags);
	return dropped + max(sent, 0);
}

/*
 * port_run_and_send() for broadcasts; noinline, so that broadcasts without a
 * program need no stack canary.
 */
static noinline int port_run_and_send_bulk(const struct port *port,
					   struct port_bulk *bulk, int n,
					   struct net_device *rx, u32 flags,
					   bool traced)
{
	return port_run_and_send(port, &bulk->frame[1], n, rx, flags, traced);
}

/*
 * Send frames of a broadcast, through the program if there is one; @traced as
 * for port_run_and_send(). Runs in NAPI, bottom halves off, per flush and
 * member.
 */
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
		return port_send_batch(port, &bulk->frame[1], n, flags);
	return port_send_bulk(port, cpu, bulk, &bulk->frame[1], n, flags);
}

/*
 * Send frames, and trace the growth of the counters. The kernel emits
 * xdp_devmap_xmit for frames of its queues, with the return value; this
 * function emits it for frames of broadcasts, and for kept frames that were
 * lost. Only a port with a program keeps frames of its queue. Where polls
 * preempt each other, the growth includes packets that another task has sent
 * or lost meanwhile in generic XDP, and frames lost before the enqueue.
 */
static noinline int port_xmit_traced(const struct port *port,
				     struct xdp_frame **frames,
				     struct port_bulk *bulk, int n,
				     struct net_device *rx, u32 flags)
{
	struct bulkq_cpu *cpu = bulkq_this_cpu(port->dev.xdp_bulkq);
	int i, sent, lost = 0, kept = !!cpu->kept;
	u64 as_packets = u64_stats_read(&cpu->stats.as_packets);
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
		sent = port_send_batch(port, frames, n, flags);
	rmap_stats_read(&cpu->stats, &did);

	did.packets -= before.packets;
	for (i = 0; i < REDIRMAP_DROP_COUNT; i++) {
		did.drops[i] -= before.drops[i];
		lost += did.drops[i];
	}
	did.error = sent < 0 ? -sent : 0;
	/* A kept frame belongs to the flush that sends or loses it. */
	trace_redirmap_flush(port->real, port->prog ? port->prog->aux->id : 0,
			     n + kept - !!cpu->kept, &did,
			     u64_stats_read(&cpu->stats.as_packets) -
			     as_packets);

	if (bulk && (did.packets || lost))
		rmap_trace_devmap_xmit(from, &port->dev, did.packets, lost,
				       min(sent, 0));
	else if (!bulk && lost > n && (!COMPAT_POLLS_PREEMPT || port->prog))
		rmap_trace_devmap_xmit(from, &port->dev, 0, lost - n,
				       min(sent, 0));
	return sent;
}

static int port_xmit_or_trace(const struct port *port, struct port_bulk *bulk,
			      int n, struct net_device *rx, u32 flags)
{
	if (trace_redirmap_flush_enabled() || rmap_trace_devmap_xmit_enabled())
		return port_xmit_traced(port, NULL, bulk, n, rx, flags);
	return port_xmit_bulk(port, bulk, n, rx, flags, false);
}

/* This CPU's list of ports that keep a frame of a broadcast. */
static DEFINE_PER_CPU(const struct port *, port_keepers);

/* Put a port on the list, once; the last port of the list links to itself. */
static void port_list_keeper(const struct port *port, struct bulkq_cpu *cpu)
{
	if (cpu->next_keeper)
		return;
	cpu->next_keeper = this_cpu_read(port_keepers) ?: port;
	this_cpu_write(port_keepers, port);
}

/**
 * rmap_port_flush_keepers() - flush the ports that keep a frame of a broadcast
 * @rx: the ingress, for the tracepoint
 *
 * These ports have got no frame with the last call, so the kept frame goes
 * alone. If sfc refuses it, earlier frames wait, although sfc may have taken
 * some of the kernel's last call, which has up to 16 frames.
 *
 * If a poll has frames for several groups, the first call of this function
 * flushes the ports of all groups. A group that is flushed later passes the
 * flag on once more.
 *
 * Runs in NAPI, bottom halves off, at the end of a group's flush with
 * XDP_XMIT_FLUSH.
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
 * rmap_port_xmit() - send frames to a port's device, through the egress program
 * if there is one
 * @port: the port
 * @bulk: the frames; reordered when some are lost
 * @n: number of frames, not 0
 * @rx: the ingress; NULL when dev_rx of each frame is valid instead
 * @flags: flags of ndo_xdp_xmit; without XDP_XMIT_FLUSH a call of
 *	rmap_port_flush_keepers() has to follow
 *
 * Emits xdp_devmap_xmit, as the kernel does for its queues.
 *
 * Runs in NAPI, bottom halves off, per flush of a group and member.
 *
 * Return: number of frames, from the first one on, that were consumed: the
 * driver has taken them, they left as packets, they are kept for the next call,
 * or the program has dropped and freed them. Or the driver's error, when no
 * frame was consumed. The other frames are counted, and the caller frees them.
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
 * @n: number of frames, at most DEV_MAP_BULK_SIZE
 * @frames: the frames
 * @flags: flags of ndo_xdp_xmit
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, once per up to 16 frames.
 *
 * Return: as rmap_port_xmit(). The kernel traces the result, and frees the
 * frames that were not consumed.
 */
int rmap_port_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		       u32 flags)
{
	const struct port *port = port_of(dev);

	lockdep_assert_in_softirq();
	if (trace_redirmap_flush_enabled())
		return port_xmit_traced(port, frames, NULL, n, NULL, flags);
	return port_send_batch(port, frames, n, flags);
}

/**
 * rmap_port_xdp_xmit_prog() - flush of the bulk queue of a port with a program
 * @dev: the pseudo device
 * @n: number of frames, at most DEV_MAP_BULK_SIZE
 * @frames: the frames
 * @flags: flags of ndo_xdp_xmit
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, once per up to 16 frames.
 *
 * Return: as rmap_port_xmit().
 */
int rmap_port_xdp_xmit_prog(struct net_device *dev, int n,
			    struct xdp_frame **frames, u32 flags)
{
	const struct port *port = port_of(dev);
	struct net_device *rx = ingress_of_queue(frames, n);

	lockdep_assert_in_softirq();
	if (trace_redirmap_flush_enabled() || rmap_trace_devmap_xmit_enabled())
		return port_xmit_traced(port, frames, NULL, n, rx, flags);
	return port_run_and_send(port, frames, n, rx, flags, false);
}
