// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices and two network namespaces, by netlink, because starting ip(8) takes
 * longer than hundreds of operations on maps.
 *
 * A device always has the same ifindex, in both namespaces and each time it is
 * created, so a value has the same meaning in every run. An event that fails is
 * not a failure of the fuzzer, because it has happened for neither map.
 *
 * The second namespace may be deleted with its devices; a new one replaces it.
 */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <sys/socket.h>

#include "devs.h"
#include "netlib.h"
#include "outcome.h"

/*
 * A veth from the first namespace to the second, which disappears with the
 * second.
 */
#define CANARY_IFINDEX 190
/* The port of each bridge, which frees all packets that it sends. */
#define FIRST_PORT_IFINDEX (FIRST_IFINDEX + NR_TARGETS)
/* Devices that exist when an episode begins: see at_first. */
#define AT_FIRST 5
#define VLAN_HLEN 4
/* From <linux/if.h>, which <net/if.h> conflicts with. */
#define LOWER_UP 0x10000
enum { OPER_UNKNOWN = 0, OPER_UP = 6 };

/*
 * Time for the deletion of a namespace, or until a change of the carrier takes
 * effect, in milliseconds.
 */
#define MAX_WAIT 60000

/*
 * FAULTY takes frames, and checks them: see modules/faulty_dev.c. The others
 * take packets only: VETH, because no peer has a program. A bridge stays in its
 * namespace.
 */
enum kind { VETH, DUMMY, FAULTY, BRIDGE, NR_KINDS };

static const char * const kinds[] = { "veth", "dummy", "faulty", "bridge" };
static const enum kind at_first[AT_FIRST] = { VETH, DUMMY, FAULTY, FAULTY, BRIDGE };

static struct dev {
	bool there, dirty;
	enum kind kind;
	/* For the device at either end. */
	unsigned int net[2];
	bool renamed[2];
} devs[NR_DEVS];

static int nets[NR_NETS], socks[NR_NETS];

struct request {
	struct nlmsghdr head;
	struct ifinfomsg link;
	char attrs[256];
};

static void begin(struct request *req, int type, int flags, int ifindex)
{
	memset(req, 0, sizeof(*req));
	req->head.nlmsg_len = NLMSG_LENGTH(sizeof(req->link));
	req->head.nlmsg_type = type;
	req->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	req->link.ifi_index = ifindex;
}

static struct rtattr *add(struct request *req, int type, const void *data, int len)
{
	struct rtattr *attr = (void *)req + NLMSG_ALIGN(req->head.nlmsg_len);

	attr->rta_type = type;
	attr->rta_len = RTA_LENGTH(len);
	if (data)
		memcpy(RTA_DATA(attr), data, len);
	req->head.nlmsg_len = NLMSG_ALIGN(req->head.nlmsg_len) + RTA_ALIGN(attr->rta_len);
	return attr;
}

static void end_nest(struct request *req, struct rtattr *attr)
{
	attr->rta_len = (void *)req + req->head.nlmsg_len - (void *)attr;
}

/* Runs in a namespace; true if it has happened. */
static bool send_request(struct request *req, unsigned int net)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char more[512];
	} reply;

	if (send(socks[net], req, req->head.nlmsg_len, 0) < 0 ||
	    recv(socks[net], &reply, sizeof(reply), 0) < (int)sizeof(reply.head))
		return false;
	return reply.head.nlmsg_type == NLMSG_ERROR && !reply.err.error;
}

static const char *dev_name(unsigned int dev, bool end, bool renamed)
{
	static char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "%s%s%u", renamed ? "new" : "fuzz", end ? "peer" : "", dev);
	return name;
}

static void add_string(struct request *req, int type, const char *text)
{
	add(req, type, text, strlen(text) + 1);
}

static bool set_up(unsigned int dev, bool end, bool on)
{
	struct request req;

	begin(&req, RTM_NEWLINK, 0, dev_ifindex(dev, end));
	req.link.ifi_change = IFF_UP;
	req.link.ifi_flags = on ? IFF_UP : 0;
	return send_request(&req, devs[dev].net[end]);
}

