/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BATCH_CALL_H
#define REDIRMAP_BATCH_CALL_H

#include <linux/bpf.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

/*
 * The steps that the batches of all kinds of maps share: the check of a
 * request, the number of processed entries that user space gets, and the pause
 * between two parts, in which the task may reschedule and a killed task stops.
 *
 * This file owns no data. The batch operations of maps call the functions in
 * bpf(2), with no lock held.
 */

/**
 * batch_call_begin() - check a batch, and set its count of processed entries
 * @attr: the attributes from user space
 * @uattr: the same attributes in user memory
 *
 * batch.elem_flags are not checked here: an operation checks them before this
 * call, or for each entry.
 *
 * Context: bpf(2), sleeps.
 * Return: 1; 0 for a batch without entries, which leaves user memory as it is;
 * -EINVAL for flags; -EFAULT.
 */
static inline int batch_call_begin(const union bpf_attr *attr,
				   union bpf_attr __user *uattr)
{
	if (attr->batch.flags)
		return -EINVAL;
	if (!attr->batch.count)
		return 0;
	return put_user(0, &uattr->batch.count) ? -EFAULT : 1;
}

/**
 * batch_call_pause() - reschedule between entries or chunks
 *
 * Context: process context, sleeps.
 * Return: 0, or -EINTR for a killed task.
 */
static inline int batch_call_pause(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/**
 * batch_call_end() - give user space the number of processed entries
 * @uattr: the attributes in user memory
 * @done: number of entries
 * @result: result of the batch: 0 or -errno
 *
 * Context: bpf(2), sleeps.
 * Return: @result, or -EFAULT.
 */
static inline int batch_call_end(union bpf_attr __user *uattr, u32 done,
				 int result)
{
	return put_user(done, &uattr->batch.count) ? -EFAULT : result;
}

#endif /* REDIRMAP_BATCH_CALL_H */
