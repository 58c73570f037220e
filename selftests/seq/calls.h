/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls, by the file that plays them: the table is in calls.c. */
#ifndef SEQ_CALLS_H
#define SEQ_CALLS_H

#include "seq.h"

/* maps.c */
call_func create_dev_map, create_sock_map, create_outer, update_entry, update_socket,
	  update_outer, delete_key, lookup_key, next_key_of, walk_map, batch_update,
	  batch_lookup, batch_delete, map_info, freeze_map, pin_map, dup_map, close_map,
	  map_by_id, odd_command;

/* progs.c */
call_func load_redirect, load_outer_redirect, load_plain, load_egress, load_sk_program,
	  attach_sk_program, detach_sk_program, run_live, run_once, close_prog, prog_info;

/* devs.c */
call_func add_veth, add_other, delete_dev, rename_dev, move_dev, set_updown, set_mtu,
	  turn_faulty, make_net, enter_net_of, close_net, set_gro;

/* xdp.c */
call_func attach_xdp, detach_xdp, link_xdp, update_link, detach_link, close_link,
	  send_packets, send_offloads;

/* socks.c */
call_func connect_socks, listen_sock, send_data, recv_data, shut_sock, close_sock;

/* genl.c */
call_func ask_state, ask_map, ask_target, ask_socket, ask_badly, open_genl, close_genl,
	  read_half;

/* limits.c */
call_func few_descriptors, little_memory, lose_capability, write_parameter, read_files,
	  fork_child, trace_events;

#endif /* SEQ_CALLS_H */
