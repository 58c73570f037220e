// SPDX-License-Identifier: GPL-2.0-only
/* Programs on devices, and frames that arrive at these devices. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "netlib.h"
#include "testlib.h"

static __u32 mode_of(__u32 a)
{
	static const __u32 modes[] = {
		XDP_FLAGS_DRV_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE,
		XDP_FLAGS_SKB_MODE, 0, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE,
	};

	return modes[a % 8];
}

int attach_xdp(struct player *p, const __u32 *a)
{
	__u32 flags = mode_of(a[2]) | (a[3] % 4 ? 0 : XDP_FLAGS_UPDATE_IF_NOEXIST);
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);

	if (is_wrong(a[3])) {
		opts.old_prog_fd = fd_of(p, PROGS, a[4]);
		flags |= XDP_FLAGS_REPLACE;
	}
	say(p, " flags=%x", flags);
	return bpf_xdp_attach(dev_of(p, a[1]), fd_of(p, a[4] % 16 ? PROGS : EGRESS, a[0]), flags,
			      &opts);
}

int detach_xdp(struct player *p, const __u32 *a)
{
	return bpf_xdp_detach(dev_of(p, a[0]), mode_of(a[1]), NULL);
}

int link_xdp(struct player *p, const __u32 *a)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode_of(a[2]));

	say(p, " flags=%x", opts.flags);
	return keep(p, LINKS, a[3], bpf_link_create(fd_of(p, PROGS, a[0]), dev_of(p, a[1]), BPF_XDP,
						    &opts));
}

int update_link(struct player *p, const __u32 *a)
{
	return bpf_link_update(fd_of(p, LINKS, a[0]),
			       fd_of(p, a[2] % 4 ? PROGS : SOCK_PROGS, a[1]), NULL);
}

int detach_link(struct player *p, const __u32 *a)
{
	return bpf_link_detach(fd_of(p, LINKS, a[0]));
}

int close_link(struct player *p, const __u32 *a)
{
	int slot = slot_of(p, LINKS, a[0]), fd;

	if (slot < 0)
		return -ENOENT;
	say(p, " slot=%d", slot);
	fd = __atomic_exchange_n(&p->s->fds[LINKS][slot], -1, __ATOMIC_RELAXED);
	return result(close(fd));
}

static int a_peer(struct player *p, __u32 a)
{
	int i, peer = 0;

	for (i = 0; i < DEVS && !peer; i++)
		peer = p->s->devs[(a + i) % DEVS].peer;
	return peer;
}

/* Sends frames on the peer of a device, so that they arrive at it. */
int send_packets(struct player *p, const __u32 *a)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_halen = 6, .sll_ifindex = a_peer(p, a[0]),
	};
	int len = a[2] % 8 ? 60 + a[2] % 200 : 60 + a[2] % 3000, i, n = 1 + a[1] % 40, sent = 0;
	unsigned char frame[FRAME_MAX];

	say(p, " dev=%d n=%d len=%d", to.sll_ifindex, n, len);
	if (p->sender < 0)
		p->sender = open_sender();
	for (i = 0; i < n; i++) {
		make_frame(frame, a[3] + i, len);
		frame[FRAME_TTL] = 1 + a[4] % 3;
		sent += sendto(p->sender, frame, len, MSG_DONTWAIT, (void *)&to, sizeof(to)) == len;
	}
	return sent ?: -errno;
}

static __u32 sum_of(const unsigned char *data, int len)
{
	__u32 sum = 0;
	int i;

	for (i = 0; i < len; i += 2)
		sum += data[i] << 8 | data[i + 1];
	return sum;
}

/* IPv4 and TCP or UDP of @len bytes, with the sum of the pseudo header only. */
static void make_partial(unsigned char *frame, int len, bool tcp)
{
	int total = len - ETH_HLEN, segment = total - 20, at = 34 + (tcp ? 16 : 6);
	__u32 sum;

	frame[16] = total >> 8;
	frame[17] = total;
	frame[23] = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	frame[24] = 0;
	frame[25] = 0;
	sum = sum_of(frame + 14, 20);
	sum = (sum & 0xffff) + (sum >> 16);
	frame[24] = ~sum >> 8;
	frame[25] = ~sum;
	if (tcp) {
		frame[46] = 5 << 4;
		frame[47] = 0x10;
	} else {
		frame[38] = segment >> 8;
		frame[39] = segment;
	}
	sum = sum_of(frame + 26, 8) + frame[23] + segment;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	frame[at] = sum >> 8;
	frame[at + 1] = sum;
}

/*
 * Sends packets that leave their checksum to the device, and maybe their
 * segments.
 */
int send_offloads(struct player *p, const __u32 *a)
{
	struct {
		struct virtio_net_hdr head;
		unsigned char frame[FRAME_MAX];
	} __attribute__((packed)) packet = {};
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_halen = 6, .sll_ifindex = a_peer(p, a[0]),
		.sll_protocol = htons(ETH_P_IP),
	};
	int fd = open_sender(), one = 1, len = a[2] % 2 ? 100 + a[2] % 1300 : 2000 + a[2] % 6000;
	int i, n = 1 + a[1] % 8, sent = 0;
	bool tcp = a[3] % 2;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one))) {
		close(fd);
		return -EPERM;
	}
	make_frame(packet.frame, a[3] >> 4, len);
	packet.frame[FRAME_TTL] = 1 + a[5] % 3;
	make_partial(packet.frame, len, tcp);
	packet.head.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	packet.head.csum_start = 34;
	packet.head.csum_offset = tcp ? 16 : 6;
	if (len > 1500) {
		/* The second one: VIRTIO_NET_HDR_GSO_UDP_L4. */
		packet.head.gso_type = tcp ? VIRTIO_NET_HDR_GSO_TCPV4 : 5;
		packet.head.hdr_len = tcp ? 54 : 42;
		packet.head.gso_size = a[4] % 4 ? 1400 : 100 + a[4] % 3000;
	}
	say(p, " dev=%d n=%d len=%d", to.sll_ifindex, n, len);
	for (i = 0; i < n; i++)
		sent += sendto(fd, &packet, sizeof(packet.head) + len, MSG_DONTWAIT, (void *)&to,
			       sizeof(to)) > 0;
	close(fd);
	return sent ?: -errno;
}
