// SPDX-License-Identifier: GPL-2.0-only
/* Network for tests: see netlib.h. */
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <bpf/btf.h>

#include "netlib.h"
#include "testlib.h"

void run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

bool enter_net(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", SYS, "sysfs", 0, NULL))
		return false;
	write_str("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return true;
}

static bool only_lo(void)
{
	struct if_nameindex *list = if_nameindex();
	bool only = list && list[0].if_index == 1 && !list[1].if_index;

	if_freenameindex(list);
	return only;
}

bool delete_devices(void)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
		struct rtattr attr;
		__u32 group;
	} req = {
		.head.nlmsg_len = sizeof(req),
		.head.nlmsg_type = RTM_DELLINK,
		.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.attr.rta_len = sizeof(req.attr) + sizeof(req.group),
		.attr.rta_type = IFLA_GROUP,
		.group = GROUP,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char more[256];
	} reply = {};
	int fd, tries;
	bool ok;

	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	ok = fd >= 0 && send(fd, &req, sizeof(req), 0) == sizeof(req) &&
	     recv(fd, &reply, sizeof(reply), 0) > 0;
	close(fd);

	/* A pair whose other end is in a deleted namespace is removed later. */
	for (tries = 0; ok && !only_lo() && tries < 20000; tries++)
		usleep(1000);
	return ok && only_lo();
}

/* Makes ip(8) delete a device. */
static pid_t deleting;

bool start_delete(const char *name)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int ifindex = if_nametoindex(name);
	struct nlmsghdr *msg;
	char buf[16384];
	bool heard = false;
	ssize_t len;

	if (sock < 0 || bind(sock, (void *)&addr, sizeof(addr)))
		return false;
	deleting = fork();
	if (!deleting) {
		execlp("ip", "ip", "link", "del", name, NULL);
		_exit(127);
	}
	while (deleting > 0 && !heard) {
		len = recv(sock, buf, sizeof(buf), 0);
		if (len <= 0)
			break;
		for (msg = (void *)buf; NLMSG_OK(msg, len); msg = NLMSG_NEXT(msg, len))
			heard |= msg->nlmsg_type == RTM_DELLINK &&
				 ((struct ifinfomsg *)NLMSG_DATA(msg))->ifi_index == ifindex;
	}
	close(sock);
	return heard;
}

bool wait_deleted(void)
{
	int status = -1;

	return deleting > 0 && waitpid(deleting, &status, 0) == deleting && !status;
}

bool make_veth(const char *dev, const char *peer, const char *args)
{
	return ip("link add %s group %d %s type veth peer name %s %s\n"
		  "link set %s up\nlink set %s up\n",
		  dev, GROUP, args, peer, args, dev, peer);
}

bool make_tap(const char *name, int *queues, int n)
{
	struct ifreq req = {
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
	};
	int i;

	if (access("/sys/module/tun", F_OK) && !sh("modprobe tun"))
		return false;
	strcpy(req.ifr_name, name);
	for (i = 0; i < n; i++) {
		queues[i] = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
		if (queues[i] < 0 || ioctl(queues[i], TUNSETIFF, &req))
			return false;
	}
	return ip("link set %s mtu 1500 up\n", name);
}

int drain_tap(int queue)
{
	char frame[4096];
	int n = 0;

	usleep(5000);
	while (read(queue, frame, sizeof(frame)) > 0)
		n++;
	return n;
}

bool thread_napi(const char *dev, int cpu)
{
	char path[100];

	snprintf(path, sizeof(path), SYS "/class/net/%s/threaded", dev);
	/* Without a native program there is no NAPI, except for GRO. */
	return sh("ethtool -K %s gro on", dev) && write_str(path, "1") &&
	       sh("for p in $(pgrep ^napi/%s); do taskset -p %x $p; done >/dev/null",
		  dev, 1 << cpu);
}

bool backlogs_are_empty(void)
{
	return sh("for i in $(seq 1000); do "
		  "awk '$12 != \"00000000\" { exit 1 }' /proc/net/softnet_stat && exit; "
		  "sleep 0.02; done; exit 1");
}

