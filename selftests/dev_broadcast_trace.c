// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of broadcasts: xdp:xdp_redirect_map reports each frame once, and
 * xdp:xdp_devmap_xmit the batches of each member.
 *
 * The same frames run through a stock and a claimed map, one after the other.
 * The ends of batches may differ. The number of frames from a device that were
 * sent to a member or dropped, and the reasons, may not.
 *
 * INTENDED DIFFERENCES: claimed maps have one more xdp_devmap_xmit for each
 * flush of the map, with to_ifindex 0; in generic XDP there is no xdp_exception
 * for a member that refuses its copy; and xdp_redirect_map has to_ifindex 0 for
 * all broadcasts, while a stock map reports the device of the key, if there is
 * one.
 */
#define _GNU_SOURCE
#include "castlib.h"
#include "faultylib.h"
#include "harness.h"
#include "testlib.h"

#define SUMS_MAX 64
#define N 4
/* The frames that send_all() sends natively. */
#define FRAMES (100 + 33 + 50 + 20 + 40 + 30 + 30)

/* Frames from one device to another one, with one result. */
struct sum {
	int from, to, err;
	unsigned long sent, drops, events;
};

struct sums {
	struct sum sum[SUMS_MAX];
	int n;
	/* flushes of the map itself */
	struct sum all;
};

FIXTURE(trace)
{
	struct cast c;
	struct sums sums[2];
	char *redirects[2];
};

FIXTURE_VARIANT(trace)
{
	enum bpf_map_type type;
	bool generic;
};

FIXTURE_VARIANT_ADD(trace, array_native) {
	.type = BPF_MAP_TYPE_DEVMAP,
};

FIXTURE_VARIANT_ADD(trace, hash_native) {
	.type = BPF_MAP_TYPE_DEVMAP_HASH,
};

FIXTURE_VARIANT_ADD(trace, array_generic) {
	.type = BPF_MAP_TYPE_DEVMAP, .generic = true,
};

FIXTURE_VARIANT_ADD(trace, hash_generic) {
	.type = BPF_MAP_TYPE_DEVMAP_HASH, .generic = true,
};

static struct sum *sum_of(struct sums *sums, const struct sum *like)
{
	int i;

	if (!like->to)
		return &sums->all;
	for (i = 0; i < sums->n; i++) {
		struct sum *s = &sums->sum[i];

		if (s->from == like->from && s->to == like->to && s->err == like->err)
			return s;
	}
	if (sums->n == SUMS_MAX)
		abort();
	sums->sum[sums->n] = (struct sum) {
		.from = like->from, .to = like->to, .err = like->err,
	};
	return &sums->sum[sums->n++];
}

/* Adds up the events of members, and keeps those of frames. */
static bool take_trace(struct cast *c, struct sums *sums, char *redirects)
{
	static char text[TRACE_MAX];
	char *line, *save = NULL;

	if (!trace_read(&c->e, text))
		return false;
	*redirects = '\0';
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct sum s, *sum;

		if (sscanf(line, "xdp_devmap_xmit: ndo_xdp_xmit from_ifindex=%d to_ifindex=%d "
			   "action=REDIRECT sent=%lu drops=%lu err=%d",
			   &s.from, &s.to, &s.sent, &s.drops, &s.err) == 5) {
			sum = sum_of(sums, &s);
			sum->sent += s.sent;
			sum->drops += s.drops;
			sum->events++;
		} else if (!strncmp(line, "xdp_redirect", strlen("xdp_redirect"))) {
			redirects = stpcpy(stpcpy(redirects, line), "\n");
		}
	}
	return true;
}

static bool same_sums(struct sums *stock, struct sums *claimed)
{
	bool same = stock->n == claimed->n;
	int i;

	for (i = 0; i < stock->n; i++) {
		struct sum *a = &stock->sum[i], *b = sum_of(claimed, a);

		if (a->sent == b->sent && a->drops == b->drops)
			continue;
		fprintf(stderr, "# %d to %d, err %d: stock sent %lu, dropped %lu; ours %lu, %lu\n",
			a->from, a->to, a->err, a->sent, a->drops, b->sent, b->drops);
		same = false;
	}
	if (stock->n != claimed->n)
		fprintf(stderr, "# stock had %d, claimed %d kinds of events\n",
			stock->n, claimed->n);
	return same;
}

FIXTURE_SETUP(trace)
{
	struct cast *c = &self->c;
	int i;

	c->e.generic = variant->generic;
	/* both kinds of maps get the same frames */
	c->from = variant->generic || !live_frames_in_place() ? CAST_WIRE : CAST_LIVE;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(&c->e));
	if (!variant->generic && c->from == CAST_WIRE) {
		ASSERT_TRUE(make_veth("g0", "g1", "mtu 3300"));
	}
	for (i = 0; i < 2; i++) {
		self->redirects[i] = calloc(1, TRACE_MAX);
		ASSERT_NE(self->redirects[i], NULL);
	}
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_TRUE(finish(&self->c.e));
}

