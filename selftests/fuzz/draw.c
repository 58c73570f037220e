// SPDX-License-Identifier: GPL-2.0-only
/* Random numbers and values: see draw.h. */
#include "draw.h"

static __u64 *seed;

void draw_from(__u64 *from)
{
	seed = from;
}

__u32 draw_number(void)
{
	return rnd(seed);
}

__u32 below(__u32 n)
{
	return draw_number() % n;
}

bool one_in(__u32 n)
{
	return !below(n);
}

__u64 draw_key(const struct pair *pair)
{
	static const __u32 odd[] = { 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 65536 };
	__u64 max = pair->attr.max_entries ?: 1;

	if (one_in(40))
		return PICK(odd);
	/*
	 * Hashes are filled, and often searched for missing keys; an array
	 * seldom is.
	 */
	return below(is_array(pair) ? max + 1 : 2 * max);
}

__u64 draw_sock(void)
{
	return one_in(8) ? below(NR_SOCK_KINDS) : below(SOCK_UDP + 1);
}
