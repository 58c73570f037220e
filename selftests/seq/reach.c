// SPDX-License-Identifier: GPL-2.0-only
/*
 * The functions of the module that sequences reach, by the kernel's function
 * tracer. After each sequence the functions in the trace are taken out of the
 * filter, so that rare ones soon have the buffer for themselves.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seq.h"
#include "testlib.h"

#define TRACING "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/seq"
#define FUNCTIONS_MAX 2000

static struct function {
	char name[64];
	bool reached;
	int round;	/* that reached it first */
	bool dropped;	/* from the filter */
} functions[FUNCTIONS_MAX];

static int nr_functions, pipe_fd = -1, rounds;

/* Functions that sequences have to reach: see "Sequences" in testing.rst. */
static const char * const wanted[] = {
	/* frames to drivers, and as packets */
	"rmap_port_xdp_xmit", "rmap_port_xdp_xmit_prog", "rmap_port_xmit", "rmap_port_send_some",
	"rmap_port_send_packets", "rmap_port_drop",
	/* egress programs, native and generic */
	"port_prog_passes", "rmap_egress_run", "rmap_egress_run_skb", "egress_failed",
	/* broadcasts */
	"rmap_group_xdp_xmit", "group_xmit_copies", "group_xmit_originals", "rmap_copy_frames",
	"rmap_copy_ring_next",
	/* generic XDP */
	"rmap_port_start_xmit", "rmap_port_start_xmit_prog", "rmap_group_start_xmit",
	/* redirects, and what looks at frames for them */
	"array_redirect", "array_redirect_flags", "hash_redirect", "hash_redirect_flags",
	"rmap_map_missed", "rmap_map_broadcast",
	/* sweeps after devices */
	"holder_sweep_all", "array_sweep", "rmap_hash_sweep", "hash_clean_chain",
	"rmap_target_device_left", "rmap_target_device_changed", "target_died", "target_net_exit",
	/* elements and batches */
	"array_update", "array_delete", "hash_update", "hash_delete_elem", "batch_update",
	"batch_lookup", "batch_delete", "array_get_next_key", "hash_get_next_key",
	/* outer maps */
	"outer_alloc_returned", "outer_equal_entered", "outer_unequal", "outer_freed",
	/* socket maps */
	"rmap_sock_map_insert", "rmap_sock_map_delete", "sock_batch_lookup",
	"sock_msg_redirect_map", "sock_refused",
	/* netlink: each handler */
	"nl_state_get", "nl_map_get", "nl_map_start", "nl_map_dump", "report_target_get",
	"report_target_start", "report_target_dump", "dump_start", "dump_part", "dump_done",
	/* parameters */
	"policy_set", "policy_get",
	NULL
};

void print_wanted(void)
{
	int i;

	for (i = 0; wanted[i]; i++)
		printf("%s\n", wanted[i]);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct function *)a)->name, ((const struct function *)b)->name);
}

static struct function *find(const char *name)
{
	struct function key;

	snprintf(key.name, sizeof(key.name), "%s", name);
	return bsearch(&key, functions, nr_functions, sizeof(key), by_name);
}

static void read_functions(void)
{
	FILE *f = fopen(TRACING "/available_filter_functions", "r");
	char line[256], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[redirmap]") && nr_functions < FUNCTIONS_MAX &&
		    sscanf(line, "%63s", name) == 1)
			strcpy(functions[nr_functions++].name, name);
	if (f)
		fclose(f);
	qsort(functions, nr_functions, sizeof(functions[0]), by_name);
}

bool reach_begin(void)
{
	mkdir(INSTANCE, 0700);
	read_functions();
	if (!nr_functions || !write_str(INSTANCE "/set_ftrace_filter", ":mod:redirmap") ||
	    !write_str(INSTANCE "/buffer_size_kb", "1024") ||
	    !write_str(INSTANCE "/current_tracer", "function")) {
		rmdir(INSTANCE);
		return false;
	}
	pipe_fd = open(INSTANCE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (pipe_fd < 0)
		rmdir(INSTANCE);
	return pipe_fd >= 0;
}

/* A line of the trace: "task-pid [cpu] flags time: function <-caller". */
static void take(char *line)
{
	char *end = strstr(line, " <-"), *name;
	struct function *function;

	if (!end)
		return;
	*end = '\0';
	name = strrchr(line, ' ');
	function = name ? find(name + 1) : NULL;
	if (!function || function->reached)
		return;
	function->reached = true;
	function->round = rounds;
}

/* Functions that were reached are no longer traced; one remains. */
static void drop_reached(void)
{
	int fd = open(INSTANCE "/set_ftrace_filter", O_WRONLY | O_APPEND | O_CLOEXEC), i, left = 0;
	char text[80];

	for (i = 0; i < nr_functions; i++)
		left += !functions[i].dropped;
	for (i = 0; i < nr_functions && left > 1; i++) {
		if (!functions[i].reached || functions[i].dropped)
			continue;
		snprintf(text, sizeof(text), "!%.63s\n", functions[i].name);
		if (write(fd, text, strlen(text)) < 0)
			perror("# set_ftrace_filter");
		functions[i].dropped = true;
		left--;
	}
	close(fd);
}

void reach_collect(void)
{
	static char room[65536];
	int n, have = 0;
	char *line, *end;

	if (pipe_fd < 0)
		return;
	while ((n = read(pipe_fd, room + have, sizeof(room) - 1 - have)) > 0) {
		have += n;
		room[have] = '\0';
		for (line = room; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			take(line);
		}
		have = room + have - line;
		memmove(room, line, have);
	}
	drop_reached();
	rounds++;
}

int reach_end(int *reached, int *all)
{
	const struct function *function, *last = NULL;
	int i, missing = 0;

	reach_collect();
	close(pipe_fd);
	write_str(INSTANCE "/current_tracer", "nop");
	rmdir(INSTANCE);
	*all = nr_functions;
	for (*reached = 0, i = 0; i < nr_functions; i++) {
		*reached += functions[i].reached;
		if (!functions[i].reached)
			printf("# not reached: %s\n", functions[i].name);
	}
	for (i = 0; wanted[i]; i++) {
		function = find(wanted[i]);
		if (function && function->reached) {
			if (!last || function->round > last->round)
				last = function;
			continue;
		}
		printf("# missing: %s%s\n", wanted[i], function ? "" : ", which does not exist");
		missing++;
	}
	if (last)
		printf("# the last one of the named functions: %s, by sequence %u\n",
		       last->name, opt.first + last->round);
	return missing;
}
