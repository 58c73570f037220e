// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs change messages before they redirect them: bpf_msg_pull_data(),
 * bpf_msg_push_data() and bpf_msg_pop_data(), on messages of one or many parts.
 * The receiver gets the bytes that the test expects, from stock and claimed
 * maps.
 */
#include "sockroute.h"
#include "sockstream.h"

#define BYTES 20000

FIXTURE(change) {
	struct route_case c;
	int source[2], target[2];
	int between[2];	/* sends between two parts of a message */
};

FIXTURE_VARIANT(change) {
	struct kind kind;
};

SOCK_KINDS(change);

FIXTURE_SETUP(change)
{
	struct route_case *c = &self->c;

	ASSERT_TRUE(route_begin(c, &variant->kind, SOCK_ENTRIES));
	ASSERT_EQ(0, tcp_pair(AF_INET, self->source));
	ASSERT_EQ(0, tcp_pair(AF_INET6, self->target));
	ASSERT_EQ(0, tcp_pair(AF_INET, self->between));
	ASSERT_TRUE(route_attach(c, "msg"));
	ASSERT_EQ(0, sock_put(c->map, SOURCE, self->source[0], BPF_ANY));
	ASSERT_TRUE(route_detach(c, "msg"));
	ASSERT_EQ(0, sock_put(c->map, TARGET, self->target[0], BPF_ANY));
}

FIXTURE_TEARDOWN(change)
{
	close_pair(self->source);
	close_pair(self->target);
	close_pair(self->between);
	EXPECT_TRUE(route_end(&self->c));
}

/* A message, and its changes; those of length 0 are not made. */
struct row {
	__u32 bytes, parts;
	__u32 pull, pull_len;
	__u32 push, push_len;
	__u32 pop, pop_len;
};

/*
 * A message has room for 17 parts. The table has no push behind 16 or more
 * parts: the kernel then replaces the last part by the pushed bytes. It may
 * divide one of the parts.
 */
static const struct row rows[] = {
	{ 1, 1 },
	/* pull */
	{ 10, 1, .pull = 3, .pull_len = 4 },
	{ 10, 1, .pull = 0, .pull_len = 11 },
	{ 9000, 3, .pull = 100, .pull_len = 50 },
	{ 9000, 3, .pull = 2990, .pull_len = 20 },
	{ 9000, 3, .pull = 0, .pull_len = 9000 },
	{ 9000, 3, .pull = 8999, .pull_len = 1 },
	{ 9000, 3, .pull = 9000, .pull_len = 1 },
	{ 1600, 16, .pull = 750, .pull_len = 600 },
	/* push: in front, between parts, within one, behind, further behind */
	{ 10, 1, .push = 0, .push_len = 4 },
	{ 10, 1, .push = 5, .push_len = 4 },
	{ 10, 1, .push = 10, .push_len = 4 },
	{ 10, 1, .push = 11, .push_len = 4 },
	{ 9000, 3, .push = 3000, .push_len = PUSH_MAX },
	{ 9000, 3, .push = 4500, .push_len = PUSH_MAX },
	{ 9000, 3, .push = 9000, .push_len = 1 },
	{ 1500, 15, .push = 730, .push_len = 8 },
	/* This one needs room for two further parts, and so moves a part. */
	{ 1600, 16, .push = 730, .push_len = 8 },
	{ 1600, 16, .push = 0, .push_len = 8 },
	/* pop: all of a part, a piece of one, pieces of several, too much */
	{ 10, 1, .pop = 0, .pop_len = 4 },
	{ 10, 1, .pop = 6, .pop_len = 4 },
	{ 10, 1, .pop = 2, .pop_len = 4 },
	{ 10, 1, .pop = 2, .pop_len = 9 },
	{ 10, 1, .pop = 0, .pop_len = 9 },
	{ 9000, 3, .pop = 0, .pop_len = 3000 },
	{ 9000, 3, .pop = 3000, .pop_len = 3000 },
	{ 9000, 3, .pop = 2000, .pop_len = 6000 },
	{ 9000, 3, .pop = 6000, .pop_len = 3000 },
	{ 1600, 16, .pop = 730, .pop_len = 8 },
	{ 1600, 16, .pop = 50, .pop_len = 1500 },
	/* all three */
	{ 10, 1, 0, 5, 2, 3, 1, 6 },
	{ 9000, 3, 2000, 3000, 0, 14, 10, 100 },
	{ 9000, 3, 5999, 2, 6000, 20, 5990, 40 },
	{ 1500, 15, 140, 230, 700, 64, 690, 100 },
	{ 1600, 16, 0, 0, 0, 8, 738, 8 },
};

/* What the helpers have to return, and the bytes that are redirected. */
struct expected {
	__s32 pulled, pushed, popped;
	__u8 bytes[BYTES + PUSH_MAX];
	__u32 len;
};

