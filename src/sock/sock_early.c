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
 * A socket with a parser always gets a work item: see early_parse().
 *
 * This file owns the work items. early_lock guards the table of the items that
 * have not locked their socket yet; a socket has at most one of them. An item
 * has a reference to its socket, and one to the module: a task may keep the
 * socket locked for as long as it likes, and rmmod fails meanwhile. Items wait
 * for that lock in kworkers, whose number is limited. So if many items wait,
 * another one whose socket is locked is queued again instead, after a time that
 * doubles up to a second. Items have a workqueue of their own, because they
 * would block the work of others, such as the kernel's frees of maps.
 */
#include <linux/atomic.h>
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
 * @node: in early_items, until @work has locked the socket
 * @work: runs the socket's verdict program
 * @sk: the socket, with a reference
 * @delay: jiffies until the next try, if a task has locked the socket
 */
struct early_item {
	struct hlist_node node;
	struct delayed_work work;
	struct sock *sk;
	unsigned long delay;
};

/* Items that may wait for the locks of their sockets at the same time. */
#define EARLY_WAITS 32

static struct workqueue_struct *early_queue __ro_after_init;

/* Number of items that are about to lock their socket, or wait for the lock. */
static atomic_t early_waiting = ATOMIC_INIT(0);

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

/*
 * Let the kernel run the parser as when bytes arrive: under the spin lock,
 * while no task owns the socket. If a task owned it, the kernel's function
 * would queue the parser's work item instead. If the socket then left the map,
 * while another map keeps its psock, and returned, strp_init() would initialize
 * this item although it is queued, and so corrupt the list of the workqueue.
 *
 * If lock_sock_fast() returns true, it has waited, and this task is the owner.
 */
static void early_parse(struct sock *sk)
{
	bool owned;

	do {
		owned = lock_sock_fast(sk);
		if (!owned)
			early_data_ready(sk);
		unlock_sock_fast(sk, owned);
	} while (owned);
}

static bool early_selects(const struct bpf_map *map, const struct sock *sk)
{
	return early_has_data(sk) &&
	       rmap_policy_matches(&rmap_policy_early, map->name);
}

static bool early_is_locked(struct sock *sk)
{
	bool locked;

	spin_lock_bh(&sk->sk_lock.slock);
	locked = sock_owned_by_user(sk);
	spin_unlock_bh(&sk->sk_lock.slock);
	return locked;
}

/* Runs in a kworker; sleeps. */
static void early_work(struct work_struct *work)
{
	struct early_item *item = container_of(to_delayed_work(work),
					       struct early_item, work);
	struct sock *sk = item->sk;
	bool parse;

	if (atomic_read(&early_waiting) >= EARLY_WAITS && early_is_locked(sk)) {
		item->delay = clamp(2 * item->delay, 1UL, (unsigned long)HZ);
		queue_delayed_work(early_queue, &item->work, item->delay);
		return;
	}

	atomic_inc(&early_waiting);
	lock_sock(sk);
	atomic_dec(&early_waiting);
	/* From now on, an insert of the socket queues another item. */
	spin_lock_bh(&early_lock);
	hash_del(&item->node);
	spin_unlock_bh(&early_lock);
	parse = early_has_parser(sk);
	if (!parse)
		early_data_ready(sk);
	release_sock(sk);
	if (parse)
		early_parse(sk);

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

/* Make the work item of a socket; NULL if that fails. */
static struct early_item *early_item_alloc(struct sock *sk)
{
	struct early_item *item;

	item = kmalloc(sizeof(*item), GFP_ATOMIC | __GFP_NOWARN);
	if (!item)
		return NULL;
	/* The socket may be closed at this moment. */
	if (!refcount_inc_not_zero(&sk->sk_refcnt)) {
		kfree(item);
		return NULL;
	}
	/* The caller keeps the map, which has a reference to the module. */
	__module_get(THIS_MODULE);
	INIT_DELAYED_WORK(&item->work, early_work);
	item->sk = sk;
	item->delay = 0;
	return item;
}

/*
 * Queue a work item for a socket. Without memory for it, the bytes wait until
 * more bytes arrive, as in a stock map: the insert has succeeded already.
 */
static void early_queue_item(struct sock *sk)
{
	struct early_item *item = NULL;

	spin_lock_bh(&early_lock);
	if (!early_is_queued(sk))
		item = early_item_alloc(sk);
	if (item)
		hash_add(early_items, &item->node, (unsigned long)sk);
	spin_unlock_bh(&early_lock);
	if (item)
		queue_delayed_work(early_queue, &item->work, 0);
}

/**
 * rmap_sock_early_run() - run the program of an inserted socket on early data
 * @map: the claimed map that the socket was inserted into
 * @sk: the socket, locked by lock_sock()
 *
 * With a parser, a work item does that, soon after the caller has released the
 * socket.
 *
 * Context: bpf(2), outside of an RCU read section. Does not sleep.
 */
void rmap_sock_early_run(const struct bpf_map *map, struct sock *sk)
{
	if (!early_selects(map, sk))
		return;
	if (early_has_parser(sk))
		early_queue_item(sk);
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
		early_queue_item(sk);
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
