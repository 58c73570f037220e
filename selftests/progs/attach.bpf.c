// SPDX-License-Identifier: GPL-2.0-only
/* Empty programs that attach.c attaches to functions of the kernel. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

unsigned long long hits;

SEC("fentry/bpf_map_meta_free")
int on_entry(void *ctx)
{
	__sync_fetch_and_add(&hits, 1);
	return 0;
}

SEC("fexit/bpf_map_meta_free")
int on_exit(void *ctx)
{
	__sync_fetch_and_add(&hits, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
