/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_STAMP_H
#define REDIRMAP_STAMP_H

#include <linux/build_bug.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/types.h>

/*
 * Stamps: when something was last counted, in 32 bits beside its counter.
 *
 * They count so many jiffies, a power of two: 64 ms where there are 250 or 1000 a
 * second, 80 ms with 100, 107 ms with 300. So 32 bits last for more than eight
 * years. Made where frames are lost, in any context; turned into times and ages
 * by those who read counters.
 */
#define STAMP_JIFFIES roundup_pow_of_two(HZ / 16)
#define STAMP_YEARS 8

static_assert(((u64)STAMP_JIFFIES << 32) / HZ >
	      STAMP_YEARS * 366ULL * 86400);

/**
 * stamp_now() - the present time, for where frames are lost
 *
 * Context: any; costs a load and a shift.
 * Return: a number that wraps around.
 */
static inline u32 stamp_now(void)
{
	return jiffies / STAMP_JIFFIES;
}

/**
 * stamp_time() - when a stamp was made
 * @stamp: of stamp_now(), at most some years old
 *
 * Context: any.
 * Return: a time that can be compared, and is not 0.
 */
static inline u64 stamp_time(u32 stamp)
{
	u64 now = jiffies / STAMP_JIFFIES;
	u32 age = (u32)now - stamp;

	/* Another CPU may have read a later one. */
	return age < U32_MAX - 0xffff ? now - age : now;
}

/**
 * stamp_age() - how long ago a time is
 * @time: of stamp_time()
 *
 * Context: any.
 * Return: milliseconds, to a stamp.
 */
static inline u64 stamp_age(u64 time)
{
	u64 now = jiffies / STAMP_JIFFIES;

	return time < now ?
	       jiffies64_to_msecs((now - time) * STAMP_JIFFIES) : 0;
}

#endif /* REDIRMAP_STAMP_H */
