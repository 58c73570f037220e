// SPDX-License-Identifier: GPL-2.0-only
/*
 * Early data: bytes that lie in the receive queue of a TCP socket when it is
 * inserted into a map. The kernel runs the socket's verdict program on them
 * only when more bytes arrive, or when user space reads. For maps that the
 * parameter "early" selects, the insert does what the kernel does then: it
 * calls sk->sk_data_ready() of the locked socket, in process context, as
 * tcp_bpf_recvmsg_parser() and the processing of the socket's backlog do. The
 * kernel's function runs the program.
 *
 * An update by bpf(2) has locked the socket (sock_map.c). Programs cannot lock
 * it, so their updates queue a work item. In a program of type sock_ops, the
 * receive queue is still empty: see design.rst.
 *
 * A socket with a parser always gets a work item. If a task owns the socket,
 * the kernel's function queues the work item of the parser, which is a part of
 * the psock. If the socket then left the map, while another map keeps its
 * psock, and returned, strp_init() would initialize this item although it is
 * queued, and so corrupt the list of the workqueue. So an item of this file
 * never owns a socket: it calls the function under the spin lock, while no task
 * owns the socket, as TCP does when packets arrive. If a task owns it, the item
 * is queued again, after a time that doubles up to a second.
 *
 * This file owns the work items. early_lock guards the table of the items that
 * have not found their socket without an owner yet; a socket has at most one of
 * them. An item has a reference to its socket, and one to the module: a task
 * may own the socket for as long as it likes, and rmmod fails meanwhile. Items
 * have a workqueue of their own: rmmod waits for the end of their functions.
 *
 * Order of locks: that of the socket, early_lock.
 */
#include <linux/bpf.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/skmsg.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "policy.h"
#include "sock_early.h"

/**
 * struct early_item - a socket that was inserted by a program, or has a parser
 * @node: in early_items, until @work has found the socket without an owner
 * @work: runs the socket's verdict program
 * @sk: the socket, with a reference
 * @delay: jiffies until the next try, if a task owns the socket
 */
struct early_item {
	struct hlist_node node;
	struct delayed_work work;
	struct sock *sk;
	unsigned long delay;
};

static struct workqueue_struct *early_queue __ro_after_init;

static DEFINE_SPINLOCK(early_lock);
static DEFINE_HASHTABLE(early_items, 6);

/*
 * Has the kernel replaced sk_data_ready of this socket, in order to run a
 * verdict program?
 */
static bool early_has_program(const struct sock *sk)
{
	const struct sk_psock *psock;
	bool has;

	rcu_read_lock();
	psock = sk_psock(sk);
	has = psock && READ_ONCE(psock->saved_data_ready);
	rcu_read_unlock();
	return has;
}

/*
 * Without the lock of the socket, the answer may be out of date. The queue is
 * tested first, because that of most inserted sockets is empty.
 */
static bool early_has_data(const struct sock *sk)
{
	return !skb_queue_empty_lockless(&sk->sk_receive_queue) &&
	       sk_is_tcp(sk) && READ_ONCE(sk->sk_state) == TCP_ESTABLISHED &&
	       early_has_program(sk);
}

/*
 * Without a parser, the kernel hands each packet to the program as a whole, and
 * then adds its whole length to copied_seq (tcp_read_skb(), tcp_eat_skb()). If
 * the user has read a part of the first packet, the program would get these
 * bytes again, and copied_seq would pass bytes that are still to come. So the
 * packet stays in the queue.
 */
static bool early_partly_read(const struct sock *sk)
{
	const struct sk_buff *first = skb_peek(&sk->sk_receive_queue);

	return before(TCP_SKB_CB(first)->seq, tcp_sk(sk)->copied_seq);
}

/*
 * Let the kernel process the receive queue of a locked socket. Another task may
 * delete the socket from the map meanwhile, without its lock, and so restore
 * sk_data_ready. If that happens before this function reads the pointer, it
 * wakes the readers, which is harmless. If it happens later, the kernel's
 * function finds no psock, and drops the packets, as it does with packets that
 * arrive at such a moment.
 */
static void early_data_ready(struct sock *sk)
{
	void (*data_ready)(struct sock *sk);

	sock_owned_by_me(sk);
	if (!early_has_data(sk) || early_partly_read(sk))
		return;
	data_ready = READ_ONCE(sk->sk_data_ready);
	data_ready(sk);
}

