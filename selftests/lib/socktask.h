/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tasks of sock_races.c, the sockets and maps that they share, and the
 * calls of which their actions (sockacts.h) consist. The result of each call is
 * passed to note(), which looks it up in the table of sockerrs.h.
 */
#ifndef REDIRMAP_SOCKTASK_H
#define REDIRMAP_SOCKTASK_H

#include <pthread.h>

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

/* The actions: see actions[] in sockacts.h. */
enum action {
	INSERT, PROG, DELETE, REPLACE, SECOND, CLOSE, SHUT, FREE, ATTACH, LINK, LOOKUP, WALK,
	ITERATE, MSG, SKB, BUPDATE, BDELETE, BLOOKUP, BTAKE, DUMP, RMMOD, NR_ACTIONS,
};

#define BIT(action) (1U << (action))
/*
 * A further bit of a pair, in every second episode: sockets have received bytes
 * before they are inserted, and claimed maps run their program on these.
 */
#define EARLY BIT(NR_ACTIONS)
/* Actions that only claimed maps support. */
#define CLAIMED_ONLY (BIT(BUPDATE) | BIT(BDELETE) | BIT(BLOOKUP) | BIT(BTAKE) | BIT(DUMP) | \
		      BIT(RMMOD))

/* Groups of actions. */
#define ENDS (BIT(CLOSE) | BIT(SHUT))
#define PROGRAMS (BIT(ATTACH) | BIT(LINK) | BIT(MSG) | BIT(SKB) | EARLY)
/* Packets may be redirected. */
#define PACKETS (BIT(SKB) | EARLY)
/* A socket without a map loses its psock, also after a failed insert. */
#define LEAVES (BIT(INSERT) | BIT(PROG) | BIT(DELETE) | BIT(REPLACE) | BIT(SECOND) | \
		BIT(CLOSE) | BIT(FREE) | BIT(BUPDATE) | BIT(BDELETE) | BIT(BTAKE))

/* Actions, and a state, that leave all entries in the map. */
#define STAYS (BIT(LOOKUP) | BIT(WALK) | BIT(ITERATE) | BIT(MSG) | BIT(SKB) | BIT(BLOOKUP) | \
	       BIT(DUMP) | BIT(RMMOD) | EARLY)

/* The calls of the actions. */
enum syscall {
	C_INSERT, C_INSERT_NEW, C_PROG, C_REPLACE, C_DELETE, C_ASIDE, C_DELETE_ASIDE, C_OPEN,
	C_SHUTDOWN, C_CREATE, C_INSERT_OWN, C_ATTACH, C_DETACH, C_LINK, C_LOOKUP, C_NEXT,
	C_ITERATE, C_SEND, C_RECV,
	/* Of claimed maps only. */
	C_UPDATE_BATCH, C_DELETE_BATCH, C_LOOKUP_BATCH, C_TAKE_BATCH, C_DUMP, C_RMMOD, NR_CALLS,
};

static const char *const call_names[] = {
	[C_INSERT] = "insert",
	[C_INSERT_NEW] = "insert with BPF_NOEXIST",
	[C_PROG] = "insert by a program",
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

/* As in sock_races.bpf.c: the families of the sockets. */
enum family { TCP, TCP6, UNIX, UDP };

/* As in sock_races.bpf.c: the program has found no socket to insert. */
#define NO_SOCKET 1

/* What all tasks of a test share. */
struct world {
	const struct kind *kind;
	bool hash;
	struct bpf_object *obj;
	int map, second, iterator;
	int keep;		/* a map without programs: see must_keep() */
	int msg, skb, parser, program;
	int addresses;		/* a map of the addresses of the sockets */
	__u32 id;
	bool links;
	int socks[KEYS];	/* in the map; a descriptor gets other sockets */
	int peers[KEYS];
	bool shut[KEYS];	/* needs a new socket before the next episode */
	pthread_mutex_t renewing[KEYS];
	__u32 slot[KEYS];	/* in the map "keep"; under renewing[] */
	int lasting;		/* sockets that stay in the map; -1 if unknown */
	__u32 filled;		/* keys at the beginning of the episode, as bits */
};

/* A task, and what it has done to the map. */
struct task {
	struct world *w;
	enum action action;
	__u32 pair;		/* BIT() of both actions, and EARLY */
	int cpu, netlink;
	__u64 dice;
	__u64 inserts, deletes, failed;
	__u32 taken[KEYS];	/* how often, in this episode: see act_btake() */
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

/* A program inserts a socket that it looks up: see sock_races.bpf.c. */
static int insert_by_program(struct task *t, __u32 sock, __u32 key, __u32 flags)
{
	struct __sk_buff ctx = { .cb = { sock, key, flags } };
	char frame[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .data_in = frame, .data_size_in = sizeof(frame));
	int err;

	err = bpf_prog_test_run_opts(t->w->program, &opts) ?: (int)opts.retval;
	if (err == NO_SOCKET)
		return err;
	t->inserts += !err;
	t->failed += !!err;
	note(t, C_PROG, err);
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

/* Lets the program find the socket. It does not look for Unix sockets. */
static int publish(struct world *w, __u32 key)
{
	struct bpf_sock_tuple tuple;

	if (key == UNIX)
		return 0;
	sock_tuple(w->socks[key], &tuple);
	return bpf_map_update_elem(w->addresses, &key, &tuple, BPF_ANY);
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
	/* Before any insert: socket maps have a FIONREAD of their own. */
	if (t->pair & EARLY && (!send_text(fds[1], "early") || !queued_become(fds[0], 5)))
		return -ETIME;
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
	err = err ?: publish(w, key);
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

#endif /* REDIRMAP_SOCKTASK_H */
