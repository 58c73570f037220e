/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests of the module's generic netlink family, for tests in C: the counters
 * of a claimed socket map, and its sockets. Each task needs a descriptor of its
 * own.
 */
#ifndef REDIRMAP_GENLIB_H
#define REDIRMAP_GENLIB_H

#include <linux/redirmap.h>
#include <linux/types.h>
#include <stdbool.h>

/* The counters of failed updates are for smaller errnos. */
#define GENL_ERRNOS 128

/* The counters of a socket map: see Documentation/counters.rst. */
struct sock_counts {
	__u64 msg_egress, msg_ingress, skb_egress, skb_ingress;
	__u64 refused;			/* for any reason */
	__u64 inserts;
	__u64 deletes;
	__u64 failed;			/* with any errno */
	__u64 failed_by[GENL_ERRNOS];
	__u32 present;			/* -1U if the answer has no number */
};

/* The messages of an answer. */
struct genl_answer {
	struct sock_counts counts;	/* of the last message about a map */
	int messages;
	bool interrupted;		/* NLM_F_DUMP_INTR */
	__u64 keys;			/* their sum, in messages about sockets */
};

/* A descriptor for the functions below, or -errno. */
int genl_open(void);

/*
 * Sends a request about the map with an id, or about all (0), and reads the
 * whole answer. 0 or -errno. It allocates no memory of the test.
 */
int genl_ask(int fd, int command, bool dump, __u32 map, struct genl_answer *answer);

/* 0 or -errno. */
int genl_sock_counts(int fd, __u32 map, struct sock_counts *counts);

/*
 * A dump of the sockets of a map: the number of its messages, or -errno. If the
 * map has changed meanwhile: -EAGAIN.
 */
int genl_sock_dump(int fd, __u32 map);

/* The counters, with a descriptor of its own; 0 or -errno. */
int sock_counts(__u32 map, struct sock_counts *counts);

static inline __u64 sock_accepted(const struct sock_counts *counts)
{
	return counts->msg_egress + counts->msg_ingress + counts->skb_egress +
	       counts->skb_ingress;
}

#endif /* REDIRMAP_GENLIB_H */
