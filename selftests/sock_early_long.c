// SPDX-License-Identifier: GPL-2.0-only
/*
 * Early data of several packets, more than 64 KB, received by IPv4 and IPv6:
 * the insert into a claimed map runs the verdict program, or the parser, on all
 * of them, and every byte arrives once, in order. A stock map leaves them in
 * the receive queue until more bytes arrive.
 */
#include "sockearly.h"
#include "sockstream.h"

/*
 * Many small pieces: the kernel joins up to 17 of them, or 45 in other
 * configurations (MAX_SKB_FRAGS), in a packet of the receive queue.
 */
#define PIECE 2500
#define PIECES 80
/* Of messages that a parser finds. They do not end where packets end. */
#define MESSAGE (2 * PIECE)
/* The key of a target that refuses packets. */
#define REFUSER 3

static const int families[] = { AF_INET, AF_INET6 };

/*
 * Replaces the source by a connection whose receive queue takes all pieces: an
 * accepted socket has the limit of its listener.
 */
static bool make_source(FIXTURE_DATA(early) *self, int family)
{
	int server = sock_server(family, SOCK_STREAM), size = 4 << 20;

	close_pair(self->source);
	return !setsockopt(server, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) &&
	       !tcp_pair_with(server, family, self->source);
}

/* Sends the next pieces of a stream. */
static bool send_pieces(struct stream *stream, int n)
{
	__u8 piece[PIECE];
	int i;

	while (n--) {
		for (i = 0; i < PIECE; i++)
			piece[i] = byte_at(stream->bytes + i, stream->number);
		if (send(stream->from, piece, PIECE, MSG_NOSIGNAL) != PIECE)
			return false;
		stream->bytes += PIECE;
	}
	return true;
}

/* A stream from the source to the target, whose first bytes are early data. */
static bool send_first(FIXTURE_DATA(early) *self, struct stream *stream)
{
	*stream = (struct stream){
		.from = self->source[0],
		.to = self->target[0],
		.number = self->is_hash,
	};
	return send_pieces(stream, PIECES) && queued_become(self->source[1], stream->bytes);
}

/* Have all bytes arrived that were sent, once and in order? */
static bool arrives(struct stream *stream)
{
	char byte;

	read_stream(stream);
	if (stream->got == stream->bytes && !stream->wrong &&
	    recv(stream->to, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN)
		return true;
	printf("# %zu of %zu bytes, %zu wrong\n", stream->got, stream->bytes, stream->wrong);
	return false;
}

static void redirect(struct __test_metadata *_metadata, FIXTURE_DATA(early) *self, int family)
{
	struct sock_vars vars;
	struct stream stream;

	ASSERT_TRUE(make_source(self, family));
	ASSERT_TRUE(sock_set(self->obj, TO_TARGET));
	ASSERT_TRUE(send_first(self, &stream));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	vars = sock_vars(self->obj);
	EXPECT_EQ(vars.calls, vars.passed);
	if (self->runs) {
		EXPECT_LE(2, vars.calls);
		EXPECT_TRUE(arrives(&stream));
	} else {
		EXPECT_EQ(0, vars.calls);
	}
	ASSERT_TRUE(send_pieces(&stream, 1));
	EXPECT_TRUE(arrives(&stream));
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
}

TEST_F(early, redirected)
{
	unsigned int i;

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	for (i = 0; i < ARRAY_SIZE(families); i++)
		redirect(_metadata, self, families[i]);
}

/* The program gets the source's own bytes, and passes them to the reader. */
TEST_F(early, passed)
{
	struct stream stream;
	unsigned int i;

	ASSERT_TRUE(attach(self, TO_READER));
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		ASSERT_TRUE(make_source(self, families[i]));
		ASSERT_TRUE(sock_set(self->obj, TO_READER));
		ASSERT_TRUE(send_first(self, &stream));
		stream.to = self->source[1];
		ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
		if (self->runs) {
			EXPECT_LE(2, sock_vars(self->obj).calls);
		} else {
			EXPECT_EQ(0, sock_vars(self->obj).calls);
		}
		ASSERT_TRUE(send_pieces(&stream, 1));
		EXPECT_TRUE(arrives(&stream));
		ASSERT_EQ(0, sock_del(self->map, SOURCE));
	}
}

/* A program inserts the socket, and the work item does the same. */
TEST_F(early, program)
{
	struct stream stream;
	unsigned int i;

	ASSERT_TRUE(attach(self, (struct sock_vars){}));
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		ASSERT_TRUE(make_source(self, families[i]));
		ASSERT_TRUE(send_first(self, &stream));
		/* The insert and the redirects have the same key. */
		stream.to = self->source[1];
		ASSERT_EQ(0, sock_put(self->maps.from, 0, self->source[1], BPF_ANY));
		ASSERT_EQ(0, sock_run(self->obj, "update", self->is_hash, SOURCE, BPF_NOEXIST));
		if (self->runs) {
			EXPECT_TRUE(arrives(&stream));
		}
		ASSERT_TRUE(send_pieces(&stream, 1));
		EXPECT_TRUE(arrives(&stream));
		ASSERT_EQ(0, sock_del(self->map, SOURCE));
	}
}

