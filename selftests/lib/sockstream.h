/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams of bytes between sockets, which threads write and read: the reader
 * finds out whether each byte arrives once, in order.
 */
#ifndef REDIRMAP_SOCKSTREAM_H
#define REDIRMAP_SOCKSTREAM_H

#include <pthread.h>

#include "socklib.h"

/* The byte at a place of a stream. */
static inline __u8 byte_at(size_t at, __u8 stream)
{
	return (at * 2654435761U >> 13) + stream;
}

struct stream {
	int from, to;
	__u8 number;
	size_t wrong, got, bytes;
};

static inline void *write_stream(void *arg)
{
	static __thread __u8 buffer[65536];
	struct stream *stream = arg;
	__u64 state = stream->number;
	size_t at = 0, len, i;
	ssize_t n;

	while (at < stream->bytes) {
		len = 1 + rnd(&state) % (rnd(&state) % 4 ? 2000 : sizeof(buffer));
		if (len > stream->bytes - at)
			len = stream->bytes - at;
		for (i = 0; i < len; i++)
			buffer[i] = byte_at(at + i, stream->number);
		for (i = 0; i < len; i += n) {
			n = send(stream->from, buffer + i, len - i, MSG_NOSIGNAL);
			if (n <= 0)
				return NULL;
		}
		at += len;
	}
	return NULL;
}

static inline void *read_stream(void *arg)
{
	static __thread __u8 buffer[65536];
	struct stream *stream = arg;
	__u64 state = stream->number + 100;
	size_t len;
	ssize_t n, i;

	while (stream->got < stream->bytes) {
		len = 1 + rnd(&state) % sizeof(buffer);
		n = recv(stream->to, buffer, len, 0);
		if (n <= 0)
			return NULL;
		for (i = 0; i < n; i++)
			stream->wrong += buffer[i] != byte_at(stream->got + i, stream->number);
		stream->got += n;
	}
	return NULL;
}

#endif /* REDIRMAP_SOCKSTREAM_H */
