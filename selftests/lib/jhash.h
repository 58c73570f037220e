/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hash of the kernel's include/linux/jhash.h, by Bob Jenkins: lookup3.c,
 * public domain. With it a test finds keys of a socket map that share a bucket.
 */
#ifndef REDIRMAP_JHASH_H
#define REDIRMAP_JHASH_H

#include <linux/types.h>
#include <string.h>

static inline __u32 jhash_rol(__u32 word, unsigned int by)
{
	return word << by | word >> (32 - by);
}

static inline void jhash_mix(__u32 v[3])
{
	static const unsigned int by[] = { 4, 6, 8, 16, 19, 4 };
	int i, a, b, c;

	for (i = 0; i < 6; i++) {
		a = i % 3;
		b = (i + 1) % 3;
		c = (i + 2) % 3;
		v[a] -= v[c];
		v[a] ^= jhash_rol(v[c], by[i]);
		v[c] += v[b];
	}
}

static inline void jhash_final(__u32 v[3])
{
	static const unsigned int by[] = { 14, 11, 25, 16, 4, 14, 24 };
	int i, to, from;

	for (i = 0; i < 7; i++) {
		to = (i + 2) % 3;
		from = (i + 1) % 3;
		v[to] ^= v[from];
		v[to] -= jhash_rol(v[from], by[i]);
	}
}

/* On a machine with little endian. */
static inline __u32 jhash(const void *key, __u32 length, __u32 initial)
{
	__u32 words[3], v[3];
	const char *at = key;
	int i;

	for (i = 0; i < 3; i++)
		v[i] = 0xdeadbeef + length + initial;
	for (; length > 12; length -= 12, at += 12) {
		memcpy(words, at, sizeof(words));
		for (i = 0; i < 3; i++)
			v[i] += words[i];
		jhash_mix(v);
	}
	if (!length)
		return v[2];
	memset(words, 0, sizeof(words));
	memcpy(words, at, length);
	for (i = 0; i < 3; i++)
		v[i] += words[i];
	jhash_final(v);
	return v[2];
}

#endif /* REDIRMAP_JHASH_H */
