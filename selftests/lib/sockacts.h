/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The actions of sock_races.c: what tasks do to a socket map, to its sockets
 * and to its programs at the same time.
 *
 * An action consists of calls. The result of each call is passed to note(),
 * which looks it up in the table of sockerrs.h.
 */
#ifndef REDIRMAP_SOCKACTS_H
#define REDIRMAP_SOCKACTS_H

#include <sys/syscall.h>

#include "genlib.h"
#include "netlib.h"
#include "socklib.h"

/* As in sock_races.bpf.c: the keys that tasks use, and a socket for each. */
#define KEYS 4

/* As in sock_races.bpf.c. */
struct calls {
	__u64 all;
	__u64 accepted;
};

/* The actions: see actions[]. */
enum action {
	INSERT, DELETE, REPLACE, SECOND, CLOSE, SHUT, FREE, ATTACH, LINK, LOOKUP, WALK, ITERATE,
	MSG, SKB, BUPDATE, BDELETE, BLOOKUP, BTAKE, DUMP, RMMOD, NR_ACTIONS,
};

#define BIT(action) (1U << (action))
/* Actions that only claimed maps support. */
#define CLAIMED_ONLY (BIT(BUPDATE) | BIT(BDELETE) | BIT(BLOOKUP) | BIT(BTAKE) | BIT(DUMP) | \
		      BIT(RMMOD))

/* Groups of actions. */
#define ENDS (BIT(CLOSE) | BIT(SHUT))
#define PROGRAMS (BIT(ATTACH) | BIT(LINK) | BIT(MSG) | BIT(SKB))
/* A socket without a map loses its psock, also after a failed insert. */
#define LEAVES (BIT(INSERT) | BIT(DELETE) | BIT(REPLACE) | BIT(SECOND) | BIT(CLOSE) | \
		BIT(FREE) | BIT(BUPDATE) | BIT(BDELETE) | BIT(BTAKE))

/* The calls of the actions. */
enum syscall {
	C_INSERT, C_INSERT_NEW, C_REPLACE, C_DELETE, C_ASIDE, C_DELETE_ASIDE, C_OPEN, C_SHUTDOWN,
	C_CREATE, C_INSERT_OWN, C_ATTACH, C_DETACH, C_LINK, C_LOOKUP, C_NEXT, C_ITERATE, C_SEND,
	C_RECV,
	/* Of claimed maps only. */
	C_UPDATE_BATCH, C_DELETE_BATCH, C_LOOKUP_BATCH, C_TAKE_BATCH, C_DUMP, C_RMMOD, NR_CALLS,
};

static const char *const call_names[] = {
	[C_INSERT] = "insert",
	[C_INSERT_NEW] = "insert with BPF_NOEXIST",
	[C_REPLACE] = "insert with BPF_EXIST",
	[C_DELETE] = "delete",
	[C_ASIDE] = "insert into the second map",
	[C_DELETE_ASIDE] = "delete from the second map",
	[C_OPEN] = "new sockets",
	[C_SHUTDOWN] = "shutdown",
	[C_CREATE] = "creation of a map",
	[C_INSERT_OWN] = "insert into a map of its own",
	[C_ATTACH] = "attach",
	[C_DETACH] = "detach",
	[C_LINK] = "link",
	[C_LOOKUP] = "lookup",
	[C_NEXT] = "get_next_key",
	[C_ITERATE] = "iterator",
	[C_SEND] = "send",
	[C_RECV] = "recv",
	[C_UPDATE_BATCH] = "update in a batch",
	[C_DELETE_BATCH] = "delete in a batch",
	[C_LOOKUP_BATCH] = "lookup in a batch",
	[C_TAKE_BATCH] = "lookup and delete in a batch",
	[C_DUMP] = "dump",
	[C_RMMOD] = "rmmod",
};

/* The families of the sockets. */
enum family { TCP, TCP6, UNIX, UDP };

/* What all tasks of a test share. */
struct world {
	const struct kind *kind;
	bool hash;
	struct bpf_object *obj;
	int map, second, iterator;
	int keep;		/* a map without programs: see must_keep() */
	int msg, skb, parser;
	__u32 id;
	bool links;
	int socks[KEYS];	/* in the map; a descriptor gets other sockets */
	int peers[KEYS];
	bool shut[KEYS];	/* needs a new socket before the next episode */
	pthread_mutex_t renewing[KEYS];
	__u32 slot[KEYS];	/* in the map "keep"; under renewing[] */
	int lasting;		/* sockets that stay in the map; -1 if unknown */
};

