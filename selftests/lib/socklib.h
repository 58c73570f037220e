/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of socket maps: maps, connected sockets, and the programs
 * of sock.bpf.c.
 */
#ifndef REDIRMAP_SOCKLIB_H
#define REDIRMAP_SOCKLIB_H

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "harness.h"
#include "kinds.h"
#include "testlib.h"

/* As in sock.bpf.c. */
#define SOCK_ENTRIES 8

/* References to the module without a map of the test. */
static int base_refs;

/* For main(): a network namespace with lo; 0, or the exit status. */
static inline int sock_setup(void)
{
	if (!can_test())
		return KSFT_SKIP;
	base_refs = module_refs();
	if (unshare(CLONE_NEWNET) || !sh("ip link set lo up")) {
		printf("1..0 # SKIP no network namespaces\n");
		return KSFT_SKIP;
	}
	return 0;
}

/* An empty socket map; an fd or -errno. */
static inline int sock_map(bool claimed, enum bpf_map_type type, __u32 value_size,
			   __u32 entries)
{
	int fd = bpf_map_create(type, claimed ? "rm_sock" : "st_sock", 4, value_size, entries,
				NULL);

	return fd < 0 ? -errno : fd;
}

static inline __u32 sock_map_id(int map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(map, &info, &len) ? 0 : info.id;
}

/* 0 or -errno, as all functions below. */
static inline int sock_put(int map, __u32 key, int fd, __u64 flags)
{
	__u64 value = fd;

	return bpf_map_update_elem(map, &key, &value, flags) ? -errno : 0;
}

static inline int sock_del(int map, __u32 key)
{
	return bpf_map_delete_elem(map, &key) ? -errno : 0;
}

static inline int sock_get(int map, __u32 key, __u64 *cookie)
{
	return bpf_map_lookup_elem(map, &key, cookie) ? -errno : 0;
}

static inline __u64 sock_cookie(int fd)
{
	socklen_t len = sizeof(__u64);
	__u64 cookie = 0;

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

/* Is the socket at the key this one? */
static inline bool sock_is_at(int map, __u32 key, int fd)
{
	__u64 cookie;

	return !sock_get(map, key, &cookie) && cookie == sock_cookie(fd);
}

/* No receive of a test waits for ever. */
static inline int sock_limit(int fd)
{
	struct timeval limit = { .tv_sec = 60 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline socklen_t sock_loopback(int family, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	struct sockaddr_in *four = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = family;
	if (family == AF_INET6) {
		six->sin6_addr = in6addr_loopback;
		return sizeof(*six);
	}
	four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*four);
}

/* The addresses of a packet that the socket would receive. */
static inline void sock_tuple(int fd, struct bpf_sock_tuple *tuple)
{
	struct sockaddr_storage here, there;
	struct sockaddr_in6 *here6 = (struct sockaddr_in6 *)&here;
	struct sockaddr_in6 *there6 = (struct sockaddr_in6 *)&there;
	struct sockaddr_in *here4 = (struct sockaddr_in *)&here;
	struct sockaddr_in *there4 = (struct sockaddr_in *)&there;
	socklen_t len = sizeof(here);

	getsockname(fd, (struct sockaddr *)&here, &len);
	len = sizeof(there);
	if (getpeername(fd, (struct sockaddr *)&there, &len)) {
		sock_loopback(here.ss_family, &there);
		/* In both families, this is the place of the port. */
		there4->sin_port = htons(9);
	}
	memset(tuple, 0, sizeof(*tuple));
	if (here.ss_family == AF_INET6) {
		memcpy(tuple->ipv6.saddr, &there6->sin6_addr, sizeof(tuple->ipv6.saddr));
		memcpy(tuple->ipv6.daddr, &here6->sin6_addr, sizeof(tuple->ipv6.daddr));
		tuple->ipv6.sport = there6->sin6_port;
		tuple->ipv6.dport = here6->sin6_port;
	} else {
		tuple->ipv4.saddr = there4->sin_addr.s_addr;
		tuple->ipv4.daddr = here4->sin_addr.s_addr;
		tuple->ipv4.sport = there4->sin_port;
		tuple->ipv4.dport = here4->sin_port;
	}
}

/* A socket that listens, or, of another type, has an address. */
static inline int sock_server(int family, int type)
{
	struct sockaddr_storage at;
	socklen_t len = sock_loopback(family, &at);
	int fd = socket(family, type, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&at, len) ||
	    (type == SOCK_STREAM && listen(fd, 8))) {
		close(fd);
		return -errno;
	}
	return fd;
}

static inline int sock_connect(int fd, int server)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);

	return getsockname(server, (struct sockaddr *)&at, &len) ||
	       connect(fd, (struct sockaddr *)&at, len) ? -errno : 0;
}

