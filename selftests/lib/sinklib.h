/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sinks: they take the frames of netlib.h that arrive at a device, or come out
 * of a tap, and check that these are the frames that should have come: each
 * once, with all its bytes, and no others.
 */
#ifndef REDIRMAP_SINKLIB_H
#define REDIRMAP_SINKLIB_H

#include <stdbool.h>

/* Frames have numbers below. */
#define SINK_NUMBERS 2048

/* The length of frames that send_numbered() makes, as in sinklib.bpf.h. */
#define NUMBERED_LEN 200

struct env;

/**
 * struct sink - what has come to a place, and what should have
 * @name: for messages
 * @fd: what to read from, or -1
 * @skip: so many bytes come before each frame
 * @poll: fetches what has come, where @fd cannot be read
 * @also: what comes to this sink is as good as if it came to the first one
 * @n: how many frames have come here
 * @len: length of each frame that should come; 0 for those that should not
 * @got: how often each frame has come
 * @wrong: frames of ours that were not as they were sent
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

/* Takes what arrives at a device: what its driver hands to the stack. */
bool sink_open(struct sink *sink, const char *dev);

/* Takes what comes out of a file, a tap's for instance. */
void sink_use(struct sink *sink, const char *name, int fd, int skip);

void sink_close(struct sink *sink);

/* Frames of length @len, number @first to @first + @n - 1, should come. */
void sink_expect(struct sink *sink, unsigned int first, unsigned int n, int len);

/*
 * Sends frames number @first to @first + @n - 1 on a device: for generic XDP
 * one by one; for native XDP, and if the device can, in bulks of XDP frames, so
 * that a poll at the other side gets many. 0 or -errno.
 */
int send_numbered(struct env *e, const char *dev, unsigned int first, int n);

/* A frame has come. */
void sink_take(struct sink *sink, const unsigned char *frame, int len);

/*
 * Waits for all frames that should come; true if exactly these have come since
 * the last call. Says what is wrong on stderr. @n is of that time.
 */
bool sink_ok(struct sink *sink);

#endif /* REDIRMAP_SINKLIB_H */
