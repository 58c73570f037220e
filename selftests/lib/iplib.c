// SPDX-License-Identifier: GPL-2.0-only
/* ip(8) for tests: see netlib.h. */
#include <net/if.h>
#include <linux/if.h>	/* in this order */
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "netlib.h"
#include "testlib.h"

/*
 * Starting ip(8) takes longer than most of its commands. So one process waits
 * for each thread's commands, and reports their errors on the same socket. It
 * stays in a network namespace, and ends when the socket is closed.
 */
static __thread struct {
	pid_t pid, thread;
	ino_t net;
	int sock;
} waiting;

/*
 * ip(8) does not know this command, and prints an error. All commands before it
 * are complete then.
 */
#define END "end-of-commands"

static void stop_ip(void)
{
	if (!waiting.pid)
		return;
	close(waiting.sock);
	/* another thread's child is not ours */
	if (waiting.thread == gettid()) {
		kill(waiting.pid, SIGKILL);
		waitpid(waiting.pid, NULL, 0);
	}
	waiting.pid = 0;
}

static bool start_ip(ino_t net)
{
	char *const argv[] = { "ip", "-force", "-batch", "-", NULL };
	posix_spawn_file_actions_t actions;
	int socks[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socks[1], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, socks[1], STDERR_FILENO);
	/* an open file would keep the tap */
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	err = posix_spawnp(&waiting.pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(socks[1]);
	if (err) {
		waiting.pid = 0;
		close(socks[0]);
		return false;
	}
	waiting.sock = socks[0];
	waiting.thread = gettid();
	waiting.net = net;
	return true;
}

/* Prints ip(8)'s errors. True without errors. */
static bool wait_for_ip(void)
{
	char text[4096], *line, *next;
	bool ok = true, end = false;
	size_t have = 0;
	ssize_t len;

	while ((len = recv(waiting.sock, text + have, sizeof(text) - 1 - have, 0)) > 0) {
		have += len;
		text[have] = '\0';
		for (line = text; (next = strchr(line, '\n')); line = next) {
			*next++ = '\0';
			/*
			 * "Command failed" ends the messages about each command
			 */
			if (end)
				return ok;
			end = strstr(line, END);
			if (!end) {
				ok &= !strstr(line, "Command failed");
				fprintf(stderr, "# ip: %s\n", line);
			}
		}
		have = strlen(line);
		memmove(text, line, have);
	}
	stop_ip();
	return false;
}

/*
 * A device whose carrier came on because its peer was set up sends packets only
 * after a work item, which also sets its operational state. Before the first
 * such work item the state is unknown. It is always unknown for devices whose
 * carrier is always on.
 */
static bool is_settled(struct nlmsghdr *msg)
{
	struct ifinfomsg *link = NLMSG_DATA(msg);
	int len = IFLA_PAYLOAD(msg);
	__u8 state = IF_OPER_UNKNOWN;
	struct rtattr *attr;
	__u32 changes = 0;

	for (attr = IFLA_RTA(link); RTA_OK(attr, len); attr = RTA_NEXT(attr, len)) {
		if (attr->rta_type == IFLA_OPERSTATE)
			state = *(__u8 *)RTA_DATA(attr);
		if (attr->rta_type == IFLA_CARRIER_CHANGES)
			changes = *(__u32 *)RTA_DATA(attr);
	}
	return !(link->ifi_flags & IFF_LOWER_UP) || state == IF_OPER_UP ||
	       (state == IF_OPER_UNKNOWN && !changes);
}

static bool links_are_settled(int sock)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} req = {
		.head.nlmsg_len = sizeof(req),
		.head.nlmsg_type = RTM_GETLINK,
		.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	};
	bool settled = true, done = false;
	struct nlmsghdr *msg;
	char buf[32768];
	ssize_t len;

	if (send(sock, &req, sizeof(req), 0) != sizeof(req))
		return false;
	while (!done && (len = recv(sock, buf, sizeof(buf), 0)) > 0) {
		for (msg = (void *)buf; NLMSG_OK(msg, len); msg = NLMSG_NEXT(msg, len)) {
			if (msg->nlmsg_type == RTM_NEWLINK)
				settled &= is_settled(msg);
			done |= msg->nlmsg_type != RTM_NEWLINK;
		}
	}
	return settled;
}

/*
 * The kernel reports most changes of the state once per second. Waits at most
 * two seconds, because some states do not change.
 */
static void settle_links(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	struct pollfd changes = {
		.fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
		.events = POLLIN,
	};
	int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	double end = now() + 2, left;
	char buf[32768];
	bool reported;

	/* Subscribed before the first look, so that no change is missed. */
	reported = !bind(changes.fd, (void *)&addr, sizeof(addr));
	while (!links_are_settled(sock) && (left = end - now()) > 0) {
		if (poll(&changes, reported, reported ? left * 1000 + 1 : 1) > 0)
			while (recv(changes.fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
				;
	}
	close(sock);
	close(changes.fd);
}

bool ip(const char *fmt, ...)
{
	struct stat net;
	va_list ap;
	char *text;
	int len;
	bool ok;

	if (stat("/proc/thread-self/ns/net", &net))
		return false;
	if (waiting.pid && (waiting.thread != gettid() || waiting.net != net.st_ino))
		stop_ip();
	if (!waiting.pid && !start_ip(net.st_ino))
		return false;
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return false;
	ok = send(waiting.sock, text, len, MSG_NOSIGNAL) == len &&
	     send(waiting.sock, "\n" END "\n", strlen(END) + 2, MSG_NOSIGNAL) > 0 &&
	     wait_for_ip();
	if (strstr(text, " up") || strstr(text, " master"))
		settle_links();
	free(text);
	return ok;
}
