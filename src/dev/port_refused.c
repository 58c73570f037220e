// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that a driver has refused leave as packets instead, or are lost.
 * Frames that are too long for the device are lost, where the port tests that:
 * see port_segment.c.
 *
 * A driver that returns an error has taken no frame. The errno distinguishes
 * two cases:
 *
 * not ready	The device has no XDP program attached that its driver needs, or
 *		this CPU has no ring: the whole batch leaves as packets, if the
 *		map allows that.
 * full		The ring is full or stopped, or the device is down or fails: the
 *		batch is lost. Packets might overtake the frames of the next
 *		batch, and would add load to a device that is overloaded.
 *
 * If a driver has taken some of the frames, its ring is full, and the others
 * are lost.
 *
 * A bond selects a slave for each frame. It returns the slave's error if the
 * first frame was refused, otherwise only the number of frames before, although
 * other slaves may be ready. So the frames behind the refused one leave as
 * packets. The refused one does not: without an error the slave's driver may
 * have written to it (cpsw overwrites the data if the headroom is too small) or
 * have freed its page (otx2, if its ring is full).
 *
 * This file owns no data. It runs in NAPI (or in a cpumap's kthread, or in
 * BPF_PROG_TEST_RUN), bottom halves off, per flush that a driver has refused,
 * or whose lengths are tested.
 */
#include <linux/netdevice.h>
#include <net/xdp.h>

#include "port.h"
#include "stats.h"

/*
 * Send as packets what a bond has not taken, but for the first of these frames,
 * which is lost and moved behind the others. Returns the number of frames that
 * were consumed.
 */
static int refused_send_rest(const struct port *port, struct xdp_frame **frames,
			     int n)
{
	struct xdp_frame *first = *frames;
	int rest = n - 1;

	rmap_port_drop(port, REDIRMAP_DROP_RING_FULL, 1);
	memmove(frames, &frames[1], rest * sizeof(*frames));
	frames[rest] = first;
	return rest ? rmap_port_send_packets(port, frames, rest) : 0;
}

/*
 * Does an error mean that the ring is full, or that the device fails? When a
 * queue is stopped or full, sfc returns -EIO, gve -EBUSY, and ionic -EIO or -1,
 * which is -EPERM.
 */
static bool refused_when_full(int error)
{
	switch (error) {
	case -EIO:
	case -EBUSY:
	case -EAGAIN:
	case -ENOSPC:
	case -ENOMEM:
	case -EPERM:
	case -ENETDOWN:
		return true;
	default:
		return false;
	}
}

/*
 * Have the frames together the same length as before the driver has refused
 * them? A driver may put a header of its own in front of a frame, and such a
 * frame must not leave as a packet. (Documentation/drivers.rst lists no driver
 * that changes a frame and then returns an error.)
 */
static bool refused_unchanged(struct xdp_frame **frames, int n, u32 bytes)
{
	while (n)
		bytes -= xdp_get_frame_len(frames[--n]);
	return !bytes;
}

/**
 * rmap_port_refused() - count and pass on frames when the driver has not taken
 * all of them
 * @port: the port
 * @frames: the frames; reordered when some are lost
 * @n: number of frames
 * @sent: the return value of ndo_xdp_xmit; not @n
 * @bytes: bytes of all frames before the call
 * @from: for each frame the bytes from this frame to the last one, before the
 *	call; read only when @sent is above 0
 *
 * Runs in NAPI, bottom halves off, per flush.
 *
 * Return: number of frames, from the first one on, that were consumed; or the
 * driver's error, when none was. The caller frees the others.
 */
int rmap_port_refused(const struct port *port, struct xdp_frame **frames, int n,
		      int sent, u32 bytes, const u32 *from)
{
	struct stats_cpu *stats = port_counters(port);
	bool packets = rmap_port_may_send_packets(port);

	if (sent < 0 && packets && !refused_when_full(sent) &&
	    likely(refused_unchanged(frames, n, bytes)))
		return rmap_port_send_packets(port, frames, n);
	if (sent < 0) {
		WRITE_ONCE(stats->error, -sent);
		rmap_stats_drop(stats, port->real, REDIRMAP_DROP_DRIVER_ERROR,
				n);
		return sent;
	}
	if (sent)
		stats_sent(stats, sent, bytes - from[sent]);
	if (sent && packets && netif_is_bond_master(port->real))
		return sent + refused_send_rest(port, &frames[sent], n - sent);
	rmap_stats_drop(stats, port->real, REDIRMAP_DROP_RING_FULL, n - sent);
	return sent;
}

/**
 * rmap_port_drop_long() - drop the frames of a flush that are too long for the
 * device
 * @port: a port whose MTU is larger than the device's
 * @frames: the frames, before an egress program runs; reordered when some are
 *	too long: the others come first
 * @n: number of frames, at most DEV_MAP_BULK_SIZE
 *
 * Runs in NAPI, bottom halves off, per flush of such a port.
 *
 * Return: number of frames that are not too long. The others were counted, and
 * the caller returns them as not taken.
 */
int rmap_port_drop_long(const struct port *port, struct xdp_frame **frames,
			int n)
{
	struct xdp_frame *too_long[DEV_MAP_BULK_SIZE] __uninitialized;
	u32 limit = port_frame_limit(port);
	int i, fit = 0, dropped = 0;

	for (i = 0; i < n; i++) {
		if (unlikely(xdp_get_frame_len(frames[i]) > limit))
			too_long[dropped++] = frames[i];
		else
			frames[fit++] = frames[i];
	}
	if (likely(!dropped))
		return n;

	memcpy(&frames[fit], too_long, dropped * sizeof(*frames));
	rmap_port_drop(port, REDIRMAP_DROP_TOO_LARGE, dropped);
	return fit;
}
