// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every byte arrives once, and in order: through chains of three proxies, at
 * receivers that peek or wait for all bytes, and on many connections that use
 * one map. What changes messages is in sock_integrity_change, and how
 * connections end is in sock_integrity_ends.
 */
#include <sys/resource.h>

#include "sockroute.h"
#include "sockstream.h"

FIXTURE(integrity) {
	struct route_case c;
};

FIXTURE_VARIANT(integrity) {
	struct kind kind;
};

SOCK_KINDS(integrity);

#define MOST 1000	/* connections */

FIXTURE_SETUP(integrity)
{
	struct rlimit files = { 8192, 8192 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_TRUE(route_begin(&self->c, &variant->kind, 2 * MOST));
}

FIXTURE_TEARDOWN(integrity)
{
	EXPECT_TRUE(route_end(&self->c));
}

/* --- chains of three proxies ---------------------------------------------- */

#define PROXIES 3
#define CHAIN_BYTES (128 * 1024)

/* A connection to each proxy, and one to the receiver. */
struct chain {
	int fds[PROXIES + 1][2];
};

/* The sockets of proxy i; key 6 has the receiver, or no socket. */
#define KEY_IN(i) (2 * (i))
#define KEY_OUT(i) (2 * (i) + 1)
#define KEY_END (2 * PROXIES)

static bool chain_make(struct route_case *c, struct chain *chain)
{
	int i;

	for (i = 0; i <= PROXIES; i++)
		if (tcp_pair(AF_INET, chain->fds[i]))
			return false;
	if (!route_attach(c, "skb"))
		return false;
	for (i = 0; i < PROXIES; i++)
		if (sock_put(c->map, KEY_IN(i), chain->fds[i][1], BPF_NOEXIST) ||
		    sock_put(c->map, KEY_OUT(i), chain->fds[i + 1][0], BPF_NOEXIST) ||
		    !route_skb(c, chain->fds[i][1], KEY_OUT(i), 0) ||
		    !route_skb(c, chain->fds[i + 1][0], KEY_IN(i), 0))
			return false;
	return true;
}

static void chain_close(struct chain *chain)
{
	int i;

	for (i = 0; i <= PROXIES; i++)
		close_pair(chain->fds[i]);
}

/* Compares bytes, from a place in the stream on. */
static void compare(struct stream *stream, const __u8 *bytes, ssize_t n)
{
	ssize_t i;

	for (i = 0; i < n; i++)
		stream->wrong += bytes[i] != byte_at(stream->got + i, stream->number);
}

/* Looks at some bytes, and then reads some: often fewer, or more. */
static void *peek_stream(void *arg)
{
	static __thread __u8 buffer[65536];
	struct stream *stream = arg;
	__u64 state = stream->number + 200;
	ssize_t n;
	int peek;

	while (stream->got < stream->bytes) {
		for (peek = 1; peek >= 0; peek--) {
			n = receive(stream->to, buffer, 1 + rnd(&state) % sizeof(buffer),
				    peek ? MSG_PEEK : 0);
			if (n <= 0)
				return NULL;
			compare(stream, buffer, n);
		}
		stream->got += n;
	}
	return NULL;
}

/* Sends one stream, or one in each direction, and reads them. */
static void run_streams(struct __test_metadata *_metadata, struct stream *streams, int n)
{
	pthread_t threads[4];
	int i;

	for (i = 0; i < n; i++) {
		streams[i].number = i + 1;
		streams[i].bytes = longer(CHAIN_BYTES, 32 * CHAIN_BYTES);
		ASSERT_EQ(0, pthread_create(&threads[2 * i], NULL, write_stream, &streams[i]));
		ASSERT_EQ(0, pthread_create(&threads[2 * i + 1], NULL, peek_stream, &streams[i]));
	}
	for (i = 0; i < 2 * n; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(streams[i].bytes, streams[i].got);
		EXPECT_EQ(0, streams[i].wrong);
		EXPECT_TRUE(silent(streams[i].to));
	}
}

/* The packets are sent by each proxy, in both directions at once. */
TEST_F(integrity, chain_egress)
{
	struct stream streams[2] = {};
	struct chain chain;

	ASSERT_TRUE(chain_make(&self->c, &chain));
	streams[0].from = chain.fds[0][0];
	streams[0].to = chain.fds[PROXIES][1];
	streams[1].from = streams[0].to;
	streams[1].to = streams[0].from;
	run_streams(_metadata, streams, 2);
	EXPECT_LE(2 * PROXIES, route_vars(&self->c).skbs);
	EXPECT_EQ(0, route_vars(&self->c).refused);
	EXPECT_TRUE(route_counted(&self->c));
	chain_close(&chain);
}

/*
 * The last proxy puts the packets into the ingress queue of a socket of this
 * machine, which runs no program.
 */
TEST_F(integrity, chain_to_ingress)
{
	struct route_case *c = &self->c;
	struct stream stream = {};
	struct chain chain;

	ASSERT_TRUE(chain_make(c, &chain));
	ASSERT_TRUE(route_detach(c, "skb"));
	stream.from = chain.fds[0][0];
	stream.to = chain.fds[PROXIES][1];
	ASSERT_EQ(0, sock_put(c->map, KEY_END, stream.to, BPF_NOEXIST));
	ASSERT_TRUE(route_skb(c, chain.fds[PROXIES - 1][1], KEY_END, BPF_F_INGRESS));
	run_streams(_metadata, &stream, 1);
	EXPECT_TRUE(silent(chain.fds[PROXIES][0]));
	EXPECT_LE(PROXIES, route_vars(c).skbs);
	EXPECT_TRUE(route_counted(c));
	chain_close(&chain);
}

/*
 * The first proxy is within the sender: its messages are sent by the second
 * connection. The receiver runs the program as well, which has no route for it.
 */
TEST_F(integrity, chain_from_messages)
{
	struct route_case *c = &self->c;
	struct stream stream = {};
	struct chain chain;

	ASSERT_TRUE(chain_make(c, &chain));
	ASSERT_TRUE(route_attach(c, "msg"));
	stream.from = chain.fds[0][0];
	stream.to = chain.fds[PROXIES][1];
	ASSERT_EQ(0, sock_put(c->map, KEY_END + 1, stream.from, BPF_NOEXIST));
	ASSERT_EQ(0, sock_put(c->map, KEY_END, stream.to, BPF_NOEXIST));
	ASSERT_TRUE(route_msg(c, stream.from, KEY_OUT(0), 0));
	ASSERT_TRUE(route_skb(c, chain.fds[PROXIES - 1][1], KEY_END, BPF_F_INGRESS));
	run_streams(_metadata, &stream, 1);
	EXPECT_TRUE(silent(chain.fds[0][1]));
	EXPECT_LT(0, route_vars(c).msgs);
	EXPECT_LE(PROXIES - 1, route_vars(c).skbs);
	EXPECT_TRUE(route_counted(c));
	chain_close(&chain);
}

/* --- MSG_PEEK and MSG_WAITALL --------------------------------------------- */

struct receiver {
	int source[2], target[2];
};

/*
 * Messages of source[0] come to the ingress queue of target[0], which may run a
 * program for its own packets.
 */
static bool receiver_make(struct route_case *c, struct receiver *r, bool program)
{
	return !tcp_pair(AF_INET, r->source) && !tcp_pair(AF_INET6, r->target) &&
	       route_attach(c, "msg") && !sock_put(c->map, SOURCE, r->source[0], BPF_ANY) &&
	       route_detach(c, "msg") && (!program || route_attach(c, "skb")) &&
	       !sock_put(c->map, TARGET, r->target[0], BPF_ANY) &&
	       (!program || route_detach(c, "skb")) &&
	       route_msg(c, r->source[0], TARGET, BPF_F_INGRESS);
}

static void receiver_close(struct receiver *r)
{
	close_pair(r->source);
	close_pair(r->target);
}

/* Does one receive return these bytes? */
static bool receives(int fd, size_t len, int flags, const char *text)
{
	char buffer[64];

	return receive(fd, buffer, len, flags) == (ssize_t)strlen(text) &&
	       !memcmp(buffer, text, strlen(text));
}

/* A look at one or several messages, and at a message that is partly read. */
TEST_F(integrity, peek)
{
	struct receiver r;
	int program;

	for (program = 0; program < 2; program++) {
		ASSERT_TRUE(receiver_make(&self->c, &r, program));
		ASSERT_TRUE(send_text(r.source[0], "abc"));
		ASSERT_TRUE(send_text(r.source[0], "defgh"));
		ASSERT_TRUE(send_text(r.source[0], "ij"));
		EXPECT_TRUE(receives(r.target[0], 1, MSG_PEEK, "a"));
		EXPECT_TRUE(receives(r.target[0], 3, MSG_PEEK, "abc"));
		EXPECT_TRUE(receives(r.target[0], 5, MSG_PEEK, "abcde"));
		EXPECT_TRUE(receives(r.target[0], 64, MSG_PEEK, "abcdefghij"));
		EXPECT_TRUE(receives(r.target[0], 4, 0, "abcd"));
		EXPECT_TRUE(receives(r.target[0], 2, MSG_PEEK, "ef"));
		EXPECT_TRUE(receives(r.target[0], 64, MSG_PEEK, "efghij"));
		EXPECT_TRUE(receives(r.target[0], 64, MSG_PEEK | MSG_WAITALL, "efghij"));
		EXPECT_TRUE(receives(r.target[0], 4, 0, "efgh"));
		EXPECT_TRUE(receives(r.target[0], 64, 0, "ij"));
		EXPECT_TRUE(silent(r.target[0]));
		EXPECT_EQ(3, route_vars(&self->c).msgs);
		ASSERT_TRUE(route_set(&self->c, (struct route_vars){}));
		receiver_close(&r);
	}
}

#define HALF 10

struct waiter {
	int fd;
	char bytes[2 * HALF];
	ssize_t n;
};

static void *wait_for_all(void *arg)
{
	struct waiter *waiter = arg;

	waiter->n = recv(waiter->fd, waiter->bytes, sizeof(waiter->bytes), MSG_WAITALL);
	return NULL;
}

/* Waits until so many bytes of TCP's own have not been read. */
static bool unread_become(int fd, int want)
{
	int i, n = -1;

	for (i = 0; i < 20000 && n != want; i++) {
		if (ioctl(fd, SIOCINQ, &n))
			return false;
		usleep(1000);
	}
	return n == want;
}

/*
 * A receiver of its own bytes waits for all of them. The kernel does not wait
 * for more redirected bytes than those that are there.
 */
TEST_F(integrity, wait_for_all)
{
	struct route_case *c = &self->c;
	struct waiter waiter = {};
	struct receiver r;
	pthread_t thread;
	int program;

	for (program = 0; program < 2; program++) {
		ASSERT_TRUE(receiver_make(c, &r, program));
		ASSERT_TRUE(send_text(r.source[0], "0123456789"));
		ASSERT_TRUE(send_text(r.source[0], "abcdefghij"));
		waiter.fd = r.target[0];
		wait_for_all(&waiter);
		EXPECT_EQ(2 * HALF, waiter.n);
		EXPECT_EQ(0, memcmp(waiter.bytes, "0123456789abcdefghij", 2 * HALF));
		ASSERT_TRUE(send_text(r.source[0], "9876543210"));
		wait_for_all(&waiter);
		EXPECT_EQ(HALF, waiter.n);
		EXPECT_EQ(0, memcmp(waiter.bytes, "9876543210", HALF));
		EXPECT_TRUE(silent(r.target[0]));
		if (program)
			break;

		ASSERT_TRUE(send_early((int[]){ r.target[1], r.target[0] }, "klmnopqrst"));
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_all, &waiter));
		EXPECT_TRUE(unread_become(r.target[0], 0));
		ASSERT_TRUE(send_text(r.target[1], "uvwxyzABCD"));
		pthread_join(thread, NULL);
		EXPECT_EQ(2 * HALF, waiter.n);
		EXPECT_EQ(0, memcmp(waiter.bytes, "klmnopqrstuvwxyzABCD", 2 * HALF));
		receiver_close(&r);
	}
	receiver_close(&r);
}

