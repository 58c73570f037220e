// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that socket maps and kTLS had upstream when they shared a socket, on
 * stock and claimed maps: programs see the plain text, and each of the two
 * survives the end of the other. Documentation/map_sockmap.rst lists the faults
 * and their tests.
 */
#include <linux/tls.h>

#include "sockcase.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

FIXTURE(tls) {
	struct sock_case c;
};

FIXTURE_VARIANT(tls) {
	struct kind kind;
};

SOCK_KINDS(tls);

FIXTURE_SETUP(tls)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(tls)
{
	EXPECT_TRUE(case_end(&self->c));
}

static bool tls_ulp(int fd)
{
	return !setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
}

/* @direction is TLS_TX or TLS_RX. */
static bool tls_keys(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 keys = {
		.info.version = TLS_1_2_VERSION,
		.info.cipher_type = TLS_CIPHER_AES_GCM_128,
		.iv = "12345678",
		.key = "0123456789abcdef",
		.salt = "salt",
	};

	return !setsockopt(fd, SOL_TLS, direction, &keys, sizeof(keys));
}

/* From @pair[0] to @pair[1]. */
static bool tls_pair(const int pair[2])
{
	return tls_ulp(pair[0]) && tls_keys(pair[0], TLS_TX) &&
	       tls_ulp(pair[1]) && tls_keys(pair[1], TLS_RX);
}

/* Does this kernel give keys to a socket that is in a map? See main(). */
static bool keys_allowed;

#define NO_KEYS "this kernel refuses keys to a socket of a map"

#define TO_TARGET ((struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS })
#define TO_READER ((struct sock_vars){ .key = NOBODY, .always = 1 + SK_PASS })

/*
 * A socket with a ULP cannot be inserted, and a socket of a map that got one
 * cannot be inserted into another map. Newer kernels (6.12.117 of Debian) give
 * it keys only after it has left all maps.
 */
TEST_F(tls, inserts)
{
	struct sock_case *c = &self->c;
	int i;

	ASSERT_TRUE(tls_ulp(c->source[0]));
	EXPECT_EQ(-EINVAL, sock_put(c->map, SOURCE, c->source[0], BPF_ANY));
	ASSERT_TRUE(tls_keys(c->source[0], TLS_TX));
	EXPECT_EQ(-EINVAL, sock_put(c->map, SOURCE, c->source[0], BPF_ANY));

	ASSERT_EQ(0, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	ASSERT_TRUE(tls_ulp(c->target[0]));
	EXPECT_EQ(-EBUSY, sock_put(c->plain, TARGET, c->target[0], BPF_ANY));
	EXPECT_EQ(-EBUSY, sock_put(c->map, TARGET, c->target[0], BPF_ANY));
	EXPECT_TRUE(sock_is_at(c->map, TARGET, c->target[0]));
	EXPECT_EQ(keys_allowed, tls_keys(c->target[0], TLS_TX));
	EXPECT_EQ(0, sock_del(c->map, TARGET));
	/* The psock is freed soon. */
	for (i = 0; i < 20000 && !keys_allowed && !tls_keys(c->target[0], TLS_TX); i++)
		usleep(1000);
	ASSERT_TRUE(tls_ulp(c->target[1]) && tls_keys(c->target[1], TLS_RX));
	EXPECT_TRUE(send_text(c->target[0], "encrypted"));
	EXPECT_TRUE(gets(c->target[1], "encrypted"));
}

/*
 * A socket of a map gets a ULP, and then leaves the map, or is closed. Upstream
 * restored callbacks of the protocol in the wrong order: close() called itself,
 * or a function of the socket map ran without its data.
 */
TEST_F(tls, ulp_after_insert)
{
	struct sock_case *c = &self->c;
	int fds[2], how, keys;
	char byte;

	ASSERT_EQ(0, case_attach(c, "msg", BPF_SK_MSG_VERDICT));
	ASSERT_TRUE(sock_set(c->obj, TO_READER));
	for (how = 0; how < 4; how++) {
		for (keys = 0; keys <= keys_allowed; keys++) {
			ASSERT_EQ(0, tcp_pair(AF_INET, fds));
			ASSERT_EQ(0, sock_put(c->map, SOURCE, fds[0], BPF_ANY));
			ASSERT_EQ(0, sock_put(c->plain, SOURCE, fds[0], BPF_ANY));
			ASSERT_TRUE(keys ? tls_pair(fds) : tls_ulp(fds[0]));
			EXPECT_TRUE(send_text(fds[0], "one"));
			EXPECT_TRUE(gets(fds[1], "one"));
			/* It is in two maps, in one, or in none. */
			if (how & 1)
				EXPECT_EQ(0, sock_del(c->map, SOURCE));
			if (how & 2)
				EXPECT_EQ(0, sock_del(c->plain, SOURCE));
			EXPECT_TRUE(send_text(fds[0], "two"));
			EXPECT_TRUE(gets(fds[1], "two"));
			close(fds[0]);
			EXPECT_EQ(0, recv(fds[1], &byte, 1, 0));
			close(fds[1]);
		}
	}
}

/* --- a program sees what is sent, before it is encrypted ------------------ */

/* The sender is in the map, and gets a ULP and keys then. */
static void sends(struct __test_metadata *_metadata, struct sock_case *c, struct sock_vars vars)
{
	ASSERT_TRUE(case_redirects(c, "msg", BPF_SK_MSG_VERDICT, c->source[0], c->target[0],
				   vars));
	ASSERT_TRUE(tls_pair(c->source));
}

TEST_F(tls, sender_passes)
{
	struct sock_case *c = &self->c;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	sends(_metadata, c, TO_READER);
	EXPECT_TRUE(send_text(c->source[0], "plain text"));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_EQ(strlen("plain text"), sock_vars(c->obj).sizes[0]);
	EXPECT_TRUE(gets(c->source[1], "plain text"));
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .refused = 1 }));
}

