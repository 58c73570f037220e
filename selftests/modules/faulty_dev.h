/* SPDX-License-Identifier: GPL-2.0-only */
/* Drivers that behave in permitted, but rare ways: see faulty_dev.c. */
#ifndef FAULTY_DEV_H
#define FAULTY_DEV_H

#include <linux/netdevice.h>
#include <net/xdp.h>

enum faulty_knob {
	TAKE,
	ROOM,
	ERROR,
	STOPPED,
	HOLD,
	HEADROOM,
	LINEAR,
	MEMALLOC,
	CROSSED,
	WANTS,
	FEATURE,
	PROVOKE,
	SPOIL,
	CALLS,
	FLUSHES,
	WAITING,
	PAUSE,
	PAUSED,
	NO_MEMORY,
	NO_NDO,
	RINGS,
	RINGS_IF_TAKEN,
	LONGEST,
	LINGER,
	MET,
	KNOBS,
};

/**
 * struct faulty - a device
 * @dev: the net_device
 * @knob: values of the device's files
 * @check: state of faulty_check.c
 * @lock: protects @frames, @nr_frames and the room that is left
 * @frames: XDP frames that the device holds
 * @nr_frames: their number
 * @packets: packets that the device holds, or that wait for its program
 * @prog: the program of native XDP
 * @napi: runs the program
 * @rxq: receive queue of its frames
 * @pool: pages of its frames
 * @buffs: frames of a poll
 */
struct faulty {
	struct net_device *dev;
	int knob[KNOBS];
	struct faulty_check *check;
	spinlock_t lock; /* @frames, @nr_frames, room */
	struct xdp_frame **frames;
	int nr_frames;
	struct sk_buff_head packets;
	struct bpf_prog __rcu *prog;
	struct napi_struct napi;
	struct xdp_rxq_info rxq;
	struct page_pool *pool;
	struct xdp_buff buffs[NAPI_POLL_WEIGHT];
};

void faulty_swap_ops(struct faulty *f, int val);
void faulty_receive_held(struct faulty *f);

extern const struct attribute_group faulty_group;

#endif /* FAULTY_DEV_H */
