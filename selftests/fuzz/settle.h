/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel has put off for sockets. */
#ifndef REDIRMAP_FUZZ_SETTLE_H
#define REDIRMAP_FUZZ_SETTLE_H

#include "state.h"

bool settle_init(void);
/*
 * Returns when all packets on the loopback device have been processed, and the
 * work items that waited for the sockets of both sides. These may have caused
 * others.
 */
void settle(void);
/*
 * Has TCP sent, or kept, bytes of one end of a connection that the other end
 * has not received yet?
 */
bool in_flight(int from, int to);

#endif /* REDIRMAP_FUZZ_SETTLE_H */