/* --- many connections ----------------------------------------------------- */

#define ROUNDS 3
#define CHUNK 3000

/*
 * Every second connection has a proxy, which has two sockets in the map. The
 * messages of others come to the ingress queue of the other end at once.
 */
struct connection {
	int client[2];	/* to the server, or to the proxy */
	int server[2];	/* from the proxy; -1 if there is none */
	size_t sent[2], got[2];
};

static struct connection connections[MOST];

static bool has_proxy(int i)
{
	return i & 1;
}

static int end_of(const struct connection *con, bool server)
{
	if (!server)
		return con->client[0];
	return con->server[1] < 0 ? con->client[1] : con->server[1];
}

static bool connection_make(struct route_case *c, int i)
{
	struct connection *con = &connections[i];
	int *first = &con->client[has_proxy(i)], *second = &con->client[1];
	bool (*route)(struct route_case *c, int fd, __u32 key, __u32 flags);
	__u32 flags = has_proxy(i) ? 0 : BPF_F_INGRESS;

	memset(con, 0, sizeof(*con));
	con->server[0] = -1;
	con->server[1] = -1;
	if (tcp_pair(AF_INET, con->client))
		return false;
	if (has_proxy(i)) {
		if (tcp_pair(AF_INET, con->server))
			return false;
		second = &con->server[0];
	}
	route = has_proxy(i) ? route_skb : route_msg;
	return route(c, *first, 2 * i + 1, flags) && route(c, *second, 2 * i, flags) &&
	       !sock_put(c->map, 2 * i, *first, BPF_NOEXIST) &&
	       !sock_put(c->map, 2 * i + 1, *second, BPF_NOEXIST);
}

