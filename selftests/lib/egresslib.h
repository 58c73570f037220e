/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of egress programs: values of 8 bytes, the life of
 * programs, and egress.bpf.c with its logs.
 */
#ifndef REDIRMAP_EGRESSLIB_H
#define REDIRMAP_EGRESSLIB_H

#include "testlib.h"
#include "xdplib.h"

/* Since 6.3: the program is for one device, and may ask its driver things. */
#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6)
#endif

/* As in egress.bpf.c. */
#define LOG_MAX 512
#define VERDICTS 32
#define GROW_AND_PASS 100
#define TAIL 0x7a117a11
#define META 0x3e7a3e7a

struct run {
	__u32 ingress, egress, queue, nr, len;
};

struct sight {
	__u32 ifindex, nr, len, mark, tail, meta;
};

/* A map of a kind, with values of 8 bytes; an fd or -errno. */
int new_map(const struct kind *kind, __u32 max_entries);

/* An entry that leads to @ifindex through a program; 0 or -errno. */
int put_value(int map, __u32 key, __u32 ifindex, int prog);

/* The id of an entry's program, 0 for none; -errno without an entry. */
int value_id(int map, __u32 key);

/* The ifindex of an entry; -errno without an entry. */
int value_ifindex(int map, __u32 key);

/* A program that does nothing but return; the fd, or -errno. */
int make_prog(enum bpf_prog_type type, enum bpf_attach_type attach, __u32 flags,
	      __u32 ifindex, int verdict);

/* One that a device map takes. */
int make_egress(int verdict);

__u32 prog_id(int prog);
bool prog_lives(__u32 id);

/* Entries drop their programs a grace period, and perhaps more, later. */
bool prog_goes(__u32 id);

/*
 * That a program is kept cannot be polled for. So let another one go the way
 * that it would go, in an entry of the same map, and look when that has gone.
 */
bool prog_stays(__u32 id, int map, __u32 spare_key, __u32 ifindex);

/*
 * A network with egress.bpf.c loaded over a map of a kind, whose key 0 leads to
 * t0 without a program; frames go to "redirect" and use key 0 alone. The peer
 * of a device tN is rN, and keeps the log. In native XDP make_checker() makes a
 * device that looks at what drivers assume of frames.
 */
bool start_egress(struct env *e, struct kind kind);

/* The same over a map of other values, which is empty, and without t0. */
bool start_egress_over(struct env *e, struct kind kind, int map);
bool make_looker(struct env *e, const char *dev, const char *peer, const char *args);
bool make_checker(struct env *e, const char *dev, const char *peer, const char *args);

/* Lets a key lead to a device, through a program of egress.bpf.c, or none. */
bool put_prog(struct env *e, __u32 key, const char *dev, const char *name);

/* Frames number 0 to @n - 1 into "redirect", after the logs were emptied. */
int send_new(struct env *e, int n, int len);
void forget_logs(struct env *e);

struct run *run_of(struct env *e, int i);
struct sight *sight_of(struct env *e, int i);

/* How many frames with a mark (a character, or 0) were seen at a device. */
int marked(struct env *e, const char *dev, __u32 mark);

/*
 * With that mark these, and only these, were seen at a device, each once and
 * in this order: frames number @first, @first + @step and so on, @n of them.
 */
bool seen_in_order(struct env *e, const char *dev, __u32 mark, int first, int step, int n);

#endif /* REDIRMAP_EGRESSLIB_H */
