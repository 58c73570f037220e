// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of sock_map_batch: a task gets SIGKILL at the beginning of its next
 * call of bpf(2), so the signal is pending during all of the call.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SIGKILL 9

/* As in sock_map_batch.c. */
struct kill_vars {
	__u32 pid;		/* of the task */
	__u32 call;		/* the number of bpf(2) */
	__u32 killed;		/* calls */
	__s32 result;		/* of the call */
	__s32 error;		/* of sending the signal */
} vars;

static int is_task(void)
{
	return bpf_get_current_pid_tgid() >> 32 == vars.pid;
}

SEC("raw_tp/sys_enter")
int enter(struct bpf_raw_tracepoint_args *ctx)
{
	if (!is_task() || ctx->args[1] != vars.call)
		return 0;
	vars.error = bpf_send_signal(SIGKILL);
	vars.killed++;
	return 0;
}

SEC("raw_tp/sys_exit")
int leave(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_task() && vars.killed)
		vars.result = ctx->args[1];
	return 0;
}

char _license[] SEC("license") = "GPL";
