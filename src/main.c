// SPDX-License-Identifier: GPL-2.0-only
/*
 * insmod and rmmod of the module.
 *
 * This file defines the order: each step of insmod needs only the steps before
 * it, and claiming starts with the last step. While a claimed map exists, or an
 * outer map with the description of a claimed map, rmmod fails, because of the
 * module's reference count. So rmmod finds no map, but there may be tasks in
 * the module's text, and deferred work of freed maps.
 */
#include <linux/kconfig.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "claim.h"
#include "compat.h"
#include "hook.h"
#include "kind.h"
#include "layout.h"
#include "log.h"
#include "netlink.h"
#include "outer.h"
#include "part.h"
#include "policy.h"
#include "version.h"

/* The requirements of the module, and whether the kernel meets them. */
static const struct {
	const char *name;
	bool set;
} needs[] = {
	{ "CONFIG_BPF_SYSCALL", IS_ENABLED(CONFIG_BPF_SYSCALL) },
	{ "CONFIG_DYNAMIC_FTRACE", IS_ENABLED(CONFIG_DYNAMIC_FTRACE) },
	{ "ftrace with arguments or registers (CONFIG_DYNAMIC_FTRACE_WITH_...)",
	  COMPAT_FTRACE_ARGUMENTS || IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_REGS) },
	{ "CONFIG_KRETPROBES", IS_ENABLED(CONFIG_KRETPROBES) },
	{ "CONFIG_SECURITY", IS_ENABLED(CONFIG_SECURITY) },
	{ "CONFIG_DEBUG_INFO_BTF", IS_ENABLED(CONFIG_DEBUG_INFO_BTF) },
	{ "bq_lock of struct xdp_dev_bulk_queue, or CONFIG_PREEMPT_RT_NEEDS_BH_LOCK",
	  !COMPAT_POLLS_PREEMPT || HAVE_BQ_LOCK },
};

static int __init main_check_kernel(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		if (needs[i].set)
			continue;
		pr_err("this kernel lacks %s\n", needs[i].name);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Log the version and the policy, for later readers of the log. */
static void __init main_report(void)
{
	char claim[POLICY_TEXT_SIZE];

	rmap_policy_text(&rmap_policy_claim, claim, sizeof(claim));
	pr_info("version %s loaded, claim=\"%s\"\n", THIS_MODULE->version, claim);
}

/*
 * After the hooks are removed no claimed map is left, but tasks may be in the
 * module's text: preempted after the module_put() of a function, or on their
 * way into a function that replaces a hooked one. There may also be RCU
 * callbacks of the module. They queue work; the exit functions that rmmod calls
 * after this one wait for that work.
 */
static void main_wait(void)
{
	synchronize_rcu_tasks();
	synchronize_rcu();
	rcu_barrier();
}

/* Tear down the first @n families, the last one first. */
static void main_exit_first_families(unsigned int n)
{
	const struct family *family;

	while (n--) {
		family = rmap_kind_family(n);
		rmap_part_exit_all(family->parts, family->n_parts);
	}
}

static int __init main_check_layouts(void)
{
	const struct family *family;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && (family = rmap_kind_family(i)); i++)
		if (family->layout)
			err = rmap_layout_check(family->layout);
	return err;
}

static int __init main_init_families(void)
{
	const struct family *family;
	unsigned int i;
	int err;

	for (i = 0; (family = rmap_kind_family(i)); i++) {
		err = rmap_part_init_all(family->parts, family->n_parts);
		if (err) {
			main_exit_first_families(i);
			return err;
		}
	}
	return 0;
}

static void main_exit_families(void)
{
	main_exit_first_families(rmap_kind_families());
}

/* All parts of the module. Each part may use those in front of it. */
static const struct part main_parts[] __refconst = {
	{ main_check_kernel, NULL },
	{ main_check_layouts, NULL },
	{ rmap_kind_gone_init, rmap_kind_gone_exit },
	{ rmap_kind_init, NULL },
	{ main_init_families, main_exit_families },
	{ NULL, main_wait },
	{ rmap_outer_init, rmap_outer_exit },
	{ rmap_claim_init, rmap_claim_exit },
	{ NULL, rmap_hook_disarm },
	/* Now user space can read the state; claiming starts later. */
	{ rmap_nl_init, rmap_nl_exit },
};

static int __init main_init(void)
{
	int err = rmap_part_init_all(main_parts, ARRAY_SIZE(main_parts));

	if (err)
		return err;

	/* The remaining steps cannot fail. */
	main_report();
	rmap_hook_arm();
	return 0;
}

static void __exit main_exit(void)
{
	rmap_part_exit_all(main_parts, ARRAY_SIZE(main_parts));
}

module_init(main_init);
module_exit(main_exit);

MODULE_DESCRIPTION("BPF redirect maps (DEVMAP, DEVMAP_HASH, SOCKMAP, SOCKHASH) as a module");
MODULE_AUTHOR("The redirmap developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(REDIRMAP_VERSION);
