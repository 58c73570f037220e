// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of socket maps: rows that redirect messages between TCP sockets of
 * this machine, and rows that insert and delete sockets, or load programs.
 *
 * The cost of a message is that of one send() and of the recv() calls that
 * return all of its bytes, with all work of the kernel in between. For sk_skb,
 * that includes a kworker, which this process waits for in recv(). Where a row
 * needs no map, "stock" and "claimed" are the same.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench.h"
#include "testlib.h"

#define SMALL 64
#define LARGE 65536
/* Entries of a map, and of a batch. */
#define SOCKETS 32
/* Instructions of the large program, and of each of its blocks. */
#define PROGRAM 100000
#define BLOCK 100

#define INSN(c, ...) ((struct bpf_insn){ .code = (c), __VA_ARGS__ })
#define MOV_REG(to, from)						\
	INSN(BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from))
#define MOV_IMM(to, value)						\
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (value))
#define LD_MAP(to, map)							\
	INSN(BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (to),		\
	     .src_reg = BPF_PSEUDO_MAP_FD, .imm = (map))

/* The ends of two connections: first to second, third to fourth. */
enum { FIRST, SECOND, THIRD, FOURTH, ENDS };

/**
 * struct path - the way of a message
 * @prog: the program that redirects it, or NULL
 * @type: the program's attach type
 * @source: the socket that has the program
 * @target: the socket at key 0
 * @end: the socket at which the message arrives
 * @hops: a task in between receives it from SECOND, and sends it on THIRD
 */
struct path {
	const char *prog;
	enum bpf_attach_type type;
	int source;
	int target;
	int end;
	bool hops;
};

struct path_ctx {
	int fds[ENDS];
	int first, end;
	bool hops;
	int size;
};

static char buffer[LARGE];

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		fail("setsockopt: %s", strerror(errno));
}

static void connect_pair(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int server = socket(AF_INET, SOCK_STREAM, 0), i;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server, (struct sockaddr *)&at, len) || listen(server, 1) ||
	    getsockname(server, (struct sockaddr *)&at, &len) ||
	    connect(fds[0], (struct sockaddr *)&at, len))
		fail("no connection: %s", strerror(errno));
	fds[1] = accept(server, NULL, NULL);
	if (fds[1] < 0)
		fail("accept: %s", strerror(errno));
	close(server);
	for (i = 0; i < 2; i++) {
		set_int(fds[i], IPPROTO_TCP, TCP_NODELAY, 1);
		/* One task sends and receives: a message has to fit. */
		set_int(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, 16 * LARGE);
		set_int(fds[i], SOL_SOCKET, SO_RCVBUFFORCE, 16 * LARGE);
	}
}

static void pass_on(int from, int to, int size)
{
	int got = 0, n;

	if (to >= 0 && send(to, buffer, size, 0) != size)
		fail("send: %s", strerror(errno));
	while (got < size) {
		n = recv(from, buffer, size - got, 0);
		if (n <= 0)
			fail("recv: %s", n ? strerror(errno) : "end");
		got += n;
	}
}

static __u64 run_path(void *ctx, __u32 n)
{
	struct path_ctx *c = ctx;
	__u64 start = begin();

	while (n--) {
		if (c->hops)
			pass_on(c->fds[SECOND], c->fds[FIRST], c->size);
		pass_on(c->end, c->first, c->size);
	}
	return end(start);
}

static int sock_map(enum kind kind, enum bpf_map_type type)
{
	return bench_map(kind, type, sizeof(__u64), SOCKETS);
}

static void put_sock(int map, __u32 key, int fd)
{
	__u64 value = fd;

	if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
		fail("cannot set key %u: %s", key, strerror(errno));
}

/* A socket gets the programs that the map has at that time. */
static void set_up_path(enum kind kind, const struct path *path,
			struct path_ctx *c)
{
	struct bpf_object *obj;
	int map;

