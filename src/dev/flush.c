// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lock of each CPU for flushes, where bottom halves are no such lock.
 *
 * A flush runs with bottom halves off, and so it stays on its CPU. On most
 * kernels no other flush runs on that CPU meanwhile, and this file is empty. On
 * PREEMPT_RT without CONFIG_PREEMPT_RT_NEEDS_BH_LOCK another task may preempt
 * the flush, and flush as well. The kernel guards each bulk queue by a lock of
 * its own, but a flush of a port or group uses more data of its CPU: kept
 * frames, the list of their ports, lengths of frames, the ring of copies, the
 * number of nested calls, the pseudo device for an unknown ingress. All of that
 * belongs to the task that holds rmap_flush_cpu.lock.
 *
 * ndo_xdp_xmit of ports and groups is called inside the lock of the bulk queue,
 * and takes this lock (flush_locked()); so does the timer of a ring. It is held
 * while a driver's ndo_xdp_xmit or dev_queue_xmit() runs, so the locks of
 * drivers and queueing disciplines are inside it. The receive path of generic
 * XDP may hold such locks, and does not take this one: what it shares with
 * flushes needs no lock (see Documentation/design.rst). No flush runs inside
 * another one of the same task, because a packet that comes back to a map
 * passes NAPI or the backlog first: see port_packet.c.
 */
#include "flush.h"

#if COMPAT_POLLS_PREEMPT
DEFINE_PER_CPU(struct flush_cpu, rmap_flush_cpu) = {
	.lock = INIT_LOCAL_LOCK(lock),
};
#endif
