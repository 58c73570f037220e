/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices of modules/faulty_dev.c, which files in sysfs control: s0, on which
 * the sender's program runs, and the targets f0, f1 and so on, which check all
 * frames that they get.
 *
 * Frames are packets that s0 sends to itself. Native XDP gets them in bulks of
 * up to 64. They lie in pages of a pool, and finish() waits until the pages are
 * back.
 */
#ifndef REDIRMAP_FAULTYLIB_H
#define REDIRMAP_FAULTYLIB_H

#include <pthread.h>

#include "castlib.h"

/*
 * For main(): runs the tests with the module loaded, and returns the exit
 * status.
 */
int with_faulty(int (*run)(int argc, char **argv), int argc, char **argv);

/* Makes one more device, and sets it up. */
bool make_faulty(const char *dev);

/*
 * Makes a device for a test that otherwise uses a veth: @peer is another name
 * of the device, at which its frames arrive. They arrive in the stack, for
 * programs of generic XDP.
 */
bool make_faulty_pair(const char *dev, const char *peer, const char *args);
bool is_faulty_peer(const char *dev);

/*
 * Makes a network with s0 and @n devices, and a map whose values have room for
 * programs and, if it is claimed, for counters, unless @c has another
 * value_size. Redirects use key 0. finish() ends it.
 */
bool faulty_begin(struct cast *c, const struct kind *kind, int n);

/* The name of device number @i, such as f1; valid until the next call. */
const char *faulty_name(int i);

/* Writes a file of a device: see modules/faulty_knobs.c. */
bool turn(const char *dev, const char *knob, int value);

/* The value of a file of a device; -1 if it cannot be read. */
int knob(const char *dev, const char *name);

/* Does a device have this file? */
bool has_knob(const char *dev, const char *knob);

/*
 * Sends frames number 0 to @n - 1, and resets all counts before. 0 or -errno.
 */
int faulty_send(struct cast *c, int n, int len);

/*
 * The same with two lengths, in one poll if they are up to 64: @n frames of
 * @len, then @more of @other. The program compares the first length only.
 */
int faulty_send_two(struct cast *c, int len, int n, int more, int other);

/*
 * The same in one poll, which stops before frame number @stop until
 * faulty_go_on() is called.
 */
bool faulty_send_until(struct cast *c, pthread_t *thread, int n, int len, int stop);
bool faulty_go_on(struct cast *c, pthread_t thread, int n);

/* Has a device got exactly so many frames, with the right bytes? */
bool some_got(struct cast *c, const char *dev, __u64 n);

#endif /* REDIRMAP_FAULTYLIB_H */
