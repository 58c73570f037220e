// SPDX-License-Identifier: GPL-2.0-only
/* Lists of calls: see seq.h. */
#include <string.h>

#include "seq.h"

/*
 * Calls with which sequences begin, so that later ones find something. Their
 * arguments are not wrong on purpose.
 */
static const char * const of_devs[] = {
	"add veth", "add veth", "add other", "set gro", "set gro", "create dev map",
	"create dev map", "load egress", "update entry", "update entry", "update entry",
	"update entry", "update entry", "update entry", "update entry", "update entry",
	"create outer", "update outer", "update outer", "load redirect", "load redirect",
	"load outer redirect", "attach", "attach", "link", "send packets",
	"run live", "run live", NULL
};

static const char * const of_socks[] = {
	"create sock map", "create sock map", "load sk program", "load sk program",
	"attach sk program", "connect", "connect", "connect", "update socket",
	"update socket", "update socket", "update socket", "send data", NULL
};

__u64 mix(__u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static __u32 next(__u64 *state)
{
	*state += 0x9e3779b97f4a7c15ull;
	return mix(*state) >> 32;
}

/* See is_wrong(), fd_of(), dev_of(). */
static __u32 right(__u32 a)
{
	return (a & 0x03ffc0ff) | 0x2a00;
}

static void append(struct seq *s, int player, int what, bool careful, __u64 *state)
{
	struct call *call = &s->calls[player][s->n[player]++];
	int i;

	call->what = what;
	for (i = 0; i < ARGS; i++)
		call->a[i] = careful ? right(next(state)) : next(state);
}

/* A row of the table, by the weights of one subject or of both. */
static int pick(int subject, __u64 *state)
{
	int i, sum = 0, at;

	for (i = 0; i < nr_kinds_of_calls; i++)
		sum += (subject != 1) * kinds_of_calls[i].dev +
		       (subject != 0) * kinds_of_calls[i].sock;
	at = next(state) % sum;
	for (i = 0; i < nr_kinds_of_calls; i++) {
		at -= (subject != 1) * kinds_of_calls[i].dev +
		      (subject != 0) * kinds_of_calls[i].sock;
		if (at < 0)
			break;
	}
	return i;
}

void generate(struct seq *s)
{
	static const int subjects[] = { 0, 0, 0, 1, 2 };
	__u64 state = mix(opt.seed) ^ mix(0x100000000ull + s->nr);
	const char * const *name;
	int subject, calls, i, k;

	memset(s->n, 0, sizeof(s->n));
	subject = subjects[next(&state) % 5];
	s->players = 1 + (next(&state) % 4 == 0);
	if (subject != 1)
		for (name = of_devs; *name; name++)
			append(s, 0, call_named(*name), true, &state);
	if (subject != 0)
		for (name = of_socks; *name; name++)
			append(s, 0, call_named(*name), true, &state);
	for (i = 0; i < s->players; i++) {
		calls = 30 + next(&state) % 60;
		for (k = 0; k < calls; k++) {
			append(s, i, pick(subject, &state), false, &state);
			/* Some calls are repeated, as they are. */
			if (next(&state) % 16)
				continue;
			s->calls[i][s->n[i]] = s->calls[i][s->n[i] - 1];
			s->n[i]++;
			k++;
		}
	}
	s->kill_at = next(&state) % 3 ? -1 : (int)(next(&state) % s->n[0]);
	s->leave = next(&state) % 2;
}
