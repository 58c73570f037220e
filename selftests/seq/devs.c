// SPDX-License-Identifier: GPL-2.0-only
/* Devices and network namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "netlib.h"
#include "testlib.h"

/* A network namespace of the player itself, for watch_namespace(). */
int base_net = -1;

struct request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char room[512];
};

static void begin(struct request *req, int type, int flags, int ifindex)
{
	memset(req, 0, sizeof(*req));
	req->head.nlmsg_len = NLMSG_LENGTH(sizeof(req->link));
	req->head.nlmsg_type = type;
	req->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	req->link.ifi_index = ifindex;
}

static struct rtattr *put(struct request *req, int type, const void *data, int len)
{
	struct rtattr *attr = (void *)req + NLMSG_ALIGN(req->head.nlmsg_len);

	attr->rta_type = type;
	attr->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(attr), data, len);
	req->head.nlmsg_len = NLMSG_ALIGN(req->head.nlmsg_len) + RTA_SPACE(len);
	return attr;
}

static void end(struct request *req, struct rtattr *nest)
{
	nest->rta_len = (void *)req + req->head.nlmsg_len - (void *)nest;
}

/* Sends a request in the caller's network namespace; 0 or -errno. */
static int ask(struct request *req)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char more[2048];
	} reply = { .err.error = -EIO };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (send(fd, req, req->head.nlmsg_len, 0) < 0 || recv(fd, &reply, sizeof(reply), 0) < 0)
		reply.err.error = -errno;
	close(fd);
	return reply.err.error;
}

static void put_name(struct request *req, const char *name)
{
	put(req, IFLA_IFNAME, name, strlen(name) + 1);
}

/* @peer: of a veth; @below and @vlan: of a VLAN device; 0 or -errno. */
static int add_link_in(const char *kind, const char *name, const char *peer, int peer_net,
		       int below, int vlan)
{
	struct rtattr *info, *data, *other;
	struct ifinfomsg link = {};
	struct request req;
	__u16 id = vlan;

	begin(&req, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
	put_name(&req, name);
	if (below)
		put(&req, IFLA_LINK, &below, sizeof(below));
	info = put(&req, IFLA_LINKINFO, NULL, 0);
	put(&req, IFLA_INFO_KIND, kind, strlen(kind));
	if (peer || vlan) {
		data = put(&req, IFLA_INFO_DATA, NULL, 0);
		if (peer) {
			other = put(&req, VETH_INFO_PEER, &link, sizeof(link));
			put_name(&req, peer);
			if (peer_net >= 0)
				put(&req, IFLA_NET_NS_FD, &peer_net, sizeof(peer_net));
			end(&req, other);
		} else {
			put(&req, IFLA_VLAN_ID, &id, sizeof(id));
		}
		end(&req, data);
	}
	end(&req, info);
	return ask(&req);
}

int set_link_up(int ifindex, bool up)
{
	struct request req;

	begin(&req, RTM_NEWLINK, 0, ifindex);
	req.link.ifi_change = IFF_UP;
	req.link.ifi_flags = up ? IFF_UP : 0;
	return ask(&req);
}

static int change(int ifindex, int attr, const void *data, int len)
{
	struct request req;

	begin(&req, RTM_NEWLINK, 0, ifindex);
	put(&req, attr, data, len);
	return ask(&req);
}

bool watch_namespace(unsigned int nr)
{
	char name[IFNAMSIZ];

	bool ok;

	snprintf(name, sizeof(name), "w%u", nr);
	ok = !add_link_in("veth", "watch", name, base_net, 0, 0);
	close(base_net);
	return ok;
}

static int turn(const char *dev, const char *knob, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), SYS "/class/net/%s/faulty/%s", dev, knob);
	return write_str(path, value) ? 0 : -errno;
}

int add_veth(struct player *p, const __u32 *a)
{
	char name[IFNAMSIZ], peer[IFNAMSIZ];
	int err, dev, other;

	snprintf(name, sizeof(name), "v%ua", a[0] % 100);
	snprintf(peer, sizeof(peer), "v%ub", a[0] % 100);
	say(p, " %s %s", name, peer);
	err = add_link_in("veth", name, peer, -1, 0, 0);
	if (err)
		return err;
	dev = if_nametoindex(name);
	other = if_nametoindex(peer);
	keep_dev(p, a[1], dev, other);
	keep_dev(p, a[1] + 1, other, dev);
	if (a[2] % 16)
		set_link_up(dev, true);
	if (a[2] >> 4 & 15)
		set_link_up(other, true);
	return 0;
}