/*
 * The frames go to all: with one member down, one whose driver fails, one with
 * a full ring and one under several keys; and back to the ingress device.
 */
static bool send_all(struct cast *c)
{
	struct env *e = &c->e;
	bool ok;

	ok = !cast_send(c, 100, 64) && cast_all_got(c, 0, N, 100, 1);
	/* in generic XDP a stock map reports an error */
	ok = ok && (e->generic || ip("link set m3 down\n")) && !cast_send(c, 33, 64) &&
	     cast_all_got(c, 0, N - 1, 33, 1);
	ok = ok && ip("link set m3 up\nlink set p2 down\n") && !cast_send(c, 50, 64) &&
	     cast_all_got(c, 0, 2, 50, 1);
	ok = ok && ip("link set p2 up\nlink set tap txqueuelen 10\n") && put(e, 4, "tap") &&
	     !cast_send(c, 20, 64) && cast_all_got(c, 0, N, 20, 1) &&
	     drain_tap(e->tap[0]) == 10 && del(e, 4);
	ok = ok && put(e, 5, "m0") && put(e, 6, "m0") && !cast_send(c, 40, 64) &&
	     cast_got(c, "p0", 40, 3) && cast_got(c, "p1", 40, 1);
	if (!ok || c->from == CAST_WIRE)
		return ok;

	set_var(e, "flags", BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	return !send_live_from(e, "broadcast", "m1", 30, 64) &&
	       !send_live_from(e, "broadcast", "p3", 30, 64) &&
	       cast_got(c, "p2", 100, 1) && settled(e, "p1", 70) == 70;
}

TEST_F(trace, same_events)
{
	struct kind kind = { .type = variant->type, .generic = variant->generic };
	struct cast *c = &self->c;
	int claimed;

	ASSERT_TRUE(cast_load(c, &kind, 1));
	ASSERT_TRUE(cast_members(c, 0, N));
	ASSERT_TRUE(make_tap("tap", c->e.tap, 1));
	unload(&c->e);

	for (claimed = 0; claimed < 2; claimed++) {
		kind.claimed = claimed;
		ASSERT_TRUE(cast_load(c, &kind, 8));
		ASSERT_TRUE(cast_put(c, 0, 1, 0, N));
		ASSERT_TRUE(cast_attach(c, N));
		ASSERT_TRUE(trace_start(&c->e));
		/* a missing key */
		set_var(&c->e, "first_key", 7);
		ASSERT_TRUE(send_all(c));
		ASSERT_TRUE(take_trace(c, &self->sums[claimed], self->redirects[claimed]));
		if (!claimed)
			unload(&c->e);
	}
	EXPECT_TRUE(same_sums(&self->sums[0], &self->sums[1]));
	EXPECT_TRUE(same_text(self->redirects[0], self->redirects[1]));
	EXPECT_GT(strlen(self->redirects[0]), 20000);
	EXPECT_EQ(self->sums[0].all.events, 0);
	if (!variant->generic) {
		EXPECT_GE(self->sums[0].n, c->from == CAST_LIVE ? 7 : 6);
		/* each frame once, in batches of at most 16 */
		EXPECT_EQ(self->sums[1].all.sent + self->sums[1].all.drops,
			  c->from == CAST_LIVE ? FRAMES : FRAMES - 60);
		EXPECT_GE(self->sums[1].all.events, FRAMES / 16);
	}
}

TEST_F(trace, key)
{
	struct kind kind = { .type = variant->type, .generic = variant->generic };
	struct cast *c = &self->c;
	char text[60];

	for (kind.claimed = false; ; kind.claimed = true) {
		ASSERT_TRUE(cast_load(c, &kind, 8));
		if (!kind.claimed) {
			ASSERT_TRUE(cast_members(c, 0, 2));
		}
		ASSERT_TRUE(cast_put(c, 3, 1, 0, 2));
		ASSERT_TRUE(cast_attach(c, 2));
		ASSERT_TRUE(trace_start(&c->e));
		set_var(&c->e, "first_key", 4);
		ASSERT_EQ(cast_send(c, 20, 64), 0);
		EXPECT_TRUE(cast_all_got(c, 0, 2, 20, 1));
		snprintf(text, sizeof(text), "to_ifindex=%d err=0 map_id=OURS map_index=4",
			 kind.claimed ? 0 : if_nametoindex("m1"));
		EXPECT_TRUE(traced(&c->e, "xdp_redirect", text, 20));
		if (kind.claimed)
			break;
		unload(&c->e);
	}
}

int main(int argc, char **argv)
{
	return with_faulty(test_harness_run, argc, argv);
}
