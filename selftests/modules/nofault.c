// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: no allocation fails while a function of the kernel runs. The
 * allocations that a task has there do not count for its fail-nth, the number
 * of the allocation that is to fail. For functions whose failure the kernel
 * does not survive. Parameters:
 *
 * func		the function
 * called	number of its calls by tasks with a fail-nth
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>

static char *func = "disable_kprobe";
module_param(func, charp, 0444);
MODULE_PARM_DESC(func, "the function without faults");

static int called;
module_param(called, int, 0444);
MODULE_PARM_DESC(called, "how many calls were without faults");

#ifdef CONFIG_FAULT_INJECTION
/* Return 0 if the return is to be handled, too. */
static int nofault_entered(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	unsigned int *saved = (unsigned int *)ri->data;

	*saved = current->fail_nth;
	if (!*saved)
		return 1;
	current->fail_nth = 0;
	called++;
	return 0;
}

static int nofault_returned(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	current->fail_nth = *(unsigned int *)ri->data;
	return 0;
}

static struct kretprobe nofault_probe = {
	.entry_handler = nofault_entered,
	.handler = nofault_returned,
	.data_size = sizeof(unsigned int),
};

static int __init nofault_init(void)
{
	nofault_probe.kp.symbol_name = func;
	return register_kretprobe(&nofault_probe);
}

static void __exit nofault_exit(void)
{
	unregister_kretprobe(&nofault_probe);
}
#else
static int __init nofault_init(void)
{
	return -EOPNOTSUPP;
}

static void __exit nofault_exit(void)
{
}
#endif

module_init(nofault_init);
module_exit(nofault_exit);

MODULE_DESCRIPTION("redirmap selftest: a function without injected faults");
MODULE_LICENSE("GPL");
