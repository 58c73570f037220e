// SPDX-License-Identifier: GPL-2.0-only
/*
 * How connections end whose data are redirected: what receivers get after the
 * sender, or their own peer, has shut down, closed or reset its connection. The
 * kernel redirects bytes, and no ends: the owner of a proxy forwards them. The
 * same on stock and claimed maps.
 */
#include "sockroute.h"
#include "sockstream.h"

FIXTURE(ends) {
	struct route_case c;
	/* A proxy, or the sender's connection and the receiver's. */
	int source[2], target[2];
};

FIXTURE_VARIANT(ends) {
	struct kind kind;
};

SOCK_KINDS(ends);

FIXTURE_SETUP(ends)
{
	ASSERT_TRUE(route_begin(&self->c, &variant->kind, SOCK_ENTRIES));
	ASSERT_EQ(0, tcp_pair(AF_INET, self->source));
	ASSERT_EQ(0, tcp_pair(AF_INET6, self->target));
}

FIXTURE_TEARDOWN(ends)
{
	close_pair(self->source);
	close_pair(self->target);
	EXPECT_TRUE(route_end(&self->c));
}

enum end { SHUTDOWN, CLOSE, RESET, ENDS };

static void end_connection(int *fd, enum end end)
{
	struct linger reset = { .l_onoff = 1 };

	if (end == SHUTDOWN) {
		shutdown(*fd, SHUT_WR);
		return;
	}
	if (end == RESET)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	case_close(fd);
}

static bool connect_again(FIXTURE_DATA(ends) *self)
{
	close_pair(self->source);
	close_pair(self->target);
	return !tcp_pair(AF_INET, self->source) && !tcp_pair(AF_INET6, self->target);
}

/* The result of the next receive of one byte: 0 at the end, or -errno. */
static ssize_t next_of(int fd)
{
	char byte;

	return receive(fd, &byte, 1, 0);
}

/* Does one receive return these bytes? */
static bool receives(int fd, const char *text)
{
	char buffer[64];

	return receive(fd, buffer, sizeof(buffer), 0) == (ssize_t)strlen(text) &&
	       !memcmp(buffer, text, strlen(text));
}

/* Waits for the end of the peer, or its reset. */
static bool has_ended(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLRDHUP };

	return poll(&event, 1, 60000) == 1;
}

/* --- messages ------------------------------------------------------------- */

static bool redirect_messages(FIXTURE_DATA(ends) *self, bool program, __u32 flags)
{
	struct route_case *c = &self->c;

	return route_attach(c, "msg") && !sock_put(c->map, SOURCE, self->source[0], BPF_ANY) &&
	       route_detach(c, "msg") && (!program || route_attach(c, "skb")) &&
	       !sock_put(c->map, TARGET, self->target[0], BPF_ANY) &&
	       (!program || route_detach(c, "skb")) &&
	       route_msg(c, self->source[0], TARGET, flags);
}

/* The receiver keeps the bytes, and its own connection goes on. */
TEST_F(ends, message_sender)
{
	int end, flags;

	for (end = 0; end < ENDS; end++) {
		for (flags = 0; flags <= BPF_F_INGRESS; flags += BPF_F_INGRESS) {
			ASSERT_TRUE(redirect_messages(self, false, flags));
			ASSERT_TRUE(send_text(self->source[0], "redirected"));
			end_connection(&self->source[0], end);
			EXPECT_EQ(end == RESET ? -ECONNRESET : 0, next_of(self->source[1]));
			EXPECT_TRUE(gets(self->target[!flags], "redirected"));
			EXPECT_TRUE(send_text(self->target[1], "own"));
			EXPECT_TRUE(gets(self->target[0], "own"));
			EXPECT_TRUE(send_text(self->target[0], "back"));
			EXPECT_TRUE(gets(self->target[1], "back"));
			ASSERT_TRUE(connect_again(self));
		}
	}
	EXPECT_EQ(2 * ENDS, route_vars(&self->c).msgs);
	EXPECT_TRUE(route_counted(&self->c));
}

