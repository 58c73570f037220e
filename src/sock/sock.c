// SPDX-License-Identifier: GPL-2.0-only
/*
 * The family of socket maps: BPF_MAP_TYPE_SOCKMAP and BPF_MAP_TYPE_SOCKHASH.
 * The kernel allocates these maps, keeps the sockets, and decides about all
 * operations; this family counts, adds batches, and reports the sockets.
 *
 * This file owns struct family rmap_sock_family, by which the core of the
 * module knows the family.
 */
#include <linux/bpf.h>
#include <linux/build_bug.h>
#include <linux/filter.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/skmsg.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "kind.h"
#include "layout.h"
#include "part.h"
#include "sock_batch.h"
#include "sock_dump.h"
#include "sock_early.h"
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
	{ rmap_sock_early_init, rmap_sock_early_exit },
	{ rmap_sock_helper_init, rmap_sock_helper_exit },
};

/*
 * The members of the kernel's structures that this family reads. A row cannot
 * name a member of an anonymous union; for these, the members around the union
 * are listed.
 */
static const struct layout_row sock_layout[] LAYOUT_SECTION __aligned(4) = {
	/* maps and their operations */
	LAYOUT_SIZE(bpf_map_ops, bpf_map_ops),
	LAYOUT_ROW(bpf_map_ops, bpf_map_ops, map_get_next_key),
	LAYOUT_ROW(bpf_map_ops, bpf_map_ops, map_lookup_elem_sys_only),
	LAYOUT_ROW(bpf_map_ops, bpf_map_ops, map_lookup_elem),
	LAYOUT_ROW(bpf_map_ops, bpf_map_ops, map_update_elem),
	LAYOUT_ROW(bpf_map_ops, bpf_map_ops, map_delete_elem),
	LAYOUT_ROW(bpf_map, bpf_map, ops),
	LAYOUT_ROW(bpf_map, bpf_map, inner_map_meta),
	LAYOUT_ROW(bpf_map, bpf_map, map_type),
	LAYOUT_ROW(bpf_map, bpf_map, key_size),
	LAYOUT_ROW(bpf_map, bpf_map, value_size),
	LAYOUT_ROW(bpf_map, bpf_map, max_entries),
	LAYOUT_ROW(bpf_map, bpf_map, name),

	/* sock_helper.c: descriptions are copied whole; insnsi is at the end */
	LAYOUT_SIZE(bpf_func_proto, bpf_func_proto),
	LAYOUT_ROW(bpf_func_proto, bpf_func_proto, func),
	LAYOUT_SIZE(bpf_prog, bpf_prog),
	LAYOUT_ROW(bpf_prog, bpf_prog, len),
	LAYOUT_ROW(bpf_prog, bpf_prog, aux),
	LAYOUT_ROW(bpf_prog_aux, bpf_prog_aux, load_time),

	/* sockets; skc_flags is between skc_cookie and skc_dontcopy_begin */
	LAYOUT_ROW(socket, socket, sk),
	LAYOUT_ROW(sock, sock, __sk_common),
	LAYOUT_ROW(sock, sock, sk_user_data),
	LAYOUT_ROW(sock, sock, sk_type),
	LAYOUT_ROW(sock, sock, sk_protocol),
	LAYOUT_ROW(sock_common, sock_common, skc_family),
	LAYOUT_ROW(sock_common, sock_common, skc_state),
	LAYOUT_ROW(sock_common, sock_common, skc_prot),
	LAYOUT_ROW(sock_common, sock_common, skc_cookie),
	LAYOUT_ROW(sock_common, sock_common, skc_dontcopy_begin),
	LAYOUT_ROW(sock_common, sock_common, skc_refcnt),
	LAYOUT_ROW(proto, proto, psock_update_sk_prot),

	/* redirects; _sk_redir is between cb and len */
	LAYOUT_ROW(sk_psock, sk_psock, state),
	LAYOUT_ROW(sk_msg, sk_msg, flags),
	LAYOUT_ROW(sk_msg, sk_msg, sk_redir),
	LAYOUT_ROW(sk_msg, sk_msg, sk),
	LAYOUT_ROW(sk_buff, sk_buff, sk),
	LAYOUT_ROW(sk_buff, sk_buff, cb),
	LAYOUT_ROW(sk_buff, sk_buff, len),

	/*
	 * sock_look.c; skc_daddr and skc_rcv_saddr, skc_dport and skc_num are
	 * in front of skc_family
	 */
	LAYOUT_ROW(sock, sock, sk_err),
	LAYOUT_ROW(sock, sock, sk_drops),
	LAYOUT_ROW(sock, sock, sk_shutdown),
	LAYOUT_ROW(sock, sock, sk_lock),
	LAYOUT_ROW(sock_common, sock_common, skc_net),
	LAYOUT_ROW(sock_common, sock_common, skc_v6_daddr),
	LAYOUT_ROW(sock_common, sock_common, skc_v6_rcv_saddr),
	LAYOUT_ROW(inet_sock, inet_sock, inet_sport),
	LAYOUT_ROW(unix_sock, unix_sock, addr),
	LAYOUT_ROW(unix_sock, unix_sock, lock),
	LAYOUT_ROW(unix_sock, unix_sock, peer),
	LAYOUT_ROW(unix_address, unix_address, len),
	LAYOUT_ROW(unix_address, unix_address, name),
	LAYOUT_ROW(sk_psock, sk_psock, apply_bytes),
	LAYOUT_ROW(sk_psock, sk_psock, cork),
	LAYOUT_ROW(sk_psock, sk_psock, progs),
	LAYOUT_ROW(sk_psock, sk_psock, ingress_skb),
	LAYOUT_ROW(sk_psock, sk_psock, ingress_msg),
	LAYOUT_ROW(sk_psock, sk_psock, ingress_lock),
	LAYOUT_ROW(sk_psock, sk_psock, saved_data_ready),
	LAYOUT_ROW(sk_psock, sk_psock, work_state),
#if HAVE_PSOCK_MSG_LEN
	LAYOUT_ROW(sk_psock, sk_psock, msg_tot_len),
#endif
	LAYOUT_ROW(sk_psock_work_state, sk_psock_work_state, len),
	LAYOUT_ROW(sk_psock_progs, sk_psock_progs, msg_parser),
	LAYOUT_ROW(sk_psock_progs, sk_psock_progs, stream_parser),
	LAYOUT_ROW(sk_psock_progs, sk_psock_progs, stream_verdict),
	LAYOUT_ROW(sk_psock_progs, sk_psock_progs, skb_verdict),
	LAYOUT_ROW(sk_msg, sk_msg, sg),
	LAYOUT_ROW(sk_msg, sk_msg, list),
	LAYOUT_ROW(sk_msg_sg, sk_msg_sg, size),
	LAYOUT_ROW(sk_buff_head, sk_buff_head, qlen),
	LAYOUT_ROW(bpf_prog_aux, bpf_prog_aux, id),

	/* early data */
	LAYOUT_ROW(sock, sock, sk_data_ready),
	LAYOUT_ROW(sock, sock, sk_receive_queue),
	LAYOUT_ROW(tcp_sock, tcp_sock, copied_seq),
	LAYOUT_ROW(tcp_skb_cb, tcp_skb_cb, seq),
	{ }
};

static_assert(offsetof(struct bpf_prog, insnsi) == sizeof(struct bpf_prog));

const struct family rmap_sock_family = {
	.parts = sock_parts,
	.n_parts = ARRAY_SIZE(sock_parts),
	.kinds = sock_kinds,
	.n_kinds = ARRAY_SIZE(sock_kinds),
	.hooks = rmap_sock_map_hooks,
	.n_hooks = SOCK_MAP_HOOKS,
	.layout = sock_layout,
	.requests = rmap_sock_dump_requests,
	.sum_size = sizeof(struct sock_sum),
	.report = rmap_sock_report_state,
};
