// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink request for the sockets of a claimed map, a dump with one message
 * for each entry.
 *
 * This file owns the state of each dump, struct sock_dump, from dump_start() to
 * dump_done(). Core calls the functions of one dump one after the other, in the
 * process context of the task that reads the netlink socket.
 *
 * A walk (sock_walk.c) reads the keys in chunks. For each key, sock_look.c
 * looks at the socket when its message is written, so numbers are not older
 * than their message. The walk goes on behind the last key: an entry that stays
 * in the map during the whole dump is reported once (more often only if its
 * bucket has more than SOCK_CHUNK keys). If entries are inserted, deleted or
 * replaced meanwhile, NLM_F_DUMP_INTR is set, because the reported entries may
 * never have been in the map at the same time. The kernel does not tell the
 * module when it removes a closed socket; such a socket sets the flag only if
 * the walk finds that its cursor is gone.
 *
 * A dump keeps the map only inside of dump_part(), not while the reader of the
 * netlink socket rests. If the map is closed in between, the dump ends, with
 * NLM_F_DUMP_INTR.
 *
 * All sock_put_*() return 0, or -EMSGSIZE, on which the caller cancels the
 * message.
 */
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#include "compat.h"
#include "netlink_answer.h"
#include "record.h"
#include "sock_dump.h"
#include "sock_look.h"
#include "sock_stats.h"
#include "sock_walk.h"

#define NO_CAP_BPF \
	"The sockets of a map need CAP_BPF in the initial user namespace"

/**
 * struct sock_dump - a dump of the sockets of one map
 * @serial: serial number of the map's record; 0 before the first part
 * @all: report addresses in all network namespaces
 * @at: next key of the walk's chunk to report
 * @ended: the walk's chunk is the last one
 * @disturbances: number of chunks in which the walk was disturbed, or an update
 *	was running
 * @walk: the walk; its map is valid inside of dump_part() only
 * @look: the look at one socket
 */
struct sock_dump {
	u64 serial;
	bool all;
	u32 at;
	bool ended;
	unsigned int disturbances;
	struct sock_walk walk;
	struct sock_look look;
};

static const u32 dump_attach_types[SOCK_LOOK_PROGRAMS] = {
	[SOCK_LOOK_MSG_VERDICT] = BPF_SK_MSG_VERDICT,
	[SOCK_LOOK_STREAM_PARSER] = BPF_SK_SKB_STREAM_PARSER,
	[SOCK_LOOK_STREAM_VERDICT] = BPF_SK_SKB_STREAM_VERDICT,
	[SOCK_LOOK_SKB_VERDICT] = BPF_SK_SKB_VERDICT,
};

/* For the error text: on 6.1 that of dump_start() is lost. */
static int dump_check_map(const struct nlattr *attr,
			  struct netlink_ext_ack *extack)
{
	if (bpf_capable())
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, NO_CAP_BPF);
	return -EPERM;
}

/* The attributes that a request may have; others are refused. */
static const struct nla_policy
socket_policy[REDIRMAP_A_SOCKET_ALL_NETNS + 1] = {
	[REDIRMAP_A_SOCKET_MAP] =
		NLA_POLICY_VALIDATE_FN(NLA_U32, dump_check_map),
	[REDIRMAP_A_SOCKET_ALL_NETNS] =
		NLA_POLICY_VALIDATE_FN(NLA_FLAG, rmap_nl_check_all_netns),
};

static struct sock_dump *dump_of(const struct netlink_callback *cb)
{
	return *(struct sock_dump **)cb->ctx;
}

/*
 * Sockets of a map may belong to other users, so the request needs CAP_BPF, as
 * well as CAP_NET_ADMIN. Core has checked the latter.
 */