/*
 * The receiver's own peer ends. Redirected bytes come first, also those that
 * were redirected after the end, and then the end or the error. If the receiver
 * runs a program for packets, the end is a message of its ingress queue, which
 * the kernel never removes, so later bytes do not come.
 */
TEST_F(ends, message_receiver)
{
	int end, program;
	bool all;

	for (end = 0; end < ENDS; end++) {
		for (program = 0; program < 2; program++) {
			ASSERT_TRUE(redirect_messages(self, program, BPF_F_INGRESS));
			ASSERT_TRUE(send_text(self->source[0], "before"));
			end_connection(&self->target[1], end);
			ASSERT_TRUE(has_ended(self->target[0]));
			ASSERT_TRUE(send_text(self->source[0], "after"));
			all = !program || end == RESET;
			EXPECT_TRUE(receives(self->target[0], all ? "beforeafter" : "before"));
			if (end == RESET)
				EXPECT_EQ(-ECONNRESET, next_of(self->target[0]));
			EXPECT_EQ(0, next_of(self->target[0]));
			EXPECT_EQ(0, next_of(self->target[0]));
			/* The sender does not notice. */
			EXPECT_TRUE(silent(self->source[0]));
			EXPECT_TRUE(silent(self->source[1]));
			ASSERT_TRUE(connect_again(self));
		}
	}
	EXPECT_EQ(2 * 2 * ENDS, route_vars(&self->c).msgs);
	EXPECT_TRUE(route_counted(&self->c));
}

/* --- packets through a proxy ---------------------------------------------- */

#define BYTES (96 * 1024)

/* source[0] <-> source[1], target[0] <-> target[1] */
static bool make_proxy(FIXTURE_DATA(ends) *self)
{
	struct route_case *c = &self->c;

	return route_attach(c, "skb") && !sock_put(c->map, SOURCE, self->source[1], BPF_ANY) &&
	       !sock_put(c->map, TARGET, self->target[0], BPF_ANY) && route_detach(c, "skb") &&
	       route_skb(c, self->source[1], TARGET, 0) &&
	       route_skb(c, self->target[0], SOURCE, 0);
}

/* Reads until so many bytes have come, or there is another result. */
static ssize_t read_stream_to(struct stream *stream, size_t bytes)
{
	__u8 buffer[16384];
	ssize_t n, i;

	while (stream->got < bytes) {
		n = receive(stream->to, buffer, sizeof(buffer), 0);
		if (n <= 0)
			return n;
		for (i = 0; i < n; i++)
			stream->wrong += buffer[i] != byte_at(stream->got + i, stream->number);
		stream->got += n;
	}
	return stream->got;
}

static void *read_all(void *arg)
{
	struct stream *stream = arg;

	read_stream_to(stream, stream->bytes);
	return NULL;
}

/*
 * Sends a stream, and ends it, while a thread reads. Has each byte come, once
 * and in order?
 */
static bool sends_all(int *from, int to, enum end end)
{
	static __u8 number;
	struct stream stream = {
		.from = *from,
		.to = to,
		.number = ++number,
		.bytes = fewer(BYTES),
	};
	pthread_t thread;

	if (pthread_create(&thread, NULL, read_all, &stream))
		return false;
	write_stream(&stream);
	end_connection(from, end);
	pthread_join(thread, NULL);
	return stream.got == stream.bytes && !stream.wrong;
}

