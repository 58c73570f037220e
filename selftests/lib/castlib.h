/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of broadcasts, in addition to xdplib.h: members m0, m1
 * and so on, which are veths; their peers p0, p1 and so on, which check all
 * bytes of each frame; and counts of these frames by receiver.
 *
 * In native XDP m1 and every fourth member after it are devices of faultylib.h,
 * which assert what drivers assume of frames, unless the test wants veths only.
 */
#ifndef REDIRMAP_CASTLIB_H
#define REDIRMAP_CASTLIB_H

#include "xdplib.h"

#define MEMBERS 64

/* As in broadcast.bpf.c. */
#define NUMBERS 256

/*
 * How frames get to the sender's program. Live frames come from lo, in batches,
 * without a driver. Frames from a wire are packets that g0 sends to g1, one per
 * poll. Generic XDP only knows the wire. So do stock maps if
 * live_frames_in_place() returns false.
 */
enum cast_from { CAST_LIVE, CAST_WIRE };

/**
 * struct cast - a test
 * @e: network, map and programs of the test
 * @from: how frames get to the sender's program
 * @frags: the programs support fragments
 * @veths: all members are veths
 * @value_size: size of the map's values; 0 for values that are an ifindex
 */
struct cast {
	struct env e;
	enum cast_from from;
	bool frags;
	bool veths;
	__u32 value_size;
};

/*
 * Makes a network with an empty map. If frames come from a wire, the sender's
 * program is attached to g1. Broadcasts exclude no device, and traces run.
 * finish() ends it.
 */
bool cast_begin(struct cast *c, const struct kind *kind, enum cast_from from,
		__u32 capacity);

/* Makes the map and the programs only. */
bool cast_load(struct cast *c, const struct kind *kind, __u32 capacity);

/* Makes the members m@first to m@first + @n - 1, which are in no map yet. */
bool cast_members(struct cast *c, int first, int n);

/* Is a member a device of faultylib.h? */
bool cast_is_faulty(struct cast *c, int member);

/*
 * Replaces the attached programs by those that were loaded last: the sender's
 * program on g1, if frames come from a wire, and the programs of so many
 * members.
 */
bool cast_attach(struct cast *c, int members);

/* Makes a device check the frames that it gets. */
bool cast_look(struct cast *c, const char *dev);

/* Makes key @key + i * @step lead to member m@first + i, for @n members. */
bool cast_put(struct cast *c, __u32 key, __u32 step, int first, int n);

/*
 * Sends frames number 0 to @n - 1, and resets all counts before. 0 or -errno.
 */
int cast_send(struct cast *c, int n, int len);
void cast_forget(struct cast *c);

/*
 * A device has got each of the frames 0 to @n - 1 so many times, with the right
 * bytes, and no other frame. (Numbers are counted modulo NUMBERS.)
 */
bool cast_got(struct cast *c, const char *dev, int n, int times);

/* The same for the peers of members m@first to m@first + @members - 1. */
bool cast_all_got(struct cast *c, int first, int members, int n, int times);

/*
 * The number of frames that a device has not sent, with this error, according
 * to the events since trace_start().
 */
int cast_drops(struct cast *c, const char *dev, int err);

/* A device's value of a counter of the receivers, by the counter's name. */
__u64 cast_counted(struct cast *c, const char *what, const char *dev);

#endif /* REDIRMAP_CASTLIB_H */
