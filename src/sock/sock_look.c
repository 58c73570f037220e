// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at one socket of a map: its addresses, the programs that it runs, and
 * the data that waits in its psock, the kernel's structure for a socket that is
 * in socket maps. A look changes nothing but the socket's cookie, which is made
 * if the socket had none, as a lookup by bpf(2) does.
 *
 * This file owns no state. rmap_sock_look() runs in the process context of a
 * requester, in one RCU read section per socket. It never waits for a task that
 * has locked the socket, which may last for ever. Protection of what is read:
 *
 * - RCU keeps a socket without references (SOCK_RCU_FREE), the psock, and the
 *   programs of the psock. Other sockets are kept by a reference.
 * - Single numbers, the state and the list of programs are read without a lock,
 *   so they may belong to different moments.
 * - The cork belongs to the owner of the socket lock, so look_cork() takes the
 *   spinlock of the socket, as the softirq does, and gives up if a task owns
 *   the socket. The cork is also freed without the socket lock, under
 *   ingress_lock (sk_psock_stop()), or after a grace period.
 */
#include <linux/bpf.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/skmsg.h>
#include <linux/sock_diag.h>
#include <linux/string.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "compat.h"
#include "sock_look.h"
#include "sock_map.h"

/*
 * Messages of the ingress queue that are counted on kernels without a counter.
 * They are counted with bottom halves off.
 */
#define LOOK_MESSAGES 1024

static void look_ip(struct sock_look_address *address, const void *ip,
		    unsigned int len, u16 port)
{
	memcpy(address->data, ip, len);
	address->len = len;
	address->port = port;
}

static void look_inet(struct sock_look *look, const struct sock *sk)
{
	u16 local = ntohs(READ_ONCE(inet_sk(sk)->inet_sport));
	u16 remote = ntohs(READ_ONCE(sk->sk_dport));

#if IS_ENABLED(CONFIG_IPV6)
	/* IPV6_ADDRFORM may change the family of the socket meanwhile. */
	if (look->family == AF_INET6) {
		look_ip(&look->local, &sk->sk_v6_rcv_saddr,
			sizeof(struct in6_addr), local);
		if (remote)
			look_ip(&look->remote, &sk->sk_v6_daddr,
				sizeof(struct in6_addr), remote);
		return;
	}
#endif
	look_ip(&look->local, &sk->sk_rcv_saddr, sizeof(__be32), local);
	if (remote)
		look_ip(&look->remote, &sk->sk_daddr, sizeof(__be32), remote);
}

/* The name of a Unix socket is set once, and lives as long as the socket. */
static void look_name(struct sock_look_address *address, struct sock *sk)
{
	const struct unix_address *addr;

	/* Pairs with the release in the kernel's unix_bind_bsd(). */
	addr = smp_load_acquire(&unix_sk(sk)->addr);
	if (!addr || addr->len <= offsetof(struct sockaddr_un, sun_path))
		return;
	address->len = min_t(unsigned int, sizeof(address->data), addr->len -
			     offsetof(struct sockaddr_un, sun_path));
	memcpy(address->data, addr->name->sun_path, address->len);
}

static void look_unix(struct sock_look *look, struct sock *sk)
{
	struct sock *peer;

	look_name(&look->local, sk);
	/* The lock keeps the peer connected, and so its socket. */
	unix_state_lock(sk);
	peer = unix_peer(sk);
	if (peer)
		look_name(&look->remote, peer);
	unix_state_unlock(sk);
}

static void look_sock(struct sock_look *look, struct sock *sk)
{
	u32 cookie[2];

	sock_diag_save_cookie(sk, cookie);
	look->cookie = (u64)cookie[1] << 32 | cookie[0];
	look->inode = sock_i_ino(sk);
	look->net = sock_net(sk);
	look->netns_ino = look->net->ns.inum;
	look->family = sk->sk_family;
	look->type = sk->sk_type;
	look->protocol = sk->sk_protocol;
	look->state = READ_ONCE(sk->sk_state);
	look->shutdown = READ_ONCE(sk->sk_shutdown);
	look->drops = compat_sk_drops(sk);
	look->error = READ_ONCE(sk->sk_err);
	if (sk_is_inet(sk))
		look_inet(look, sk);
	else if (sk->sk_family == AF_UNIX)
		look_unix(look, sk);
}

