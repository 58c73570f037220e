// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_call_races.c: holds a thread in the kernel until a variable lets it
 * continue. With fentry, because bpf(2) keeps programs on kprobes from running
 * in its critical sections.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Members of the kernel's structs that are used here. */
struct work_struct {
	int func;
} __attribute__((preserve_access_index));

struct bpf_prog_aux {
	__u32 id;
	struct work_struct work;
} __attribute__((preserve_access_index));

/* The thread to hold, once. */
__u64 hold_tid;

/* Set when the thread is held, and by the thread that it waits for. */
__u64 held;
__u64 let_go;

/* Programs that were freed, by the held thread and by others. */
__u64 freed_id;
__u64 freed_by_it;
__u64 freed_by_others;

/* A value of the kernel's enum netdev_cmd. */
#define NETDEV_REGISTER 5

/* The most iterations of one bpf_loop(), and a sufficient number of loops. */
#define TURNS (1 << 23)
#define LOOPS 16

static __u32 tid(void)
{
	return bpf_get_current_pid_tgid();
}

static long let_go_yet(__u32 i, void *ctx)
{
	return *(volatile __u64 *)&let_go != 0;
}

static __always_inline int hold_up(void)
{
	int i;

	if (tid() != hold_tid || held)
		return 0;
	held = 1;
	for (i = 0; i < LOOPS && !let_go_yet(0, NULL); i++)
		bpf_loop(TURNS, let_go_yet, NULL, 0);
	return 0;
}

/* Runs at a function that the test selects. */
SEC("fentry")
int hold(void *ctx)
{
	return hold_up();
}

/*
 * The place where the kernel is about to allocate the bulk queues of a device
 * that registers.
 */
SEC("fentry/dev_map_notification")
int BPF_PROG(hold_register, void *notifier, unsigned long event)
{
	return event == NETDEV_REGISTER ? hold_up() : 0;
}

SEC("fentry/bpf_prog_put_deferred")
int BPF_PROG(freed, struct work_struct *work)
{
	struct bpf_prog_aux *aux = (void *)work -
				   bpf_core_field_offset(struct bpf_prog_aux, work);

	if (BPF_CORE_READ(aux, id) != freed_id)
		return 0;
	if (tid() == hold_tid)
		freed_by_it++;
	else
		freed_by_others++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
