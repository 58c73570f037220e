// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sleepable iterator for sock_programs.c, which deletes from the socket map
 * of an outer map. The kernel lets sleepable programs reach socket maps in no
 * other way.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* No member is read. */
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 2);
} outer SEC(".maps");

/* As in sock_programs.c. */
struct sleepable_vars {
	__u64 done;	/* deletes that succeeded */
	__u64 failed;	/* and those that did not */
} vars;

SEC("iter.s/task")
int delete(struct bpf_iter__task *ctx)
{
	__u32 key = 0;
	void *inner = bpf_map_lookup_elem(&outer, &key);

	/* The first task, and the call after the last one. */
	if (!inner || (ctx->task && vars.done))
		return 0;
	key = 1;
	if (bpf_map_delete_elem(inner, &key))
		vars.failed++;
	else
		vars.done++;
	return 0;
}

char _license[] SEC("license") = "GPL";