static void connection_close(struct connection *con)
{
	close_pair(con->client);
	if (con->server[0] >= 0)
		close_pair(con->server);
}

/* The stream of each end of each connection is another one. */
static __u8 many_byte(int i, bool server, size_t at)
{
	return byte_at(at + (2 * i + server) * 1000003UL, 0);
}

static bool connection_send(int i, bool server, size_t len)
{
	struct connection *con = &connections[i];
	__u8 bytes[CHUNK];
	size_t at;

	for (at = 0; at < len; at++)
		bytes[at] = many_byte(i, server, con->sent[server] + at);
	con->sent[server] += len;
	return send(end_of(con, server), bytes, len, 0) == (ssize_t)len;
}

/* Reads what the other end has sent, and compares it. */
static bool connection_read(int i, bool server)
{
	struct connection *con = &connections[i];
	size_t *got = &con->got[server];
	__u8 bytes[CHUNK];
	ssize_t n, at;

	while (*got < con->sent[!server]) {
		n = receive(end_of(con, server), bytes, sizeof(bytes), 0);
		if (n <= 0)
			return false;
		for (at = 0; at < n; at++)
			if (bytes[at] != many_byte(i, !server, *got + at))
				return false;
		*got += n;
	}
	return *got == con->sent[!server] && silent(end_of(con, server));
}

