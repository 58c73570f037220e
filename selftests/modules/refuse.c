// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: a function of the kernel that sets hooks or probes refuses the
 * module under test, as if the kernel had no memory, or did not know the hooked
 * function. Callers other than redirmap are not affected. Parameters:
 *
 * call		the function that refuses: register_kprobe,
 *		register_kretprobe, ftrace_set_filter_ip or
 *		register_ftrace_function
 * func		the function that is to be hooked or probed
 * error	the return value
 * times	number of calls that return it; the later ones succeed
 * refused	number of calls that have returned it
 */
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/string.h>

static char *call = "register_ftrace_function";
module_param(call, charp, 0444);
MODULE_PARM_DESC(call, "the function that refuses");

static char *func = "";
module_param(func, charp, 0444);
MODULE_PARM_DESC(func, "the function that is to be hooked");

static int error = -ENOMEM;
module_param(error, int, 0444);
MODULE_PARM_DESC(error, "the error");

static int times = 1;
module_param(times, int, 0444);
MODULE_PARM_DESC(times, "how many calls are refused");

static int refused;
module_param(refused, int, 0444);
MODULE_PARM_DESC(refused, "how many calls have been refused");

/* The last filter that redirmap has set, and whether it names the function. */
static const void *last_ops;
static bool last_is_func;

/* Runs instead of the function that refuses. */
static long refuse_answer(void)
{
	return error;
}

static bool is_func(unsigned long ip)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol_no_offset(name, ip);
	return !strcmp(name, func);
}

/* At the entry of a function. The symbol reads "name+offset/size [module]". */
static bool from_redirmap(struct pt_regs *regs)
{
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, regs_get_kernel_stack_nth(regs, 0));
	return strstr(name, " [redirmap");
}

static int refuse(struct pt_regs *regs)
{
	if (refused >= times)
		return 0;
	refused++;
	instruction_pointer_set(regs, (unsigned long)refuse_answer);
	return 1;
}

static int kprobe_entered(struct kprobe *kp, struct pt_regs *regs)
{
	const struct kprobe *probe = (void *)regs_get_kernel_argument(regs, 0);

	return from_redirmap(regs) && !strcmp(probe->symbol_name, func) ? refuse(regs) : 0;
}

static int kretprobe_entered(struct kprobe *kp, struct pt_regs *regs)
{
	const struct kretprobe *probe = (void *)regs_get_kernel_argument(regs, 0);

	return from_redirmap(regs) && !strcmp(probe->kp.symbol_name, func) ? refuse(regs) : 0;
}

static int filter_entered(struct kprobe *kp, struct pt_regs *regs)
{
	if (!from_redirmap(regs))
		return 0;
	last_ops = (void *)regs_get_kernel_argument(regs, 0);
	last_is_func = is_func(regs_get_kernel_argument(regs, 1));
	return last_is_func && !strcmp(call, "ftrace_set_filter_ip") ? refuse(regs) : 0;
}

/* Its argument does not name the function, so the filter tells. */
static int ftrace_entered(struct kprobe *kp, struct pt_regs *regs)
{
	return from_redirmap(regs) && last_is_func &&
	       last_ops == (void *)regs_get_kernel_argument(regs, 0) ? refuse(regs) : 0;
}

/* A probe with this handler may change the instruction pointer. */
static void refuse_after(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe filter_probe = {
	.symbol_name = "ftrace_set_filter_ip",
	.pre_handler = filter_entered,
	.post_handler = refuse_after,
};

static struct kprobe refuse_probes[] = {
	{ .symbol_name = "register_kprobe", .pre_handler = kprobe_entered },
	{ .symbol_name = "register_kretprobe", .pre_handler = kretprobe_entered },
	{ .symbol_name = "register_ftrace_function", .pre_handler = ftrace_entered },
};

static struct kprobe *refuse_probe;

static int __init refuse_init(void)
{
	int err, i;

	for (i = 0; i < ARRAY_SIZE(refuse_probes); i++)
		if (!strcmp(refuse_probes[i].symbol_name, call))
			refuse_probe = &refuse_probes[i];
	if (!refuse_probe && strcmp(call, filter_probe.symbol_name))
		return -EINVAL;

	err = register_kprobe(&filter_probe);
	if (err || !refuse_probe)
		return err;
	refuse_probe->post_handler = refuse_after;
	err = register_kprobe(refuse_probe);
	if (err)
		unregister_kprobe(&filter_probe);
	return err;
}

static void __exit refuse_exit(void)
{
	if (refuse_probe)
		unregister_kprobe(refuse_probe);
	unregister_kprobe(&filter_probe);
}

module_init(refuse_init);
module_exit(refuse_exit);

MODULE_DESCRIPTION("redirmap selftest: hooks and probes that the kernel refuses");
MODULE_LICENSE("GPL");
