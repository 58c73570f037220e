// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family of device maps: BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_DEVMAP_HASH.
 *
 * Owns the entry that the core has of them, and the order of their parts.
 */
#include <linux/init.h>
#include <linux/kernel.h>

#include "array.h"
#include "bulkq.h"
#include "copy.h"
#include "create.h"
#include "dev_layout.h"
#include "group.h"
#include "hash.h"
#include "holder.h"
#include "ingress.h"
#include "kind.h"
#include "map.h"
#include "notifier.h"
#include "part.h"
#include "probe.h"
#include "report.h"
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

static struct kind dev_kinds[] = {
	{
		.type = BPF_MAP_TYPE_DEVMAP,
		.alloc = array_alloc,
		.set_ops = array_set_ops,
		.is_pending = map_is_pending,
		.record = map_record,
		.claimed = map_claimed,
		.memory = array_memory,
		.report = report_map,
	},
	{
		.type = BPF_MAP_TYPE_DEVMAP_HASH,
		.alloc = hash_alloc,
		.set_ops = hash_set_ops,
		.is_pending = map_is_pending,
		.record = map_record,
		.claimed = map_claimed,
		.memory = hash_memory,
		.report = report_map,
	},
};

const struct family dev_family = {
	.parts = dev_parts,
	.n_parts = ARRAY_SIZE(dev_parts),
	.kinds = dev_kinds,
	.n_kinds = ARRAY_SIZE(dev_kinds),
	.hooks = create_hooks,
	.n_hooks = CREATE_HOOKS,
	.layout = dev_layout,
	.requests = report_requests,
	.n_requests = REPORT_REQUESTS,
	.report = report_state,
};