int add_other(struct player *p, const __u32 *a)
{
	static const char * const kinds[] = {
		"dummy", "vlan", "faulty", "faulty", "faulty", "macvlan", "vlan", "bridge",
	};
	const char *kind = kinds[a[0] % 8];
	bool above = kind[0] == 'v' || kind[0] == 'm';
	char name[IFNAMSIZ];
	int err, dev;

	snprintf(name, sizeof(name), "o%u", a[1] % 100);
	say(p, " %s %s", kind, name);
	err = add_link_in(kind, name, NULL, -1, above ? dev_of(p, a[2]) : 0,
			  kind[0] == 'v' ? 1 + a[3] % 4096 : 0);
	if (err)
		return err;
	dev = if_nametoindex(name);
	keep_dev(p, a[4], dev, dev);
	/* Egress programs use up headroom. */
	if (kind[0] == 'f')
		turn(name, "wants", "0");
	if (a[5] % 16)
		set_link_up(dev, true);
	if (kind[0] == 'b')
		change(dev_of(p, a[2]), IFLA_MASTER, &dev, sizeof(dev));
	return 0;
}

int delete_dev(struct player *p, const __u32 *a)
{
	struct request req;

	begin(&req, RTM_DELLINK, 0, dev_of(p, a[0]));
	return ask(&req);
}

int rename_dev(struct player *p, const __u32 *a)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), is_wrong(a[1]) ? "r/%u" : "r%u", a[1] % 100);
	say(p, " to %s", name);
	return change(dev_of(p, a[0]), IFLA_IFNAME, name, strlen(name) + 1);
}

int move_dev(struct player *p, const __u32 *a)
{
	int net = a[1] % 4 ? fd_of(p, NETS, a[2]) : p->s->home;

	return change(dev_of(p, a[0]), IFLA_NET_NS_FD, &net, sizeof(net));
}

int set_updown(struct player *p, const __u32 *a)
{
	say(p, " %s", a[1] % 2 ? "up" : "down");
	return set_link_up(dev_of(p, a[0]), a[1] % 2);
}

int set_mtu(struct player *p, const __u32 *a)
{
	static const __u32 mtus[] = { 0, 68, 500, 1280, 1500, 1500, 3000, 9000 };

	say(p, " %u", mtus[a[1] % 8]);
	return change(dev_of(p, a[0]), IFLA_MTU, &mtus[a[1] % 8], sizeof(mtus[0]));
}

/* A veth whose peer has GRO takes XDP frames without a program. */
int set_gro(struct player *p, const __u32 *a)
{
	struct ethtool_value value = { .cmd = ETHTOOL_SGRO, .data = a[1] % 2 };
	struct ifreq req = { .ifr_data = (void *)&value };
	int fd, err;

	if (!if_indextoname(dev_of(p, a[0]), req.ifr_name))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = result(ioctl(fd, SIOCETHTOOL, &req));
	close(fd);
	return err;
}

int turn_faulty(struct player *p, const __u32 *a)
{
	/* 16 is the largest number of take, -1 no limit of room. */
	static const struct {
		const char *knob;
		const char *value[2];
	} knobs[] = {
		{ "take", { "1", "16" } }, { "take", { "0", "16" } },
		{ "room", { "-1", "20" } }, { "room", { "-1", "0" } },
		{ "error", { "0", "5" } }, { "error", { "0", "6" } },
		{ "error", { "0", "100" } }, { "stopped", { "0", "1" } },
		{ "hold", { "0", "1" } }, { "headroom", { "256", "16" } },
		{ "no_ndo", { "0", "1" } }, { "no_ndo", { "2", "3" } },
		{ "spoil", { "0", "2" } }, { "longest", { "0", "300" } },
		{ "rings", { "-1", "1" } }, { "feature", { "1", "2" } },
	};
	char name[IFNAMSIZ];
	int i = a[1] % 16, dev = dev_of(p, a[0]);

	if (!if_indextoname(dev, name))
		return -errno;
	say(p, " %s %s", knobs[i].knob, knobs[i].value[a[2] % 2]);
	return turn(name, knobs[i].knob, knobs[i].value[a[2] % 2]);
}

/* A further network namespace, with a device or without. */
int make_net(struct player *p, const __u32 *a)
{
	int fd, here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), err;

	if (here < 0)
		return -errno;
	if (unshare(CLONE_NEWNET)) {
		err = -errno;
		close(here);
		return err;
	}
	if (a[1] % 2)
		add_link_in("veth", "inside", "home", p->s->home, 0, 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	err = keep(p, NETS, a[0], fd);
	setns(here, CLONE_NEWNET);
	close(here);
	return err;
}

/* Calls that follow run there. The packet socket stays behind. */
int enter_net_of(struct player *p, const __u32 *a)
{
	bool home = a[1] % 2;
	int err = result(setns(home ? p->s->home : fd_of(p, NETS, a[0]), CLONE_NEWNET));

	if (err)
		return err;
	p->at_home = home;
	if (p->sender >= 0)
		close(p->sender);
	p->sender = -1;
	return 0;
}

int close_net(struct player *p, const __u32 *a)
{
	int slot = slot_of(p, NETS, a[0]), fd;

	if (slot < 0)
		return -ENOENT;
	fd = __atomic_exchange_n(&p->s->fds[NETS][slot], -1, __ATOMIC_RELAXED);
	say(p, " slot=%d", slot);
	return result(close(fd));
}
