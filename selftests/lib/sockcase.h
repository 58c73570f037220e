/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A case of sock_regressions_*.c: stock or claimed maps, the programs of
 * sock.bpf.c, and two TCP connections. Its end finds sockets that were not
 * freed, and references to the module that were not dropped.
 */
#ifndef REDIRMAP_SOCKCASE_H
#define REDIRMAP_SOCKCASE_H

#include <poll.h>
#include <sys/utsname.h>

#include "genlib.h"
#include "socklib.h"

/* Keys of the socket with programs, of two targets, and of no socket. */
#define SOURCE 1
#define TARGET 2
#define OTHER 3
#define NOBODY 7

struct sock_case {
	struct sock_maps maps;
	int map;	/* that of the variant */
	int plain;	/* of the other type, without programs */
	bool is_hash, claimed;
	struct bpf_object *obj;
	int sockets;	/* in the network namespace, before the case */
	/* A program runs for source[0] (sk_msg) or for source[1] (sk_skb). */
	int source[2];
	int target[2];	/* the target of redirects, and its peer */
};

/*
 * Has this kernel a correction, which the stable kernels 6.1 and 6.12 got in
 * these patch levels? Tests that may crash a kernel without it are skipped
 * there. Debian's 6.1 has its patch level only in the text of the version.
 */
static inline bool kernel_mended(unsigned int patch_6_1, unsigned int patch_6_12)
{
	unsigned int major, minor, patch;
	struct utsname name;
	const char *debian;

	uname(&name);
	debian = strstr(name.version, "Debian ");
	if (sscanf(debian ? debian + strlen("Debian ") : name.release, "%u.%u.%u", &major,
		   &minor, &patch) != 3)
		return false;
	if (major == 6 && minor == 1)
		return patch >= patch_6_1;
	if (major == 6 && minor == 12)
		return patch >= patch_6_12;
	return major > 6;
}

static inline bool case_begin(struct sock_case *c, const struct kind *kind)
{
	memset(c, 0, sizeof(*c));
	c->sockets = sockets_used();
	c->claimed = kind->claimed;
	c->is_hash = kind->type == BPF_MAP_TYPE_SOCKHASH;
	if (!module_refs_become(base_refs))
		return false;
	c->obj = sock_load_new(&c->maps, c->claimed);
	c->map = c->is_hash ? c->maps.hash : c->maps.array;
	c->plain = c->is_hash ? c->maps.array : c->maps.hash;
	return c->obj && is_claimed(c->map) == c->claimed && !tcp_pair(AF_INET, c->source) &&
	       !tcp_pair(AF_INET6, c->target);
}

static inline bool case_end(struct sock_case *c)
{
	close_pair(c->source);
	close_pair(c->target);
	sock_unload(&c->obj, &c->maps);
	return sockets_become(c->sockets) && module_refs_become(base_refs);
}

/*
 * Closes a descriptor, and forgets it, so that the end of the case does not
 * close another file.
 */
static inline void case_close(int *fd)
{
	close(*fd);
	*fd = -1;
}

/* Attaches a program of sock.bpf.c to the map; 0 or -errno. */
static inline int case_attach(struct sock_case *c, const char *name, enum bpf_attach_type type)
{
	int prog = type == BPF_SK_SKB_STREAM_PARSER ?
		bpf_program__fd(bpf_object__find_program_by_name(c->obj, name)) :
		sock_prog(c->obj, name, c->is_hash);

	return bpf_prog_attach(prog, c->map, type, 0) ? -errno : 0;
}

static inline int case_detach(struct sock_case *c, const char *name, enum bpf_attach_type type)
{
	return bpf_prog_detach2(sock_prog(c->obj, name, c->is_hash), c->map, type) ? -errno : 0;
}

/*
 * Only the socket at SOURCE gets the program: it is inserted while the program
 * is attached, and TARGET is inserted without it.
 */
static inline bool case_redirects(struct sock_case *c, const char *name,
				  enum bpf_attach_type type, int source, int target,
				  struct sock_vars vars)
{
	return !case_attach(c, name, type) && !sock_put(c->map, SOURCE, source, BPF_ANY) &&
	       !case_detach(c, name, type) && !sock_put(c->map, TARGET, target, BPF_ANY) &&
	       sock_set(c->obj, vars);
}

/*
 * The redirects of a claimed map, by helper and direction, and the refused
 * ones, are exactly these; true for a stock map.
 */
static inline bool case_counted(struct sock_case *c, struct sock_counts want)
{
	struct sock_counts has = {};

	if (!c->claimed)
		return true;
	if (!sock_counts(sock_map_id(c->map), &has) && has.msg_egress == want.msg_egress &&
	    has.msg_ingress == want.msg_ingress && has.skb_egress == want.skb_egress &&
	    has.skb_ingress == want.skb_ingress && has.refused == want.refused)
		return true;
	printf("# msg %llu, %llu; skb %llu, %llu; refused %llu\n", has.msg_egress, has.msg_ingress,
	       has.skb_egress, has.skb_ingress, has.refused);
	return false;
}

/* Waits until the socket has so many bytes, or a message, for its owner. */
static inline bool readable(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLIN };

	return poll(&event, 1, 60000) == 1 && event.revents & POLLIN;
}

/* Waits until a socket has no room for more bytes. */
static inline bool becomes_full(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLOUT };
	int i;

	for (i = 0; i < 60000; i++) {
		if (!poll(&event, 1, 0))
			return true;
		usleep(1000);
	}
	return false;
}

#endif /* REDIRMAP_SOCKCASE_H */
