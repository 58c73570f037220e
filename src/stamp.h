/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STAMP_H
#define REDIRMAP_STAMP_H

#include <linux/build_bug.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/types.h>

/*
 * Stamps: the time of the last change of a counter, in 32 bits.
 *
 * The unit of a stamp is a power of two of jiffies: 64 ms with a HZ of 250 or
 * 1000, 80 ms with 100, 107 ms with 300. So 32 bits last for more than eight
 * years. Stamps are made where frames are lost, in any context; readers of
 * counters turn them into times and ages.
 */
#define STAMP_JIFFIES roundup_pow_of_two(HZ / 16)
#define STAMP_YEARS 8

static_assert(((u64)STAMP_JIFFIES << 32) / HZ >
	      STAMP_YEARS * 366ULL * 86400);

/**
 * stamp_now() - the stamp of the present time
 *
 * Runs where frames are lost, bottom halves off, per loss; costs a load and a
 * shift.
 *
 * Return: the stamp, which wraps around.
 */
static inline u32 stamp_now(void)
{
	return jiffies / STAMP_JIFFIES;
}

/**
 * stamp_time() - the time when a stamp was made
 * @stamp: a stamp from stamp_now(), at most STAMP_YEARS old
 *
 * Context: any.
 * Return: the time, in units of stamps, to compare with other times; never 0.
 */
static inline u64 stamp_time(u32 stamp)
{
	u64 now = jiffies / STAMP_JIFFIES;
	u32 age = (u32)now - stamp;

	/* Another CPU may have read later jiffies for the stamp. */
	return age < U32_MAX - 0xffff ? now - age : now;
}

/**
 * stamp_age() - the age of a time
 * @time: a time from stamp_time()
 *
 * Context: any.
 * Return: milliseconds, in steps of a stamp.
 */
static inline u64 stamp_age(u64 time)
{
	u64 now = jiffies / STAMP_JIFFIES;

	return time < now ?
	       jiffies64_to_msecs((now - time) * STAMP_JIFFIES) : 0;
}

#endif /* REDIRMAP_STAMP_H */
