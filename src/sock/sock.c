// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family of socket maps: BPF_MAP_TYPE_SOCKMAP and BPF_MAP_TYPE_SOCKHASH.
 * The kernel allocates these maps, keeps the sockets, and decides about all
 * operations; this family counts, and adds batches.
 *
 * This file owns struct family rmap_sock_family, by which the core of the
 * module knows the family.
 */
#include <linux/bpf.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/skmsg.h>

#include "kind.h"
#include "layout.h"
#include "part.h"
#include "sock_batch.h"
#include "sock_helper.h"
#include "sock_map.h"
#include "sock_report.h"
#include "sock_stats.h"

static void sock_set_ops(struct bpf_map_ops *ops)
{
	rmap_sock_map_set_ops(ops);
	rmap_sock_batch_set_ops(ops);
}

static struct kind sock_kinds[] = {
	{
		.type = BPF_MAP_TYPE_SOCKMAP,
		.set_ops = sock_set_ops,
		.memory = rmap_sock_map_memory,
		.counters = sizeof(struct sock_stats),
		.add = rmap_sock_stats_add,
		.report = rmap_sock_report_map,
	},
	{
		.type = BPF_MAP_TYPE_SOCKHASH,
		.set_ops = sock_set_ops,
		.memory = rmap_sock_map_memory,
		.counters = sizeof(struct sock_stats),
		.add = rmap_sock_stats_add,
		.report = rmap_sock_report_map,
	},
};

static const struct part sock_parts[] __refconst = {
	{ rmap_sock_helper_init, rmap_sock_helper_exit },
};

/* Read by sock_redirect.c, as the kernel's headers declare them. */
static const struct layout_row sock_layout[] LAYOUT_SECTION __aligned(4) = {
	LAYOUT_ROW(sk_psock, sk_psock, state),
	LAYOUT_ROW(sk_msg, sk_msg, sk_redir),
	{ }
};

const struct family rmap_sock_family = {
	.parts = sock_parts,
	.n_parts = ARRAY_SIZE(sock_parts),
	.kinds = sock_kinds,
	.n_kinds = ARRAY_SIZE(sock_kinds),
	.hooks = rmap_sock_map_hooks,
	.n_hooks = SOCK_MAP_HOOKS,
	.layout = sock_layout,
	.sum_size = sizeof(struct sock_sum),
	.report = rmap_sock_report_state,
};
