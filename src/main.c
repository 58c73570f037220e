// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bring-up and tear-down of the module.
 *
 * Owns the order: what a later step needs, an earlier one has set up, and
 * claiming begins with the last statement of insmod. rmmod is refused by the
 * module's reference count while a claimed map, or an outer map that describes
 * one, lives; so tear-down finds no map, but perhaps tasks in our text and
 * deferred work of maps that are gone.
 */
#include <linux/kconfig.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "claim.h"
#include "group.h"
#include "holder.h"
#include "hook.h"
#include "ingress.h"
#include "layout.h"
#include "log.h"
#include "map.h"
#include "netlink.h"
#include "notifier.h"
#include "outer.h"
#include "policy.h"
#include "probe.h"
#include "stats_net.h"
#include "trace.h"

/* What the kernel must have been configured with, and why it is missed. */
static const struct {
	const char *option;
	bool set;
} needs[] = {
	{ "CONFIG_BPF_SYSCALL", IS_ENABLED(CONFIG_BPF_SYSCALL) },
	{ "CONFIG_DYNAMIC_FTRACE_WITH_REGS",
	  IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_REGS) },
	{ "CONFIG_KRETPROBES", IS_ENABLED(CONFIG_KRETPROBES) },
	{ "CONFIG_SECURITY", IS_ENABLED(CONFIG_SECURITY) },
	{ "CONFIG_DEBUG_INFO_BTF", IS_ENABLED(CONFIG_DEBUG_INFO_BTF) },
};

static int __init main_check_kernel(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		if (needs[i].set)
			continue;
		pr_err("this kernel lacks %s\n", needs[i].option);
		return -EOPNOTSUPP;
	}
	return layout_check();
}

/* Which module this is, and what it will do: in the log for whoever asks later. */
static void __init main_report(void)
{
	char claim[POLICY_TEXT_SIZE];

	policy_text(claim, sizeof(claim));
	pr_info("version %s loaded, claim=\"%s\"\n", THIS_MODULE->version, claim);
}

static int __init main_init(void)
{
	int err;

	err = main_check_kernel();
	if (err)
		return err;

	map_module_init();
	err = ingress_module_init();
	if (err)
		return err;

	err = trace_module_init();
	if (err)
		goto exit_ingress;

	err = stats_net_init();
	if (err)
		goto exit_ingress;

	err = group_module_init();
	if (err)
		goto exit_stats_net;

	err = holder_module_init();
	if (err)
		goto exit_group;

	err = notifier_init();
	if (err)
		goto exit_holder;

	err = probe_init();
	if (err)
		goto exit_notifier;

	err = outer_init();
	if (err)
		goto exit_probe;

	err = claim_init();
	if (err)
		goto exit_outer;

	/* From now on user space sees what stands: all but that it claims. */
	err = nl_init();
	if (err)
		goto exit_claim;

	/* Nothing can fail from here on. */
	main_report();
	hook_arm();
	return 0;

exit_claim:
	claim_exit();
exit_outer:
	outer_exit();
exit_probe:
	probe_exit();
exit_notifier:
	notifier_exit();
exit_holder:
	holder_module_exit();
exit_group:
	group_module_exit();
exit_stats_net:
	stats_net_exit();
exit_ingress:
	ingress_module_exit();
	return err;
}

static void __exit main_exit(void)
{
	/* Nobody asks any more. */
	nl_exit();
	hook_disarm();
	claim_exit();
	outer_exit();

	/*
	 * Tasks that were preempted in a function of ours, behind its
	 * module_put(), or on their way into one that a hook has put in.
	 */
	synchronize_rcu_tasks();
	synchronize_rcu();
	/* Callbacks of ours; they queue work, which holder_module_exit() awaits. */
	rcu_barrier();

	probe_exit();
	notifier_exit();
	holder_module_exit();
	group_module_exit();
	stats_net_exit();
	ingress_module_exit();
}

module_init(main_init);
module_exit(main_exit);

MODULE_DESCRIPTION("BPF redirect maps (DEVMAP, DEVMAP_HASH) as a module");
MODULE_AUTHOR("The redirmap developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
