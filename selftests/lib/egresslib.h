/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of egress programs: values of 8 bytes, the lifetime of
 * programs, and egress.bpf.c with its logs.
 */
#ifndef REDIRMAP_EGRESSLIB_H
#define REDIRMAP_EGRESSLIB_H

#include "testlib.h"
#include "xdplib.h"

/* Since 6.3: the program is bound to one device, and may call its driver. */
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

/* Makes a map of a kind, with values of 8 bytes. An fd or -errno. */
int new_map(const struct kind *kind, __u32 max_entries);

/* Makes a key lead to @ifindex through a program. 0 or -errno. */
int put_value(int map, __u32 key, __u32 ifindex, int prog);

/* The id of an entry's program, or 0; -errno without an entry. */
int value_id(int map, __u32 key);

/* The ifindex of an entry; -errno without an entry. */
int value_ifindex(int map, __u32 key);

/* Loads a program that only returns a value. The fd, or -errno. */
int make_prog(enum bpf_prog_type type, enum bpf_attach_type attach, __u32 flags,
	      __u32 ifindex, int verdict);

/* Loads a program that a device map accepts. */
int make_egress(int verdict);

__u32 prog_id(int prog);
bool prog_lives(__u32 id);

/* Entries drop their programs one or more grace periods later. */
bool prog_goes(__u32 id);

/*
 * A test cannot wait for a program that is kept. So it lets another program be
 * freed in the same way, by an entry of the same map, and looks at the first
 * program after that.
 */
bool prog_stays(__u32 id, int map, __u32 spare_key, __u32 ifindex);

/*
 * Makes a network, and loads egress.bpf.c over a map of a kind. Key 0 leads to
 * t0 without a program. Frames enter the program "redirect", which uses key 0
 * only. The peer of a device tN is rN, which keeps the log. In native XDP
 * make_checker() makes a device that asserts what drivers assume of frames.
 */
bool start_egress(struct env *e, struct kind kind);

/*
 * The same over a given map with other values, which is empty, and without t0.
 */
bool start_egress_over(struct env *e, struct kind kind, int map);
bool make_looker(struct env *e, const char *dev, const char *peer, const char *args);
bool make_checker(struct env *e, const char *dev, const char *peer, const char *args);

/* Makes a key lead to a device, through a program of egress.bpf.c, or none. */
bool put_prog(struct env *e, __u32 key, const char *dev, const char *name);

/* Sends frames number 0 to @n - 1 into "redirect", with empty logs. */
int send_new(struct env *e, int n, int len);
void forget_logs(struct env *e);

struct run *run_of(struct env *e, int i);
struct sight *sight_of(struct env *e, int i);

/* The number of frames with a mark (a character, or 0) seen at a device. */
int marked(struct env *e, const char *dev, __u32 mark);

/*
 * Did a device see exactly these frames with that mark, each once and in this
 * order: frames number @first, @first + @step and so on, @n of them?
 */
bool seen_in_order(struct env *e, const char *dev, __u32 mark, int first, int step, int n);

#endif /* REDIRMAP_EGRESSLIB_H */
