/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of frames that leave as packets: a network in which
 * frames come by g0 and g1, a map with counters, and sinks for packets.
 */
#ifndef REDIRMAP_PACKETLIB_H
#define REDIRMAP_PACKETLIB_H

#include <stdbool.h>

#include "kinds.h"

struct env;
struct sink;

/*
 * The network, and the programs of packets.bpf.h over a map of 8 entries, which
 * have counters if it is claimed; @name is its name then.
 */
bool packets_begin(struct env *e, const struct kind *kind, const char *name);

/* Sends one frame of any kind; returns 0 or -errno. */
int send_frame_on(int sock, const char *dev, const void *frame, int len);

/* Makes a tun, up, and takes what comes out, with the MAC header put back. */
bool sink_open_tun(struct sink *sink, const char *name);

/* Takes the packets inside of IPv4 that arrive at a device; likewise. */
bool sink_open_ipip(struct sink *sink, const char *dev);

/* Frames number 1, 3 and so on, below @n, should come. */
void sink_expect_odd(struct sink *sink, unsigned int n, int len);

/*
 * Were @sent frames of any length sent, and @lost frames lost, for this reason
 * only? Waits until the sum is right.
 */
bool counted_in_all(struct env *e, unsigned int key, unsigned int sent, int reason,
		    unsigned int lost);

#endif /* REDIRMAP_PACKETLIB_H */
