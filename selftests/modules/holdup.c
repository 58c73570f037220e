// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: holds up functions that are normally fast. Parameters, in
 * sysfs:
 *
 * func		a function, set at load: its next call waits at its beginning,
 *		where it may sleep, once for each time that 1 is written to
 *		"hold"
 * hold		1 while a call is to be held, or is held; writing 0 lets it
 *		continue
 * after	number of calls that pass before one is held, each time
 * spin		1: the call waits without sleeping, for functions that must not
 *		sleep
 * end		1: the call waits at its end, with its result
 * held		number of calls that have waited
 * fail		1: all calls return 0 at once, instead of running the function
 * device	an ifindex in the writer's network namespace: takes a reference
 *		to the device; writing 0 drops the reference
 * left		number of times since then that core has reported that the
 *		device leaves
 */
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/wait.h>

static char *func = "";
module_param(func, charp, 0444);
MODULE_PARM_DESC(func, "the function to hold up");

static int after;
module_param(after, int, 0644);
MODULE_PARM_DESC(after, "how many calls to let pass before one is held up");

static bool spin;
module_param(spin, bool, 0644);
MODULE_PARM_DESC(spin, "do not sleep while a call is held up");

static bool end;
module_param(end, bool, 0644);
MODULE_PARM_DESC(end, "hold a call up at its end");

static bool fail;
module_param(fail, bool, 0644);
MODULE_PARM_DESC(fail, "let all calls return 0");

static atomic_t held = ATOMIC_INIT(0);
module_param_named(held, held.counter, int, 0444);
MODULE_PARM_DESC(held, "how many calls have waited");

static bool holding;		/* the next call, or one that waits */
static atomic_t armed = ATOMIC_INIT(0);
static atomic_t to_pass = ATOMIC_INIT(0);
static unsigned long func_ip;
static DECLARE_WAIT_QUEUE_HEAD(released);

static int hold_set(const char *text, const struct kernel_param *param)
{
	int err = param_set_bool(text, param);

	if (err)
		return err;
	if (holding) {
		atomic_set(&to_pass, after);
		atomic_set(&armed, 1);
	} else {
		wake_up_all(&released);
	}
	return 0;
}

static const struct kernel_param_ops hold_ops = {
	.set = hold_set,
	.get = param_get_bool,
};
module_param_cb(hold, &hold_ops, &holding, 0644);
MODULE_PARM_DESC(hold, "hold the next call up, or let it go on");

static struct net_device *held_dev;

static int left;
module_param(left, int, 0444);
MODULE_PARM_DESC(left, "how often the device that is held was said to leave");

static int device_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	if (event == NETDEV_UNREGISTER &&
	    netdev_notifier_info_to_dev(ptr) == READ_ONCE(held_dev))
		left++;
	return NOTIFY_DONE;
}

/* After the module under test, if that is loaded already. */
static struct notifier_block device_notifier = {
	.notifier_call = device_event,
};

static int device_set(const char *text, const struct kernel_param *param)
{
	int ifindex, err;

	err = kstrtoint(text, 0, &ifindex);
	if (err)
		return err;
	dev_put(held_dev);
	held_dev = NULL;
	left = 0;
	if (!ifindex)
		return 0;
	held_dev = dev_get_by_index(current->nsproxy->net_ns, ifindex);
	return held_dev ? 0 : -ENODEV;
}

static const struct kernel_param_ops device_ops = {
	.set = device_set,
};
module_param_cb(device, &device_ops, NULL, 0200);
MODULE_PARM_DESC(device, "the device to hold");

static void wait_until_released(void)
{
	atomic_inc(&held);
	if (spin)
		while (READ_ONCE(holding))
			cpu_relax();
	else
		wait_event(released, !READ_ONCE(holding));
}

/*
 * Runs instead of the function, which is called from here, behind the ftrace
 * call, with its arguments in registers.
 */
static long held_up(unsigned long a, unsigned long b, unsigned long c,
		    unsigned long d, unsigned long e, unsigned long f)
{
	long (*original)(unsigned long a, unsigned long b, unsigned long c,
			 unsigned long d, unsigned long e, unsigned long f);
	long result;

	original = (void *)func_ip;
	if (!end)
		wait_until_released();
	result = original(a, b, c, d, e, f);
	if (end)
		wait_until_released();
	return result;
}

/* Runs instead of the function. */
static long failed(void)
{
	return 0;
}

static void notrace handler(unsigned long ip, unsigned long parent_ip,
			    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
	struct pt_regs *regs = ftrace_get_regs(fregs);

	if (regs && READ_ONCE(fail)) {
		instruction_pointer_set(regs, (unsigned long)failed);
		return;
	}
	if (!regs || !atomic_read(&armed) || atomic_dec_return(&to_pass) >= 0 ||
	    atomic_cmpxchg(&armed, 1, 0) != 1)
		return;
	func_ip = ip;
	instruction_pointer_set(regs, (unsigned long)held_up);
}

static struct ftrace_ops holdup_ops = {
	.func = handler,
	.flags = FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_IPMODIFY |
		 FTRACE_OPS_FL_RECURSION,
};

static int __init holdup_init(void)
{
	int err;

	err = register_netdevice_notifier(&device_notifier);
	if (err || !*func)
		return err;
	err = ftrace_set_filter(&holdup_ops, (unsigned char *)func, strlen(func), 1);
	if (err)
		goto unregister;
	err = register_ftrace_function(&holdup_ops);
	if (err)
		goto free_filter;
	return 0;

free_filter:
	ftrace_free_filter(&holdup_ops);
unregister:
	unregister_netdevice_notifier(&device_notifier);
	return err;
}

static void __exit holdup_exit(void)
{
	unregister_netdevice_notifier(&device_notifier);
	dev_put(held_dev);
	if (!*func)
		return;
	unregister_ftrace_function(&holdup_ops);
	ftrace_free_filter(&holdup_ops);
	/* The thread that was held up has left held_up(). */
	synchronize_rcu_tasks();
}

module_init(holdup_init);
module_exit(holdup_exit);

MODULE_DESCRIPTION("redirmap selftest: holds up functions and devices");
MODULE_LICENSE("GPL");