/* A connection with a listener, which is closed. */
static inline int tcp_pair_with(int server, int family, int fds[2])
{
	int err, one = 1;

	if (server < 0)
		return server;
	fds[0] = sock_limit(socket(family, SOCK_STREAM, 0));
	err = sock_connect(fds[0], server);
	fds[1] = err ? -1 : sock_limit(accept(server, NULL, NULL));
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(server);
	return err ?: fds[1] < 0 ? -EIO : 0;
}

static inline int tcp_pair(int family, int fds[2])
{
	return tcp_pair_with(sock_server(family, SOCK_STREAM), family, fds);
}

static inline int udp_pair(int family, int fds[2])
{
	fds[1] = sock_limit(sock_server(family, SOCK_DGRAM));
	if (fds[1] < 0)
		return fds[1];
	fds[0] = sock_limit(sock_server(family, SOCK_DGRAM));
	return sock_connect(fds[0], fds[1]) ?: sock_connect(fds[1], fds[0]);
}

static inline int unix_pair(int fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -errno;
	sock_limit(fds[0]);
	sock_limit(fds[1]);
	return 0;
}

/* Within this machine; needs vsock_loopback. */
static inline int vsock_pair(int fds[2])
{
	struct sockaddr_vm at = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
		.svm_port = VMADDR_PORT_ANY,
	};
	int server = socket(AF_VSOCK, SOCK_STREAM, 0), err;

	fds[0] = -1;
	fds[1] = -1;
	if (server < 0)
		return -errno;
	if (bind(server, (struct sockaddr *)&at, sizeof(at)) || listen(server, 1)) {
		err = -errno;
	} else {
		fds[0] = sock_limit(socket(AF_VSOCK, SOCK_STREAM, 0));
		err = sock_connect(fds[0], server);
	}
	if (!err)
		fds[1] = sock_limit(accept(server, NULL, NULL));
	close(server);
	return err;
}