static void look_program(struct sock_look *look, enum sock_look_program which,
			 struct bpf_prog *const *at)
{
	const struct bpf_prog *prog = READ_ONCE(*at);

	look->runs[which] = prog;
	if (prog)
		look->prog_ids[which] = READ_ONCE(prog->aux->id);
}

/*
 * The programs that the kernel runs, which are fewer than those of the psock:
 * messages have a program in TCP only, a listening socket has no data, and
 * received packets reach a program only while the psock has replaced
 * sk_data_ready; a parser needs a verdict as well.
 */
static void look_programs(struct sock_look *look, const struct sock *sk,
			  struct sk_psock *psock)
{
	struct sk_psock_progs *progs = &psock->progs;

	if (sk_is_tcp(sk) && look->state == TCP_LISTEN)
		return;
	if (sk_is_tcp(sk))
		look_program(look, SOCK_LOOK_MSG_VERDICT, &progs->msg_parser);
	if (!READ_ONCE(psock->saved_data_ready))
		return;
	look_program(look, SOCK_LOOK_STREAM_VERDICT, &progs->stream_verdict);
	if (!look->runs[SOCK_LOOK_STREAM_VERDICT])
		look_program(look, SOCK_LOOK_SKB_VERDICT, &progs->skb_verdict);
	else if (sk_psock_test_state(psock, SK_PSOCK_RX_STRP_ENABLED))
		look_program(look, SOCK_LOOK_STREAM_PARSER,
			     &progs->stream_parser);
}

static void look_cork(struct sock_look *look, struct sock *sk,
		      struct sk_psock *psock)
{
	/* Without a cork, no lock is necessary. */
	look->cork_known = !READ_ONCE(psock->cork);
	if (look->cork_known)
		return;
	local_bh_disable();
	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk)) {
		spin_lock(&psock->ingress_lock);
		look->cork = psock->cork ? psock->cork->sg.size : 0;
		spin_unlock(&psock->ingress_lock);
		look->cork_known = true;
	}
	bh_unlock_sock(sk);
	local_bh_enable();
}

static void look_psock(struct sock_look *look, struct sock *sk,
		       struct sk_psock *psock)
{
	look_programs(look, sk, psock);
	look->ingress = compat_psock_bytes(psock, LOOK_MESSAGES,
					   &look->ingress_more);
	look->backlog = skb_queue_len_lockless(&psock->ingress_skb);
	/* The kernel keeps the rest of a packet that it will try again. */
	look->backlog_waits = look->backlog && READ_ONCE(psock->work_state.len);
	look_cork(look, sk, psock);
	look->apply = READ_ONCE(psock->apply_bytes);
	look->stopped = !sk_psock_test_state(psock, SK_PSOCK_TX_ENABLED);
}

/**
 * rmap_sock_look() - look at the socket at a key
 * @map: a claimed socket map
 * @key: the key
 * @look: set to what was found
 *
 * Context: process context; the caller keeps the map.
 * Return: false if there is no socket, or if it is leaving all maps.
 */
bool rmap_sock_look(struct bpf_map *map, void *key, struct sock_look *look)
{
	struct sk_psock *psock = NULL;
	struct sock *sk;
	bool counted;

	memset(look, 0, sizeof(*look));
	rcu_read_lock();
	/* Without migration: see sock_map.c. */
	migrate_disable();
	sk = sock_map_lookup(map, key, &counted);
	migrate_enable();
	if (!sk)
		goto unlock;
	psock = sk_psock(sk);
	if (psock) {
		look_sock(look, sk);
		look_psock(look, sk, psock);
	}
	if (counted)
		sock_put(sk);
unlock:
	rcu_read_unlock();
	return psock;
}
