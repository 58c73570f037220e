/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps of one kind, programs over them, frames through these, and traces of
 * what the kernel did: what tests of redirects have in common.
 *
 * A test's programs include netlib.bpf.h, whose variables some functions here
 * use. A usual test:
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
 * struct env - what a test has made
 * @obj: the programs
 * @map: the first of @maps, the map under test
 * @maps: what use_map() was given
 * @map_ids: their ids
 * @nr_maps: how many
 * @globals: the variables of the programs
 * @globals_size: their size, in whole pages
 * @sock: sends packets
 * @tap: the queues of the tap, or -1
 * @generic: generic XDP, else native
 * @wire: native XDP, but frames come by a device, one by one, not from the
 *	kernel's generator, whose frames older kernels do not copy correctly
 * @faulty: targets are devices of faultylib.h
 * @live: live frames have been sent
 * @tracing: traces have been started
 * @trace_dir: the instance, if there is one
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
 * The network: a namespace, the caller on CPU 0, so that frames and traces come
 * in one order; if @e->generic or @e->wire also g0 and g1: what is sent on g0
 * XDP gets on g1. Big frames pass there.
 */
bool make_net(struct env *e);
bool del_net(struct env *e);

/*
 * Grace periods are expedited, or no longer; in a test's network they are.
 * Whenever a program of native XDP begins or ends to run, the kernel patches
 * text and waits for one, and so it does for a map that goes: most of the time
 * that a test takes.
 */
void hurry(bool on);

/*
 * Programs. Maps are given to the object, which unload() closes, before it is
 * loaded; an fd below 0 is an error, so make_map() can stand there.
 */
bool open_object(struct env *e, const char *file);
bool use_map(struct env *e, const char *name, int fd);
bool load_object(struct env *e);
void unload(struct env *e);

/* A program's fd. */
int prog(struct env *e, const char *name);

/*
 * Attaches a program by its name, or none; generic XDP, too, where @dev is the
 * end of a faulty device.
 */
bool attach(struct env *e, const char *dev, const char *name, bool generic);

/*
 * A target and what it leads to: a veth pair or, if @e->faulty, a device that
 * is its own peer; and the same with "receive" on @peer.
 */
bool make_pair(struct env *e, const char *dev, const char *peer, const char *args);
bool make_target(struct env *e, const char *dev, const char *peer);

/* Variables of the programs, by their names. */
void *global(struct env *e, const char *name);
void set_var(struct env *e, const char *name, __u64 value);
__u64 get_var(struct env *e, const char *name);

/* Lets a key of the map under test lead to a device; deletes it. */
bool put(struct env *e, __u32 key, const char *dev);
bool del(struct env *e, __u32 key);

/* The same in all maps of use_map(). */
bool put_all(struct env *e, __u32 key, const char *dev);
bool del_all(struct env *e, __u32 key);

/*
 * The target of a key in all maps of use_map(): an ifindex, or -errno; -EBADE
 * if not the same in all.
 */
int leads_to(struct env *e, __u32 key);

/*
 * Sends frames, all of number 0, into a program: natively, as if they came from
 * a device; send_live() takes lo. 0 or -errno.
 */
int send_live_from(struct env *e, const char *name, const char *dev, int n, int len);
int send_live(struct env *e, const char *name, int n, int len);

/* Sends frames number 0 to @n - 1 on g0. */
int send_packets(struct env *e, int n, int len);

/*
 * send_live(), or send_packets() with the program attached to g1, by
 * @e->generic and @e->wire.
 */
int send_to(struct env *e, const char *name, int n, int len);

/* Frames that receivers have counted. */
__u64 received_on(struct env *e, const char *dev, int queue);
__u64 received(struct env *e, const char *dev);
void forget_received(struct env *e);

/* Waits until so many have come; false if they have not. */
bool arrive_at(struct env *e, const char *dev, __u64 want);

/* Waits until senders have seen so many; false if they have not. */
bool all_seen(struct env *e, __u64 want);

/* How many have come, once none follows: softirqs may lag behind. */
__u64 settled(struct env *e, const char *dev, __u64 want);

/*
 * Traces of redirects, and of pages (see pages_are_back), from nothing each
 * time, in an instance of our own; trace_event() adds "system/event".
 */
bool trace_start(struct env *e);
bool trace_event(struct env *e, const char *event);
void trace_end(struct env *e);

/*
 * The traced events, one per line, from the event's name on, in a text of
 * TRACE_MAX. Ids of programs are left out, those of maps are "OURS", "OURS1"
 * and so on in the order of use_map(), all other fields stay.
 */
bool trace_read(struct env *e, char *text);

/* How often an event was traced with some text in it. */
int traced_now(struct env *e, const char *event, const char *with);

/* The same, once it was so often: softirqs may lag behind. */
bool traced(struct env *e, const char *event, const char *with, int want);

/* Are two texts the same? Prints the difference. */
bool same_text(const char *stock, const char *claimed);

/*
 * All pages are back in the pools that were given up since trace_start(): those
 * of live frames, and those of devices that are gone.
 */
bool pages_are_back(struct env *e);

/*
 * Ends a test: devices go first, with maps and programs in place, as they do.
 * True if nothing is left: devices, references to the module and, if there are
 * traces to show it, pages.
 */
bool finish(struct env *e);

#endif /* REDIRMAP_XDPLIB_H */
