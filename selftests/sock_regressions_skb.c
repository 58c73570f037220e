// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that packets of socket maps (sk_skb) have or had upstream, on stock
 * and claimed maps: bytes that are looked at, counted, retried, parsed, or not
 * read, ends that are redirected, and sockets that are closed meanwhile.
 * Documentation/map_sockmap.rst lists the faults and their tests.
 */
#include <poll.h>
#include <pthread.h>

#include "netlib.h"
#include "sockcase.h"
#include "sockstream.h"

FIXTURE(packets) {
	struct sock_case c;
};

FIXTURE_VARIANT(packets) {
	struct kind kind;
};

SOCK_KINDS(packets);

FIXTURE_SETUP(packets)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(packets)
{
	EXPECT_TRUE(case_end(&self->c));
}

static int unread(int fd)
{
	int n = -1;

	return ioctl(fd, SIOCINQ, &n) ? -errno : n;
}

/* Are these the next bytes, for a look only? */
static bool peeks(int fd, const char *text)
{
	size_t len = strlen(text);
	char buffer[64];

	return readable(fd) && recv(fd, buffer, len, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)len &&
	       !memcmp(buffer, text, len);
}

/* Does this kernel count the bytes of the ingress queue? */
static bool counts_bytes(void)
{
	return kernel_has_member("sk_psock", "msg_tot_len");
}

/*
 * A socket with a program receives bytes of its own, which the program
 * redirects to the socket itself, and bytes of another socket. Upstream, a look
 * (MSG_PEEK), and the bytes of others, advanced the socket's place in its own
 * stream (copied_seq), so TCP was wrong about the bytes that followed, and
 * FIONREAD had a wrong number.
 */
TEST_F(packets, peeked_and_own)
{
	struct sock_case *c = &self->c;

	if (!kernel_mended(165, 75))
		SKIP(return, "this kernel has the fault: it is mended in 6.1.165 and 6.12.75");
	ASSERT_EQ(0, case_attach(c, "skb", BPF_SK_SKB_STREAM_VERDICT));
	ASSERT_EQ(0, sock_put(c->map, SOURCE, c->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));

	ASSERT_TRUE(send_text(c->target[1], "own bytes"));
	EXPECT_TRUE(peeks(c->target[0], "own"));
	EXPECT_TRUE(peeks(c->target[0], "own bytes"));
	EXPECT_EQ(strlen("own bytes"), unread(c->target[0]));
	EXPECT_TRUE(gets(c->target[0], "own bytes"));
	EXPECT_EQ(0, unread(c->target[0]));

	ASSERT_TRUE(send_text(c->source[0], "of another"));
	EXPECT_TRUE(peeks(c->target[0], "of an"));
	/* 6.1 does not count bytes of other sockets. */
	EXPECT_EQ(counts_bytes() ? strlen("of another") : 0, unread(c->target[0]));
	EXPECT_TRUE(gets(c->target[0], "of another"));
	EXPECT_EQ(0, unread(c->target[0]));
	EXPECT_EQ(0, unread(c->source[1]));

	EXPECT_TRUE(send_text(c->target[1], "more"));
	EXPECT_TRUE(gets(c->target[0], "more"));
	EXPECT_EQ(3, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .skb_ingress = 3 }));

	/* TCP's own account of the stream is right, without the program. */
	ASSERT_EQ(0, sock_del(c->map, TARGET));
	EXPECT_TRUE(send_early((int[]){ c->target[1], c->target[0] }, "by TCP"));
	EXPECT_TRUE(peeks(c->target[0], "by"));
	EXPECT_TRUE(gets(c->target[0], "by TCP"));
}

/*
 * FIONREAD of a socket without a program, to which bytes are redirected. The
 * bytes are not in TCP's stream, so 6.1 reports 0 with every kind of map. Newer
 * kernels count them. The bytes of TCP behind them are counted as well.
 */