/* Does the kernel run a parser on the bytes that this socket receives? */
static bool early_has_parser(const struct sock *sk)
{
	const struct sk_psock *psock;
	bool has;

	rcu_read_lock();
	psock = sk_psock(sk);
	has = psock && READ_ONCE(psock->progs.stream_parser);
	rcu_read_unlock();
	return has;
}

static bool early_selects(const struct bpf_map *map, const struct sock *sk)
{
	return early_has_data(sk) &&
	       rmap_policy_matches(&rmap_policy_early, map->name);
}

/* Runs in a kworker; sleeps only if a spin lock does (PREEMPT_RT). */
static void early_work(struct work_struct *work)
{
	struct early_item *item = container_of(to_delayed_work(work),
					       struct early_item, work);
	struct sock *sk = item->sk;

	spin_lock_bh(&sk->sk_lock.slock);
	if (sock_owned_by_user(sk)) {
		spin_unlock_bh(&sk->sk_lock.slock);
		item->delay = clamp(2 * item->delay, 1UL, (unsigned long)HZ);
		queue_delayed_work(early_queue, &item->work, item->delay);
		return;
	}
	/* From now on, an insert of the socket queues another item. */
	spin_lock(&early_lock);
	hash_del(&item->node);
	spin_unlock(&early_lock);
	early_data_ready(sk);
	spin_unlock_bh(&sk->sk_lock.slock);

	sock_put(sk);
	kfree(item);
	/* rmmod waits for the end of this function: rmap_sock_early_exit(). */
	module_put(THIS_MODULE);
}

static bool early_is_queued(const struct sock *sk)
{
	const struct early_item *item;

	lockdep_assert_held(&early_lock);
	hash_for_each_possible(early_items, item, node, (unsigned long)sk)
		if (item->sk == sk)
			return true;
	return false;
}

/* Give an item its references. False if the socket is being freed. */
static bool early_item_init(struct early_item *item, struct sock *sk)
{
	if (!refcount_inc_not_zero(&sk->sk_refcnt))
		return false;
	/* The caller keeps the map, which has a reference to the module. */
	__module_get(THIS_MODULE);
	INIT_DELAYED_WORK(&item->work, early_work);
	item->sk = sk;
	item->delay = 0;
	return true;
}

/*
 * Queue a work item for a socket. Without memory for it, the bytes wait until
 * more bytes arrive, as in a stock map: the insert has succeeded already.
 */
static void early_queue_item(struct sock *sk, gfp_t gfp)
{
	struct early_item *item = kmalloc(sizeof(*item), gfp | __GFP_NOWARN);
	bool queue;

	if (!item)
		return;
	spin_lock_bh(&early_lock);
	queue = !early_is_queued(sk) && early_item_init(item, sk);
	if (queue)
		hash_add(early_items, &item->node, (unsigned long)sk);
	spin_unlock_bh(&early_lock);
	if (queue)
		queue_delayed_work(early_queue, &item->work, 0);
	else
		kfree(item);
}

/**
 * rmap_sock_early_run() - run the program of an inserted socket on early data
 * @map: the claimed map that the socket was inserted into
 * @sk: the socket, locked by lock_sock()
 *
 * With a parser, a work item does that, soon after the caller has released the
 * socket.
 *
 * Context: bpf(2), outside of an RCU read section. May sleep.
 */
void rmap_sock_early_run(const struct bpf_map *map, struct sock *sk)
{
	if (!early_selects(map, sk))
		return;
	if (early_has_parser(sk))
		early_queue_item(sk, GFP_KERNEL);
	else
		early_data_ready(sk);
}

/**
 * rmap_sock_early_queue() - queue a work item to do the same
 * @map: the claimed map that the socket was inserted into
 * @sk: the socket, which is not locked, or locked by any task
 *
 * Context: a BPF program that updates the map, in process context or in a
 * softirq; the program keeps @map and @sk.
 */
void rmap_sock_early_queue(const struct bpf_map *map, struct sock *sk)
{
	if (early_selects(map, sk))
		early_queue_item(sk, GFP_ATOMIC);
}

/**
 * rmap_sock_early_init() - make the workqueue
 *
 * Context: insmod, sleeps.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_sock_early_init(void)
{
	early_queue = alloc_workqueue("redirmap_early", WQ_UNBOUND, 0);
	return early_queue ? 0 : -ENOMEM;
}

/**
 * rmap_sock_early_exit() - free the workqueue
 *
 * Context: rmmod, sleeps; no map is left, and no item is queued.
 */
void rmap_sock_early_exit(void)
{
	destroy_workqueue(early_queue);
}
