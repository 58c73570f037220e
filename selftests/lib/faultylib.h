/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices of modules/faulty_dev.c, which files in sysfs control: s0, to which
 * the sender's program is attached, and f0, f1 and so on for keys to lead to,
 * which look at all that they get, by themselves.
 *
 * Frames are packets that s0 sends to itself; native XDP gets them in bulks of
 * up to 64. They lie in pages of a pool, and finish() sees these come back.
 */
#ifndef REDIRMAP_FAULTYLIB_H
#define REDIRMAP_FAULTYLIB_H

#include <pthread.h>

#include "castlib.h"

/*
 * For main(): runs the tests with the module loaded; returns the exit status.
 */
int with_faulty(int (*run)(int argc, char **argv), int argc, char **argv);

/* One more, up. */
bool make_faulty(const char *dev);

/*
 * The same, for a test that has a veth otherwise: @peer is another name of it,
 * for where its frames come out. There they are the stack's, for generic XDP.
 */
bool make_faulty_pair(const char *dev, const char *peer, const char *args);
bool is_faulty_peer(const char *dev);

/*
 * A network with s0 and @n devices, and a map of values that may have programs
 * and, if it is claimed, counters, unless @c has another value_size. Redirects
 * are to key 0. finish() ends it.
 */
bool faulty_begin(struct cast *c, const struct kind *kind, int n);

/* Tells a device what to do: see modules/faulty_knobs.c. */
bool turn(const char *dev, const char *knob, int value);

/* The value of a file of a device's; -1 if it cannot be read. */
int knob(const char *dev, const char *name);

/* Does a device have this file? */
bool has_knob(const char *dev, const char *knob);

/*
 * Sends frames number 0 to @n - 1, after all before are forgotten. 0 or -errno.
 */
int faulty_send(struct cast *c, int n, int len);

/*
 * The same in one poll, of which @stop is a frame: what was done before that
 * is, and the others wait until faulty_go_on().
 */
bool faulty_send_until(struct cast *c, pthread_t *thread, int n, int len, int stop);
bool faulty_go_on(struct cast *c, pthread_t thread, int n);

/* Exactly so many frames have come to a device, with the right bytes. */
bool some_got(struct cast *c, const char *dev, __u64 n);

#endif /* REDIRMAP_FAULTYLIB_H */