TEST_F(tls, sender_redirects)
{
	struct sock_case *c = &self->c;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	sends(_metadata, c, TO_TARGET);
	EXPECT_TRUE(send_text(c->source[0], "plain text"));
	EXPECT_TRUE(gets(c->target[0], "plain text"));
	EXPECT_TRUE(send_text(c->source[0], "and more"));
	EXPECT_TRUE(gets(c->target[0], "and more"));
	EXPECT_EQ(2, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .msg_ingress = 2 }));
}

TEST_F(tls, sender_refused)
{
	struct sock_case *c = &self->c;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	sends(_metadata, c, (struct sock_vars){ .key = NOBODY });
	EXPECT_FALSE(send_text(c->source[0], "plain text"));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .refused = 1 }));
}

/* --- a program sees what was received, after it was decrypted ------------- */

/*
 * The receiver is in the map, and gets a ULP and keys then. Upstream, kTLS and
 * the program both took packets from TCP's queue.
 */
static void receives(struct __test_metadata *_metadata, struct sock_case *c, bool parser,
		     struct sock_vars vars)
{
	if (parser)
		ASSERT_EQ(0, case_attach(c, "parser", BPF_SK_SKB_STREAM_PARSER));
	ASSERT_TRUE(case_redirects(c, "skb", BPF_SK_SKB_STREAM_VERDICT, c->source[1],
				   c->target[1], vars));
	ASSERT_TRUE(tls_pair(c->source));
}

/* Without a parser, kTLS runs no program. */
TEST_F(tls, receiver_without_parser)
{
	struct sock_case *c = &self->c;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	receives(_metadata, c, false, TO_TARGET);
	ASSERT_TRUE(send_text(c->source[0], "plain text"));
	EXPECT_TRUE(gets(c->source[1], "plain text"));
	EXPECT_EQ(0, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){}));
}

TEST_F(tls, receiver_passes)
{
	struct sock_case *c = &self->c;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	receives(_metadata, c, true, TO_READER);
	ASSERT_TRUE(send_text(c->source[0], "plain text"));
	EXPECT_TRUE(gets(c->source[1], "plain text"));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .refused = 1 }));
}

/* The program runs when the receiver reads, which gets nothing then. */
TEST_F(tls, receiver_redirects)
{
	struct sock_case *c = &self->c;
	char byte;
	int i;

	if (!keys_allowed)
		SKIP(return, NO_KEYS);
	receives(_metadata, c, true, TO_TARGET);
	ASSERT_TRUE(send_text(c->source[0], "plain text"));
	for (i = 0; i < 20000 && !sock_vars(c->obj).calls; i++) {
		EXPECT_EQ(-1, recv(c->source[1], &byte, 1, MSG_DONTWAIT));
		EXPECT_EQ(EAGAIN, errno);
		usleep(1000);
	}
	EXPECT_TRUE(gets(c->target[1], "plain text"));
	EXPECT_EQ(1, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .skb_ingress = 1 }));
}

int main(int argc, char **argv)
{
	int ret = sock_setup(), fds[2], map;

	if (ret)
		return ret;
	/* Those that are missing are part of the kernel, or not necessary. */
	sh("modprobe -qa tls gcm ctr ghash_generic aesni_intel || :");
	if (tcp_pair(AF_INET, fds) || !tls_pair(fds)) {
		printf("1..0 # SKIP no kTLS with AES-GCM\n");
		return KSFT_SKIP;
	}
	close_pair(fds);
	map = sock_map(false, BPF_MAP_TYPE_SOCKMAP, 8, 1);
	if (tcp_pair(AF_INET, fds) || sock_put(map, 0, fds[0], BPF_ANY) || !tls_ulp(fds[0]))
		return KSFT_FAIL;
	keys_allowed = tls_keys(fds[0], TLS_TX);
	close_pair(fds);
	close(map);
	return test_harness_run(argc, argv);
}
