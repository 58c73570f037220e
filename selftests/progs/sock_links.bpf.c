// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sock_links.c: two of each type of attachment, which count how
 * often they run, and let everything pass. They use no map of the test, so that
 * they do not keep it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* As in sock_links.c. */
enum program { MSG, PARSER, STREAM, SKB, PROGRAMS };

__u32 ran[2 * PROGRAMS];

static int count(int i, int result)
{
	__sync_fetch_and_add(&ran[i], 1);
	return result;
}

SEC("sk_msg")
int msg(struct sk_msg_md *ctx)
{
	return count(MSG, SK_PASS);
}

SEC("sk_msg")
int other_msg(struct sk_msg_md *ctx)
{
	return count(PROGRAMS + MSG, SK_PASS);
}

SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *ctx)
{
	return count(PARSER, ctx->len);
}

SEC("sk_skb/stream_parser")
int other_parser(struct __sk_buff *ctx)
{
	return count(PROGRAMS + PARSER, ctx->len);
}

SEC("sk_skb/stream_verdict")
int stream(struct __sk_buff *ctx)
{
	return count(STREAM, SK_PASS);
}

SEC("sk_skb/stream_verdict")
int other_stream(struct __sk_buff *ctx)
{
	return count(PROGRAMS + STREAM, SK_PASS);
}

/* The test sets their attach type: older libraries know no such section. */
SEC("sk_skb")
int skb(struct __sk_buff *ctx)
{
	return count(SKB, SK_PASS);
}

SEC("sk_skb")
int other_skb(struct __sk_buff *ctx)
{
	return count(PROGRAMS + SKB, SK_PASS);
}

char _license[] SEC("license") = "GPL";
