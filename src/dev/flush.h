/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_FLUSH_H
#define REDIRMAP_FLUSH_H

#include <linux/local_lock.h>
#include <linux/percpu.h>

#include "compat.h"

struct net_device;
struct xdp_frame;

/**
 * struct flush_cpu - a CPU's part of the lock of flushes
 * @lock: held by the task that flushes queues of the module on this CPU; see
 *	flush.c
 */
struct flush_cpu {
	local_lock_t lock;
};

/* Exists only where polls preempt each other. */
DECLARE_PER_CPU(struct flush_cpu, rmap_flush_cpu);

/**
 * flush_lock() - keep other tasks of this CPU out of flushes
 *
 * Runs in NAPI (or in a cpumap's kthread, or in BPF_PROG_TEST_RUN), bottom
 * halves off, per flush; sleeps on PREEMPT_RT as a spinlock_t does. No code on
 * most kernels: see flush.c.
 */
static __always_inline void flush_lock(void)
{
	compat_lock_cpu(&rmap_flush_cpu.lock);
}

/**
 * flush_unlock() - undo flush_lock()
 *
 * Runs as flush_lock(), on the same CPU.
 */
static __always_inline void flush_unlock(void)
{
	compat_unlock_cpu(&rmap_flush_cpu.lock);
}

/**
 * flush_locked() - ndo_xdp_xmit of a port or group, where polls preempt each
 * other
 * @dev: the pseudo device
 * @n: number of frames
 * @frames: the frames
 * @flags: flags of ndo_xdp_xmit
 * @flush: ndo_xdp_xmit of other kernels
 *
 * Runs as flush_lock(), per flush.
 *
 * Return: as @flush.
 */
static __always_inline int
flush_locked(struct net_device *dev, int n, struct xdp_frame **frames,
	     u32 flags,
	     int (*flush)(struct net_device *dev, int n,
			  struct xdp_frame **frames, u32 flags))
{
	int sent;

	flush_lock();
	compat_return_indirectly();
	sent = flush(dev, n, frames, flags);
	flush_unlock();
	return sent;
}

#endif /* REDIRMAP_FLUSH_H */
