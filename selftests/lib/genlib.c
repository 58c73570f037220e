// SPDX-License-Identifier: GPL-2.0-only
/* Requests of the module's generic netlink family: see genlib.h. */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "genlib.h"

/* More than any message here, or part of a dump. */
#define ROOM 65536

static __u16 family;

struct request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	char attrs[64];
};

/* A request with one attribute, or none (@len 0). */
static struct request make_request(__u16 type, __u16 flags, __u8 cmd, __u16 attr,
				   const void *data, __u16 len)
{
	struct nlattr nla = { .nla_type = attr, .nla_len = NLA_HDRLEN + len };
	struct request request = {
		.head = {
			.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN) +
				     (len ? NLA_HDRLEN + NLA_ALIGN(len) : 0),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.genl = { .cmd = cmd, .version = 1 },
	};

	memcpy(request.attrs, &nla, sizeof(nla));
	memcpy(request.attrs + NLA_HDRLEN, data, len);
	return request;
}

typedef void (*attr_func)(int type, const void *data, int len, void *arg);

static void each_attr(const void *attrs, int len, attr_func func, void *arg)
{
	const struct nlattr *nla = attrs;

	while (len >= (int)sizeof(*nla) && nla->nla_len >= sizeof(*nla) && nla->nla_len <= len) {
		func(nla->nla_type & NLA_TYPE_MASK, (const void *)nla + NLA_HDRLEN,
		     nla->nla_len - NLA_HDRLEN, arg);
		len -= NLA_ALIGN(nla->nla_len);
		nla = (const void *)nla + NLA_ALIGN(nla->nla_len);
	}
}

/*
 * Sends a request, and calls a function for each attribute of each message of
 * the answer. 0 or -errno.
 */
static int ask(int fd, const struct request *request, attr_func func, void *arg,
	       struct genl_answer *answer)
{
	struct nlmsghdr room[ROOM / sizeof(struct nlmsghdr)];
	int n;

	if (send(fd, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		struct nlmsghdr *head = room;

		n = recv(fd, room, sizeof(room), 0);
		if (n < 0)
			return -errno;
		for (; NLMSG_OK(head, n); head = NLMSG_NEXT(head, n)) {
			answer->interrupted |= head->nlmsg_flags & NLM_F_DUMP_INTR;
			/* Both begin with an errno. */
			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
				return *(int *)NLMSG_DATA(head);
			answer->messages++;
			each_attr(NLMSG_DATA(head) + GENL_HDRLEN,
				  NLMSG_PAYLOAD(head, GENL_HDRLEN), func, arg);
			if (!(head->nlmsg_flags & NLM_F_MULTI))
				return 0;
		}
	}
}

static void note_family(int type, const void *data, int len, void *arg)
{
	if (type == CTRL_ATTR_FAMILY_ID)
		memcpy(arg, data, sizeof(__u16));
}

int genl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), err;
	struct request request = make_request(GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY,
					      CTRL_ATTR_FAMILY_NAME, REDIRMAP_FAMILY_NAME,
					      sizeof(REDIRMAP_FAMILY_NAME));
	struct timeval limit = { .tv_sec = 60 };
	struct genl_answer answer = {};
	__u16 id = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	err = ask(fd, &request, note_family, &id, &answer);
	if (err < 0) {
		close(fd);
		return err;
	}
	__atomic_store_n(&family, id, __ATOMIC_RELAXED);
	return fd;
}

static __u64 number(const void *data, int len)
{
	__u64 value = 0;

	memcpy(&value, data, len < (int)sizeof(value) ? len : (int)sizeof(value));
	return value;
}

static void note_refused(int type, const void *data, int len, void *arg)
{
	if (type == REDIRMAP_A_REFUSED_REDIRECTS)
		*(__u64 *)arg += number(data, len);
}

struct failed {
	__u32 err;
	__u64 updates;
};

