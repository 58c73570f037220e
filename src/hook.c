// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hooks on functions of the kernel, found by name, set by address.
 *
 * Only this file uses ftrace and kprobes, and it knows nothing about maps. A
 * hook either observes its function or may replace it (IPMODIFY, as livepatch
 * does). A hook is permanent: while it is set, kernel.ftrace_enabled=0 fails
 * with EBUSY instead of silently disabling the hook.
 *
 * No handler is called before rmap_hook_arm(), the last step of insmod.
 *
 * insmod and rmmod add and remove hooks, and exclude each other. A handler runs
 * in any context in which the hooked function is called, with preemption off.
 * ftrace may use the handler and its ftrace_ops until unregistering has
 * returned.
 */
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/kallsyms.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include "compat.h"
#include "hook.h"
#include "log.h"
#include "step.h"

/* ftrace returns -EAGAIN while a BPF trampoline of the function is updated. */
#define HOOK_TRIES 100
#define HOOK_RETRY_MS 10

/* Concurrent calls whose return is observed; the kernel's own upper limit. */
#define HOOK_EXIT_MAXACTIVE 4096

/* All set hooks. Changed by insmod and rmmod only, which exclude each other. */
static LIST_HEAD(hooks);

/* Handlers may be called. */
static bool hooks_armed;

/* The time since which handlers may be called; 0 before. */
static u64 hooks_armed_at;

static void hook_list(struct hook_info *info, const char *func,
		      enum redirmap_hook kind)
{
	info->func = func;
	info->kind = kind;
	list_add_tail(&info->node, &hooks);
}

/**
 * rmap_hook_next() - walk over all set hooks
 * @at: a hook, or NULL for the first one
 *
 * Context: any; no hook is added or removed meanwhile.
 * Return: the hook, or NULL at the end.
 */
const struct hook_info *rmap_hook_next(const struct hook_info *at)
{
	const struct list_head *next = at ? at->node.next : hooks.next;

	return next == &hooks ? NULL : list_entry(next, struct hook_info, node);
}

/* Runs in any context of the hooked function, preemption off. */
static void notrace hook_handler(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	struct hook *hook = container_of(ops, struct hook, ops);
	unsigned long args[2];
	void *instead;

	if (WARN_ON_ONCE(!compat_ftrace_has_arguments(fregs)) ||
	    !READ_ONCE(hooks_armed))
		return;

	args[0] = compat_ftrace_argument(fregs, 0);
	args[1] = compat_ftrace_argument(fregs, 1);
	instead = hook->entry(args);
	if (instead && !WARN_ON_ONCE(!hook->replaces))
		compat_ftrace_run(fregs, instead);
}

/* The symbol of a function in a module reads "name [module]". */
static bool hook_is_in_module(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, ip);
	return strchr(name, '[');
}

/*
 * Find the address of a function of the kernel itself. If ftrace got the name,
 * it would hook all functions of that name, including those of modules. kprobes
 * look a name up in the kernel first, and then in modules; this function
 * refuses an address in a module. The kprobe is only for the lookup and never
 * armed.
 */
static int hook_find(struct hook *hook)
{
	struct kprobe probe = {
		.symbol_name = hook->func,
		.flags = KPROBE_FLAG_DISABLED,
	};
	int err;

	err = register_kprobe(&probe);
	if (err)
		return err;
	hook->ip = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return hook_is_in_module(hook->ip) ? -ENOENT : 0;
}

static int hook_filter(struct ftrace_ops *ops, const struct hook *hook)
{
	return ftrace_set_filter_ip(ops, hook->ip, 0, 1);
}

static void notrace hook_nothing(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
}

/* Clear all members: ftrace_free_filter() leaves pointers to freed memory. */
static void hook_init_probe(struct ftrace_ops *probe, unsigned long flags)
{
	memset(probe, 0, sizeof(*probe));
	probe->func = hook_nothing;
	probe->flags = flags;
}

