// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_broadcast_exclude.c: counts how often the threads of cpumaps and of
 * NAPI look up the name of a function.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 of_cpumap;
__u64 of_napi;

SEC("fentry/sprint_symbol_no_offset")
int looked_up(void *ctx)
{
	char comm[16] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	if (!bpf_strncmp(comm, sizeof("cpumap/") - 1, "cpumap/"))
		__sync_fetch_and_add(&of_cpumap, 1);
	if (!bpf_strncmp(comm, sizeof("napi/") - 1, "napi/"))
		__sync_fetch_and_add(&of_napi, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