static void note_failed(int type, const void *data, int len, void *arg)
{
	struct failed *failed = arg;

	if (type == REDIRMAP_A_FAILED_ERRNO)
		failed->err = number(data, len);
	else if (type == REDIRMAP_A_FAILED_UPDATES)
		failed->updates = number(data, len);
}

static void note_errno(const void *data, int len, struct sock_counts *counts)
{
	struct failed failed = {};

	each_attr(data, len, note_failed, &failed);
	counts->failed += failed.updates;
	if (failed.err < GENL_ERRNOS)
		counts->failed_by[failed.err] = failed.updates;
}

static void note_counter(int type, const void *data, int len, void *arg)
{
	struct sock_counts *counts = arg;

	switch (type) {
	case REDIRMAP_A_SOCK_MSG_EGRESS:
		counts->msg_egress = number(data, len);
		break;
	case REDIRMAP_A_SOCK_MSG_INGRESS:
		counts->msg_ingress = number(data, len);
		break;
	case REDIRMAP_A_SOCK_SKB_EGRESS:
		counts->skb_egress = number(data, len);
		break;
	case REDIRMAP_A_SOCK_SKB_INGRESS:
		counts->skb_ingress = number(data, len);
		break;
	case REDIRMAP_A_SOCK_REFUSED:
		each_attr(data, len, note_refused, &counts->refused);
		break;
	case REDIRMAP_A_SOCK_INSERTS:
		counts->inserts = number(data, len);
		break;
	case REDIRMAP_A_SOCK_DELETES:
		counts->deletes = number(data, len);
		break;
	case REDIRMAP_A_SOCK_FAILED:
		note_errno(data, len, counts);
		break;
	case REDIRMAP_A_SOCK_PRESENT:
		counts->present = number(data, len);
	}
}

static void note_answer(int type, const void *data, int len, void *arg)
{
	struct genl_answer *answer = arg;

	if (type != REDIRMAP_A_MAP_SOCK)
		return;
	answer->counts = (struct sock_counts){ .present = -1U };
	each_attr(data, len, note_counter, &answer->counts);
}

static void note_key(int type, const void *data, int len, void *arg)
{
	struct genl_answer *answer = arg;

	if (type == REDIRMAP_A_SOCKET_KEY)
		answer->keys += number(data, len);
}

static void note_nothing(int type, const void *data, int len, void *arg)
{
}

/* The numbers of attributes differ by command. */
static attr_func func_of(int command)
{
	switch (command) {
	case REDIRMAP_CMD_MAP_GET:
		return note_answer;
	case REDIRMAP_CMD_SOCKET_GET:
		return note_key;
	}
	return note_nothing;
}

int genl_ask(int fd, int command, bool dump, __u32 map, struct genl_answer *answer)
{
	int attr = command == REDIRMAP_CMD_SOCKET_GET ? REDIRMAP_A_SOCKET_MAP :
							REDIRMAP_A_MAP_ID;
	struct request request = make_request(__atomic_load_n(&family, __ATOMIC_RELAXED),
					      dump ? NLM_F_DUMP : 0, command, attr, &map,
					      map ? sizeof(map) : 0);

	memset(answer, 0, sizeof(*answer));
	return ask(fd, &request, func_of(command), answer, answer);
}

int genl_sock_counts(int fd, __u32 map, struct sock_counts *counts)
{
	struct genl_answer answer;
	int err = genl_ask(fd, REDIRMAP_CMD_MAP_GET, false, map, &answer);

	*counts = answer.counts;
	return err ?: answer.messages == 1 ? 0 : -EPROTO;
}

int genl_sock_dump(int fd, __u32 map)
{
	struct genl_answer answer;

	return genl_ask(fd, REDIRMAP_CMD_SOCKET_GET, true, map, &answer) ?:
	       answer.interrupted ? -EAGAIN : answer.messages;
}

int sock_counts(__u32 map, struct sock_counts *counts)
{
	int fd = genl_open(), err;

	if (fd < 0)
		return fd;
	err = genl_sock_counts(fd, map, counts);
	close(fd);
	return err;
}