bool hog_cpu(bool hog)
{
	const struct sched_param param = { .sched_priority = hog };

	if (!hog && sched_setscheduler(0, SCHED_OTHER, &param))
		return false;
	sh("chrt %s -p %d $(pgrep -x ksoftirqd/0)", hog ? "-f" : "-o", hog ? 2 : 0);
	write_str("/proc/sys/kernel/sched_rt_runtime_us", hog ? "-1" : "950000");
	/* 6.12 has this file instead */
	if (!write_str("/sys/kernel/debug/sched/fair_server/cpu0/runtime",
		       hog ? "0" : "50000000") &&
	    kernel_has_member("rq", "fair_server")) {
		printf("# keeping other tasks off a CPU needs CONFIG_SCHED_DEBUG\n");
		return false;
	}
	return !hog || !sched_setscheduler(0, SCHED_FIFO, &param);
}

int link_stats(const char *dev, struct rtnl_link_stats *stats)
{
	struct ifaddrs *list, *a;
	int err = -ENODEV;

	if (getifaddrs(&list))
		return -errno;
	for (a = list; a; a = a->ifa_next) {
		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_PACKET ||
		    !a->ifa_data || strcmp(a->ifa_name, dev))
			continue;
		memcpy(stats, a->ifa_data, sizeof(*stats));
		err = 0;
	}
	freeifaddrs(list);
	return err;
}

void make_frame(unsigned char *frame, unsigned int nr, int len)
{
	static const unsigned char head[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,	/* broadcast */
		0x02, 0, 0, 0, 0x88, 0xb5,		/* see netlib.bpf.h */
		0x08, 0x00,				/* IPv4 */
		0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0,
		10, 0, 0, 1, 10, 0, 0, 2,		/* UDP */
	};
	int i;

	memset(frame, 0, FRAME_PATTERN);
	memcpy(frame, head, sizeof(head));
	/* flows differ in their source port */
	frame[34] = 0x40;
	frame[35] = nr;
	frame[37] = 9;
	frame[39] = 26;
	memcpy(frame + FRAME_NR, &nr, sizeof(nr));
	for (i = FRAME_PATTERN; i < len; i++)
		frame[i] = i + (i >> 8) + nr;
}

int open_sender(void)
{
	int sndbuf = 8 << 20;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf))) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

int send_on(int sock, const char *dev, unsigned int first, int n, int len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(dev),
		.sll_halen = 6,
	};
	unsigned char frame[FRAME_MAX];
	int i, tries = 0;

	for (i = 0; i < n; i++) {
		make_frame(frame, first + i, len);
		while (sendto(sock, frame, len, 0, (void *)&to, sizeof(to)) != len) {
			/* the ring is full, because the peer's CPU is busy */
			if (errno != ENOBUFS || tries++ == 60000)
				return -errno;
			usleep(1000);
		}
	}
	return 0;
}

/*
 * Reading all of the kernel's BTF takes long, so the first result is kept for
 * the following tests.
 */
static struct { char what[64]; bool found; } *known;
#define KNOWN_MAX (4096 / sizeof(*known))

__attribute__((constructor))
static void share_known(void)
{
	known = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static bool find_member(const char *type, const char *member)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *t;
	bool found = false;
	int id, i;

	id = btf ? btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT) : -1;
	if (id > 0) {
		t = btf__type_by_id(btf, id);
		for (i = 0; i < btf_vlen(t) && !found; i++)
			found = !strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off),
					member);
	}
	btf__free(btf);
	return found;
}

bool kernel_has_member(const char *type, const char *member)
{
	char what[sizeof(known->what)];
	unsigned int i;

	snprintf(what, sizeof(what), "%s.%s", type, member);
	for (i = 0; i < KNOWN_MAX - 1 && known[i].what[0]; i++)
		if (!strcmp(known[i].what, what))
			return known[i].found;
	known[i].found = find_member(type, member);
	strcpy(known[i].what, what);
	return known[i].found;
}

bool have_peer_feature(void)
{
	return kernel_has_member("net_device", "xdp_features");
}

bool live_frames_in_place(void)
{
	return !kernel_has_member("xdp_page_head", "frm");
}
