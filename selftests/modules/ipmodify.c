// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: owns a function of the kernel like a livepatch, by an ftrace
 * hook that may change the instruction pointer (but does not).
 */
#include <linux/ftrace.h>
#include <linux/module.h>

static char *func = "dev_map_alloc";
module_param(func, charp, 0444);
MODULE_PARM_DESC(func, "the function to own");

static void notrace ipmodify_handler(unsigned long ip, unsigned long parent_ip,
				     struct ftrace_ops *ops,
				     struct ftrace_regs *fregs)
{
}

static struct ftrace_ops ipmodify_ops = {
	.func = ipmodify_handler,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY,
};

static int __init ipmodify_init(void)
{
	int err;

	err = ftrace_set_filter(&ipmodify_ops, (unsigned char *)func,
				strlen(func), 1);
	if (err)
		return err;

	err = register_ftrace_function(&ipmodify_ops);
	if (err)
		ftrace_free_filter(&ipmodify_ops);
	return err;
}

static void __exit ipmodify_exit(void)
{
	unregister_ftrace_function(&ipmodify_ops);
	ftrace_free_filter(&ipmodify_ops);
}

module_init(ipmodify_init);
module_exit(ipmodify_exit);

MODULE_DESCRIPTION("redirmap selftest: an IPMODIFY owner of a function");
MODULE_LICENSE("GPL");
