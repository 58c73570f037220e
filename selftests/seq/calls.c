// SPDX-License-Identifier: GPL-2.0-only
/* The table of calls, with their weights: see seq.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

const struct kind_of_call kinds_of_calls[] = {
	{ "create dev map",	create_dev_map,		6, 0 },
	{ "create sock map",	create_sock_map,	1, 6 },
	{ "create outer",	create_outer,		4, 2 },
	{ "update entry",	update_entry,		14, 0 },
	{ "update socket",	update_socket,		0, 14 },
	{ "update outer",	update_outer,		6, 3 },
	{ "delete key",		delete_key,		6, 5 },
	{ "look up key",	lookup_key,		2, 2 },
	{ "next key",		next_key_of,		3, 2 },
	{ "walk map",		walk_map,		3, 2 },
	{ "batch update",	batch_update,		4, 4 },
	{ "batch lookup",	batch_lookup,		3, 3 },
	{ "batch delete",	batch_delete,		2, 2 },
	{ "map info",		map_info,		2, 2 },
	{ "freeze map",		freeze_map,		1, 1 },
	{ "pin map",		pin_map,		2, 2 },
	{ "dup map",		dup_map,		2, 2 },
	{ "close map",		close_map,		3, 3 },
	{ "map by id",		map_by_id,		1, 1 },
	{ "odd command",	odd_command,		2, 2 },
	{ "load redirect",	load_redirect,		8, 0 },
	{ "load outer redirect", load_outer_redirect,	5, 0 },
	{ "load plain",		load_plain,		4, 0 },
	{ "load egress",	load_egress,		5, 0 },
	{ "load sk program",	load_sk_program,	0, 6 },
	{ "attach sk program",	attach_sk_program,	0, 6 },
	{ "detach sk program",	detach_sk_program,	0, 3 },
	{ "run live",		run_live,		10, 0 },
	{ "run once",		run_once,		2, 0 },
	{ "close program",	close_prog,		3, 2 },
	{ "program info",	prog_info,		1, 1 },
	{ "add veth",		add_veth,		4, 0 },
	{ "add other",		add_other,		6, 0 },
	{ "delete device",	delete_dev,		3, 0 },
	{ "rename device",	rename_dev,		2, 0 },
	{ "move device",	move_dev,		3, 0 },
	{ "set up or down",	set_updown,		5, 0 },
	{ "set mtu",		set_mtu,		3, 0 },
	{ "set gro",		set_gro,		3, 0 },
	{ "turn faulty",	turn_faulty,		4, 0 },
	{ "make net",		make_net,		2, 1 },
	{ "enter net",		enter_net_of,		3, 1 },
	{ "close net",		close_net,		2, 1 },
	{ "attach",		attach_xdp,		10, 0 },
	{ "detach",		detach_xdp,		3, 0 },
	{ "link",		link_xdp,		5, 0 },
	{ "update link",	update_link,		3, 2 },
	{ "detach link",	detach_link,		1, 1 },
	{ "close link",		close_link,		2, 1 },
	{ "send packets",	send_packets,		16, 0 },
	{ "send offloads",	send_offloads,		6, 0 },
	{ "connect",		connect_socks,		0, 8 },
	{ "listen",		listen_sock,		0, 2 },
	{ "send data",		send_data,		0, 14 },
	{ "receive data",	recv_data,		0, 8 },
	{ "shut down",		shut_sock,		0, 2 },
	{ "close socket",	close_sock,		0, 4 },
	{ "ask state",		ask_state,		2, 2 },
	{ "ask map",		ask_map,		4, 4 },
	{ "ask target",		ask_target,		4, 1 },
	{ "ask socket",		ask_socket,		1, 4 },
	{ "ask badly",		ask_badly,		3, 3 },
	{ "open netlink",	open_genl,		1, 1 },
	{ "read half a dump",	read_half,		1, 1 },
	{ "close netlink",	close_genl,		1, 1 },
	{ "few descriptors",	few_descriptors,	2, 2 },
	{ "little memory",	little_memory,		2, 2 },
	{ "lose capability",	lose_capability,	1, 1 },
	{ "write parameter",	write_parameter,	3, 2 },
	{ "trace events",	trace_events,		1, 1 },
	{ "read files",		read_files,		1, 1 },
	{ "fork",		fork_child,		1, 1 },
};

const int nr_kinds_of_calls = sizeof(kinds_of_calls) / sizeof(kinds_of_calls[0]);

int call_named(const char *name)
{
	int i;

	for (i = 0; i < nr_kinds_of_calls; i++)
		if (!strcmp(kinds_of_calls[i].name, name))
			return i;
	fprintf(stderr, "seq: no call %s\n", name);
	abort();
}
