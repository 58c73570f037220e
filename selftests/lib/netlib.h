/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network for tests: a namespace of a test's own with devices in it, and the
 * frames that tests send. For maps and programs on top of that: xdplib.h.
 */
#ifndef REDIRMAP_NETLIB_H
#define REDIRMAP_NETLIB_H

#include <stdbool.h>

#include <linux/if_link.h>

/* The group of the devices that a test has made. */
#define GROUP 7
/* Queues of a tap, and of the counters in netlib.bpf.h. */
#define QUEUES 4

#define FRAME_MAX 9000
/* From here on a frame has a pattern made from its number. */
#define FRAME_NR 42
#define FRAME_PATTERN 46

/* A directory for the namespace's own sysfs, in the test's mount namespace. */
#define SYS "/mnt"

/*
 * Network configuration: lines for ip(8), without the "ip". True if none of
 * them failed; ip's errors are on stderr. Links that came up carry packets
 * then.
 */
__attribute__((format(printf, 1, 2)))
bool ip(const char *fmt, ...);

/* From here on the calling thread runs on this CPU, or on the only one. */
void run_on_cpu(int cpu);

/*
 * A network namespace of the caller's own, with its sysfs at SYS and without
 * IPv6, so that there is no neighbour discovery among the frames.
 */
bool enter_net(void);

/*
 * Deletes all devices of GROUP; true if only lo is left then. They must go at
 * once: a reference that leaked makes this hang, and the harness end the test.
 */
bool delete_devices(void);

/*
 * Deletes a device, and returns as soon as the kernel has reported that it has
 * left, while the rest of its deletion goes on; true if that was reported.
 * wait_deleted() waits for the end of that.
 */
bool start_delete(const char *name);
bool wait_deleted(void);

/* A veth pair, both ends up. @args are for ip(8), of both. */
bool make_veth(const char *dev, const char *peer, const char *args);

/* A tap with @n queues, a file for each. */
bool make_tap(const char *name, int *queues, int n);

/* How many frames wait in a queue of a tap. */
int drain_tap(int queue);

/* A veth's NAPI runs in threads of its own, all on one CPU. */
bool thread_napi(const char *dev, int cpu);

/*
 * The caller, on CPU 0, keeps it from all but softirqs, for as long as it
 * likes; or no longer does. So a device with thread_napi() there gets its
 * frames, and does not look at them.
 */
bool hog_cpu(bool hog);

/* 0 or -errno. */
int link_stats(const char *dev, struct rtnl_link_stats *stats);

/*
 * A frame that the programs of netlib.bpf.h know: UDP to everybody. The number
 * is in its port, so each 256 make as many flows, in the 4 bytes at FRAME_NR,
 * and in all bytes from FRAME_PATTERN on.
 */
void make_frame(unsigned char *frame, unsigned int nr, int len);

/* A packet socket that never waits for a receiver; an fd or -errno. */
int open_sender(void);

/*
 * Sends frames number @first to @first + @n - 1 on a device; 0 or -errno. One
 * that finds the peer's ring full is sent again, for five seconds in all.
 */
int send_on(int sock, const char *dev, unsigned int first, int n, int len);

/* The kernel's BTF knows a struct's member. */
bool kernel_has_member(const char *type, const char *member);

/* Since 6.3 devices say whether XDP frames can be sent to them. */
bool have_peer_feature(void);

/*
 * Live frames lie where drivers' frames do. Kernels without a fix of 6.9 put
 * struct xdp_frame in front of where a frame's memory begins; they redirect
 * such frames, but when they copy them they copy the wrong bytes.
 */
bool live_frames_in_place(void);

#endif /* REDIRMAP_NETLIB_H */
