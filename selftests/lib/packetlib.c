// SPDX-License-Identifier: GPL-2.0-only
/* Frames that leave as packets: see packetlib.h. */
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "countlib.h"
#include "packetlib.h"
#include "sinklib.h"
#include "testlib.h"
#include "xdplib.h"

/* Bytes of the IPv4 header that ipip puts in front of a packet. */
#define OUTER 20
#define MAC 14

bool packets_begin(struct env *e, const struct kind *kind, const char *name)
{
	int map;

	e->wire = true;
	if (!module_refs_become(0) || !make_net(e))
		return false;
	map = bpf_map_create(kind->type, kind->claimed ? name : "st_test", 4, counting_size(kind),
			     8, NULL);
	if (map < 0 || is_claimed(map) != kind->claimed || !open_object(e, "packets.bpf.o") ||
	    !use_map(e, "targets", map) || !load_object(e))
		return false;
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	return attach(e, "g1", "redirect", false);
}

int send_frame_on(int sock, const char *dev, const void *frame, int len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(dev),
	};

	return sendto(sock, frame, len, 0, (void *)&to, sizeof(to)) == len ? 0 : -errno;
}

/* Puts the MAC header that such a frame had in front of its packet. */
static void take_packet(struct sink *sink, unsigned char *frame, int len)
{
	unsigned char whole[FRAME_MAX];
	unsigned int nr;

	if (len < FRAME_PATTERN)
		return;
	memcpy(&nr, frame + FRAME_NR, sizeof(nr));
	make_frame(whole, nr, FRAME_PATTERN);
	memcpy(frame, whole, MAC);
	sink_take(sink, frame, len);
}

static void poll_tun(struct sink *sink)
{
	unsigned char frame[FRAME_MAX + MAC];
	ssize_t len;

	while ((len = read(sink->fd, frame + MAC, FRAME_MAX)) > 0)
		take_packet(sink, frame, MAC + len);
}

bool sink_open_tun(struct sink *sink, const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd;

	if (access("/sys/module/tun", F_OK) && !sh("modprobe tun"))
		return false;
	strcpy(req.ifr_name, name);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	sink_use(sink, name, fd, 0);
	sink->poll = poll_tun;
	return fd >= 0 && !ioctl(fd, TUNSETIFF, &req) && ip("link set %s up\n", name);
}

static void poll_ipip(struct sink *sink)
{
	unsigned char frame[FRAME_MAX];
	ssize_t len;

	/* The bytes in front of the packet have room for its MAC header. */
	while ((len = read(sink->fd, frame, sizeof(frame))) > 0)
		if (len > MAC + OUTER && frame[MAC + 9] == IPPROTO_IPIP)
			take_packet(sink, frame + OUTER, len - OUTER);
}

bool sink_open_ipip(struct sink *sink, const char *dev)
{
	if (!sink_open(sink, dev))
		return false;
	sink->poll = poll_ipip;
	return true;
}

void sink_expect_odd(struct sink *sink, unsigned int n, int len)
{
	unsigned int nr;

	for (nr = 1; nr < n; nr += 2)
		sink_expect(sink, nr, 1, len);
}

bool counted_in_all(struct env *e, unsigned int key, unsigned int sent, int reason,
		    unsigned int lost)
{
	struct redirmap_stats stats;
	int i;

	for (i = 0; i < 12000; i++) {
		stats = entry_stats(e, key);
		if (stats.packets + all_drops(&stats) >= sent + lost)
			break;
		usleep(5000);
	}
	if (stats.packets == sent && all_drops(&stats) == lost && stats.drops[reason] == lost)
		return true;
	fprintf(stderr, "# entry %u: %llu sent, %llu lost, %llu of these for reason %d\n", key,
		stats.packets, all_drops(&stats), stats.drops[reason], reason);
	return false;
}