static bool del_link(int ifindex, unsigned int net)
{
	struct request req;

	begin(&req, RTM_DELLINK, 0, ifindex);
	return send_request(&req, net);
}

static bool add_port(unsigned int i)
{
	__u32 master = dev_ifindex(i, false);
	struct rtattr *info;
	struct request req;
	char name[IFNAMSIZ];

	begin(&req, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, FIRST_PORT_IFINDEX + i);
	req.link.ifi_change = IFF_UP;
	req.link.ifi_flags = IFF_UP;
	snprintf(name, sizeof(name), "fuzzport%u", i);
	add_string(&req, IFLA_IFNAME, name);
	add(&req, IFLA_MASTER, &master, sizeof(master));
	info = add(&req, IFLA_LINKINFO, NULL, 0);
	add_string(&req, IFLA_INFO_KIND, kinds[DUMMY]);
	end_nest(&req, info);
	return send_request(&req, 0);
}

static bool add_dev(unsigned int i, enum kind kind)
{
	struct rtattr *info, *data, *peer;
	struct dev *dev = &devs[i];
	struct ifinfomsg link = { .ifi_index = dev_ifindex(i, true) };
	struct request req;
	const __u8 off = 0;

	begin(&req, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, dev_ifindex(i, false));
	add_string(&req, IFLA_IFNAME, dev_name(i, false, false));
	info = add(&req, IFLA_LINKINFO, NULL, 0);
	add_string(&req, IFLA_INFO_KIND, kinds[kind]);
	if (kind == VETH) {
		data = add(&req, IFLA_INFO_DATA, NULL, 0);
		peer = add(&req, VETH_INFO_PEER, &link, sizeof(link));
		add_string(&req, IFLA_IFNAME, dev_name(i, true, false));
		end_nest(&req, peer);
		end_nest(&req, data);
	} else if (kind == BRIDGE) {
		/* Snooping would make the bridge send reports, at any time. */
		data = add(&req, IFLA_INFO_DATA, NULL, 0);
		add(&req, IFLA_BR_MCAST_SNOOPING, &off, sizeof(off));
		end_nest(&req, data);
	}
	end_nest(&req, info);
	if (!send_request(&req, 0))
		return false;
	if (kind == BRIDGE && !add_port(i)) {
		del_link(dev_ifindex(i, false), 0);
		return false;
	}
	memset(dev, 0, sizeof(*dev));
	dev->there = true;
	dev->kind = kind;
	return true;
}

static bool add_canary(void)
{
	struct ifinfomsg link = { .ifi_index = CANARY_IFINDEX + 1 };
	struct rtattr *info, *data, *peer;
	struct request req;

	begin(&req, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, CANARY_IFINDEX);
	add_string(&req, IFLA_IFNAME, "canary");
	info = add(&req, IFLA_LINKINFO, NULL, 0);
	add_string(&req, IFLA_INFO_KIND, "veth");
	data = add(&req, IFLA_INFO_DATA, NULL, 0);
	peer = add(&req, VETH_INFO_PEER, &link, sizeof(link));
	add_string(&req, IFLA_IFNAME, "canary");
	add(&req, IFLA_NET_NS_FD, &nets[1], sizeof(nets[1]));
	end_nest(&req, peer);
	end_nest(&req, data);
	end_nest(&req, info);
	return send_request(&req, 0);
}

static bool canary_is_gone(void)
{
	struct request req;

	/*
	 * All devices of a namespace are deleted under one RTNL, which this
	 * waits for.
	 */
	begin(&req, RTM_NEWLINK, 0, CANARY_IFINDEX);
	return !send_request(&req, 0);
}

static bool del_dev(unsigned int i, bool end)
{
	if (!del_link(dev_ifindex(i, end), devs[i].net[end]))
		return false;
	devs[i].there = false;
	return devs[i].kind != BRIDGE || del_link(FIRST_PORT_IFINDEX + i, 0);
}

