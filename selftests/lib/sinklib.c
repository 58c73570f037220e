// SPDX-License-Identifier: GPL-2.0-only
/* Sinks for frames: see sinklib.h. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlib.h"
#include "sinklib.h"
#include "xdplib.h"

/* Milliseconds that a sink waits for an expected frame... */
#define SINK_PATIENCE 10000
/* ...and for an unexpected one. */
#define SINK_AFTER 5

void sink_use(struct sink *sink, const char *name, int fd, int skip)
{
	memset(sink, 0, sizeof(*sink));
	sink->name = name;
	sink->fd = fd;
	sink->skip = skip;
}

static bool sink_open_socket(struct sink *sink, const char *dev, int ignore_outgoing)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), size = 16 << 20;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		/* all packets, also those that a bridge or a bond takes */
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(dev),
	};

	sink_use(sink, dev, fd, 0);
	return fd >= 0 && at.sll_ifindex &&
	       !setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) &&
	       !setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore_outgoing,
			   sizeof(ignore_outgoing)) &&
	       !bind(fd, (struct sockaddr *)&at, sizeof(at));
}

bool sink_open(struct sink *sink, const char *dev)
{
	return sink_open_socket(sink, dev, 1);
}

bool sink_open_outgoing(struct sink *sink, const char *dev)
{
	return sink_open_socket(sink, dev, 0);
}

static void sink_reset(struct sink *sink)
{
	memset(sink->len, 0, sizeof(sink->len));
	memset(sink->got, 0, sizeof(sink->got));
	sink->wrong = 0;
}

void sink_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
}

void sink_expect(struct sink *sink, unsigned int first, unsigned int n, int len)
{
	while (n--)
		sink->len[first++] = len;
}

int send_numbered(struct env *e, const char *dev, unsigned int first, int n)
{
	if (e->generic)
		return send_on(e->sock, dev, first, n, NUMBERED_LEN);
	set_var(e, "feed_to", if_nametoindex(dev));
	set_var(e, "feed_nr", first);
	return send_live(e, "feed", n, NUMBERED_LEN);
}

void sink_take(struct sink *sink, const unsigned char *frame, int len)
{
	unsigned char want[FRAME_MAX];
	unsigned int nr;

	/* A frame that is not of this test? */
	if (len < FRAME_PATTERN || frame[6] != 0x02 || frame[10] != 0x88 || frame[11] != 0xb5)
		return;

	memcpy(&nr, frame + FRAME_NR, sizeof(nr));
	make_frame(want, nr, len);
	if (nr >= SINK_NUMBERS || memcmp(frame, want, len) ||
	    (sink->len[nr] && sink->len[nr] != len)) {
		if (!sink->wrong)
			fprintf(stderr, "# %s: wrong bytes in frame %u of %d bytes\n",
				sink->name, nr, len);
		sink->wrong++;
		return;
	}
	sink->got[nr]++;
	sink->n++;
}

static void sink_fetch(struct sink *sink)
{
	unsigned char frame[FRAME_MAX + 64];
	ssize_t len;

	if (sink->poll)
		return sink->poll(sink);
	while ((len = read(sink->fd, frame, sizeof(frame))) > 0)
		sink_take(sink, frame + sink->skip, len - sink->skip);
}

/* Waits so many milliseconds for frames; false if none came. */
static bool sink_read(struct sink *sink, int wait)
{
	struct sink *also = sink->also;
	struct pollfd p[] = {
		{ .fd = sink->fd, .events = POLLIN },
		{ .fd = also ? also->fd : -1, .events = POLLIN },
	};
	unsigned int nr;

	if (poll(p, 2, wait) <= 0)
		return false;
	sink_fetch(sink);
	if (!also)
		return true;
	sink_fetch(also);
	for (nr = 0; nr < SINK_NUMBERS; nr++)
		sink->got[nr] += also->got[nr];
	sink->wrong += also->wrong;
	sink_reset(also);
	return true;
}

static unsigned int sink_missing(const struct sink *sink)
{
	unsigned int nr, n = 0;

	for (nr = 0; nr < SINK_NUMBERS; nr++)
		n += sink->len[nr] && !sink->got[nr];
	return n;
}

bool sink_ok(struct sink *sink)
{
	unsigned int nr, missing, twice = 0, strange = 0;
	bool ok;

	sink->n = 0;
	if (sink->also)
		sink->also->n = 0;
	while (sink_missing(sink) && sink_read(sink, SINK_PATIENCE))
		;
	while (sink_read(sink, SINK_AFTER))
		;

	for (nr = 0; nr < SINK_NUMBERS; nr++) {
		twice += sink->len[nr] && sink->got[nr] > 1;
		strange += !sink->len[nr] && sink->got[nr];
	}
	missing = sink_missing(sink);
	ok = !missing && !twice && !strange && !sink->wrong;
	if (!ok)
		fprintf(stderr, "# %s: %u missing, %u more than once, %u unexpected, %u wrong\n",
			sink->name, missing, twice, strange, sink->wrong);
	sink_reset(sink);
	return ok;
}