TEST_F(packets, fionread)
{
	struct sock_case *c = &self->c;
	int redirected = counts_bytes() ? strlen("redirected") : 0;

	ASSERT_TRUE(case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1],
				   c->target[0],
				   (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	ASSERT_TRUE(send_text(c->source[0], "redirected"));
	ASSERT_TRUE(readable(c->target[0]));
	EXPECT_EQ(redirected, unread(c->target[0]));
	ASSERT_TRUE(send_text(c->target[1], "own"));
	ASSERT_TRUE(acknowledged(c->target[1]));
	/* Some kernels between 6.12.75 and 6.12.114 do not. */
	if (kernel_mended(0, 114))
		EXPECT_EQ(redirected + strlen("own"), unread(c->target[0]));
	EXPECT_TRUE(gets(c->target[0], "redirectedown"));
	EXPECT_EQ(0, unread(c->target[0]));
}

/* --- parsers -------------------------------------------------------------- */

static bool attach_parser(struct sock_case *c, const char *name)
{
	return !case_attach(c, name, BPF_SK_SKB_STREAM_PARSER) &&
	       !case_attach(c, "skb", BPF_SK_SKB_STREAM_VERDICT);
}

/*
 * A socket leaves the map with a parser, while its ingress queue has unread
 * bytes of another socket, and stays in a map without programs. Upstream, the
 * socket still received as if there was a parser: recv() returned EAGAIN for
 * ever, and the bytes that followed stayed in TCP's queue.
 */
TEST_F(packets, parser_removed)
{
	struct sock_case *c = &self->c;

	ASSERT_TRUE(attach_parser(c, "parser"));
	ASSERT_EQ(0, sock_put(c->map, SOURCE, c->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->plain, TARGET, c->target[0], BPF_ANY));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	ASSERT_TRUE(send_text(c->source[0], "unread"));
	ASSERT_TRUE(readable(c->target[0]));

	ASSERT_EQ(0, sock_del(c->map, TARGET));
	ASSERT_TRUE(send_text(c->target[1], "by TCP"));
	EXPECT_TRUE(gets(c->target[0], "unreadby TCP"));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .skb_ingress = 1 }));
}

/*
 * The parser waits for the rest of a message when the socket leaves the map.
 * The kernel has taken these bytes from TCP's queue, and drops them with the
 * parser. The bytes that follow arrive.
 */
TEST_F(packets, parser_waits)
{
	struct sock_case *c = &self->c;

	ASSERT_TRUE(attach_parser(c, "parser_fixed"));
	ASSERT_EQ(0, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->plain, TARGET, c->target[0], BPF_ANY));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){
		.key = TARGET,
		.flags = BPF_F_INGRESS,
		.parsed = 8,
	}));
	ASSERT_TRUE(send_text(c->target[1], "abcdefghijk"));
	ASSERT_TRUE(sock_calls_become(c->obj, 1));
	EXPECT_TRUE(gets(c->target[0], "abcdefgh"));
	ASSERT_EQ(0, sock_del(c->map, TARGET));
	ASSERT_TRUE(send_text(c->target[1], "lmn"));
	EXPECT_TRUE(gets(c->target[0], "lmn"));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
}

/*
 * A parser that changes packets. Upstream refuses to attach one since 7.3,
 * because the packet may be shared.
 */
TEST_F(packets, parser_changes)
{
	struct sock_case *c = &self->c;
	int err = case_attach(c, "parser_changes", BPF_SK_SKB_STREAM_PARSER);

	if (err == -EINVAL)
		SKIP(return, "this kernel refuses parsers that change packets");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, case_attach(c, "skb", BPF_SK_SKB_STREAM_VERDICT));
	ASSERT_EQ(0, sock_put(c->map, SOURCE, c->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){
		.key = TARGET,
		.flags = BPF_F_INGRESS,
		.result = 1,
	}));
	ASSERT_TRUE(send_text(c->source[0], "abcdef"));
	EXPECT_TRUE(gets(c->target[0], "Xbcdef"));
	EXPECT_EQ(0, sock_vars(c->obj).result);
	EXPECT_EQ(1, sock_vars(c->obj).passed);
}

/* --- a target that is full ------------------------------------------------ */

#define MANY_BYTES (96 * 1024)
#define FULL_BYTES (96 * 1024)

/* The bytes that a reader gets until the end; all of them have to be right. */
static void read_to_end(int fd, struct stream *stream)
{
	__u8 buffer[65536];
	ssize_t n, i;

	while (stream->got < stream->bytes && readable(fd)) {
		n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return;
		for (i = 0; i < n; i++)
			stream->wrong += buffer[i] != byte_at(stream->got + i, stream->number);
		stream->got += n;
	}
}

/*
 * Redirects more bytes than the target has room for, while nobody reads; all of
 * them are in the target or in its backlog when this returns.
 */
static bool fill_target(struct sock_case *c, struct stream *stream, __u64 flags)
{
	struct sock_vars vars = { .key = TARGET, .flags = flags };
	/* Smaller windows would wait for TCP's timers. */
	int one = 1, window = 32768;

	*stream = (struct stream){
		.from = c->source[0],
		.number = 3,
		/* On slow kernels too, more than all buffers take. */
		.bytes = fewer(MANY_BYTES) + FULL_BYTES,
	};
	setsockopt(c->target[0], SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
	setsockopt(c->target[0], SOL_SOCKET, SO_RCVBUF, &one, sizeof(one));
	setsockopt(c->target[1], SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	if (!case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1], c->target[0],
			    vars))
		return false;
	write_stream(stream);
	return acknowledged(c->source[0]);
}