static inline void close_pair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* The sockets of this network namespace that are not freed. */
static inline int sockets_used(void)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	int n = -1;

	if (!f || fscanf(f, "sockets: used %d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* Work items free sockets, some time after the last close. */
static inline bool sockets_become(int most)
{
	int i, n = 0;

	for (i = 0; i < 60000; i++) {
		n = sockets_used();
		if (n >= 0 && n <= most)
			return true;
		usleep(1000);
	}
	printf("# %d sockets, not %d\n", n, most);
	return false;
}

/* Waits until a socket that is in no map has received so many bytes. */
static inline bool queued_become(int fd, int bytes)
{
	int i, queued = 0;

	for (i = 0; i < 60000 && queued != bytes; i++) {
		if (ioctl(fd, FIONREAD, &queued))
			return false;
		if (queued != bytes)
			usleep(1000);
	}
	return queued == bytes;
}

/* Sends bytes to a socket that is in no map, and waits until they are there. */
static inline bool send_early(int pair[2], const char *text)
{
	int len = strlen(text);

	return send(pair[0], text, len, 0) == len && queued_become(pair[1], len);
}

/* Waits until the peer of a TCP socket has acknowledged all bytes. */
static inline bool acknowledged(int fd)
{
	int i, n = 1;

	for (i = 0; i < 60000; i++) {
		if (ioctl(fd, SIOCOUTQ, &n))
			return false;
		if (!n)
			return true;
		usleep(1000);
	}
	return false;
}

static inline bool send_text(int fd, const char *text)
{
	return send(fd, text, strlen(text), 0) == (ssize_t)strlen(text);
}

/* Are these the next bytes, and are there no further bytes yet? */
static inline bool gets(int fd, const char *text)
{
	size_t len = strlen(text), got = 0;
	char buffer[64];
	ssize_t n;
	int i;

	for (i = 0; i < 60000 && got < len; i++) {
		n = recv(fd, buffer + got, len - got, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0)
			got += n;
		else
			usleep(1000);
	}
	return got == len && !memcmp(buffer, text, len) &&
	       recv(fd, buffer, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
}

/* As in sock.bpf.c. */
#define SOCK_SIZES 8

struct sock_vars {
	__u32 key;
	__u32 port;
	__u64 flags;
	__u64 calls;
	__u64 passed;
	__s64 result;
	__u64 always;
	__u32 other;
	__u32 apply;
	__u32 cork;
	__u32 parsed;
	__u32 sizes[SOCK_SIZES];
};

static inline int sock_vars_fd(struct bpf_object *obj)
{
	return bpf_map__fd(bpf_object__find_map_by_name(obj, ".bss"));
}

/* Sets all variables, and so resets the counts. */
static inline bool sock_set(struct bpf_object *obj, struct sock_vars vars)
{
	__u32 zero = 0;

	return !bpf_map_update_elem(sock_vars_fd(obj), &zero, &vars, 0);
}

static inline struct sock_vars sock_vars(struct bpf_object *obj)
{
	struct sock_vars vars = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(sock_vars_fd(obj), &zero, &vars);
	return vars;
}

/* Waits until the programs have seen so many redirects. */
static inline bool sock_calls_become(struct bpf_object *obj, __u64 calls)
{
	int i;

	for (i = 0; i < 60000 && sock_vars(obj).calls != calls; i++)
		usleep(1000);
	return sock_vars(obj).calls == calls;
}

/*
 * Programs over an array and a hash of a test, and over a third map, if @from
 * is not negative; NULL if they cannot be loaded.
 */
static inline struct bpf_object *sock_load_file(const char *file, int array, int hash, int from)
{
	struct bpf_object *obj = bpf_object__open(beside(file));

	if (!obj)
		return NULL;
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "socks"), array) ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "hash"), hash) ||
	    (from >= 0 &&
	     bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "from"), from)) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

/* sock.bpf.c over maps of a test; NULL if it cannot be loaded. */
static inline struct bpf_object *sock_load(int array, int hash, int from)
{
	return sock_load_file("sock.bpf.o", array, hash, from);
}

/* The maps of sock.bpf.c. */
struct sock_maps {
	int array, hash, from;
};

/* Makes the maps, and loads sock.bpf.c over them; NULL if that fails. */
static inline struct bpf_object *sock_load_new(struct sock_maps *maps, bool claimed)
{
	maps->array = sock_map(claimed, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	maps->hash = sock_map(claimed, BPF_MAP_TYPE_SOCKHASH, 8, SOCK_ENTRIES);
	maps->from = sock_map(claimed, BPF_MAP_TYPE_SOCKMAP, 8, SOCK_ENTRIES);
	return sock_load(maps->array, maps->hash, maps->from);
}

/* Closes the object and the maps, if they are still open. */
static inline void sock_unload(struct bpf_object **obj, struct sock_maps *maps)
{
	bpf_object__close(*obj);
	*obj = NULL;
	close(maps->array);
	close(maps->hash);
	close(maps->from);
	*maps = (struct sock_maps){ -1, -1, -1 };
}

static inline int sock_prog(struct bpf_object *obj, const char *name, bool hash)
{
	char full[32];

	snprintf(full, sizeof(full), "%s_%s", name, hash ? "hash" : "array");
	return bpf_program__fd(bpf_object__find_program_by_name(obj, full));
}

/*
 * Runs a program of type sk_lookup once; its result, or -ENODATA if it has not
 * run.
 */
static inline int sock_run(struct bpf_object *obj, const char *name, bool hash,
			    __u32 key, __u64 flags)
{
	struct sock_vars vars = { .key = key, .flags = flags, .result = -ENODATA };
	struct bpf_sk_lookup ctx = { .family = AF_INET };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));

	if (!sock_set(obj, vars) ||
	    bpf_prog_test_run_opts(sock_prog(obj, name, hash), &opts))
		return -ENODATA;
	/* Before 6.4, operations return an int; its upper half is zeroes. */
	return (int)sock_vars(obj).result;
}

#endif /* REDIRMAP_SOCKLIB_H */
