/* SPDX-License-Identifier: GPL-2.0-only */
/* Assertions of what drivers assume of their frames: see faulty_check.c. */
#ifndef FAULTY_CHECK_H
#define FAULTY_CHECK_H

#include <linux/types.h>

struct net_device;
struct sk_buff;
struct xdp_frame;
struct faulty_check;

struct faulty_check *faulty_check_new(const struct net_device *dev);
void faulty_check_free(struct faulty_check *check);

void faulty_check_call(const struct faulty_check *check, int n,
		       struct xdp_frame **frames, u32 flags, int headroom,
		       unsigned long caller);
void faulty_check_taken(struct faulty_check *check, int taken, bool flushed,
			unsigned long caller);
void faulty_check_skb(const struct net_device *dev, const struct sk_buff *skb,
		      unsigned long caller);
void faulty_spoil(struct xdp_frame **frames, int n, bool over);

/* faulty_provoke.c */
int faulty_provoke(struct faulty_check *check, const struct net_device *dev,
		   int fault);

#endif /* FAULTY_CHECK_H */
