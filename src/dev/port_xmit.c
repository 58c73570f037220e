// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ports transmit the frames of native XDP.
 *
 * A flush hands its frames to the real device's ndo_xdp_xmit. If the device
 * cannot transmit XDP frames, or its driver has refused all of them because it
 * is not ready, the whole batch leaves as packets instead (port_packet.c). No
 * batch leaves partly as frames and partly as packets (but see port_refused.c
 * for bonds, and port_frags.c), so that within a batch no frame overtakes
 * another one of its flow. Packets need no flush. Frames that the driver has
 * not taken are moved to the end of the array, and the caller frees the frames
 * behind the number that is returned. If there is an egress program, it runs
 * first. The frames that it drops are freed at once and returned as taken; but
 * the kernel traces the return value, so while the tracepoint is enabled these
 * frames are moved to the end as well.
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
 * kept frames, port_keepers and port_bytes_from. A port outlives a grace period
 * after the last lookup that could return it.
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

/*
 * For each frame of a flush, the number of bytes from this frame to the last
 * one. A driver may change a frame before it refuses it (virtio_net puts a
 * header of its own in front), so the lengths are added up before the call. No
 * flush of this CPU runs inside the driver's call, so one array for each CPU is
 * enough; an array on the stack would need a stack canary.
 */
static DEFINE_PER_CPU_ALIGNED(u32 [DEV_MAP_BULK_SIZE], port_bytes_from);

static noinline int port_count_part(const struct port *port,
				    struct xdp_frame **frames, int n, int sent,
				    u32 bytes)
{
	/* port_send_one() fills no array, but then no frame was sent. */
	return rmap_port_refused(port, frames, n, sent, bytes,
				 this_cpu_ptr(port_bytes_from));
}

static __always_inline int port_call_driver(const struct port *port,
					    const struct net_device_ops *ops,
					    struct xdp_frame **frames, int n,
					    u32 bytes, u32 flags)
{
	int sent = ops->ndo_xdp_xmit(port->real, n, frames, flags);

	if (unlikely(sent != n))
		return port_count_part(port, frames, n, sent, bytes);
	stats_sent(port_counters(port), n, bytes);
	return n;
}

/* Note the lengths of frames, with their fragments; returns the sum. */
static u32 port_note_lengths(struct xdp_frame **frames, int n)
{
	u32 *from = this_cpu_ptr(port_bytes_from);
	u32 bytes = 0;
	int i;

	for (i = n - 1; i >= 0; i--) {
		bytes += xdp_get_frame_len(frames[i]);
		from[i] = bytes;
	}
	return bytes;
}

/*
 * Send a batch that the driver cannot get, or only with XDP_XMIT_FLUSH. If the
 * device has no ndo_xdp_xmit (it may just have lost it) and the frames may not
 * leave as packets, they are lost, and 0 is returned instead of an errno,
 * because no driver was called.
 */
static noinline int port_take_detour(const struct port *port,
				     struct xdp_frame **frames, int n,
				     u32 bytes, u32 flags)
{
	const struct net_device_ops *ops;
	int fit;

	ops = READ_ONCE(port->real->netdev_ops);
	/* The other bits may stay set for long, and need no comparison. */
	if ((READ_ONCE(port->detour) & PORT_AS_PACKETS) || !ops->ndo_xdp_xmit) {
		rmap_port_follow(port);
		ops = READ_ONCE(port->real->netdev_ops);
	}
	if ((READ_ONCE(port->detour) & PORT_AS_PACKETS) ||
	    (!ops->ndo_xdp_xmit && rmap_port_may_send_packets(port)))
		return rmap_port_send_packets(port, frames, n);
	if (!ops->ndo_xdp_xmit) {
		rmap_port_drop(port, REDIRMAP_DROP_NO_XMIT, n);
		return 0;
	}
	if (READ_ONCE(port->detour) & PORT_TEST_LENGTH) {
		fit = rmap_port_drop_long(port, frames, n);
		if (!fit)
			return 0;
		if (fit < n)
			bytes = port_note_lengths(frames, fit);
		n = fit;
	}
	if (READ_ONCE(port->detour) &
	    (PORT_FLUSH_EACH | PORT_TEST_LENGTH | PORT_FLUSH_BOND))
		flags |= XDP_XMIT_FLUSH;
	return port_call_driver(port, ops, frames, n, bytes, flags);
}

static __always_inline int port_hand_on(const struct port *port,
					struct xdp_frame **frames, int n,
					u32 bytes, u32 flags)
{
	const struct net_device_ops *ops = READ_ONCE(port->real->netdev_ops);

	if (unlikely(READ_ONCE(port->detour) || !ops->ndo_xdp_xmit))
		return port_take_detour(port, frames, n, bytes, flags);
	return port_call_driver(port, ops, frames, n, bytes, flags);
}

/*
 * Send the first frame to the driver, with the flag, because earlier batches
 * may wait for it there. Send the other frames as packets. If the port tests
 * lengths, this is the first frame that is not too long. If there is no memory
 * for a copy of this frame, the earlier batches wait for the next call of the
 * driver.
 */
static int port_ring_and_send(const struct port *port,
			      struct xdp_frame **frames, int n, u32 flags)
{
	struct xdp_frame *first;
	int gone, rest;