/* A task, and what it has done to the map. */
struct task {
	struct world *w;
	enum action action;
	__u32 pair;		/* BIT() of both actions */
	int cpu, netlink;
	__u64 dice;
	__u64 inserts, deletes, failed;
	__u64 results[NR_CALLS][2];	/* calls that failed, that succeeded */
	bool bad;
	enum syscall bad_call;
	int bad_err;
};

/* In sockerrs.h: may a call have this result in a race of these actions? */
static bool may(const struct task *t, enum syscall call, int err);

static void note(struct task *t, enum syscall call, int err)
{
	__atomic_add_fetch(&t->results[call][!err], 1, __ATOMIC_RELAXED);
	if (t->bad || may(t, call, err))
		return;
	t->bad = true;
	t->bad_call = call;
	t->bad_err = err;
}

static __u32 dice(struct task *t, __u32 faces)
{
	return rnd(&t->dice) % faces;
}

static __u32 some_key(struct task *t)
{
	return dice(t, KEYS);
}

static int some_sock(struct task *t)
{
	return t->w->socks[dice(t, KEYS)];
}

static int insert(struct task *t, enum syscall call, __u32 key, int fd, __u64 flags)
{
	int err = sock_put(t->w->map, key, fd, flags);

	t->inserts += !err;
	t->failed += !!err;
	note(t, call, err);
	return err;
}

static int delete(struct task *t, __u32 key)
{
	int err = sock_del(t->w->map, key);

	t->deletes += !err;
	note(t, C_DELETE, err);
	return err;
}

/* A new socket and its peer. */
static int open_pair(enum family family, int fds[2])
{
	switch (family) {
	case TCP:
		return tcp_pair(AF_INET, fds);
	case TCP6:
		return tcp_pair(AF_INET6, fds);
	case UNIX:
		return unix_pair(fds);
	default:
		return udp_pair(AF_INET, fds);
	}
}

/*
 * The descriptors of a socket and its peer get new sockets, and the former ones
 * are closed: by a reset, or in the order that TCP has for it.
 *
 * With @keep the socket is in one more map until it is closed: see must_keep().
 */