	connect_pair(&c->fds[FIRST]);
	connect_pair(&c->fds[THIRD]);
	c->end = c->fds[path->end];
	c->first = c->fds[path->hops ? THIRD : FIRST];
	c->hops = path->hops;
	if (!path->prog)
		return;
	map = sock_map(kind, BPF_MAP_TYPE_SOCKMAP);
	obj = open_object("sockets.bpf.o", path->prog, NULL);
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "socks"), map))
		fail("the map cannot be used: %s", strerror(errno));
	load_progs(obj);
	put_sock(map, 0, c->fds[path->target]);
	if (bpf_prog_attach(prog_fd(obj, path->prog), map, path->type, 0))
		fail("attaching %s: %s", path->prog, strerror(errno));
	put_sock(map, 1, c->fds[path->source]);
}

static void measure_path(const struct row *row)
{
	static struct series small[NR_KINDS], large[NR_KINDS];
	static struct path_ctx ctx[NR_KINDS];
	__u32 many = opt.icount ? 512 : 8192;
	volatile enum kind kind;
	volatile int i;

	for (kind = STOCK; kind < NR_KINDS; kind++)
		if (try_kind(kind))
			set_up_path(kind, row->arg, &ctx[kind]);
	for (i = 0; i < opt.rounds; i++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			ctx[kind].size = SMALL;
			add(&small[kind], slope(run_path, &ctx[kind], many / 4, many));
			ctx[kind].size = LARGE;
			add(&large[kind], slope(run_path, &ctx[kind], many / 32, many / 8));
		}
	}
	report_kinds(row, "64", small);
	report_kinds(row, "65536", large);
}

/**
 * struct sock_change - an operation of bpf(2)
 * @type: type of the map
 * @batch: claimed maps: one call for SOCKETS entries
 */
struct sock_change {
	enum bpf_map_type type;
	bool batch;
};

struct sock_change_ctx {
	int map;
	bool batch;
	__u32 keys[SOCKETS];
	__u64 values[SOCKETS];
};

static void change_singly(struct sock_change_ctx *c)
{
	int i;

	for (i = 0; i < SOCKETS; i++)
		if (bpf_map_update_elem(c->map, &c->keys[i], &c->values[i], BPF_NOEXIST))
			fail("insert: %s", strerror(errno));
	for (i = 0; i < SOCKETS; i++)
		if (bpf_map_delete_elem(c->map, &c->keys[i]))
			fail("delete: %s", strerror(errno));
}

static void change_in_batches(struct sock_change_ctx *c)
{
	LIBBPF_OPTS(bpf_map_batch_opts, insert, .elem_flags = BPF_NOEXIST);
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 count = SOCKETS;

	if (bpf_map_update_batch(c->map, c->keys, c->values, &count, &insert))
		fail("batch of inserts: %s", strerror(errno));
	if (bpf_map_delete_batch(c->map, c->keys, &count, &opts))
		fail("batch of deletes: %s", strerror(errno));
}

/* N is a multiple of SOCKETS. */
static __u64 run_change(void *ctx, __u32 n)
{
	struct sock_change_ctx *c = ctx;
	__u64 start = begin();

	for (; n; n -= SOCKETS) {
		if (c->batch)
			change_in_batches(c);
		else
			change_singly(c);
	}
	return end(start);
}

static void measure_change(const struct row *row)
{
	static struct sock_change_ctx ctx[NR_KINDS];
	const struct sock_change *change = row->arg;
	__u32 many = SOCKETS * (opt.icount ? 128 : 1024);
	static struct series s[NR_KINDS];
	volatile enum kind kind;
	volatile int i;
	int pair[2], keeper, n;

	for (kind = STOCK; kind < NR_KINDS; kind++) {
		if (!try_kind(kind))
			continue;
		ctx[kind].map = sock_map(kind, change->type);
		ctx[kind].batch = change->batch && kind == CLAIMED;
		/*
		 * Each socket stays in another map. Otherwise an insert would
		 * allocate the socket's psock, and a work item would free it.
		 */
		keeper = sock_map(kind, BPF_MAP_TYPE_SOCKMAP);
		for (n = 0; n < SOCKETS; n++) {
			connect_pair(pair);
			ctx[kind].keys[n] = n;
			ctx[kind].values[n] = pair[0];
			put_sock(keeper, n, pair[0]);
		}
	}
	for (i = 0; i < opt.rounds; i++)
		for (kind = STOCK; kind < NR_KINDS; kind++)
			if (try_kind(kind))
				add(&s[kind], slope(run_change, &ctx[kind],
						    many / 4, many));
	report_kinds(row, "", s);
}

