/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of early data: a map that the parameter "early" selects,
 * if it is claimed, programs of type sk_skb for it, a connection whose second
 * socket is inserted with bytes in its receive queue, and the target of the
 * redirects.
 */
#ifndef REDIRMAP_SOCKEARLY_H
#define REDIRMAP_SOCKEARLY_H

#include "harness.h"
#include "socklib.h"

/* Keys of the source, of the target of its redirects, and of no socket. */
#define SOURCE 1
#define TARGET 2
#define NOBODY 7

FIXTURE(early) {
	struct sock_maps maps;
	int map;	/* that of the variant */
	int bell;	/* another one, without programs */
	bool is_hash;
	bool runs;	/* an insert runs the program on early data */
	struct bpf_object *obj;
	int source[2];	/* the peer, and the socket that is inserted */
	int target[2];	/* the target of redirects, and its peer */
};

FIXTURE_VARIANT(early) {
	struct kind kind;
};

SOCK_KINDS(early);

FIXTURE_SETUP(early)
{
	bool claimed = variant->kind.claimed;

	ASSERT_TRUE(module_refs_become(base_refs));
	ASSERT_TRUE(set_policy("early", "rm_sock"));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->runs = claimed;
	self->obj = sock_load_new(&self->maps, claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
	self->bell = bpf_map_create(variant->kind.type, claimed ? "rm_bell" : "st_bell", 4, 8,
				    SOCK_ENTRIES, NULL);
	ASSERT_LE(0, self->bell);
	ASSERT_EQ(0, tcp_pair(AF_INET, self->source));
	ASSERT_EQ(0, tcp_pair(AF_INET6, self->target));
}

FIXTURE_TEARDOWN(early)
{
	close_pair(self->source);
	close_pair(self->target);
	close(self->bell);
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(set_policy("early", ""));
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* Attaches the program of type sk_skb, and sets its variables. */
static bool attach(FIXTURE_DATA(early) *self, struct sock_vars vars)
{
	return !bpf_prog_attach(sock_prog(self->obj, "skb", self->is_hash), self->map,
				BPF_SK_SKB_STREAM_VERDICT, 0) &&
	       sock_set(self->obj, vars);
}

static bool attach_parser(FIXTURE_DATA(early) *self, const char *name)
{
	int parser = bpf_program__fd(bpf_object__find_program_by_name(self->obj, name));

	return !bpf_prog_attach(parser, self->map, BPF_SK_SKB_STREAM_PARSER, 0);
}

#define TO_TARGET ((struct sock_vars){ .key = TARGET, .flags = BPF_F_INGRESS })
#define TO_READER ((struct sock_vars){ .key = NOBODY, .always = 1 + SK_PASS })

#endif /* REDIRMAP_SOCKEARLY_H */
