// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family of device maps: BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_DEVMAP_HASH.
 *
 * Owns the order of its parts.
 */
#include <linux/init.h>
#include <linux/kernel.h>

#include "bulkq.h"
#include "copy.h"
#include "dev.h"
#include "group.h"
#include "holder.h"
#include "ingress.h"
#include "map.h"
#include "notifier.h"
#include "part.h"
#include "probe.h"
#include "target.h"
#include "target_table.h"
#include "xdp_trace.h"

/* What a later one needs, an earlier one has set up. */
static const struct part dev_parts[] __refconst = {
	{ map_module_init, NULL },
	{ ingress_module_init, ingress_module_exit },
	{ xdp_trace_init, NULL },
	{ NULL, bulkq_module_exit },
	{ copy_module_init, copy_module_exit },
	{ group_module_init, group_module_exit },
	{ target_table_init, target_table_exit },
	/* Its end waits for the last target. */
	{ target_module_init, target_module_exit },
	{ holder_module_init, NULL },
	{ notifier_init, notifier_exit },
	{ probe_init, probe_exit },
};

/**
 * dev_init() - get ready for device maps
 *
 * Context: insmod.
 * Return: 0, or the error of the part that failed.
 */
int __init dev_init(void)
{
	return part_init_all(dev_parts, ARRAY_SIZE(dev_parts));
}

/**
 * dev_exit() - undo dev_init()
 *
 * Context: rmmod, with no map left and all RCU callbacks done.
 */
void dev_exit(void)
{
	part_exit_all(dev_parts, ARRAY_SIZE(dev_parts));
}