/*
 * A program of PROGRAM instructions. Each block redirects to a key, and has
 * instructions without an effect.
 */
static __u32 make_program(struct bpf_insn *insns, int map)
{
	__u32 n = 0;

	insns[n++] = MOV_REG(6, 1);
	while (n + BLOCK + 1 < PROGRAM) {
		struct bpf_insn *at = insns + n;
		int i = 0;

		at[i++] = MOV_REG(1, 6);
		at[i++] = LD_MAP(2, map);
		at[i++] = (struct bpf_insn){};
		at[i++] = MOV_IMM(3, 0);
		at[i++] = MOV_IMM(4, 0);
		at[i++] = INSN(BPF_JMP | BPF_CALL, .imm = BPF_FUNC_msg_redirect_map);
		while (i < BLOCK)
			at[i++] = MOV_IMM(7, n + i);
		n += i;
	}
	insns[n++] = MOV_IMM(0, SK_PASS);
	insns[n++] = INSN(BPF_JMP | BPF_EXIT);
	return n;
}

static void measure_load(const struct row *row)
{
	static struct bpf_insn insns[PROGRAM];
	static struct series s[NR_KINDS];
	volatile enum kind kind;
	int maps[NR_KINDS], prog;
	volatile int i;
	__u64 start;
	__u32 n;

	for (kind = STOCK; kind < NR_KINDS; kind++)
		if (try_kind(kind))
			maps[kind] = sock_map(kind, BPF_MAP_TYPE_SOCKMAP);
	for (i = 0; i < opt.rounds; i++) {
		for (kind = STOCK; kind < NR_KINDS; kind++) {
			if (!try_kind(kind))
				continue;
			n = make_program(insns, maps[kind]);
			start = begin();
			prog = bpf_prog_load(BPF_PROG_TYPE_SK_MSG, NULL, "GPL", insns, n, NULL);
			add(&s[kind], end(start));
			measured(1);
			if (prog < 0)
				fail("loading: %s", strerror(errno));
			close(prog);
			settle();
		}
	}
	report_kinds(row, "", s);
}

#define PATH(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = measure_path,					\
		.arg = &(const struct path){ __VA_ARGS__ },		\
	}

#define CHANGE(row_name, ...)						\
	{								\
		.name = row_name,					\
		.run = measure_change,					\
		.arg = &(const struct sock_change){ __VA_ARGS__ },	\
	}

#define MSG(name)							\
	.prog = name, .type = BPF_SK_MSG_VERDICT, .source = FIRST
#define SKB(name)							\
	.prog = name, .type = BPF_SK_SKB_STREAM_VERDICT, .source = SECOND
#define ARRAY .type = BPF_MAP_TYPE_SOCKMAP
#define HASH .type = BPF_MAP_TYPE_SOCKHASH

const struct row socket_rows[] = {
	PATH("sock-plain", .end = SECOND),
	PATH("sock-msg-ingress", MSG("msg_ingress"), .target = SECOND, .end = SECOND),
	PATH("sock-msg-egress", MSG("msg_egress"), .target = THIRD, .end = FOURTH),
	PATH("sock-skb-ingress", SKB("skb_ingress"), .target = THIRD, .end = THIRD),
	PATH("sock-skb-egress", SKB("skb_egress"), .target = THIRD, .end = FOURTH),
	PATH("sock-two-hops", .end = FOURTH, .hops = true),
	CHANGE("sock-change-array", ARRAY),
	CHANGE("sock-change-hash", HASH),
	CHANGE("sock-batch-array", ARRAY, .batch = true),
	CHANGE("sock-batch-hash", HASH, .batch = true),
	{ "sock-load", measure_load },
	{}
};
