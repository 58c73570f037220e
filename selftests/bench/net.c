// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark's devices, in a network namespace of its own. Devices are
 * made and deleted by rtnetlink, whose one message is what is measured, and
 * counted by one dump.
 */
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bench.h"
#include "testlib.h"

static int rtnl = -1;

static void setup(const char *what, bool ok)
{
	if (!ok)
		ksft_exit_fail_perror(what);
}

void net_init(void)
{
	FILE *ip;
	int i;

	setup("unshare", !unshare(CLONE_NEWNET));
	/* No neighbour discovery among the frames. */
	setup("disable_ipv6",
	      write_str("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"));

	ip = popen("exec ip -batch -", "w");
	setup("ip", ip);
	fprintf(ip, "link set lo up\n");
	for (i = 0; i < NR_PAIRS; i++)
		fprintf(ip, "link add d%d type veth peer name p%d\n"
			"link set d%d up\nlink set p%d up\n", i, i, i, i);
	for (i = 0; i < NR_DUMMIES; i++)
		fprintf(ip, "link add n%d type dummy\nlink set n%d up\n", i, i);
	/* Where generic frames come from, and a program is kept. */
	fprintf(ip, "link add src type dummy\nlink set src up\n");
	fprintf(ip, "link add keep type veth peer name keep1\nlink set keep up\n");
	setup("ip", !pclose(ip));

	rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	setup("rtnetlink", rtnl >= 0);
}

/* Sends a request and waits for its end. */
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

/* Packets of one message of the dump, if its device's name begins with LETTER. */
static __u64 packets_of(struct nlmsghdr *msg, char letter)
{
	struct ifinfomsg *link = NLMSG_DATA(msg);
	struct rtattr *a = IFLA_RTA(link);
	int len = IFLA_PAYLOAD(msg);
	struct rtnl_link_stats64 stats = {};
	const char *name = "";

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_IFNAME)
			name = RTA_DATA(a);
		else if (a->rta_type == IFLA_STATS64)
			memcpy(&stats, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof(stats) ?
			       RTA_PAYLOAD(a) : sizeof(stats));
	}
	if (*name != letter || name[1] < '0' || name[1] > '9')
		return 0;
	return letter == 'p' ? stats.rx_packets : stats.tx_packets;
}

static __u64 packets(char letter)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} req = {
		.head.nlmsg_len = sizeof(req),
		.head.nlmsg_type = RTM_GETLINK,
		.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};
	static char buf[1 << 18];
	struct nlmsghdr *msg;
	__u64 sum = 0;
	int len;

	if (send(rtnl, &req, sizeof(req), 0) != sizeof(req))
		fail("dump of devices: %s", strerror(errno));
	for (;;) {
		len = recv(rtnl, buf, sizeof(buf), 0);
		if (len <= 0)
			fail("dump of devices: %s", strerror(errno));
		for (msg = (void *)buf; NLMSG_OK(msg, len); msg = NLMSG_NEXT(msg, len)) {
			if (msg->nlmsg_type == NLMSG_DONE)
				return sum;
			if (msg->nlmsg_type != RTM_NEWLINK)
				fail("dump of devices: a reply of another kind");
			sum += packets_of(msg, letter);
		}
	}
}

__u64 frames_received(void)
{
	return packets('p');
}

__u64 frames_dropped_by_dummies(void)
{
	return packets('n');
}
