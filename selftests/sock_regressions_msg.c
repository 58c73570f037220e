// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that messages of socket maps (sk_msg) had upstream, on stock and
 * claimed maps: bytes that a verdict holds for, corked bytes, sendfile(),
 * splice(). Documentation/map_sockmap.rst lists the faults and their tests.
 */
#include <poll.h>
#include <sys/sendfile.h>

#include "sockcase.h"
#include "sockstream.h"

FIXTURE(messages) {
	struct sock_case c;
};

FIXTURE_VARIANT(messages) {
	struct kind kind;
};

SOCK_KINDS(messages);

FIXTURE_SETUP(messages)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(messages)
{
	EXPECT_TRUE(case_end(&self->c));
}

/*
 * The verdict of a program holds for as many bytes as it has told, also if they
 * belong to two messages; then the program runs again, for the rest. Upstream
 * redirected whole messages, counted the bytes of a redirect twice, and dropped
 * the target while bytes were left.
 */
TEST_F(messages, apply_redirect)
{
	struct sock_case *c = &self->c;
	static const __u32 sizes[] = { 12, 7, 2, 2 };
	struct sock_vars vars = { .key = TARGET, .other = OTHER, .apply = 5 };
	int other[2], i, round;

	ASSERT_EQ(0, tcp_pair(AF_INET, other));
	ASSERT_TRUE(case_redirects(c, "msg", BPF_SK_MSG_VERDICT, c->source[0], c->target[0],
				   vars));
	ASSERT_EQ(0, sock_put(c->map, OTHER, other[0], BPF_ANY));
	for (round = 0; round < 2; round++) {
		vars.flags = round ? 0 : BPF_F_INGRESS;
		ASSERT_TRUE(sock_set(c->obj, vars));
		EXPECT_TRUE(send_text(c->source[0], "abcdefghijkl"));
		EXPECT_EQ(3, sock_vars(c->obj).calls);
		EXPECT_TRUE(send_text(c->source[0], "mnopq"));
		EXPECT_EQ(4, sock_vars(c->obj).calls);
		EXPECT_TRUE(send_text(c->source[0], "rst"));
		EXPECT_EQ(4, sock_vars(c->obj).calls);
		EXPECT_EQ(4, sock_vars(c->obj).passed);
		for (i = 0; i < (int)ARRAY_SIZE(sizes); i++)
			EXPECT_EQ(sizes[i], sock_vars(c->obj).sizes[i]);
		EXPECT_TRUE(gets(c->target[round], "abcdeklmno"));
		EXPECT_TRUE(gets(other[round], "fghijpqrst"));
	}
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .msg_egress = 4, .msg_ingress = 4 }));
	close_pair(other);
}

/* --- corked bytes --------------------------------------------------------- */

#define CORK 3000
#define CORKED_BYTES (96 * 1024)
#define FULL_BYTES (96 * 1024)

/* Reads what is there, and compares it; false after an error. */
static bool read_some(int fd, struct stream *stream)
{
	__u8 buffer[8192];
	ssize_t n, i;

	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
		for (i = 0; i < n; i++)
			stream->wrong += buffer[i] != byte_at(stream->got + i, stream->number);
		stream->got += n;
	}
	return n < 0 && errno == EAGAIN;
}

/* Reads until so many bytes have arrived, or no more arrive. */
static bool read_all(int fd, struct stream *stream, size_t bytes)
{
	int i;

	for (i = 0; i < 20000 && stream->got < bytes; i++) {
		if (!read_some(fd, stream))
			return false;
		if (stream->got < bytes)
			usleep(1000);
	}
	return stream->got == bytes;
}

