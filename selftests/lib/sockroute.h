/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by sock_integrity*: a stock or claimed map of any size, and routes
 * between sockets for the programs of sock_integrity.bpf.c. The end of a case
 * finds sockets, their memory, and references to the module that are left.
 */
#ifndef REDIRMAP_SOCKROUTE_H
#define REDIRMAP_SOCKROUTE_H

#include "sockcase.h"

/* As in sock_integrity.bpf.c. */
#define NO_ROUTE -1U
#define PUSH_MAX 64

struct route {
	__u32 msg_key, msg_flags;
	__u32 skb_key, skb_flags;
};

struct route_vars {
	__u64 msgs, skbs;
	__u64 refused;
	__u32 ends;
	__u32 cork;
	__u32 pull, pull_len;
	__u32 push, push_len;
	__u32 pop, pop_len;
	__s32 pulled, pushed, popped;
};

/* A line of /proc/net/sockstat, and the number of all sockets. */
struct tcp_state {
	int used;	/* in this network namespace */
	int alloc;	/* TCP sockets in all of them, also closed ones */
	long mem;	/* pages */
};

struct route_case {
	struct bpf_object *obj;
	int map;	/* that of the variant */
	int other;	/* of the other type, because the programs need both */
	int routes;
	bool claimed, is_hash;
	struct tcp_state before;
};

static inline bool tcp_read(struct tcp_state *state)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	char line[128];
	int found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		found += sscanf(line, "sockets: used %d", &state->used) == 1;
		found += sscanf(line, "TCP: inuse %*d orphan %*d tw %*d alloc %d mem %ld",
				&state->alloc, &state->mem) == 2;
	}
	if (f)
		fclose(f);
	return found == 2;
}

/*
 * Work items and timers free sockets after their last close. Each CPU keeps up
 * to 256 pages (SK_MEMORY_PCPU_RESERVE) for itself, before and after the case.
 */
static inline bool tcp_becomes(const struct tcp_state *before)
{
	long slack = 2 * 256 * sysconf(_SC_NPROCESSORS_CONF);
	struct tcp_state now = {};
	int i;

	for (i = 0; i < 60000; i++) {
		if (tcp_read(&now) && now.used <= before->used && now.alloc <= before->alloc &&
		    now.mem <= before->mem + slack)
			return true;
		usleep(1000);
	}
	printf("# %d sockets, not %d; TCP: %d sockets, not %d; %ld pages, not %ld\n", now.used,
	       before->used, now.alloc, before->alloc, now.mem, before->mem);
	return false;
}

static inline int route_prog(struct route_case *c, const char *name)
{
	return sock_prog(c->obj, name, c->is_hash);
}

/* Loads sock_integrity.bpf.c over a map with so many entries. */
static inline bool route_begin(struct route_case *c, const struct kind *kind, __u32 entries)
{
	int array, hash;

	memset(c, 0, sizeof(*c));
	c->claimed = kind->claimed;
	c->is_hash = kind->type == BPF_MAP_TYPE_SOCKHASH;
	if (!module_refs_become(base_refs) || !tcp_read(&c->before))
		return false;
	array = sock_map(c->claimed, BPF_MAP_TYPE_SOCKMAP, 8, entries);
	hash = sock_map(c->claimed, BPF_MAP_TYPE_SOCKHASH, 8, entries);
	c->map = c->is_hash ? hash : array;
	c->other = c->is_hash ? array : hash;
	c->obj = bpf_object__open(beside("sock_integrity.bpf.o"));
	if (!c->obj || is_claimed(c->map) != c->claimed ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(c->obj, "socks"), array) ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(c->obj, "hash"), hash) ||
	    bpf_object__load(c->obj))
		return false;
	c->routes = bpf_map__fd(bpf_object__find_map_by_name(c->obj, "routes"));
	return true;
}

static inline bool route_end(struct route_case *c)
{
	bpf_object__close(c->obj);
	close(c->map);
	close(c->other);
	return tcp_becomes(&c->before) && module_refs_become(base_refs);
}

/* Sockets that are inserted from now on run the program, or do not. */
static inline bool route_attach(struct route_case *c, const char *name)
{
	return !bpf_prog_attach(route_prog(c, name), c->map, *name == 'm' ?
				BPF_SK_MSG_VERDICT : BPF_SK_SKB_STREAM_VERDICT, 0);
}

static inline bool route_detach(struct route_case *c, const char *name)
{
	return !bpf_prog_detach2(route_prog(c, name), c->map, *name == 'm' ?
				 BPF_SK_MSG_VERDICT : BPF_SK_SKB_STREAM_VERDICT);
}

/* Sets all variables of the programs, and so resets their counts. */
static inline bool route_set(struct route_case *c, struct route_vars vars)
{
	__u32 zero = 0;

	return !bpf_map_update_elem(sock_vars_fd(c->obj), &zero, &vars, 0);
}

static inline struct route_vars route_vars(struct route_case *c)
{
	struct route_vars vars = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(sock_vars_fd(c->obj), &zero, &vars);
	return vars;
}

/* The port of a TCP socket, or of its peer; 0 if it has none. */
static inline __u32 tcp_port(int fd, bool peer)
{
	struct sockaddr_storage at = {};
	socklen_t len = sizeof(at);

	if (peer ? getpeername(fd, (struct sockaddr *)&at, &len) :
		   getsockname(fd, (struct sockaddr *)&at, &len))
		return 0;
	/* At the same place for IPv4 and IPv6. */
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

/* Where the data of a connected socket go. */
static inline bool route_add(struct route_case *c, int fd, struct route route)
{
	__u32 key = tcp_port(fd, false) << 16 | tcp_port(fd, true);

	return !bpf_map_update_elem(c->routes, &key, &route, BPF_ANY);
}

/* Messages that the socket sends go to the socket at a key. */
static inline bool route_msg(struct route_case *c, int fd, __u32 key, __u32 flags)
{
	return route_add(c, fd, (struct route){ key, flags, 0, NO_ROUTE });
}

/* So do packets that the socket receives. */
static inline bool route_skb(struct route_case *c, int fd, __u32 key, __u32 flags)
{
	return route_add(c, fd, (struct route){ 0, NO_ROUTE, key, flags });
}

/* A claimed map has counted what the programs have counted. */
static inline bool route_counted(struct route_case *c)
{
	struct route_vars vars = route_vars(c);
	struct sock_counts has = {};

	if (!c->claimed)
		return true;
	if (!sock_counts(sock_map_id(c->map), &has) &&
	    has.msg_egress + has.msg_ingress == vars.msgs &&
	    has.skb_egress + has.skb_ingress == vars.skbs && has.refused == vars.refused)
		return true;
	printf("# %llu messages, not %llu; %llu packets, not %llu; %llu refused, not %llu\n",
	       has.msg_egress + has.msg_ingress, vars.msgs, has.skb_egress + has.skb_ingress,
	       vars.skbs, has.refused, vars.refused);
	return false;
}

/* Are there no bytes, no end, and no error? */
static inline bool silent(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == -1 && errno == EAGAIN;
}

/*
 * The result of the next receive that finds anything: the number of bytes, 0
 * for the end, or -errno; -EAGAIN if nothing comes.
 */
static inline ssize_t receive(int fd, void *buffer, size_t len, int flags)
{
	ssize_t n;

	while (readable(fd)) {
		n = recv(fd, buffer, len, flags | MSG_DONTWAIT);
		if (n >= 0 || errno != EAGAIN)
			return n < 0 ? -errno : n;
	}
	return -EAGAIN;
}

#endif /* REDIRMAP_SOCKROUTE_H */
