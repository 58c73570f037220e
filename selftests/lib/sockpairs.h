/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pairs of actions that sock_races.c lets race with each other: all pairs,
 * or, in the soak (scripts/lab/soak), those for which its time suffices.
 *
 * In the soak, the two types of claimed maps share the time equally, and so do
 * the pairs of a map. If a pair would get less than SOAK_PAIR seconds, fewer
 * pairs run, and the seed selects them.
 *
 * This file also knows the pairs that would meet faults of the kernel.
 */
#ifndef REDIRMAP_SOCKPAIRS_H
#define REDIRMAP_SOCKPAIRS_H

#include "socktask.h"

#define SOAK_PAIR 5
#define SOAK_TYPES 2
#define MAX_PAIRS (NR_ACTIONS * (NR_ACTIONS + 1) / 2)

struct pairs {
	enum action actions[MAX_PAIRS][2];
	int all;
	int n;			/* the first ones run */
	double seconds;		/* for each of them; 0: a few episodes */
};

/* A number of the soak; 0 outside of it. */
static __u64 soak_number(const char *name)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 10) : 0;
}

/* The part of the state of a random generator that the seed determines. */
static __u64 soak_dice(void)
{
	return soak_number("REDIRMAP_SOAK_SEED") << 16;
}

/* All pairs of actions but those that are left out. */
static void list_pairs(struct pairs *pairs, __u32 left_out)
{
	enum action first, second;

	pairs->all = 0;
	for (first = 0; first < NR_ACTIONS; first++) {
		for (second = first; second < NR_ACTIONS; second++) {
			if ((BIT(first) | BIT(second)) & left_out)
				continue;
			pairs->actions[pairs->all][0] = first;
			pairs->actions[pairs->all++][1] = second;
		}
	}
	pairs->n = pairs->all;
}

static void shuffle_pairs(struct pairs *pairs)
{
	__u64 state = soak_dice();
	enum action pair[2];
	int i, other;

	for (i = pairs->all - 1; i > 0; i--) {
		other = rnd(&state) % (i + 1);
		memcpy(pair, pairs->actions[i], sizeof(pair));
		memcpy(pairs->actions[i], pairs->actions[other], sizeof(pair));
		memcpy(pairs->actions[other], pair, sizeof(pair));
	}
}

/* Selects pairs for the soak; changes nothing outside of it. */
static void select_pairs(struct pairs *pairs)
{
	double time = 60.0 * soak_number("REDIRMAP_SOAK_MINUTES") / SOAK_TYPES;
	int most = time / SOAK_PAIR;

	if (!time)
		return;
	shuffle_pairs(pairs);
	if (most < pairs->n)
		pairs->n = most;
	pairs->seconds = time / pairs->n;
}

/*
 * Pairs whose sockets are in one more map, @keep, because of two faults of the
 * kernel, in stock maps as well: see known_from_stock.rst.
 *
 * A task that deletes the last entry of a socket frees its psock without the
 * socket's lock. If the socket is closed at this moment, the kernel warns in
 * sock_map_destroy() or sock_map_close().
 *
 * If a socket leaves its last map and returns, it gets another psock. If the
 * work item of the first one begins at this moment, it takes a reference to the
 * second psock, and puts the first: the kernel warns about its reference count,
 * and both the second psock and the socket are never freed. The work item runs
 * if a program of type sk_skb has been attached, and data is sent: a message is
 * sufficient, because each packet that is freed queues the sender's work item.
 * Early data are packets as well.
 */
static bool must_keep(__u32 pair)
{
	__u32 back = BIT(INSERT) | BIT(PROG) | BIT(REPLACE) | BIT(LINK) | BIT(BUPDATE);

	return pair & BIT(CLOSE) || (pair & PACKETS && pair & back) ||
	       (pair & BIT(MSG) && pair & BIT(LINK));
}

/*
 * May the map have a parser? If not: act_attach() does not stop it; or packets
 * arrive at sockets that leave the map and return, while @keep has them, and
 * then the kernel initializes a work item of the parser that is queued, in
 * stock maps as well: see known_from_stock.rst.
 */
static bool may_parse(__u32 pair)
{
	__u32 back = BIT(INSERT) | BIT(REPLACE) | BIT(BUPDATE);

	return !(pair & (BIT(ATTACH) | BIT(LINK) | BIT(PROG))) &&
	       !(pair & BIT(SKB) && pair & back);
}

#endif /* REDIRMAP_SOCKPAIRS_H */