TEST_F(integrity, many_connections)
{
	struct route_case *c = &self->c;
	int i, round, end, n = longer(64, MOST);
	struct sock_counts counts = {};
	__u64 dice = 7;

	ASSERT_TRUE(route_attach(c, "msg"));
	ASSERT_TRUE(route_attach(c, "skb"));
	for (i = 0; i < n; i++)
		ASSERT_TRUE(connection_make(c, i));
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 2 * n; i++)
			ASSERT_TRUE(connection_send(i / 2, i % 2, 1 + rnd(&dice) % CHUNK));
		for (i = 0; i < n; i++) {
			for (end = 0; end < 2; end++) {
				ASSERT_TRUE(connection_read(i, end)) {
					TH_LOG("round %d, connection %d, end %d", round, i, end);
				}
			}
		}
	}
	EXPECT_EQ(ROUNDS * 2 * ((n + 1) / 2), route_vars(c).msgs);
	EXPECT_LE(2 * (n / 2), route_vars(c).skbs);
	EXPECT_EQ(0, route_vars(c).refused);
	EXPECT_TRUE(route_counted(c));
	for (i = 0; i < n; i++)
		connection_close(&connections[i]);
	if (c->claimed) {
		EXPECT_EQ(0, sock_counts(sock_map_id(c->map), &counts));
		EXPECT_EQ(2 * n, counts.inserts);
		EXPECT_EQ(0, counts.present);
	}
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