/* Sends the bytes of the stream from this place on. */
static bool send_from(int fd, const struct stream *stream, size_t at, size_t len)
{
	__u8 buffer[2 * CORK];
	size_t i;

	for (i = 0; i < len; i++)
		buffer[i] = byte_at(at + i, stream->number);
	return send(fd, buffer, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/*
 * A sender with a small buffer, whose bytes wait for 3000 of them. Upstream
 * lost corked bytes when there was no memory for more. The sender blocks: if it
 * does not, the kernel frees the cork when the buffer is full, although send()
 * has taken the bytes before.
 */
static void corked(struct __test_metadata *_metadata, struct sock_case *c, bool redirected)
{
	int reader = redirected ? c->target[0] : c->source[1];
	struct stream stream = {
		.from = c->source[0],
		.number = 1,
		/* On slow kernels too, more than all buffers take. */
		.bytes = fewer(CORKED_BYTES) + FULL_BYTES,
	};
	struct sock_vars vars = {
		.key = redirected ? TARGET : NOBODY,
		.flags = BPF_F_INGRESS,
		.always = redirected ? 0 : 1 + SK_PASS,
		.cork = CORK,
	};
	/* Smaller windows would wait for TCP's timers. */
	int one = 1, window = 32768;
	pthread_t thread;

	setsockopt(c->source[0], SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
	setsockopt(c->source[1], SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	ASSERT_TRUE(case_redirects(c, "msg", BPF_SK_MSG_VERDICT, c->source[0], c->target[0],
				   vars));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_stream, &stream));
	/* A redirect has no limit. */
	EXPECT_TRUE(redirected || becomes_full(c->source[0]));
	while (pthread_tryjoin_np(thread, NULL)) {
		EXPECT_TRUE(read_some(reader, &stream));
		usleep(1000);
	}
	/* A message that is longer than the cork ends the wait. */
	vars.cork = 0;
	ASSERT_TRUE(sock_set(c->obj, vars));
	EXPECT_TRUE(send_from(c->source[0], &stream, stream.bytes, CORK + 1));
	EXPECT_TRUE(read_all(reader, &stream, stream.bytes + CORK + 1));
	EXPECT_EQ(stream.bytes + CORK + 1, stream.got);
	EXPECT_EQ(0, stream.wrong);
}

TEST_F(messages, cork_small_buffer)
{
	corked(_metadata, &self->c, false);
}

TEST_F(messages, cork_redirect)
{
	corked(_metadata, &self->c, true);
}

#define FILE_BYTES (256 * 1024)

/* A file that has no name, with the bytes of the stream. */
static int stream_file(const struct stream *stream)
{
	static __u8 bytes[FILE_BYTES];
	char name[] = "/tmp/sock_regressions.XXXXXX";
	int fd = mkstemp(name);
	size_t i;

	unlink(name);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(i, stream->number);
	if (fd >= 0 && write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		case_close(&fd);
	return fd;
}

/*
 * sendfile() into a socket whose bytes wait for more. Upstream used the corked
 * message after it was sent and freed, and crashed.
 */
static void sent_file(struct __test_metadata *_metadata, struct sock_case *c, bool redirected)
{
	static const int parts[] = { 700, 10000, 100000 };
	int reader = redirected ? c->target[0] : c->source[1], file, i;
	struct stream stream = { .number = 2 };
	struct sock_vars vars = {
		.key = redirected ? TARGET : NOBODY,
		.flags = BPF_F_INGRESS,
		.always = redirected ? 0 : 1 + SK_PASS,
		.cork = CORK,
	};
	off_t at = 0;
	ssize_t n;

	if (!kernel_mended(183, 101))
		SKIP(return, "this kernel may crash: it is mended in 6.1.183 and 6.12.101");
	file = stream_file(&stream);
	ASSERT_LE(0, file);
	ASSERT_TRUE(case_redirects(c, "msg", BPF_SK_MSG_VERDICT, c->source[0], c->target[0],
				   vars));
	for (i = 0; at < FILE_BYTES; i++) {
		n = sendfile(c->source[0], file, &at, parts[i % ARRAY_SIZE(parts)]);
		ASSERT_LT(0, n);
		ASSERT_TRUE(read_some(reader, &stream));
	}
	vars.cork = 0;
	ASSERT_TRUE(sock_set(c->obj, vars));
	EXPECT_TRUE(send_from(c->source[0], &stream, at, CORK + 1));
	EXPECT_TRUE(read_all(reader, &stream, FILE_BYTES + CORK + 1));
	EXPECT_EQ(FILE_BYTES + CORK + 1, stream.got);
	EXPECT_EQ(0, stream.wrong);
	close(file);
}

TEST_F(messages, cork_sendfile)
{
	sent_file(_metadata, &self->c, false);
}

TEST_F(messages, cork_sendfile_redirect)
{
	sent_file(_metadata, &self->c, true);
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