static int dump_start(struct netlink_callback *cb)
{
	struct nlattr *all_netns;
	struct sock_dump *dump;
	bool all;
	int err;

	BUILD_BUG_ON(sizeof(dump) > sizeof(cb->ctx));

	all_netns = compat_dump_attrs(cb)[REDIRMAP_A_SOCKET_ALL_NETNS];
	err = rmap_nl_scope(cb->skb, all_netns, &all, cb->extack);
	if (err)
		return err;
	if (!netlink_capable(cb->skb, CAP_BPF) &&
	    !netlink_capable(cb->skb, CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(cb->extack, NO_CAP_BPF);
		return -EPERM;
	}
	dump = kzalloc(sizeof(*dump), GFP_KERNEL_ACCOUNT);
	if (!dump)
		return -ENOMEM;
	dump->all = all;
	dump->walk.only_keys = true;
	dump->walk.room = SOCK_CHUNK;
	*(struct sock_dump **)cb->ctx = dump;
	return 0;
}

static int dump_done(struct netlink_callback *cb)
{
	struct sock_dump *dump = dump_of(cb);

	rmap_sock_walk_free(&dump->walk);
	kfree(dump);
	return 0;
}

/*
 * Find the map that the request names. This is done for the first part and not
 * in dump_start(), whose error texts are lost on 6.1.
 */
static int dump_find(struct netlink_callback *cb, struct sock_dump *dump,
		     const struct net *net)
{
	struct nlattr *id = compat_dump_attrs(cb)[REDIRMAP_A_SOCKET_MAP];
	struct record *record;
	int err = 0;

	if (!id) {
		NL_SET_ERR_MSG(cb->extack,
			       "A request for sockets needs the id of a map");
		return -EINVAL;
	}
	rcu_read_lock();
	record = rmap_nl_find_map(net, dump->all, nla_get_u32(id));
	if (!record) {
		NL_SET_ERR_MSG_ATTR(cb->extack, id, NL_NO_MAP);
		err = -ENOENT;
	} else if (record->map->map_type != BPF_MAP_TYPE_SOCKMAP &&
		   record->map->map_type != BPF_MAP_TYPE_SOCKHASH) {
		NL_SET_ERR_MSG_ATTR(cb->extack, id, "The map is no socket map");
		err = -EOPNOTSUPP;
	} else {
		dump->serial = record->serial;
	}
	rcu_read_unlock();
	return err;
}

/* Take a reference to the map of a dump; NULL if it was closed. */
static struct bpf_map *dump_hold(const struct sock_dump *dump)
{
	struct bpf_map *map = NULL;
	struct record *record;

	rcu_read_lock();
	record = rmap_record_next(NULL, dump->serial - 1);
	if (record && record->serial == dump->serial)
		map = bpf_map_inc_not_zero(record->map);
	rcu_read_unlock();
	return IS_ERR_OR_NULL(map) ? NULL : map;
}

/*
 * An update is counted at its end, and changes the map before that: one that
 * runs at this moment disturbs the dump.
 */
static void dump_look_for_updates(struct sock_dump *dump)
{
	struct record *record;

	rcu_read_lock();
	record = record_find(dump->walk.map);
	if (record && rmap_sock_stats_running(record))
		dump->disturbances++;
	rcu_read_unlock();
}

/* A number for cb->seq; 0 would mean that there is none. */
static unsigned int dump_generation(const struct sock_dump *dump)
{
	unsigned int changes = dump->disturbances;
	struct record *record;

	rcu_read_lock();
	record = record_find(dump->walk.map);
	if (record)
		changes += rmap_sock_stats_changes(record);
	rcu_read_unlock();
	return 2 * changes + 1;
}

static int sock_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, REDIRMAP_A_SOCKET_PAD);
}

static int sock_put_address(struct sk_buff *skb, int attr, u16 family,
			    const struct sock_look_address *address)
{
	struct nlattr *nest;
	int err;

	if (!address->len)
		return 0;
	nest = nla_nest_start(skb, attr);
	if (!nest)
		return -EMSGSIZE;
	if (family == AF_UNIX)
		err = nla_put(skb, REDIRMAP_A_ADDRESS_NAME, address->len,
			      address->data);
	else
		err = nla_put(skb, REDIRMAP_A_ADDRESS_IP, address->len,
			      address->data) ?:
		      nla_put_u32(skb, REDIRMAP_A_ADDRESS_PORT, address->port);
	if (err)
		return err;
	nla_nest_end(skb, nest);
	return 0;
}

static int sock_put_programs(struct sk_buff *skb, const struct sock_look *look)
{
	struct nlattr *nest;
	unsigned int i;

	for (i = 0; i < SOCK_LOOK_PROGRAMS; i++) {
		if (!look->runs[i])
			continue;
		nest = nla_nest_start(skb, REDIRMAP_A_SOCKET_PROGRAM);
		if (!nest ||
		    nla_put_u32(skb, REDIRMAP_A_PROGRAM_TYPE,
				dump_attach_types[i]) ||
		    nla_put_u32(skb, REDIRMAP_A_PROGRAM_ID, look->prog_ids[i]))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

/* Identity: cookie, family, state, addresses. */
static int sock_put_identity(struct sk_buff *skb, const struct sock_look *look,
			     bool addresses)
{
	if (sock_put_u64(skb, REDIRMAP_A_SOCKET_COOKIE, look->cookie) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCKET_INODE, look->inode) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCKET_NETNS, look->netns_ino) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_FAMILY, look->family) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_TYPE, look->type) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_PROTOCOL, look->protocol) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_STATE, look->state) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_SHUTDOWN, look->shutdown))
		return -EMSGSIZE;
	if (!addresses)
		return 0;
	return sock_put_address(skb, REDIRMAP_A_SOCKET_LOCAL, look->family,
				&look->local) ?:
	       sock_put_address(skb, REDIRMAP_A_SOCKET_REMOTE, look->family,
				&look->remote);
}

