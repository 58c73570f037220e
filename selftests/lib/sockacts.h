/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The actions of sock_races.c: what tasks do to a socket map, to its sockets
 * and to its programs at the same time. An action consists of calls: see
 * socktask.h.
 */
#ifndef REDIRMAP_SOCKACTS_H
#define REDIRMAP_SOCKACTS_H

#include <sys/syscall.h>

#include "socktask.h"

static void act_insert(struct task *t)
{
	if (dice(t, 2))
		insert(t, C_INSERT, some_key(t), some_sock(t), BPF_ANY);
	else
		insert(t, C_INSERT_NEW, some_key(t), some_sock(t), BPF_NOEXIST);
}

/*
 * In an episode with early data, mostly a socket that has left the map, and has
 * received bytes since.
 */
static void act_prog(struct task *t)
{
	__u32 sock = some_key(t), key = dice(t, 2) ? sock : some_key(t);
	struct world *w = t->w;

	if (t->pair & EARLY && dice(t, 4)) {
		delete(t, sock);
		note(t, C_SEND, send(w->peers[sock], "bytes", 1 + dice(t, 5),
				     MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0);
	}
	insert_by_program(t, sock, key, dice(t, 3));
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
	return key != UDP && (key == UNIX || !(t->pair & PACKETS) ||
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
		t->taken[keys[i]] += take;
	}
	return err;
}

static void act_blookup(struct task *t)
{
	__u32 count;

	note(t, C_LOOKUP_BATCH, read_batch(t, false, &count));
}

/* The test adds up what both tasks have taken. */
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
	[PROG] = { "prog", act_prog },
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
