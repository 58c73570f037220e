/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sinks take the frames of netlib.h that arrive at a device, or come out of a
 * tap, and compare them with the expected frames: each must come once, with all
 * its bytes, and no other frame.
 */
#ifndef REDIRMAP_SINKLIB_H
#define REDIRMAP_SINKLIB_H

#include <stdbool.h>

/* Numbers of frames are below this. */
#define SINK_NUMBERS 2048

/* The length of frames that send_numbered() makes, as in sinklib.bpf.h. */
#define NUMBERED_LEN 200

struct env;

/**
 * struct sink - the frames that have come to a place, and the expected ones
 * @name: for messages
 * @fd: the file to read from, or -1
 * @skip: number of bytes in front of each frame
 * @poll: fetches frames if @fd cannot be read
 * @also: another sink that may get the expected frames as well
 * @n: number of frames that have come here
 * @len: length of each expected frame; 0 for the others
 * @got: how often each frame has come
 * @wrong: number of frames of this test with wrong bytes
 */
struct sink {
	const char *name;
	int fd;
	int skip;
	void (*poll)(struct sink *sink);
	struct sink *also;
	unsigned int n;
	unsigned short len[SINK_NUMBERS];
	unsigned short got[SINK_NUMBERS];
	unsigned int wrong;
};

/* Takes the frames that the driver of a device passes to the stack. */
bool sink_open(struct sink *sink, const char *dev);

/* The same, and what leaves by the device, as the taps of the stack see it. */
bool sink_open_outgoing(struct sink *sink, const char *dev);

/* Takes frames from a file, such as that of a tap. */
void sink_use(struct sink *sink, const char *name, int fd, int skip);

void sink_close(struct sink *sink);

/* Expects frames number @first to @first + @n - 1, of length @len. */
void sink_expect(struct sink *sink, unsigned int first, unsigned int n, int len);

/*
 * Sends frames number @first to @first + @n - 1 on a device: for generic XDP
 * one by one; for native XDP, if the device can, in bulks of XDP frames, so
 * that a poll at the other side gets many. 0 or -errno.
 */
int send_numbered(struct env *e, const char *dev, unsigned int first, int n);

/* Takes one frame. */
void sink_take(struct sink *sink, const unsigned char *frame, int len);

/*
 * Waits for all expected frames. True if exactly these have come since the last
 * call; prints differences on stderr. @n counts the frames of this time.
 */
bool sink_ok(struct sink *sink);

#endif /* REDIRMAP_SINKLIB_H */
