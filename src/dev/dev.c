// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family of device maps: BPF_MAP_TYPE_DEVMAP and BPF_MAP_TYPE_DEVMAP_HASH.
 *
 * This file owns struct family rmap_dev_family, by which the core of the module
 * knows the family, and the order in which insmod and rmmod set up its parts.
 */
#include <linux/init.h>
#include <linux/kernel.h>

#include "array.h"
#include "bulkq.h"
#include "copy_ring.h"
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
#include "stats.h"
#include "stats_net.h"
#include "target.h"
#include "target_table.h"
#include "xdp_trace.h"

/* Each part may use those in front of it. */
static const struct part dev_parts[] __refconst = {
	{ rmap_map_module_init, NULL },
	{ rmap_stats_net_init, rmap_stats_net_exit },
	{ rmap_ingress_module_init, rmap_ingress_module_exit },
	{ rmap_xdp_trace_init, NULL },
	{ NULL, rmap_bulkq_pool_exit },
	{ NULL, rmap_bulkq_module_exit },
	{ rmap_copy_ring_module_init, rmap_copy_ring_module_exit },
	{ rmap_group_module_init, rmap_group_module_exit },
	{ rmap_target_table_init, rmap_target_table_exit },
	/* Its exit waits until the last target is freed. */
	{ rmap_target_module_init, rmap_target_module_exit },
	{ rmap_holder_module_init, NULL },
	{ rmap_notifier_init, rmap_notifier_exit },
	{ rmap_probe_init, rmap_probe_exit },
};

static struct kind dev_kinds[] = {
	{
		.type = BPF_MAP_TYPE_DEVMAP,
		.alloc = rmap_array_alloc,
		.set_ops = rmap_array_set_ops,
		.is_pending = rmap_map_is_pending,
		.record = rmap_map_record,
		.claimed = rmap_map_claimed,
		.memory = rmap_array_memory,
		.add = rmap_map_add_stats,
		.report = rmap_report_map,
	},
	{
		.type = BPF_MAP_TYPE_DEVMAP_HASH,
		.alloc = rmap_hash_alloc,
		.set_ops = rmap_hash_set_ops,
		.is_pending = rmap_map_is_pending,
		.record = rmap_map_record,
		.claimed = rmap_map_claimed,
		.memory = rmap_hash_memory,
		.add = rmap_map_add_stats,
		.report = rmap_report_map,
	},
};

const struct family rmap_dev_family = {
	.parts = dev_parts,
	.n_parts = ARRAY_SIZE(dev_parts),
	.kinds = dev_kinds,
	.n_kinds = ARRAY_SIZE(dev_kinds),
	.hooks = rmap_create_hooks,
	.n_hooks = CREATE_HOOKS,
	.layout = rmap_dev_layout,
	.requests = rmap_report_requests,
	.sum_size = sizeof(struct stats_kept),
	.report = rmap_report_state,
};
