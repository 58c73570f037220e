// SPDX-License-Identifier: GPL-2.0-only
/* Requests of the module's netlink family, good ones and bad ones. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/redirmap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "testlib.h"

struct request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	char room[256];
};

static void put(struct request *req, int type, const void *data, int len)
{
	struct nlattr *attr = (void *)req + NLMSG_ALIGN(req->head.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((void *)attr + NLA_HDRLEN, data, len);
	req->head.nlmsg_len = NLMSG_ALIGN(req->head.nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

static void begin(struct request *req, int family, int flags, int cmd)
{
	memset(req, 0, sizeof(*req));
	req->head.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	req->head.nlmsg_type = family;
	req->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	req->genl.cmd = cmd;
	req->genl.version = 1;
}

/*
 * Sends a request, and reads its answer, but of a dump at most @parts parts.
 * The number of messages, or -errno. The kernel has written the first part
 * when send() returns.
 */
static int ask(int fd, const struct request *req, int parts)
{
	static __thread char room[65536] __attribute__((aligned(8)));
	int n, count = 0;

	if (send(fd, req, req->head.nlmsg_len, 0) < 0)
		return -errno;
	while (parts--) {
		struct nlmsghdr *head = (void *)room;

		n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? count : -errno;
		for (; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
				return *(int *)NLMSG_DATA(head) ?: count;
			count++;
		}
	}
	return count;
}

int genl_family(void)
{
	static int family;
	int fd, n;
	struct request req;
	char room[8192] __attribute__((aligned(8)));
	struct nlmsghdr *head = (void *)room;
	struct nlattr *attr;

	if (family)
		return family;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	begin(&req, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	put(&req, CTRL_ATTR_FAMILY_NAME, REDIRMAP_FAMILY_NAME, sizeof(REDIRMAP_FAMILY_NAME));
	send(fd, &req, req.head.nlmsg_len, 0);
	n = recv(fd, room, sizeof(room), 0);
	close(fd);
	if (n < 0 || head->nlmsg_type != GENL_ID_CTRL)
		return 0;
	for (attr = NLMSG_DATA(head) + GENL_HDRLEN; (char *)attr < room + n;
	     attr = (void *)attr + NLA_ALIGN(attr->nla_len)) {
		if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
			family = *(__u16 *)((void *)attr + NLA_HDRLEN);
		if (!attr->nla_len)
			break;
	}
	return family;
}

int genl_count(int cmd)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), n;
	struct request req;

	begin(&req, genl_family(), NLM_F_DUMP, cmd);
	put(&req, cmd == REDIRMAP_CMD_MAP_GET ? REDIRMAP_A_MAP_ALL_NETNS :
						REDIRMAP_A_TARGET_ALL_NETNS, NULL, 0);
	n = ask(fd, &req, 1000);
	close(fd);
	return n;
}

/* A socket of the table, or else a new one. */
static int genl_fd(struct player *p, __u32 a, bool *own)
{
	int slot = slot_of(p, GENLS, a);

	*own = slot < 0 || a % 2;
	if (*own)
		return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	say(p, " slot=%d", slot);
	return p->s->fds[GENLS][slot];
}

static int ask_once(struct player *p, const struct request *req, __u32 a, int parts)
{
	bool own;
	int fd = genl_fd(p, a, &own), n = ask(fd, req, parts);

	if (own)
		close(fd);
	return n;
}

static __u32 map_id(struct player *p, __u32 a)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	bpf_obj_get_info_by_fd(fd_of(p, a % 2 ? DEV_MAPS : SOCK_MAPS, a / 2), &info, &size);
	say(p, " id=%u", info.id);
	return info.id;
}

int ask_state(struct player *p, const __u32 *a)
{
	struct request req;

	begin(&req, genl_family(), is_wrong(a[1]) ? NLM_F_DUMP : 0, REDIRMAP_CMD_STATE_GET);
	return ask_once(p, &req, a[0], 4);
}