/* Programs, and the data that waits. */
static int sock_put_work(struct sk_buff *skb, const struct sock_look *look)
{
	if (sock_put_programs(skb, look) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCKET_INGRESS, look->ingress) ||
	    (look->ingress_more &&
	     nla_put_flag(skb, REDIRMAP_A_SOCKET_INGRESS_MORE)) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_BACKLOG, look->backlog) ||
	    (look->backlog_waits &&
	     nla_put_flag(skb, REDIRMAP_A_SOCKET_BACKLOG_WAITS)) ||
	    (look->cork_known &&
	     nla_put_u32(skb, REDIRMAP_A_SOCKET_CORK, look->cork)) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_APPLY, look->apply) ||
	    nla_put_u32(skb, REDIRMAP_A_SOCKET_DROPS, look->drops) ||
	    (look->error &&
	     nla_put_u32(skb, REDIRMAP_A_SOCKET_ERROR, look->error)) ||
	    (look->stopped && nla_put_flag(skb, REDIRMAP_A_SOCKET_STOPPED)))
		return -EMSGSIZE;
	return 0;
}

/* Put a message about the entry with a key; false if it does not fit. */
static bool dump_put(struct sk_buff *skb, struct netlink_callback *cb,
		     struct sock_dump *dump, const void *key)
{
	void *hdr = rmap_nl_dump_put(skb, cb, REDIRMAP_CMD_SOCKET_GET);
	const struct sock_look *look = &dump->look;
	bool addresses;
	int err;

	if (!hdr)
		return false;
	addresses = dump->all || look->net == sock_net(skb->sk);
	err = nla_put(skb, REDIRMAP_A_SOCKET_KEY, dump->walk.map->key_size,
		      key) ?:
	      sock_put_identity(skb, look, addresses) ?:
	      sock_put_work(skb, look);
	return rmap_nl_dump_end(skb, cb, hdr, err);
}

/* Report the rest of the walk's chunk; false if the buffer is full. */
static bool dump_chunk(struct sk_buff *skb, struct netlink_callback *cb,
		       struct sock_dump *dump)
{
	const struct sock_walk *walk = &dump->walk;
	void *key;

	for (; dump->at < walk->n; dump->at++) {
		key = walk->keys + dump->at * walk->map->key_size;
		if (rmap_sock_look(walk->map, key, &dump->look) &&
		    !dump_put(skb, cb, dump, key))
			return false;
	}
	return true;
}

/* Read the next chunk. Sleeps. */
static int dump_read(struct sock_dump *dump)
{
	struct sock_walk *walk = &dump->walk;
	int err;

	dump->at = 0;
	walk->disturbed = false;
	err = rmap_sock_walk_read(walk);
	dump->disturbances += walk->disturbed;
	dump->ended = err == -ENOENT;
	if (dump->ended)
		return 0;
	return err ?: rmap_sock_walk_pause(walk);
}

static int dump_fill(struct sk_buff *skb, struct netlink_callback *cb,
		     struct sock_dump *dump)
{
	int err;

	while (dump_chunk(skb, cb, dump)) {
		dump_look_for_updates(dump);
		cb->seq = dump_generation(dump);
		if (dump->ended)
			return skb->len;
		err = dump_read(dump);
		if (err)
			return err;
	}
	return rmap_nl_dump_result(skb, true);
}

static int dump_part(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct sock_dump *dump = dump_of(cb);
	bool first = !dump->serial;
	int err;

	if (first) {
		err = dump_find(cb, dump, sock_net(skb->sk));
		if (err)
			return err;
	}
	/* Core calls once more after the last part. */
	if (dump->ended && dump->at == dump->walk.n)
		return 0;
	dump->walk.map = dump_hold(dump);
	if (!dump->walk.map) {
		/* Sets NLM_F_DUMP_INTR in the last message. */
		cb->prev_seq = 1;
		cb->seq = 2;
		return 0;
	}
	if (first) {
		err = rmap_sock_walk_alloc(&dump->walk, GFP_KERNEL_ACCOUNT);
		if (err)
			goto put_map;
		cb->seq = dump_generation(dump);
		cb->prev_seq = cb->seq;
		dump_look_for_updates(dump);
	}
	err = dump_fill(skb, cb, dump);
put_map:
	bpf_map_put(dump->walk.map);
	return err;
}

const struct genl_ops rmap_sock_dump_requests[] = {
	{
		.cmd = REDIRMAP_CMD_SOCKET_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = socket_policy,
		.maxattr = REDIRMAP_A_SOCKET_ALL_NETNS,
		.start = dump_start,
		.dumpit = dump_part,
		.done = dump_done,
	},
	{}
};
