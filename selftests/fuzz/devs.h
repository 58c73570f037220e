/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices and network namespaces. */
#ifndef REDIRMAP_FUZZ_DEVS_H
#define REDIRMAP_FUZZ_DEVS_H

#include "state.h"

bool devs_init(void);
bool devs_reset(void);
void dev_step(const struct op *op);

/* The frames and packets that a target has sent. */
struct sent {
	__u32 packets, bytes;
};

void devs_sent(struct sent sent[NR_TARGETS]);
/* Does a target take XDP frames? The others take packets. */
bool dev_takes_frames(unsigned int target);
/* Does a target put its packets into the backlog of this CPU? */
bool dev_fills_backlog(unsigned int target);
/* Does a target send packets of that length, in its present state? */
bool dev_sends_packets(unsigned int target, unsigned int len);

#endif /* REDIRMAP_FUZZ_DEVS_H */