/*
 * A target without room gets the rest of a packet later. Upstream, the second
 * attempt began at the wrong byte: bytes were lost, or sent twice.
 */
static void full(struct __test_metadata *_metadata, struct sock_case *c, __u64 flags)
{
	struct stream stream;
	struct sock_vars vars;
	char byte;

	ASSERT_TRUE(fill_target(c, &stream, flags));
	/* The ingress queue has no such state. */
	EXPECT_TRUE(flags || becomes_full(c->target[0]));
	read_to_end(c->target[!flags], &stream);
	EXPECT_EQ(stream.bytes, stream.got);
	EXPECT_EQ(0, stream.wrong);
	EXPECT_EQ(-1, recv(c->target[!flags], &byte, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	vars = sock_vars(c->obj);
	EXPECT_EQ(vars.calls, vars.passed);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){
		.skb_egress = flags ? 0 : vars.calls,
		.skb_ingress = flags ? vars.calls : 0,
	}));
}

TEST_F(packets, target_full_egress)
{
	full(_metadata, &self->c, 0);
}

TEST_F(packets, target_full_ingress)
{
	full(_metadata, &self->c, BPF_F_INGRESS);
}

/*
 * The target is closed while the kernel's work item has packets for it.
 * Upstream, the work item used the target's struct socket, which was freed. The
 * reader gets the first bytes, and nothing else.
 */
TEST_F(packets, closed_with_backlog)
{
	struct sock_case *c = &self->c;
	int round, rounds = longer(6, 60);
	struct stream stream;
	char byte;

	if (!kernel_mended(142, 34))
		SKIP(return, "this kernel may crash: it is mended in 6.1.142 and 6.12.34");
	/* Of a socket that is deleted and closed: see known_from_stock.rst. */
	printf("# allow-warning: sock_map_destroy\n# allow-warning: sock_map_close\n");
	fflush(stdout);
	for (round = 0; round < rounds; round++) {
		ASSERT_TRUE(fill_target(c, &stream, round & 1 ? BPF_F_INGRESS : 0));
		/* The reader makes room, or the socket leaves the map. */
		if (round & 2) {
			EXPECT_TRUE(readable(c->target[!(round & 1)]));
			EXPECT_EQ(1, recv(c->target[!(round & 1)], &byte, 1, MSG_DONTWAIT));
		}
		if (round & 4)
			EXPECT_EQ(0, sock_del(c->map, TARGET));
		case_close(&c->target[0]);
		if (!(round & 2))
			read_to_end(c->target[1], &stream);
		EXPECT_EQ(0, stream.wrong);
		close_pair(c->target);
		close_pair(c->source);
		ASSERT_EQ(0, tcp_pair(AF_INET, c->source));
		ASSERT_EQ(0, tcp_pair(AF_INET6, c->target));
	}
}

/* --- bytes that are not read, and ends ------------------------------------ */

/* The next byte, 0 at the end, or -errno. */
static int next_byte(int fd)
{
	char byte = 0;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 ? -errno : byte;
}

/*
 * A program passes bytes to their own socket, which leaves the map before its
 * owner has read them. The kernel has taken them from TCP's queue, and frees
 * them with the psock, unless the socket is in another map. In both cases TCP's
 * place in the stream (copied_seq) stays in front of them. So each recv() warns
 * of a gap, and does not return the bytes behind it. The end is received, and
 * so is the other direction.
 */
static void delete_unread(struct __test_metadata *_metadata, struct sock_case *c, bool stays)
{
	struct pollfd end = { .fd = c->source[1], .events = POLLRDHUP };

	printf("# allow-warning: tcp_recvmsg_locked\n");
	fflush(stdout);
	if (stays)
		ASSERT_EQ(0, sock_put(c->plain, SOURCE, c->source[1], BPF_ANY));
	ASSERT_EQ(0, case_attach(c, "skb", BPF_SK_SKB_STREAM_VERDICT));
	ASSERT_EQ(0, sock_put(c->map, SOURCE, c->source[1], BPF_ANY));
	ASSERT_TRUE(sock_set(c->obj, (struct sock_vars){ .key = NOBODY, .always = 1 + SK_PASS }));
	ASSERT_TRUE(send_text(c->source[0], "passed"));
	ASSERT_TRUE(sock_calls_become(c->obj, 1));
	ASSERT_TRUE(peeks(c->source[1], "passed"));
	ASSERT_EQ(0, sock_del(c->map, SOURCE));
	if (stays)
		EXPECT_TRUE(gets(c->source[1], "passed"));
	EXPECT_EQ(-EAGAIN, next_byte(c->source[1]));

	ASSERT_TRUE(send_text(c->source[0], "later"));
	ASSERT_TRUE(acknowledged(c->source[0]));
	EXPECT_TRUE(readable(c->source[1]));
	EXPECT_EQ(-EAGAIN, next_byte(c->source[1]));
	EXPECT_EQ(-EAGAIN, next_byte(c->source[1]));
	EXPECT_TRUE(send_text(c->source[1], "back"));
	EXPECT_TRUE(gets(c->source[0], "back"));
	ASSERT_EQ(0, shutdown(c->source[0], SHUT_WR));
	ASSERT_EQ(1, poll(&end, 1, 60000));
	EXPECT_EQ(0, next_byte(c->source[1]));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .refused = 1 }));
}