static bool rename_dev(unsigned int i, bool end)
{
	struct dev *dev = &devs[i];
	struct request req;

	begin(&req, RTM_NEWLINK, 0, dev_ifindex(i, end));
	add_string(&req, IFLA_IFNAME, dev_name(i, end, !dev->renamed[end]));
	if (!send_request(&req, dev->net[end]))
		return false;
	dev->renamed[end] = !dev->renamed[end];
	return true;
}

static bool move_dev(unsigned int i, bool end, unsigned int net)
{
	struct dev *dev = &devs[i];
	struct request req;

	begin(&req, RTM_NEWLINK, 0, dev_ifindex(i, end));
	add(&req, IFLA_NET_NS_FD, &nets[net], sizeof(nets[net]));
	if (!send_request(&req, dev->net[end]))
		return false;
	dev->net[end] = net;
	return true;
}

static bool set_mtu(unsigned int i, bool end, __u32 mtu)
{
	struct request req;

	begin(&req, RTM_NEWLINK, 0, dev_ifindex(i, end));
	add(&req, IFLA_MTU, &mtu, sizeof(mtu));
	return send_request(&req, devs[i].net[end]);
}

static bool enter(unsigned int net)
{
	if (net != state.net && setns(nets[net], CLONE_NEWNET))
		return false;
	state.net = net;
	return true;
}

