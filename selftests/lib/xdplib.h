/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of redirects: maps of one kind, programs over them,
 * frames for these, and traces of the kernel's actions.
 *
 * A test's programs include netlib.bpf.h, whose variables some functions here
 * use. A typical test:
 *
 *	make_net(e);
 *	open_object(e, "x.bpf.o"); use_map(e, "targets", make_map(...));
 *	load_object(e);
 *	make_target(e, "t0", "r0"); put(e, 0, "t0");
 *	attach(e, "g1", "redirect", true);	if generic
 *	send_to(e, "redirect", 20, 64);
 *	settled(e, "r0", 20);
 *	finish(e);
 */
#ifndef REDIRMAP_XDPLIB_H
#define REDIRMAP_XDPLIB_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/types.h>

#include "kinds.h"
#include "netlib.h"

/* As in netlib.bpf.h. */
#define DEVICES 256

#define MAPS_MAX 8
#define TRACE_MAX (1 << 20)

struct bpf_object;

/**
 * struct env - the objects of a test
 * @obj: the programs
 * @map: the first of @maps, the map under test
 * @maps: the maps that use_map() has got
 * @map_ids: their ids
 * @nr_maps: their number
 * @globals: the variables of the programs
 * @globals_size: their size, in whole pages
 * @sock: sends packets
 * @tap: the queues of the tap, or -1
 * @generic: generic XDP, otherwise native
 * @wire: native XDP, but frames come by a device, one by one, not from the
 *	kernel's generator, whose frames older kernels do not copy correctly
 * @faulty: targets are devices of faultylib.h
 * @live: live frames have been sent
 * @tracing: traces have been started
 * @trace_dir: the folder of the trace instance, if there is one
 */
struct env {
	struct bpf_object *obj;
	int map;
	int maps[MAPS_MAX];
	__u32 map_ids[MAPS_MAX];
	int nr_maps;
	char *globals;
	size_t globals_size;
	int sock;
	int tap[QUEUES];
	bool generic;
	bool wire;
	bool faulty;
	bool live;
	bool tracing;
	char trace_dir[64];
};

/*
 * Makes the network: a namespace, and the caller on CPU 0, so that frames and
 * traces come in one order. If @e->generic or @e->wire is set, also g0 and g1:
 * frames that are sent on g0 get to XDP on g1. Both allow long frames.
 */
bool make_net(struct env *e);
bool del_net(struct env *e);

/*
 * Expedites grace periods, or ends that; a test's network expedites them.
 * Otherwise most of a test's time would be grace periods: the kernel waits for
 * one when a native program is attached or detached, because it patches text,
 * and when a map is freed.
 */
void hurry(bool on);

/*
 * Programs. Maps are passed to the object before it is loaded; unload() closes
 * them. An fd below 0 is an error, so make_map() can be the argument.
 */
bool open_object(struct env *e, const char *file);
bool use_map(struct env *e, const char *name, int fd);
bool load_object(struct env *e);
void unload(struct env *e);

/* A program's fd. */
int prog(struct env *e, const char *name);

/*
 * Attaches a program by its name, or none. If @dev is the name of a faulty
 * device at which frames arrive, the program is one of generic XDP.
 */
bool attach(struct env *e, const char *dev, const char *name, bool generic);

/*
 * Makes a target and its peer: a veth pair or, if @e->faulty, a device that is
 * its own peer. make_target() also attaches "receive" to @peer.
 */
bool make_pair(struct env *e, const char *dev, const char *peer, const char *args);
bool make_target(struct env *e, const char *dev, const char *peer);

/* Variables of the programs, by their names. */
void *global(struct env *e, const char *name);
void set_var(struct env *e, const char *name, __u64 value);
__u64 get_var(struct env *e, const char *name);

/* Makes a key of the map under test lead to a device; deletes the key. */
bool put(struct env *e, __u32 key, const char *dev);
bool del(struct env *e, __u32 key);

/* The same in all maps of use_map(). */
bool put_all(struct env *e, __u32 key, const char *dev);
bool del_all(struct env *e, __u32 key);

/*
 * The target of a key in all maps of use_map(): an ifindex, or -errno; -EBADE
 * if they differ.
 */
int leads_to(struct env *e, __u32 key);

/*
 * Sends frames, all of number 0, to a program: natively, as if they came from a
 * device; send_live() uses lo. 0 or -errno.
 */
int send_live_from(struct env *e, const char *name, const char *dev, int n, int len);
int send_live(struct env *e, const char *name, int n, int len);

/* Sends frames number 0 to @n - 1 on g0. */
int send_packets(struct env *e, int n, int len);

/*
 * send_live(), or send_packets() with the program attached to g1, depending on
 * @e->generic and @e->wire.
 */
int send_to(struct env *e, const char *name, int n, int len);

/* The number of frames that receivers have counted. */
__u64 received_on(struct env *e, const char *dev, int queue);
__u64 received(struct env *e, const char *dev);
void forget_received(struct env *e);

/* Waits until so many frames have come; false if they do not come. */
bool arrive_at(struct env *e, const char *dev, __u64 want);

/* Waits until senders have sent so many frames; false if they do not. */
bool all_seen(struct env *e, __u64 want);

/*
 * The number of frames that have come, once no further frame follows: softirqs
 * may lag behind.
 */
__u64 settled(struct env *e, const char *dev, __u64 want);

/*
 * Traces redirects and pages (see pages_are_back()), from now on, in a trace
 * instance of the test's own; trace_event() adds "system/event".
 */
bool trace_start(struct env *e);
bool trace_event(struct env *e, const char *event);
void trace_end(struct env *e);

/*
 * The traced events, one per line, beginning with the event's name, in a text
 * of TRACE_MAX. Ids of programs are removed, ids of maps are "OURS", "OURS1"
 * and so on in the order of use_map(). All other fields remain.
 */
bool trace_read(struct env *e, char *text);

/* The number of events that contain some text. */
int traced_now(struct env *e, const char *event, const char *with);

/* Were there so many such events? Waits, because softirqs may lag behind. */
bool traced(struct env *e, const char *event, const char *with, int want);

/* Are two texts equal? Prints the difference. */
bool same_text(const char *stock, const char *claimed);

/*
 * Are all pages back in the pools that were given up since trace_start(): those
 * of live frames, and those of deleted devices?
 */
bool pages_are_back(struct env *e);

/*
 * Ends a test: deletes devices first, while maps and programs are in place.
 * True if nothing is left: devices, references to the module and, with traces,
 * pages.
 */
bool finish(struct env *e);

#endif /* REDIRMAP_XDPLIB_H */