static int renew(struct task *t, __u32 key, bool keep)
{
	struct linger at_once = { .l_onoff = 1 };
	bool peer_first = dice(t, 2);
	struct world *w = t->w;
	int fds[2], err;

	err = open_pair(key, fds);
	if (err)
		return err;
	/* Two tasks at once would take the present socket out of @keep. */
	pthread_mutex_lock(&w->renewing[key]);
	if (keep) {
		w->slot[key] ^= 1;
		err = sock_put(w->keep, 2 * key + w->slot[key], fds[0], BPF_ANY);
	}
	if (dice(t, 4))
		setsockopt(w->socks[key], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (peer_first)
		dup2(fds[1], w->peers[key]);
	dup2(fds[0], w->socks[key]);
	if (!peer_first)
		dup2(fds[1], w->peers[key]);
	pthread_mutex_unlock(&w->renewing[key]);
	close_pair(fds);
	return err;
}

static void detach_all(struct world *w)
{
	bpf_prog_detach2(w->msg, w->map, BPF_SK_MSG_VERDICT);
	bpf_prog_detach2(w->skb, w->map, BPF_SK_SKB_STREAM_VERDICT);
	bpf_prog_detach2(w->parser, w->map, BPF_SK_SKB_STREAM_PARSER);
}

static void act_insert(struct task *t)
{
	if (dice(t, 2))
		insert(t, C_INSERT, some_key(t), some_sock(t), BPF_ANY);
	else
		insert(t, C_INSERT_NEW, some_key(t), some_sock(t), BPF_NOEXIST);
}

static void act_delete(struct task *t)
{
	delete(t, some_key(t));
}

static void act_replace(struct task *t)
{
	insert(t, C_REPLACE, some_key(t), some_sock(t), BPF_EXIST);
}

/* The second map has no program. */
static void act_second(struct task *t)
{
	if (dice(t, 2))
		note(t, C_ASIDE, sock_put(t->w->second, some_key(t), some_sock(t), BPF_ANY));
	else
		note(t, C_DELETE_ASIDE, sock_del(t->w->second, some_key(t)));
}

static void act_close(struct task *t)
{
	note(t, C_OPEN, renew(t, some_key(t), true));
}

static void act_shut(struct task *t)
{
	__u32 key = some_key(t);
	int fd = dice(t, 2) ? t->w->socks[key] : t->w->peers[key];

	t->w->shut[key] = true;
	note(t, C_SHUTDOWN, shutdown(fd, dice(t, 3)) ? -errno : 0);
}

/* A map of this task's own is freed with sockets in it. */
static void act_free(struct task *t)
{
	int map = sock_map(t->w->kind->claimed, t->w->kind->type, 8, KEYS);

	note(t, C_CREATE, map < 0 ? map : 0);
	if (map < 0)
		return;
	note(t, C_INSERT_OWN, sock_put(map, some_key(t), some_sock(t), BPF_ANY));
	note(t, C_INSERT_OWN, sock_put(map, some_key(t), some_sock(t), BPF_ANY));
	close(map);
}

/*
 * Without a parser: if the parser of a map is detached before its verdict
 * program, and then a socket leaves, the kernel does not stop the parser, and
 * warns in strp_done().
 */
static void act_attach(struct task *t)
{
	bool msg = dice(t, 2);
	enum bpf_attach_type type = msg ? BPF_SK_MSG_VERDICT : BPF_SK_SKB_STREAM_VERDICT;
	int prog = msg ? t->w->msg : t->w->skb;

	if (dice(t, 2))
		note(t, C_ATTACH, bpf_prog_attach(prog, t->w->map, type, 0) ? -errno : 0);
	else
		note(t, C_DETACH, bpf_prog_detach2(prog, t->w->map, type) ? -errno : 0);
}

static void act_link(struct task *t)
{
	bool msg = dice(t, 2);
	int link = bpf_link_create(msg ? t->w->msg : t->w->skb, t->w->map,
				   msg ? BPF_SK_MSG_VERDICT : BPF_SK_SKB_STREAM_VERDICT, NULL);

	note(t, C_LINK, link < 0 ? link : 0);
	if (link < 0)
		return;
	insert(t, C_INSERT, some_key(t), some_sock(t), BPF_ANY);
	close(link);
}

static void act_lookup(struct task *t)
{
	__u64 cookie = 0;
	int err = sock_get(t->w->map, some_key(t), &cookie);

	note(t, C_LOOKUP, !err && !cookie ? -ERANGE : err);
}

/*
 * A walk of a hash begins again when its key is deleted, so it need not end
 * while another task changes the map.
 */
static void act_walk(struct task *t)
{
	__u32 key, *prev = NULL, n;
	int err = 0;

	for (n = 0; n < 4 * SOCK_ENTRIES && !err; n++) {
		err = bpf_map_get_next_key(t->w->map, prev, &key) ? -errno : 0;
		if (!err && key >= (t->w->hash ? KEYS : SOCK_ENTRIES))
			err = -ERANGE;
		note(t, C_NEXT, err);
		prev = &key;
	}
}

static void act_iterate(struct task *t)
{
	int fd = bpf_iter_create(t->w->iterator), n;
	__u32 keys[16];

	n = fd < 0 ? fd : read(fd, keys, sizeof(keys));
	note(t, C_ITERATE, n < 0 ? -errno : n / sizeof(*keys) > SOCK_ENTRIES ? -ERANGE : 0);
	close(fd);
}

/*
 * May the socket at a key be read? Two faults of the kernel, in stock maps as
 * well (see Documentation/known_from_stock.rst): udp_bpf_recvmsg() loops for
 * ever if the psock stops while packets wait in its backlog; and if a TCP
 * socket leaves its maps with packets that its owner has not read, the next
 * read finds a gap in the stream, and warns.
 */
static bool may_read(const struct task *t, __u32 key)
{
	return key != UDP && (key == UNIX || !(t->pair & BIT(SKB)) ||
			      !(t->pair & (LEAVES | ENDS | BIT(ATTACH) | BIT(LINK))));
}

static void receive(struct task *t)
{
	__u32 key = some_key(t);
	char bytes[4096];
	int i, fd;

	for (i = !may_read(t, key); i < 2; i++) {
		fd = i ? t->w->peers[key] : t->w->socks[key];
		note(t, C_RECV, recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) < 0 ? -errno : 0);
	}
}