static bool open_net(unsigned int net)
{
	/* So that devices send no packets by themselves. */
	write_str("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	nets[net] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	socks[net] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	return nets[net] >= 0 && socks[net] >= 0;
}

/*
 * The second namespace loses its last user, and is deleted with its devices and
 * their peers. The next operation waits for the end of that.
 */
static bool net_die(void)
{
	unsigned int i;

	if (!enter(0))
		return false;
	close(socks[1]);
	close(nets[1]);
	for (i = 0; !canary_is_gone(); i++) {
		if (i == MAX_WAIT)
			return failed("a namespace does not die");
		usleep(1000);
	}
	for (i = 0; i < NR_DEVS; i++) {
		if (devs[i].there && (devs[i].net[0] || devs[i].net[1])) {
			devs[i].there = false;
			devs[i].dirty = true;
		}
	}
	if (unshare(CLONE_NEWNET) || !open_net(1) || setns(nets[0], CLONE_NEWNET) ||
	    !add_canary())
		return failed("no other namespace");
	return true;
}

static bool dev_event(const struct op *op, unsigned int i)
{
	struct dev *dev = &devs[i];
	bool end = op->end && dev->kind == VETH;

	if (op->cmd == DEV_ADD ? dev->there : !dev->there)
		return false;
	dev->dirty = true;
	switch (op->cmd) {
	case DEV_ADD:
		return add_dev(i, op->kind % NR_KINDS);
	case DEV_DEL:
		return del_dev(i, end);
	case DEV_RENAME:
		return rename_dev(i, end);
	case DEV_MOVE:
		return move_dev(i, end, op->net % NR_NETS);
	case DEV_UP:
		return set_up(i, end, op->on);
	default:
		return set_mtu(i, end, op->mtu);
	}
}

void dev_step(const struct op *op)
{
	bool done = op->cmd == ENTER ? enter(op->net % NR_NETS) :
		    op->cmd == NET_DIE ? net_die() : dev_event(op, op->dev % NR_DEVS);

	note_outcome(op->cmd, done ? 0 : -ECANCELED);
}

/**
 * struct look - the state of a target, by rtnetlink
 * @flags: IFF_UP, and LOWER_UP with a carrier
 * @mtu: the MTU
 * @oper: the operational state
 * @sent: the frames and packets that it has sent
 */
struct look {
	unsigned int flags;
	__u32 mtu;
	__u8 oper;
	struct sent sent;
};

/* Returns whether the target exists. */
static bool look_at(unsigned int target, struct look *look)
{
	static union {
		struct {
			struct nlmsghdr head;
			struct ifinfomsg link;
		} msg;
		char space[16384];
	} reply;
	const struct dev *dev = &devs[target / 2];
	unsigned int net = dev->net[target % 2];
	struct rtnl_link_stats stats = {};
	const struct rtattr *attr;
	struct request req;
	int len;

	memset(look, 0, sizeof(*look));
	if (!dev->there || (target % 2 && dev->kind != VETH))
		return false;
	begin(&req, RTM_GETLINK, 0, FIRST_IFINDEX + target);
	req.head.nlmsg_flags = NLM_F_REQUEST;
	if (send(socks[net], &req, req.head.nlmsg_len, 0) < 0 ||
	    recv(socks[net], &reply, sizeof(reply), 0) < (int)sizeof(reply.msg) ||
	    reply.msg.head.nlmsg_type != RTM_NEWLINK)
		return false;

	look->flags = reply.msg.link.ifi_flags;
	len = IFLA_PAYLOAD(&reply.msg.head);
	for (attr = IFLA_RTA(&reply.msg.link); RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
		if (attr->rta_type == IFLA_MTU)
			memcpy(&look->mtu, RTA_DATA(attr), sizeof(look->mtu));
		else if (attr->rta_type == IFLA_OPERSTATE)
			memcpy(&look->oper, RTA_DATA(attr), sizeof(look->oper));
		else if (attr->rta_type == IFLA_STATS)
			memcpy(&stats, RTA_DATA(attr), sizeof(stats));
	}
	look->sent.packets = stats.tx_packets;
	look->sent.bytes = stats.tx_bytes;
	return true;
}

void devs_sent(struct sent sent[NR_TARGETS])
{
	struct look look;
	unsigned int i;

	for (i = 0; i < NR_TARGETS; i++) {
		look_at(i, &look);
		sent[i] = look.sent;
	}
}

bool dev_takes_frames(unsigned int target)
{
	return devs[target / 2].kind == FAULTY;
}

bool dev_fills_backlog(unsigned int target)
{
	return devs[target / 2].kind == FAULTY || devs[target / 2].kind == VETH;
}

/*
 * A device that gets or loses its carrier goes on to drop, or to send, packets
 * until a work item has changed its queue; it changes the operational state,
 * too. Devices that always have a carrier have no such state.
 */
static bool carrier_takes_effect(unsigned int target, struct look *look)
{
	bool carrier, is_up;
	int i;

	for (i = 0; i < MAX_WAIT; i++) {
		if (!look_at(target, look))
			return false;
		carrier = look->flags & LOWER_UP;
		is_up = look->oper == OPER_UP;
		if (!(look->flags & IFF_UP) || carrier == is_up ||
		    (look->oper == OPER_UNKNOWN && devs[target / 2].kind != VETH))
			return true;
		usleep(1000);
	}
	return failed("the carrier of target %u takes no effect", target);
}

bool dev_sends_packets(unsigned int target, unsigned int len)
{
	struct look look, peer;

	if (!carrier_takes_effect(target, &look) || !(look.flags & IFF_UP) ||
	    !(look.flags & LOWER_UP) || len > look.mtu + ETH_HLEN)
		return false;
	if (devs[target / 2].kind != VETH)
		return true;
	/* A veth asks whether its peer would forward the packet. */
	return look_at(target ^ 1, &peer) && (peer.flags & IFF_UP) &&
	       len <= peer.mtu + ETH_HLEN + VLAN_HLEN;
}

bool devs_init(void)
{
	unsigned int i;

	/*
	 * The other namespace first, because enter_net() mounts the sysfs of
	 * the one that it makes.
	 */
	if (unshare(CLONE_NEWNET) || !open_net(1) || !enter_net() || !open_net(0) ||
	    !add_canary())
		return false;
	for (i = 0; i < NR_DEVS; i++)
		devs[i].dirty = true;
	return true;
}

/* Back to the initial state. Devices without an event since then may remain. */
bool devs_reset(void)
{
	unsigned int i;

	enter(0);
	for (i = 0; i < NR_DEVS; i++) {
		if (!devs[i].dirty)
			continue;
		if (devs[i].there && !del_dev(i, false))
			return false;
		if (i < AT_FIRST) {
			if (!add_dev(i, at_first[i]) || !set_up(i, false, true) ||
			    (devs[i].kind == VETH && !set_up(i, true, true)))
				return false;
		}
		devs[i].dirty = false;
	}
	return true;
}