/*
 * Is ftrace switched off? It returns -EBUSY in this case, but also when another
 * ftrace_ops replaces the function. An observing ftrace_ops conflicts with no
 * other one, so if ftrace refuses that as well, it is off.
 */
static bool hook_ftrace_is_off(const struct hook *hook)
{
	static struct ftrace_ops probe;	/* insmod and rmmod exclude each other */
	bool off;

	hook_init_probe(&probe, FTRACE_OPS_FL_PERMANENT);
	off = hook_filter(&probe, hook) || register_ftrace_function(&probe);
	if (!off)
		unregister_ftrace_function(&probe);
	ftrace_free_filter(&probe);
	return off;
}

static int hook_register(struct hook *hook)
{
	int err, tries = HOOK_TRIES;

	for (;;) {
		err = register_ftrace_function(&hook->ops);
		if (err != -EAGAIN || !--tries)
			return err;
		msleep(HOOK_RETRY_MS);
	}
}

/**
 * rmap_hook_add() - hook a function of the kernel
 * @hook: the hook; the caller sets func, entry, replaces and optional
 *
 * Context: process context, sleeps.
 * Return: 0, also when the kernel lacks an optional function; -ENOENT when it
 * lacks another function; -EINVAL when ftrace does not know the function;
 * -EBUSY when ftrace is off, when another ftrace_ops replaces the function, or
 * when its BPF trampoline stays contended; -ENOMEM. Each failure leaves one
 * line in the log.
 */
int rmap_hook_add(struct hook *hook)
{
	int err = rmap_step_begin();

	if (err)
		return err;
	err = hook_find(hook);
	hook->missing = hook->optional && err == -ENOENT;
	if (hook->missing)
		return 0;
	if (err) {
		pr_err("%s() cannot be hooked: %s (%d)\n", hook->func,
		       err == -ENOENT ? "this kernel has no such function" :
					"its address cannot be found", err);
		return err;
	}

	memset(&hook->ops, 0, sizeof(hook->ops));
	hook->ops.func = hook_handler;
	hook->ops.flags = COMPAT_FTRACE_FLAGS | FTRACE_OPS_FL_PERMANENT |
			  FTRACE_OPS_FL_RECURSION;
	if (hook->replaces)
		hook->ops.flags |= FTRACE_OPS_FL_IPMODIFY;

	err = hook_filter(&hook->ops, hook);
	if (err) {
		pr_err("%s() cannot be hooked: %s (%d)\n", hook->func,
		       err == -EINVAL ? "ftrace does not know it" :
					"its filter cannot be set", err);
		goto free_filter;
	}

	err = hook_register(hook);
	if (err == -EAGAIN)
		err = -EBUSY;
	if (err == -EBUSY && hook_ftrace_is_off(hook))
		pr_err("ftrace is switched off (sysctl kernel.ftrace_enabled=0)\n");
	else if (err == -EBUSY)
		pr_err("%s() is already replaced, by another copy of redirmap or a livepatch\n",
		       hook->func);
	else if (err)
		pr_err("hooking %s() failed (%d)\n", hook->func, err);
	if (err)
		goto free_filter;

	hook_list(&hook->info, hook->func, hook->replaces ?
		  REDIRMAP_HOOK_REPLACE : REDIRMAP_HOOK_OBSERVE);
	rmap_step_up(hook);
	return 0;

free_filter:
	ftrace_free_filter(&hook->ops);
	return err;
}

/*
 * Never return, because ftrace is dead: it disables itself permanently when it
 * finds the kernel's text changed, but still calls the handler. If rmmod freed
 * the module's text and ftrace_ops, the machine would crash at the next call of
 * the function. So rmmod waits for ever.
 */
static void __noreturn hook_stay(const char *func, int err)
{
	pr_emerg("ftrace does not release %s() (%d): the module stays loaded, and rmmod never ends\n",
		 func, err);
	for (;;)
		schedule_timeout_idle(MAX_SCHEDULE_TIMEOUT);
}

