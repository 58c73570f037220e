/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of broadcasts, on top of xdplib.h: members m0, m1 and so
 * on, veths whose peers p0, p1 and so on look at all of each frame that they
 * get; and counts of these frames by receiver.
 *
 * In native XDP m1 and each fourth one after it are devices of faultylib.h,
 * which look at what drivers assume of frames, unless the test wants veths
 * alone.
 */
#ifndef REDIRMAP_CASTLIB_H
#define REDIRMAP_CASTLIB_H

#include "xdplib.h"

#define MEMBERS 64

/* As in broadcast.bpf.c. */
#define NUMBERS 256

/*
 * How frames come to the sender's program. Live ones come from lo, in batches,
 * and have no driver beneath them; those from a wire are packets that g0 sends
 * to g1, one per poll. Generic XDP knows the wire only, and so do stock maps
 * where live_frames_in_place() says no.
 */
enum cast_from { CAST_LIVE, CAST_WIRE };

/**
 * struct cast - a test
 * @e: its network, map and programs
 * @from: how frames come
 * @frags: programs are those for frames with fragments
 * @veths: all members are veths
 * @value_size: of the map; 0 for that of an ifindex
 */
struct cast {
	struct env e;
	enum cast_from from;
	bool frags;
	bool veths;
	__u32 value_size;
};

/*
 * A network with an empty map, and the sender's program on g1 if frames come
 * from there; broadcasts exclude no device; traces run. finish() ends it.
 */
bool cast_begin(struct cast *c, const struct kind *kind, enum cast_from from,
		__u32 capacity);

/* The map and the programs only. */
bool cast_load(struct cast *c, const struct kind *kind, __u32 capacity);

/* Makes members m@first to m@first + @n - 1, in no map yet. */
bool cast_members(struct cast *c, int first, int n);

/* Is it one of those that are not veths? */
bool cast_is_faulty(struct cast *c, int member);

/*
 * Puts the programs that were loaded last in the place of those before: the
 * sender's on g1, if frames come from there, and those of so many members.
 */
bool cast_attach(struct cast *c, int members);

/* Lets a device look at what it gets. */
bool cast_look(struct cast *c, const char *dev);

/* Lets key @key + i * @step lead to member m@first + i, @n times. */
bool cast_put(struct cast *c, __u32 key, __u32 step, int first, int n);

/* Sends frames number 0 to @n - 1; forgets what was before. 0 or -errno. */
int cast_send(struct cast *c, int n, int len);
void cast_forget(struct cast *c);

/*
 * A device has got each of the frames 0 to @n - 1 so many times, all their
 * bytes are right, and it has got nothing else. (Numbers are counted modulo
 * NUMBERS.)
 */
bool cast_got(struct cast *c, const char *dev, int n, int times);

/* The same for the peers of members m@first to m@first + @members - 1. */
bool cast_all_got(struct cast *c, int first, int members, int n, int times);

/*
 * How many frames a device has not sent, with this error, by events since
 * trace_start().
 */
int cast_drops(struct cast *c, const char *dev, int err);

/* The receivers' counts of this name, by device. */
__u64 cast_counted(struct cast *c, const char *what, const char *dev);

#endif /* REDIRMAP_CASTLIB_H */
