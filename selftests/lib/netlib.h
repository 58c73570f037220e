/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network for tests: a namespace of the test's own with devices, and the frames
 * that tests send. For maps and programs see xdplib.h.
 */
#ifndef REDIRMAP_NETLIB_H
#define REDIRMAP_NETLIB_H

#include <stdbool.h>

#include <linux/if_link.h>

/* The group of all devices that a test makes. */
#define GROUP 7
/* Queues of a tap, and of the counters in netlib.bpf.h. */
#define QUEUES 4

#define FRAME_MAX 9000
/* Offset from which on a frame has a pattern that depends on its number. */
#define FRAME_NR 42
#define FRAME_PATTERN 46

/* A folder for the namespace's own sysfs, in the test's mount namespace. */
#define SYS "/mnt"

/*
 * Configures the network: lines for ip(8), without "ip". True if no line
 * failed; ip's errors are on stderr. Links that came up carry packets when this
 * returns.
 */
__attribute__((format(printf, 1, 2)))
bool ip(const char *fmt, ...);

/* Makes the calling thread run on this CPU, or on the only one. */
void run_on_cpu(int cpu);

/*
 * Makes a network namespace for the caller, with its sysfs at SYS and without
 * IPv6, so that no neighbour discovery mixes with the frames.
 */
bool enter_net(void);

/*
 * Deletes all devices of GROUP. True if only lo is left then. If a reference to
 * a device was leaked, this hangs, and the harness ends the test.
 */
bool delete_devices(void);

/*
 * Deletes a device, and returns as soon as the kernel has reported that the
 * device has left, while its deletion continues. True if that was reported.
 * wait_deleted() waits for the end of the deletion.
 */
bool start_delete(const char *name);
bool wait_deleted(void);

/* Makes a veth pair, and sets both up. @args are options of ip(8) for both. */
bool make_veth(const char *dev, const char *peer, const char *args);

/* Makes a tap with @n queues, and a file for each. */
bool make_tap(const char *name, int *queues, int n);

/* The number of frames that wait in a queue of a tap. */
int drain_tap(int queue);

/* Makes a veth's NAPI run in threads of its own, all on one CPU. */
bool thread_napi(const char *dev, int cpu);

/*
 * Waits until no packet is in a CPU's backlog, which packets of generic XDP go
 * through.
 */
bool backlogs_are_empty(void);

/*
 * The caller, on CPU 0, keeps this CPU from all tasks, so that only softirqs
 * run; or ends that. So a device with thread_napi() there gets its frames, but
 * does not process them.
 */
bool hog_cpu(bool hog);

/* Sends a frame through a device; 0 or -errno. */
int link_stats(const char *dev, struct rtnl_link_stats *stats);

/*
 * Makes a frame that the programs of netlib.bpf.h recognise: broadcast UDP. Its
 * number is in its port, so 256 frames make as many flows, in the 4 bytes at
 * FRAME_NR, and in all bytes from FRAME_PATTERN on.
 */
void make_frame(unsigned char *frame, unsigned int nr, int len);

/* Opens a packet socket that never waits for a receiver; an fd or -errno. */
int open_sender(void);

/*
 * Sends frames number @first to @first + @n - 1 on a device; 0 or -errno. A
 * frame for which the peer's ring is full is sent again, for five seconds in
 * all.
 */
int send_on(int sock, const char *dev, unsigned int first, int n, int len);

/* Does the kernel's BTF have a member of a struct? */
bool kernel_has_member(const char *type, const char *member);

/* Do devices have XDP features (since 6.3)? */
bool have_peer_feature(void);

/*
 * Do live frames lie where frames of drivers lie? Kernels without a fix of 6.9
 * put struct xdp_frame in front of the frame's memory. They redirect such
 * frames, but copies of them have wrong bytes.
 */
bool live_frames_in_place(void);

#endif /* REDIRMAP_NETLIB_H */
