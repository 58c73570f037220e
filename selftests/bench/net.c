// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's devices, in a network namespace of its own. Devices are
 * created and deleted by rtnetlink, so that only one message is measured.
 */
#include <ctype.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "bench.h"
#include "netlib.h"
#include "testlib.h"

static int rtnl = -1;

void net_init(void)
{
	char text[16384];
	int i, n = 0;

	for (i = 0; i < NR_PAIRS; i++)
		n += sprintf(text + n, "link add d%d type veth peer name p%d\n"
			     "link set d%d up\nlink set p%d up\n", i, i, i, i);
	for (i = 0; i < NR_DUMMIES; i++)
		n += sprintf(text + n, "link add n%d type dummy\nlink set n%d up\n", i, i);
	/*
	 * Frames of generic XDP, and of tc, come from "src"; a program is
	 * attached to "keep". More targets without ndo_xdp_xmit, or not ready:
	 * the peer of w0 has no program, q0 has a queueing discipline, b0 is a
	 * bridge with the port c0, which frees its packets.
	 */
	n += sprintf(text + n,
		     "link add w0 type veth peer name w\nlink set w0 up\nlink set w up\n"
		     "link add q0 type dummy\nlink set q0 up\n"
		     "link add b0 type bridge mcast_snooping 0\n"
		     "link add c0 type dummy\nlink set c0 master b0 up\nlink set b0 up\n");
	sprintf(text + n, "link add src type dummy\nlink set src up\nlink set lo up\n"
		"link add keep type veth peer name keep1\nlink set keep up\n");

	if (!enter_net() || !ip("%s", text) || !sh("tc qdisc add dev q0 root fq_codel"))
		fail("devices: %s", strerror(errno));
	rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (rtnl < 0)
		fail("rtnetlink: %s", strerror(errno));
}

/* Sends a request and waits for the answer. */
static void transact(struct nlmsghdr *req, const char *what)
{
	static __u32 seq;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char more[1024];
	} reply;

	req->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	req->nlmsg_seq = ++seq;
	if (send(rtnl, req, req->nlmsg_len, 0) != req->nlmsg_len ||
	    recv(rtnl, &reply, sizeof(reply), 0) < (ssize_t)NLMSG_LENGTH(sizeof(reply.err)))
		fail("%s: %s", what, strerror(errno));
	if (reply.head.nlmsg_type != NLMSG_ERROR || reply.head.nlmsg_seq != seq)
		fail("%s: a reply of another kind", what);
	if (reply.err.error)
		fail("%s: %s", what, strerror(-reply.err.error));
}

static void attr(struct nlmsghdr *req, int type, const void *data, int len)
{
	struct rtattr *a = (void *)((char *)req + NLMSG_ALIGN(req->nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	req->nlmsg_len = NLMSG_ALIGN(req->nlmsg_len) + RTA_ALIGN(a->rta_len);
}

struct link_req {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char attrs[128];
};

void link_add_dummy(const char *name)
{
	struct link_req req = {
		.head.nlmsg_len = NLMSG_LENGTH(sizeof(req.link)),
		.head.nlmsg_type = RTM_NEWLINK,
		.head.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL,
		.link.ifi_flags = IFF_UP,
		.link.ifi_change = IFF_UP,
	};
	/* { IFLA_INFO_KIND, "dummy" } */
	struct {
		struct rtattr head;
		char kind[8];
	} info = {
		.head.rta_type = IFLA_INFO_KIND,
		.head.rta_len = RTA_LENGTH(6),
		.kind = "dummy",
	};

	attr(&req.head, IFLA_IFNAME, name, strlen(name) + 1);
	attr(&req.head, IFLA_LINKINFO, &info, sizeof(info));
	transact(&req.head, "adding a device");
}

void link_del(unsigned int ifindex)
{
	struct link_req req = {
		.head.nlmsg_len = NLMSG_LENGTH(sizeof(req.link)),
		.head.nlmsg_type = RTM_DELLINK,
		.link.ifi_index = ifindex,
	};

	transact(&req.head, "deleting a device");
}

unsigned int index_of(const char *fmt, int nr)
{
	char name[IF_NAMESIZE];
	unsigned int index;

	snprintf(name, sizeof(name), fmt, nr);
	index = if_nametoindex(name);
	if (!index)
		fail("no device %s", name);
	return index;
}

/* Frames that devices with this letter and a number have received, or sent. */
static __u64 packets(char letter, bool sent)
{
	struct rtnl_link_stats *stats;
	struct ifaddrs *list, *a;
	__u64 sum = 0;

	if (getifaddrs(&list))
		fail("statistics: %s", strerror(errno));
	for (a = list; a; a = a->ifa_next) {
		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_PACKET ||
		    !a->ifa_data || a->ifa_name[0] != letter || !isdigit(a->ifa_name[1]))
			continue;
		stats = a->ifa_data;
		sum += sent ? stats->tx_packets : stats->rx_packets;
	}
	freeifaddrs(list);
	return sum;
}

__u64 frames_arrived(const char *fmt)
{
	switch (*fmt) {
	case 'd':
		return packets('p', false);
	case 'b':
		return packets('c', true);
	default:
		return packets(*fmt, true);
	}
}

void set_tc(bool on, const char *fmt, int n)
{
	char text[1024] = "";
	int i, len = 0;

	for (i = 0; i < n; i++) {
		len += sprintf(text + len, " action mirred egress %s dev ",
			       i + 1 < n ? "mirror" : "redirect");
		len += sprintf(text + len, fmt, i);
	}
	sh("tc qdisc del dev src ingress 2>/dev/null");
	if (on && !sh("tc qdisc add dev src ingress && "
		      "tc filter add dev src ingress matchall%s", text))
		fail("tc");
}
