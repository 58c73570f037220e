// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_broadcast_exclude.c: counts how often the threads of cpumaps and of
 * NAPI flush frames, and look up the name of a function.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 of_cpumap;
__u64 of_napi;

/* How often they have flushed their queues. */
__u64 flushes_of_cpumap;
__u64 flushes_of_napi;

static __always_inline void count(__u64 *cpumap, __u64 *napi)
{
	char comm[16] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	if (!bpf_strncmp(comm, sizeof("cpumap/") - 1, "cpumap/"))
		__sync_fetch_and_add(cpumap, 1);
	if (!bpf_strncmp(comm, sizeof("napi/") - 1, "napi/"))
		__sync_fetch_and_add(napi, 1);
}

SEC("fentry/sprint_symbol_no_offset")
int looked_up(void *ctx)
{
	count(&of_cpumap, &of_napi);
	return 0;
}

SEC("fentry/__dev_flush")
int flushed(void *ctx)
{
	count(&flushes_of_cpumap, &flushes_of_napi);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
