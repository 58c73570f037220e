// SPDX-License-Identifier: GPL-2.0-only
/*
 * A batch of a port goes to the driver, or leaves as packets.
 *
 * The frames of a batch go to the real device's ndo_xdp_xmit. If the device
 * cannot transmit XDP frames, or its driver has refused all of them because it
 * is not ready, the whole batch leaves as packets instead (port_packet.c). No
 * batch leaves partly as frames and partly as packets (but see port_refused.c
 * for bonds, and port_frags.c), so that within a batch no frame overtakes
 * another one of its flow. Packets need no flush. Frames that the driver has
 * not taken are moved to the end of the array, behind the number that is
 * returned.
 *
 * port_xmit.c calls these functions in NAPI (or in a cpumap's kthread, or in
 * BPF_PROG_TEST_RUN), bottom halves off, under flush_lock(). That protects the
 * CPU's port_bytes_from. They count all frames of a batch, as sent, as packets,
 * or by the reason of their loss.
 */
#include <linux/netdevice.h>
#include <net/xdp.h>

#include "compat.h"
#include "port.h"
#include "stats.h"

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
	/* rmap_port_send_one() fills no array, but then no frame was sent. */
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

/**
 * rmap_port_send_one() - send a batch of one frame, as at low load
 * @port: the port
 * @frames: the frame
 * @flags: flags of ndo_xdp_xmit
 *
 * Needs no port_bytes_from. Runs in NAPI, bottom halves off, per flush.
 *
 * Return: as rmap_port_send_some().
 */
int rmap_port_send_one(const struct port *port, struct xdp_frame **frames,
		       u32 flags)
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

/**
 * rmap_port_send_some() - send a batch
 * @port: the port
 * @frames: the frames; reordered when some are lost
 * @n: number of frames, at most DEV_MAP_BULK_SIZE, not 0
 * @flags: flags of ndo_xdp_xmit
 *
 * Few variables are used across the driver's call, because each one costs a
 * save and a restore.
 *
 * Runs in NAPI, bottom halves off, per flush.
 *
 * Return: number of frames, from the first one on, that the driver has taken or
 * that left as packets; or the driver's error, when there are none. The caller
 * frees the others.
 */
int rmap_port_send_some(const struct port *port, struct xdp_frame **frames,
			int n, u32 flags)
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