static void expect(const struct row *row, __u8 number, struct expected *e)
{
	__u32 i;

	memset(e, 0, offsetof(struct expected, bytes));
	e->len = row->bytes;
	for (i = 0; i < e->len; i++)
		e->bytes[i] = byte_at(i, number);
	if (row->pull_len) {
		if (row->pull + row->pull_len > e->len)
			e->pulled = -EINVAL;
		else
			e->bytes[row->pull] = '*';
	}
	if (row->push_len && row->push > e->len) {
		e->pushed = -EINVAL;
	} else {
		memmove(e->bytes + row->push + row->push_len, e->bytes + row->push,
			e->len - row->push);
		e->len += row->push_len;
		for (i = 0; i < row->push_len; i++)
			e->bytes[row->push + i] = 'a' + i % 26;
	}
	if (row->pop_len && row->pop + row->pop_len > e->len) {
		e->popped = -EINVAL;
	} else {
		e->len -= row->pop_len;
		memmove(e->bytes + row->pop, e->bytes + row->pop + row->pop_len,
			e->len - row->pop);
	}
}

/*
 * Sends the message in parts. The kernel keeps the parts of a message in one
 * piece of memory if nothing else is sent between them.
 */
static bool send_parts(FIXTURE_DATA(change) *self, const struct row *row, __u8 number)
{
	__u32 i, at = 0, len, part = row->bytes / row->parts;
	__u8 bytes[BYTES];
	char byte;

	for (i = 0; i < row->bytes; i++)
		bytes[i] = byte_at(i, number);
	for (i = 0; i < row->parts; i++, at += len) {
		len = i == row->parts - 1 ? row->bytes - at : part;
		if (send(self->source[0], bytes + at, len, 0) != len ||
		    send(self->between[0], "", 1, 0) != 1 ||
		    recv(self->between[1], &byte, 1, 0) != 1)
			return false;
	}
	return true;
}

/* Are these the next bytes, and no others? */
static bool arrives(int fd, const struct expected *e)
{
	static __u8 bytes[sizeof(e->bytes)];
	size_t got = 0;
	ssize_t n;

	while (got < e->len) {
		n = receive(fd, bytes + got, e->len - got, 0);
		if (n <= 0)
			return false;
		got += n;
	}
	return !memcmp(bytes, e->bytes, got) && silent(fd);
}

static bool redirected(FIXTURE_DATA(change) *self, const struct row *row, __u32 flags)
{
	static struct expected e;
	static __u8 number;
	struct route_case *c = &self->c;
	struct route_vars vars = {
		.msgs = route_vars(c).msgs,
		.cork = row->bytes,
		.pull = row->pull,
		.pull_len = row->pull_len,
		.push = row->push,
		.push_len = row->push_len,
		.pop = row->pop,
		.pop_len = row->pop_len,
	}, after;

	expect(row, ++number, &e);
	if (!route_msg(c, self->source[0], TARGET, flags) || !route_set(c, vars) ||
	    !send_parts(self, row, number) || !arrives(self->target[!flags], &e))
		return false;
	after = route_vars(c);
	return after.msgs == vars.msgs + 1 && !after.refused && after.pulled == e.pulled &&
	       after.pushed == e.pushed && after.popped == e.popped && silent(self->source[1]);
}

static void run_row(struct __test_metadata *_metadata, FIXTURE_DATA(change) *self,
		    const struct row *row)
{
	__u32 flags;

	for (flags = 0; flags <= BPF_F_INGRESS; flags += BPF_F_INGRESS) {
		ASSERT_TRUE(redirected(self, row, flags)) {
			struct route_vars vars = route_vars(&self->c);

			TH_LOG("%u bytes in %u parts, pull %u, %u; push %u, %u; pop %u, %u; to %s",
			       row->bytes, row->parts, row->pull, row->pull_len, row->push,
			       row->push_len, row->pop, row->pop_len,
			       flags ? "ingress" : "egress");
			TH_LOG("pulled %d, pushed %d, popped %d", vars.pulled, vars.pushed,
			       vars.popped);
		}
	}
}

TEST_F(change, table)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		run_row(_metadata, self, &rows[i]);
	EXPECT_EQ(2 * ARRAY_SIZE(rows), route_vars(&self->c).msgs);
	EXPECT_TRUE(route_counted(&self->c));
}

/* A place and a length in a message; rarely too long. */
static void choose(__u64 *dice, __u32 bytes, __u32 most, __u32 *at, __u32 *len)
{
	*len = rnd(dice) % 3 ? 1 + rnd(dice) % most : 0;
	*at = rnd(dice) % (bytes + 1);
	if (*at + *len > bytes && rnd(dice) % 8)
		*at = *len > bytes ? 0 : bytes - *len;
}

/* Random changes of random messages. */
TEST_F(change, random)
{
	int i, rounds = longer(60, 2000);
	struct row row = {};
	__u64 dice = 19;

	for (i = 0; i < rounds; i++) {
		row.bytes = rnd(&dice) % 4 ? 1 + rnd(&dice) % 200 : 1 + rnd(&dice) % BYTES;
		row.parts = 1 + rnd(&dice) % (row.bytes < 8 ? row.bytes : 8);
		choose(&dice, row.bytes, row.bytes, &row.pull, &row.pull_len);
		choose(&dice, row.bytes, PUSH_MAX, &row.push, &row.push_len);
		choose(&dice, row.bytes, row.bytes > 1 ? row.bytes - 1 : 1, &row.pop,
		       &row.pop_len);
		/* A message without bytes is not redirected. */
		if (row.pop_len >= row.bytes)
			row.pop_len = 0;
		run_row(_metadata, self, &row);
	}
	EXPECT_EQ(2 * rounds, route_vars(&self->c).msgs);
	EXPECT_TRUE(route_counted(&self->c));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
