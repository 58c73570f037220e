/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HOOK_H
#define REDIRMAP_HOOK_H

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/list.h>
#include <uapi/linux/redirmap.h>

/*
 * Handler of a hook, called when the hooked function is entered. args are the
 * function's first two arguments, as the registers held them.
 *
 * Context: any context of the hooked function, with preemption off. The handler
 * may not sleep, and may not take a spinlock_t, which sleeps on PREEMPT_RT.
 * Return: a function to run instead, with the same arguments, or NULL to run
 * the hooked function. Always NULL for a hook that does not replace.
 */
typedef void *(*hook_entry_fn)(const unsigned long *args);

/**
 * struct hook_info - description of a set hook, for user space
 * @node: node in the list of all set hooks
 * @func: the function's name
 * @kind: kind of the hook
 */
struct hook_info {
	struct list_head node;
	const char *func;
	enum redirmap_hook kind;
};

/**
 * struct hook - an ftrace hook on one function of the kernel
 * @func: the function's name
 * @entry: called when the function is entered
 * @replaces: @entry may return another function to run
 * @optional: some kernels lack the function
 * @missing: the running kernel lacks the function
 * @ip: the function's address
 * @info: for rmap_hook_next()
 * @ops: ftrace's part
 */
struct hook {
	const char *func;
	hook_entry_fn entry;
	bool replaces;
	bool optional;
	bool missing;
	unsigned long ip;
	struct hook_info info;
	struct ftrace_ops ops;
};

/**
 * struct hook_exit - a probe on the return of one function of the kernel
 * @func: the function's name
 * @enter: called when the function is entered, with its first two arguments, as
 *	the registers held them; returns whether @exit is to be called for this
 *	call, and may set a note for it; optional
 * @exit: called with the return value, and the note of @enter, or 0; returns
 *	the value that the caller of the function gets
 * @active: number of concurrent calls whose return is observed; 0 for the
 *	kernel's own upper limit
 * @info: for rmap_hook_next()
 * @probe: kprobes' part
 *
 * @enter and @exit are called in the same context as a hook_entry_fn.
 */
struct hook_exit {
	const char *func;
	bool (*enter)(const unsigned long *args, unsigned long *note);
	unsigned long (*exit)(unsigned long ret, unsigned long note);
	unsigned int active;
	struct hook_info info;
	struct kretprobe probe;
};

int rmap_hook_add(struct hook *hook);
void rmap_hook_remove(struct hook *hook);
int rmap_hook_add_all(struct hook *all, unsigned int n);
void rmap_hook_remove_all(struct hook *all, unsigned int n);
int rmap_hook_exit_add(struct hook_exit *hook);
void rmap_hook_exit_remove(struct hook_exit *hook);
void rmap_hook_arm(void);
void rmap_hook_disarm(void);
u64 rmap_hook_armed_at(void);
const struct hook_info *rmap_hook_next(const struct hook_info *at);

#endif /* REDIRMAP_HOOK_H */