/* With a parser, a message is a packet, or has a fixed length. */
static void parse(struct __test_metadata *_metadata, FIXTURE_DATA(early) *self, int family,
		  bool fixed)
{
	struct sock_vars vars = TO_TARGET;
	struct stream stream;
	__u64 calls;

	vars.parsed = MESSAGE;
	ASSERT_TRUE(make_source(self, family));
	ASSERT_TRUE(sock_set(self->obj, vars));
	ASSERT_TRUE(send_first(self, &stream));
	calls = stream.bytes / MESSAGE;
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	if (self->runs) {
		EXPECT_TRUE(arrives(&stream));
		if (fixed) {
			EXPECT_EQ(calls, sock_vars(self->obj).calls);
		}
	}
	ASSERT_TRUE(send_pieces(&stream, MESSAGE / PIECE));
	EXPECT_TRUE(arrives(&stream));
	if (fixed) {
		EXPECT_EQ(calls + 1, sock_vars(self->obj).calls);
	}
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
}

TEST_F(early, parsed)
{
	unsigned int i;

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(attach_parser(self, "parser"));
	for (i = 0; i < ARRAY_SIZE(families); i++)
		parse(_metadata, self, families[i], false);
}

TEST_F(early, parsed_in_messages)
{
	unsigned int i;

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(attach_parser(self, "parser_fixed"));
	for (i = 0; i < ARRAY_SIZE(families); i++)
		parse(_metadata, self, families[i], true);
}

/*
 * A socket leaves a map with a parser and returns at once, while another map
 * keeps its psock. If an insert queued the work item of the parser, the kernel
 * would crash: see "A parser's socket that returns to a map" in
 * known_from_stock.rst.
 */
TEST_F(early, parsed_again)
{
	int one = 1, i, n;

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(attach_parser(self, "parser"));
	ASSERT_EQ(0, sock_put(self->bell, SOURCE, self->source[1], BPF_ANY));
	for (i = 0; i < fewer(200); i++) {
		/* No bytes arrive while the insert owns the socket. */
		setsockopt(self->source[1], IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
		ASSERT_TRUE(send_text(self->source[0], "abc"));
		ASSERT_TRUE(acknowledged(self->source[0]));
		for (n = 0; n < 3; n++) {
			ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_NOEXIST));
			ASSERT_EQ(0, sock_del(self->map, SOURCE));
		}
	}
	/* The program has run, in one of the rounds or now. */
	ASSERT_TRUE(send_text(self->source[0], "abc"));
	ASSERT_TRUE(acknowledged(self->source[0]));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_NOEXIST));
	for (i = 0; i < 60000 && self->runs && !sock_vars(self->obj).calls; i++)
		usleep(1000);
	EXPECT_EQ(self->runs, !!sock_vars(self->obj).calls);
}

/* --- a target that refuses ------------------------------------------------ */

/* The kernel has failed to send to the socket, and does not try again. */
static bool refuses(int fd)
{
	int i, err = 0;
	socklen_t len = sizeof(err);

	for (i = 0; i < 60000 && !err; i++) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
			return false;
		if (!err)
			usleep(1000);
	}
	return err == EPIPE;
}

/*
 * Puts a target at the key REFUSER. The helper accepts redirects to it, and the
 * kernel drops the packets: it has disabled the transmission, because the
 * socket was shut down.
 */
static void make_refuser(struct __test_metadata *_metadata, FIXTURE_DATA(early) *self,
			 int target[2])
{
	int other[2];

	ASSERT_EQ(0, tcp_pair(AF_INET, target));
	ASSERT_EQ(0, tcp_pair(AF_INET, other));
	ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){ .key = REFUSER }));
	ASSERT_EQ(0, sock_put(self->map, REFUSER, target[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, other[1], BPF_ANY));
	ASSERT_EQ(0, shutdown(target[0], SHUT_WR));
	ASSERT_TRUE(send_text(other[0], "x"));
	ASSERT_TRUE(refuses(target[0]));
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
	close_pair(other);
}

/*
 * The first packet arrives, and the second one is redirected to the target that
 * refuses, and lost. The kernel stops there: the packets behind it wait for the
 * next bytes.
 */
static void refuse(struct __test_metadata *_metadata, FIXTURE_DATA(early) *self, int family)
{
	struct sock_vars vars = TO_TARGET;
	struct stream stream;
	size_t all;

	vars.other = REFUSER;
	ASSERT_TRUE(make_source(self, family));
	ASSERT_TRUE(sock_set(self->obj, vars));
	ASSERT_TRUE(send_first(self, &stream));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	if (!self->runs) {
		EXPECT_EQ(0, sock_vars(self->obj).calls);
		ASSERT_TRUE(send_pieces(&stream, 1));
	}
	EXPECT_TRUE(sock_calls_become(self->obj, 2));
	vars = sock_vars(self->obj);
	EXPECT_EQ(2, vars.passed);
	all = stream.bytes;
	ASSERT_GT(all, vars.sizes[0] + vars.sizes[1]);
	stream.bytes = vars.sizes[0];
	EXPECT_TRUE(arrives(&stream));
	EXPECT_EQ(2, sock_vars(self->obj).calls);

	ASSERT_TRUE(sock_set(self->obj, TO_TARGET));
	stream.bytes = all;
	stream.got += vars.sizes[1];
	ASSERT_TRUE(send_pieces(&stream, 1));
	EXPECT_TRUE(arrives(&stream));
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
}

TEST_F(early, target_refuses)
{
	int target[2];
	unsigned int i;

	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	make_refuser(_metadata, self, target);
	for (i = 0; i < ARRAY_SIZE(families); i++)
		refuse(_metadata, self, families[i]);
	close_pair(target);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