TEST_F(packets, passed_and_deleted)
{
	delete_unread(_metadata, &self->c, false);
}

TEST_F(packets, passed_and_stays)
{
	delete_unread(_metadata, &self->c, true);
}

/*
 * A program redirects also the end of a stream, which is a packet without
 * bytes, to the ingress of a target. The kernel queues a message of 0 bytes,
 * and then stops the target. If the target runs no program for packets, recv()
 * returns EFAULT until the target leaves its maps: also while TCP has bytes for
 * it.
 */
TEST_F(packets, end_redirected)
{
	struct sock_case *c = &self->c;
	socklen_t len = sizeof(int);
	int i, error = 0;

	ASSERT_TRUE(case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1],
				   c->target[0],
				   (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	ASSERT_TRUE(send_text(c->source[0], "bytes"));
	EXPECT_TRUE(gets(c->target[0], "bytes"));
	ASSERT_EQ(0, shutdown(c->source[0], SHUT_WR));
	for (i = 0; i < 60000 && !error; i++) {
		ASSERT_EQ(0, getsockopt(c->target[0], SOL_SOCKET, SO_ERROR, &error, &len));
		usleep(1000);
	}
	EXPECT_EQ(EPIPE, error);
	EXPECT_EQ(-EFAULT, next_byte(c->target[0]));
	EXPECT_EQ(-EFAULT, next_byte(c->target[0]));
	ASSERT_TRUE(send_text(c->target[1], "own"));
	ASSERT_TRUE(acknowledged(c->target[1]));
	EXPECT_EQ(-EFAULT, next_byte(c->target[0]));
	ASSERT_EQ(0, sock_del(c->map, TARGET));
	EXPECT_TRUE(gets(c->target[0], "own"));
	EXPECT_EQ(2, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .skb_ingress = 2 }));
}

/* --- splice() ------------------------------------------------------------- */

/*
 * splice() of redirected bytes. It looks for them in TCP's queue, so kernels
 * without an own splice() of socket maps return EAGAIN for ever, with stock and
 * claimed maps; recv() returns the bytes.
 */
TEST_F(packets, splice)
{
	struct sock_case *c = &self->c;
	int pipes[2], i;
	char text[16];
	ssize_t n = 0;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_TRUE(case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1],
				   c->target[0],
				   (struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS }));
	ASSERT_TRUE(send_text(c->source[0], "redirected"));
	ASSERT_TRUE(readable(c->target[0]));
	ASSERT_EQ(0, fcntl(c->target[0], F_SETFL, O_NONBLOCK));
	for (i = 0; i < 100; i++) {
		n = splice(c->target[0], NULL, pipes[1], NULL, sizeof(text), SPLICE_F_NONBLOCK);
		if (n >= 0 || errno != EAGAIN)
			break;
	}
	if (n < 0) {
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_TRUE(gets(c->target[0], "redirected"));
	} else {
		EXPECT_EQ(strlen("redirected"), n);
		EXPECT_EQ(n, read(pipes[0], text, sizeof(text)));
		EXPECT_EQ(0, memcmp(text, "redirected", n));
	}
	/* TCP's own bytes are spliced. */
	ASSERT_TRUE(send_text(c->target[1], "own"));
	ASSERT_TRUE(acknowledged(c->target[1]));
	EXPECT_EQ(3, splice(c->target[0], NULL, pipes[1], NULL, sizeof(text), SPLICE_F_NONBLOCK));
	close_pair(pipes);
}

int main(int argc, char **argv)
{
	int ret = sock_setup();

	if (ret)
		return ret;
	/* Small windows open early for small packets only. */
	if (!sh("ip link set lo mtu 1500"))
		return KSFT_FAIL;
	return test_harness_run(argc, argv);
}