/* About one object by its id, or a dump; of all namespaces or of one. */
static int ask_about(struct player *p, const __u32 *a, int cmd, __u32 id, int id_attr, int all)
{
	bool dump = a[2] % 2;
	struct request req;

	begin(&req, genl_family(), dump ? NLM_F_DUMP : 0, cmd);
	if (!dump || is_wrong(a[2]) || cmd == REDIRMAP_CMD_SOCKET_GET)
		put(&req, id_attr, &id, sizeof(id));
	if (a[3] % 2)
		put(&req, all, NULL, 0);
	say(p, " %s id=%u%s", dump ? "dump" : "do", id, a[3] % 2 ? " all" : "");
	return ask_once(p, &req, a[0], a[4] % 8 ? 100 : 1);
}

int ask_map(struct player *p, const __u32 *a)
{
	return ask_about(p, a, REDIRMAP_CMD_MAP_GET, map_id(p, a[1]), REDIRMAP_A_MAP_ID,
			 REDIRMAP_A_MAP_ALL_NETNS);
}

int ask_target(struct player *p, const __u32 *a)
{
	return ask_about(p, a, REDIRMAP_CMD_TARGET_GET, a[1] % 6, REDIRMAP_A_TARGET_ID,
			 REDIRMAP_A_TARGET_ALL_NETNS);
}

int ask_socket(struct player *p, const __u32 *a)
{
	__u32 b[ARGS];

	memcpy(b, a, sizeof(b));
	/* There is no request for one. */
	b[2] |= !is_wrong(b[2]);
	return ask_about(p, b, REDIRMAP_CMD_SOCKET_GET, map_id(p, a[1] & ~1), REDIRMAP_A_SOCKET_MAP,
			 REDIRMAP_A_SOCKET_ALL_NETNS);
}

/* Bytes that are no request, or one with attributes of a wrong type or size. */
int ask_badly(struct player *p, const __u32 *a)
{
	static const int flags[] = { 0, NLM_F_DUMP, NLM_F_DUMP, 0x300, 0xffff, 0x400, 0, 0x100 };
	struct request req;
	int i, len;

	begin(&req, genl_family(), flags[a[1] % 8], a[2] % 8);
	req.genl.version = a[2] >> 4 & 7 ? 1 : a[2] >> 8;
	for (i = 0; i < (int)(a[3] % 4); i++) {
		__u64 value = mix(a[4] + i);

		len = value >> 60;
		put(&req, (value >> 32) % (is_wrong(a[3]) ? 65536 : 20), &value, len > 8 ? 8 : len);
	}
	if (a[5] % 8 == 0)
		req.head.nlmsg_len -= a[5] / 8 % 8;
	say(p, " cmd=%d flags=%x attrs=%u", req.genl.cmd, req.head.nlmsg_flags, a[3] % 4);
	return ask_once(p, &req, a[0], 4);
}

int open_genl(struct player *p, const __u32 *a)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	int one = 1;

	if (fd >= 0 && a[1] % 2) {
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
		setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	}
	return keep(p, GENLS, a[0], fd);
}

/* A dump that is not read: it holds a reference to the module. */
int read_half(struct player *p, const __u32 *a)
{
	static const int cmds[] = { REDIRMAP_CMD_MAP_GET, REDIRMAP_CMD_TARGET_GET };
	int slot = slot_of(p, GENLS, a[0]);
	struct request req;

	if (slot < 0)
		return -ENOENT;
	begin(&req, genl_family(), NLM_F_DUMP, cmds[a[1] % 2]);
	return ask(p->s->fds[GENLS][slot], &req, a[2] % 2);
}

int close_genl(struct player *p, const __u32 *a)
{
	int slot = slot_of(p, GENLS, a[0]), fd;

	if (slot < 0)
		return -ENOENT;
	fd = __atomic_exchange_n(&p->s->fds[GENLS][slot], -1, __ATOMIC_RELAXED);
	return result(close(fd));
}