/*
 * Is ftrace dead? Tested before unregistering, which on a dead ftrace may walk
 * a list with freed ftrace_ops (6.1:
 * cleanup_direct_functions_after_ipmodify()).
 */
static bool hook_ftrace_is_dead(const struct hook *hook)
{
	static struct ftrace_ops probe;	/* insmod and rmmod exclude each other */
	bool dead;

	hook_init_probe(&probe, 0);
	dead = hook_filter(&probe, hook) == -ENODEV;
	ftrace_free_filter(&probe);
	return dead;
}

/**
 * rmap_hook_remove() - remove a hook
 * @hook: a hook that rmap_hook_add() has set
 *
 * When this returns, the handler is not running and is not called again. A
 * function that has replaced the hooked one may still run.
 *
 * Context: process context, sleeps; never returns when ftrace has died.
 */
void rmap_hook_remove(struct hook *hook)
{
	int err = -ENODEV;

	if (hook->missing)
		return;
	rmap_step_down(hook);
	list_del(&hook->info.node);
	if (!hook_ftrace_is_dead(hook))
		err = unregister_ftrace_function(&hook->ops);
	if (err)
		hook_stay(hook->func, err);
	ftrace_free_filter(&hook->ops);
}

/**
 * rmap_hook_add_all() - hook several functions of the kernel
 * @all: the hooks, as for rmap_hook_add()
 * @n: number of hooks
 *
 * Context: process context, sleeps.
 * Return: 0, or the error of rmap_hook_add(); then no hook remains set.
 */
int rmap_hook_add_all(struct hook *all, unsigned int n)
{
	unsigned int i;
	int err;

	for (i = 0; i < n; i++) {
		err = rmap_hook_add(&all[i]);
		if (err) {
			rmap_hook_remove_all(all, i);
			return err;
		}
	}
	return 0;
}

/**
 * rmap_hook_remove_all() - remove several hooks, the last one first
 * @all: hooks that rmap_hook_add_all() has set
 * @n: number of hooks
 *
 * Context: process context, sleeps; never returns when ftrace has died.
 */
void rmap_hook_remove_all(struct hook *all, unsigned int n)
{
	while (n--)
		rmap_hook_remove(&all[n]);
}

static struct hook_exit *hook_exit_of(struct kretprobe_instance *ri)
{
	struct kretprobe *probe = get_kretprobe(ri);

	return probe ? container_of(probe, struct hook_exit, probe) : NULL;
}

NOKPROBE_SYMBOL(hook_exit_of);

/* Returns 0 if the return is to be observed. */
static int hook_exit_entered(struct kretprobe_instance *ri,
			     struct pt_regs *regs)
{
	struct hook_exit *hook = hook_exit_of(ri);
	unsigned long args[2];

	if (!hook || !READ_ONCE(hooks_armed))
		return 1;
	args[0] = regs_get_kernel_argument(regs, 0);
	args[1] = regs_get_kernel_argument(regs, 1);
	return !hook->enter(args, (unsigned long *)ri->data);
}

NOKPROBE_SYMBOL(hook_exit_entered);

static int hook_exit_handler(struct kretprobe_instance *ri,
			     struct pt_regs *regs)
{
	struct hook_exit *hook = hook_exit_of(ri);
	unsigned long ret = regs_return_value(regs);
	unsigned long changed, note;

	if (!hook || !READ_ONCE(hooks_armed))
		return 0;
	note = hook->enter ? *(unsigned long *)ri->data : 0;
	changed = hook->exit(ret, note);
	if (changed != ret)
		regs_set_return_value(regs, changed);
	return 0;
}

NOKPROBE_SYMBOL(hook_exit_handler);