/* The program of the sender runs, or, with @to_map, that of the receiver. */
static void send_some(struct task *t, bool to_map)
{
	static const char bytes[700];
	__u32 key = some_key(t);
	int fd = to_map ? t->w->peers[key] : t->w->socks[key];

	note(t, C_SEND, send(fd, bytes, 1 + dice(t, sizeof(bytes)),
			     MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0);
	receive(t);
}

static void act_msg(struct task *t)
{
	send_some(t, false);
}

static void act_skb(struct task *t)
{
	send_some(t, true);
}

static void act_bupdate(struct task *t)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = dice(t, 3));
	__u32 keys[KEYS], count = KEYS, i;
	__u64 values[KEYS];
	int err;

	for (i = 0; i < KEYS; i++) {
		keys[i] = i;
		values[i] = some_sock(t);
	}
	err = bpf_map_update_batch(t->w->map, keys, values, &count, &opts);
	t->inserts += count;
	t->failed += !!err;
	note(t, C_UPDATE_BATCH, count > KEYS || !err != (count == KEYS) ? -ERANGE : err);
}

static void act_bdelete(struct task *t)
{
	__u32 keys[KEYS], first = some_key(t), count = KEYS, i;
	int err;

	for (i = 0; i < KEYS; i++)
		keys[i] = (first + i) % KEYS;
	err = bpf_map_delete_batch(t->w->map, keys, &count, NULL);
	t->deletes += count;
	note(t, C_DELETE_BATCH, count > KEYS || !err != (count == KEYS) ? -ERANGE : err);
}

/* One call returns a key once. */
static int read_batch(struct task *t, bool take, __u32 *count)
{
	__u32 keys[SOCK_ENTRIES] = {}, cursor, seen = 0, i;
	__u64 values[SOCK_ENTRIES] = {};
	int err;

	*count = SOCK_ENTRIES;
	err = take ? bpf_map_lookup_and_delete_batch(t->w->map, NULL, &cursor, keys, values,
						     count, NULL) :
	      bpf_map_lookup_batch(t->w->map, NULL, &cursor, keys, values, count, NULL);
	for (i = 0; i < *count && i < SOCK_ENTRIES; i++) {
		if (keys[i] >= KEYS || seen & BIT(keys[i]) || !values[i])
			return -ERANGE;
		seen |= BIT(keys[i]);
	}
	return err;
}

static void act_blookup(struct task *t)
{
	__u32 count;

	note(t, C_LOOKUP_BATCH, read_batch(t, false, &count));
}

static void act_btake(struct task *t)
{
	__u32 count;
	int err = read_batch(t, true, &count);

	t->deletes += count;
	note(t, C_TAKE_BATCH, err);
}

/* A dump that is not marked has each socket that stays in the map. */
static void act_dump(struct task *t)
{
	int n = genl_sock_dump(t->netlink, t->w->id), lasting = t->w->lasting;

	if (n == -EAGAIN)
		n = 0;
	else if (n > KEYS || (n >= 0 && lasting >= 0 && n != lasting))
		n = -ERANGE;
	note(t, C_DUMP, n < 0 ? n : 0);
}

static void act_rmmod(struct task *t)
{
	note(t, C_RMMOD, syscall(SYS_delete_module, "redirmap", O_NONBLOCK) ? -errno : 0);
}

/* Two names and a slash are the name of a task, of 15 characters. */
static const struct {
	const char *name;
	void (*act)(struct task *t);
} actions[] = {
	[INSERT] = { "insert", act_insert },
	[DELETE] = { "delete", act_delete },
	[REPLACE] = { "replace", act_replace },
	[SECOND] = { "second", act_second },
	[CLOSE] = { "close", act_close },
	[SHUT] = { "shut", act_shut },
	[FREE] = { "free", act_free },
	[ATTACH] = { "attach", act_attach },
	[LINK] = { "link", act_link },
	[LOOKUP] = { "lookup", act_lookup },
	[WALK] = { "walk", act_walk },
	[ITERATE] = { "iterate", act_iterate },
	[MSG] = { "msg", act_msg },
	[SKB] = { "skb", act_skb },
	[BUPDATE] = { "bupdate", act_bupdate },
	[BDELETE] = { "bdelete", act_bdelete },
	[BLOOKUP] = { "blookup", act_blookup },
	[BTAKE] = { "btake", act_btake },
	[DUMP] = { "dump", act_dump },
	[RMMOD] = { "rmmod", act_rmmod },
};

#endif /* REDIRMAP_SOCKACTS_H */
