// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: runs what the kernel has put off for sockets. Parameter, in
 * sysfs:
 *
 * sockets	"FIRST COUNT": descriptors of the writer, from FIRST on. The
 *		write returns when all packets that waited for a softirq have
 *		been processed, on each CPU, and then the work items of the
 *		parsers and psocks of these sockets, also those with a delay.
 *		Descriptors of other files, and sockets without a psock, are
 *		skipped
 *
 * Work items may send packets, and packets may queue work items, so a single
 * write is not always enough: see fuzz/streams.c.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/sched.h>
#include <linux/skmsg.h>
#include <linux/workqueue.h>

#define SOFTIRQS (BIT(NET_TX_SOFTIRQ) | BIT(NET_RX_SOFTIRQ) | BIT(TASKLET_SOFTIRQ))

/* Runs on the CPU; ksoftirqd may be the one that processes them. */
static long run_softirqs(void *unused)
{
	while (local_softirq_pending() & SOFTIRQS) {
		local_bh_disable();
		local_bh_enable();
		cond_resched();
	}
	return 0;
}

static void run_work(int fd)
{
	struct sk_psock *psock;
	struct socket *sock;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return;
	psock = sk_psock_get(sock->sk);
	if (psock) {
		/* Only TCP sockets that had a parser have this one. */
		if (psock->strp.work.func)
			flush_work(&psock->strp.work);
		flush_delayed_work(&psock->work);
		sk_psock_put(sock->sk, psock);
	}
	sockfd_put(sock);
}

static int sockets_set(const char *text, const struct kernel_param *param)
{
	unsigned int first, count, i;
	int cpu;

	if (sscanf(text, "%u %u", &first, &count) != 2)
		return -EINVAL;
	for_each_online_cpu(cpu)
		work_on_cpu_safe(cpu, run_softirqs, NULL);
	for (i = 0; i < count; i++)
		run_work(first + i);
	return 0;
}

static const struct kernel_param_ops sockets_ops = {
	.set = sockets_set,
};
module_param_cb(sockets, &sockets_ops, NULL, 0200);
MODULE_PARM_DESC(sockets, "descriptors of sockets: \"FIRST COUNT\"");

static int __init settle_init(void)
{
	return 0;
}

static void __exit settle_exit(void)
{
}

module_init(settle_init);
module_exit(settle_exit);

MODULE_DESCRIPTION("redirmap selftest: runs what waits for sockets");
MODULE_LICENSE("GPL");