/**
 * rmap_hook_exit_add() - observe the returns of a function of the kernel
 * @hook: the hook; the caller sets func and exit, and may set enter and active
 *
 * Context: process context, sleeps.
 * Return: 0, -ENOENT if the kernel itself has no such function, or the error of
 * register_kretprobe() or enable_kretprobe(), with a line in the log.
 */
int rmap_hook_exit_add(struct hook_exit *hook)
{
	int err = rmap_step_begin();

	if (err)
		return err;
	memset(&hook->probe, 0, sizeof(hook->probe));
	hook->probe.kp.symbol_name = hook->func;
	/* Not armed before it is known that no module has the function. */
	hook->probe.kp.flags = KPROBE_FLAG_DISABLED;
	hook->probe.handler = hook_exit_handler;
	hook->probe.maxactive = hook->active ?: HOOK_EXIT_MAXACTIVE;
	if (hook->enter) {
		hook->probe.entry_handler = hook_exit_entered;
		hook->probe.data_size = sizeof(unsigned long);
	}

	err = register_kretprobe(&hook->probe);
	if (err)
		goto report;
	/* A kretprobe finds its function as hook_find() does. */
	if (hook_is_in_module((unsigned long)hook->probe.kp.addr))
		err = -ENOENT;
	else
		err = enable_kretprobe(&hook->probe);
	if (err)
		goto unregister;
	hook_list(&hook->info, hook->func, REDIRMAP_HOOK_RETURN);
	rmap_step_up(hook);
	return 0;

unregister:
	unregister_kretprobe(&hook->probe);
report:
	pr_err("setting a kretprobe on %s() failed: %s (%d)\n", hook->func,
	       err == -ENOENT ? "this kernel has no such function" :
				"kprobes fail", err);
	return err;
}

/**
 * rmap_hook_exit_remove() - stop observing returns
 * @hook: a hook that rmap_hook_exit_add() has set
 *
 * When this returns, the handler is not running and is not called again. The
 * returns of running calls are not observed.
 *
 * unregister_kretprobe() does not say whether the kernel could disarm the
 * probe, which needs memory; if it could not, the kernel would still call the
 * handler, whose memory rmmod frees. So the probe is disarmed first, with the
 * memory that is reserved for the kernel. An attempt that fails makes the
 * kernel's count of probes wrong, so there is only one more.
 *
 * Context: process context, sleeps; never returns if the kernel does not disarm
 * the probe.
 */
void rmap_hook_exit_remove(struct hook_exit *hook)
{
	unsigned int noreclaim;
	int err;

	rmap_step_down(hook);
	list_del(&hook->info.node);
	if (hook->probe.nmissed)
		pr_warn("%d returns of %s() were missed\n",
			hook->probe.nmissed, hook->func);
	noreclaim = memalloc_noreclaim_save();
	err = disable_kretprobe(&hook->probe);
	if (err == -ENOMEM)
		err = disable_kretprobe(&hook->probe);
	memalloc_noreclaim_restore(noreclaim);
	if (err)
		hook_stay(hook->func, err);
	unregister_kretprobe(&hook->probe);
}

/**
 * rmap_hook_arm() - start to call handlers
 *
 * From now on maps may be claimed, so insmod must not fail after this call.
 *
 * Context: the last step of insmod.
 */
void __init rmap_hook_arm(void)
{
	WRITE_ONCE(hooks_armed_at, ktime_get_boottime_ns());
	WRITE_ONCE(hooks_armed, true);
}

/**
 * rmap_hook_armed_at() - the time of rmap_hook_arm()
 *
 * Context: any.
 * Return: nanoseconds since the machine was booted, the clock of the load time
 * of programs; 0 before rmap_hook_arm().
 */
u64 rmap_hook_armed_at(void)
{
	return READ_ONCE(hooks_armed_at);
}

/**
 * rmap_hook_disarm() - stop calling handlers
 *
 * Running handlers may go on until the hooks are removed.
 *
 * Context: rmmod.
 */
void rmap_hook_disarm(void)
{
	WRITE_ONCE(hooks_armed, false);
}