	if (READ_ONCE(port->detour) & PORT_TEST_LENGTH) {
		n = rmap_port_drop_long(port, frames, n);
		if (!n)
			return 0;
	}
	if (xdp_frame_has_frags(*frames) && rmap_port_defragment(frames))
		return rmap_port_send_packets(port, frames, n);
	first = *frames;
	gone = port_hand_on(port, frames, 1, first->len,
			    flags | XDP_XMIT_FLUSH);
	if (n == 1)
		return gone;
	rest = rmap_port_send_packets(port, &frames[1], n - 1);
	if (gone > 0)
		return 1 + rest;
	/* Lost frames go behind the others. */
	memmove(frames, &frames[1], (n - 1) * sizeof(*frames));
	frames[n - 1] = first;
	return rest;
}

/*
 * Send frames when some of them have fragments. If the driver does not take
 * fragments, the batch leaves as packets: see port_frags.c.
 */
static noinline int port_send_frags(const struct port *port,
				    struct xdp_frame **frames, int n, u32 flags)
{
	if (!compat_takes_frags(port->real) && rmap_port_may_send_packets(port)) {
		if ((READ_ONCE(port->detour) & PORT_AS_PACKETS) ||
		    likely(rmap_port_is_flushed(port)))
			return rmap_port_send_packets(port, frames, n);
		return port_ring_and_send(port, frames, n, flags);
	}
	return port_hand_on(port, frames, n, port_note_lengths(frames, n), flags);
}

/*
 * Add a frame's length and flags to the sums of a batch. Runs in NAPI, bottom
 * halves off, per frame.
 */
static __always_inline void port_add_frame(struct xdp_frame **frames, size_t i,
					   u32 *bytes, u32 *seen)
{
	*bytes += frames[i]->len;
	/* Keep the compiler from loading all frames first. */
	OPTIMIZER_HIDE_VAR(*bytes);
	if (compat_redirects_frags()) {
		*seen |= frames[i]->flags;
		OPTIMIZER_HIDE_VAR(*seen);
	}
	this_cpu_write(port_bytes_from[i], *bytes);
}

/* Add the four frames before number @end. */
static __always_inline void port_add_four(struct xdp_frame **frames, size_t end,
					  u32 *bytes, u32 *seen)
{
	port_add_frame(frames, end - 1, bytes, seen);
	port_add_frame(frames, end - 2, bytes, seen);
	port_add_frame(frames, end - 3, bytes, seen);
	port_add_frame(frames, end - 4, bytes, seen);
}

/*
 * Note the lengths of frames as port_note_lengths() does, but for frames
 * without fragments; returns the sum. @seen gets their flags. The loops are
 * unrolled, because they do little else per frame; a full queue, as under load,
 * needs no loop. Runs in NAPI, bottom halves off, per flush.
 */
static __always_inline u32 port_add_frames(struct xdp_frame **frames, size_t n,
					   u32 *seen)
{
	u32 bytes = 0;

	BUILD_BUG_ON(DEV_MAP_BULK_SIZE != 16);
	if (likely(n == DEV_MAP_BULK_SIZE)) {
		port_add_four(frames, 16, &bytes, seen);
		port_add_four(frames, 12, &bytes, seen);
		port_add_four(frames, 8, &bytes, seen);
		port_add_four(frames, 4, &bytes, seen);
		return bytes;
	}
	for (; n >= 4; n -= 4)
		port_add_four(frames, n, &bytes, seen);
	while (n)
		port_add_frame(frames, --n, &bytes, seen);
	return bytes;
}

/* Send a batch of one frame, as at low load: needs no port_bytes_from. */
static noinline int port_send_one(const struct port *port,
				  struct xdp_frame **frames, u32 flags)
{
	if (unlikely(xdp_frame_has_frags(*frames)))
		return port_send_frags(port, frames, 1, flags);
	return port_hand_on(port, frames, 1, (*frames)->len, flags);
}

/*
 * Do frames still leave as packets, or has the device changed without an event?
 * Runs in NAPI, bottom halves off, per flush of such a port.
 */
static noinline bool port_still_detours(const struct port *port)
{
	rmap_port_follow(port);
	return READ_ONCE(port->detour) & PORT_AS_PACKETS;
}

/*
 * Send several frames. Runs in NAPI, bottom halves off, per flush. Few
 * variables are used across the driver's call, because each one costs a save
 * and a restore.
 */
static noinline int port_send_some(const struct port *port,
				   struct xdp_frame **frames, int n, u32 flags)
{
	u32 bytes, seen = 0;

	/*
	 * No lengths need to be noted of frames that leave as packets. One look
	 * per poll is enough to see that the device has changed without an
	 * event.
	 */
	if (unlikely(READ_ONCE(port->detour) & PORT_AS_PACKETS) &&
	    (!(flags & XDP_XMIT_FLUSH) || port_still_detours(port)))
		return rmap_port_send_packets(port, frames, n);

	/*
	 * The lengths are read before the call, because sent frames belong to
	 * the driver, which will read the same cache lines.
	 */
	bytes = port_add_frames(frames, (u32)n, &seen);
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
			if (port_send_one(port, first, 0) > 0) {
				first++;
				offered--;
			} else {
				refused = 1;
			}
		}
		sent = port_send_some(port, &first[refused], offered - refused,
				      flags);
		/* Lost frames are behind the others. */
		if (unlikely(refused) && sent > 0)
			first[sent] = first[0];
	} else {
		cpu->kept = first[--offered];
		if (offered)
			sent = port_send_some(port, first, offered, flags);
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
		return port_send(port, &bulk->frame[1], n, flags);
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
		sent = port_send(port, frames, n, flags);
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
	return port_send(port, frames, n, flags);
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