/* The client's end reaches the proxy only, whose owner forwards it. */
TEST_F(ends, proxy_half_close)
{
	ASSERT_TRUE(make_proxy(self));
	EXPECT_TRUE(sends_all(&self->source[0], self->target[1], SHUTDOWN));
	EXPECT_EQ(0, next_of(self->source[1]));
	EXPECT_TRUE(silent(self->target[1]));
	end_connection(&self->target[0], SHUTDOWN);
	EXPECT_EQ(0, next_of(self->target[1]));
	/* The other direction is still open. */
	EXPECT_TRUE(sends_all(&self->target[1], self->source[0], CLOSE));
	EXPECT_EQ(0, next_of(self->target[0]));
	EXPECT_TRUE(silent(self->source[0]));
	end_connection(&self->source[1], SHUTDOWN);
	EXPECT_EQ(0, next_of(self->source[0]));
	EXPECT_EQ(0, route_vars(&self->c).refused);
	EXPECT_TRUE(route_counted(&self->c));
}

/*
 * The client closes while its bytes are on their way: all of them arrive. A
 * reset discards bytes, so the first ones of the stream arrive.
 */
TEST_F(ends, proxy_client)
{
	struct stream stream;
	int end;

	for (end = CLOSE; end < ENDS; end++) {
		stream = (struct stream){
			.from = self->source[0],
			.to = self->target[1],
			.number = 3,
			.bytes = fewer(BYTES),
		};
		ASSERT_TRUE(make_proxy(self));
		write_stream(&stream);
		end_connection(&self->source[0], end);
		EXPECT_EQ(end == RESET ? -ECONNRESET : 0, next_of(self->source[1]));
		if (end == CLOSE)
			EXPECT_EQ(stream.bytes, read_stream_to(&stream, stream.bytes));
		/* The owner ends the other connection, too. */
		shutdown(self->target[0], SHUT_WR);
		EXPECT_EQ(0, read_stream_to(&stream, stream.bytes + 1));
		EXPECT_EQ(0, stream.wrong);
		ASSERT_TRUE(connect_again(self));
	}
	EXPECT_TRUE(route_counted(&self->c));
}

/*
 * The server resets: the proxy's owner sees that, and the client does not. Its
 * bytes are lost.
 */
TEST_F(ends, proxy_server)
{
	ASSERT_TRUE(make_proxy(self));
	ASSERT_TRUE(send_text(self->source[0], "arrives"));
	EXPECT_TRUE(gets(self->target[1], "arrives"));
	end_connection(&self->target[1], RESET);
	ASSERT_TRUE(has_ended(self->target[0]));
	ASSERT_TRUE(send_text(self->source[0], "is lost"));
	EXPECT_TRUE(acknowledged(self->source[0]));
	EXPECT_TRUE(silent(self->source[0]));
	EXPECT_TRUE(silent(self->source[1]));
	EXPECT_EQ(-ECONNRESET, next_of(self->target[0]));
	EXPECT_EQ(0, next_of(self->target[0]));
	EXPECT_EQ(2, route_vars(&self->c).skbs);
	EXPECT_TRUE(route_counted(&self->c));
}

/*
 * A program that redirects also the end, which is a packet without bytes: the
 * kernel takes that for an error of the target, and stops its transmit.
 */
TEST_F(ends, redirected_end)
{
	socklen_t len = sizeof(int);
	int i, error = 0;

	ASSERT_TRUE(make_proxy(self));
	ASSERT_TRUE(route_set(&self->c, (struct route_vars){ .ends = 1 }));
	ASSERT_TRUE(send_text(self->source[0], "bytes"));
	EXPECT_TRUE(gets(self->target[1], "bytes"));
	end_connection(&self->source[0], SHUTDOWN);
	for (i = 0; i < 60000 && !error; i++) {
		ASSERT_EQ(0, getsockopt(self->target[0], SOL_SOCKET, SO_ERROR, &error, &len));
		usleep(1000);
	}
	EXPECT_EQ(EPIPE, error);
	EXPECT_TRUE(silent(self->target[1]));
	/* The other direction still works. */
	EXPECT_TRUE(send_text(self->target[1], "back"));
	EXPECT_TRUE(gets(self->source[0], "back"));
	EXPECT_EQ(3, route_vars(&self->c).skbs);
	EXPECT_TRUE(route_counted(&self->c));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
