// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets and work items that the kernel has put off for sockets: see
 * modules/settle.c. Without this, a work item of one side could still use a
 * socket when the next operation takes it out of its map.
 */
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "fds.h"
#include "settle.h"

#define PARAMETER "/sys/module/settle/parameters/sockets"

static int fd;

/* A run that was killed has left the module loaded. */
bool settle_init(void)
{
	struct utsname name;
	char file[200];

	uname(&name);
	snprintf(file, sizeof(file), "../../%s-selftests/modules/settle.ko", name.release);
	if (access(PARAMETER, F_OK) && !sh("insmod %s", beside(file)))
		return false;
	fd = open(PARAMETER, O_WRONLY);
	return fd >= 0;
}

void settle(void)
{
	char text[32];
	int len;

	len = snprintf(text, sizeof(text), "%d %d", FIRST_SOCK_FD, NR_SOCKS * NR_SIDES);
	if (pwrite(fd, text, len, 0) != len)
		failed("cannot settle sockets: %s", strerror(errno));
}

static struct tcp_info tcp_info(int sock)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	getsockopt(sock, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info;
}

/* The end of the stream counts as a byte that was received. */
bool in_flight(int from, int to)
{
	const struct tcp_info sent = tcp_info(from), got = tcp_info(to);

	return got.tcpi_bytes_received <
	       sent.tcpi_bytes_sent - sent.tcpi_bytes_retrans + sent.tcpi_notsent_bytes;
}
