/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A player of sequences of system calls: see "Sequences" in
 * Documentation/testing.rst.
 *
 * A sequence is a list of calls, which follows from the seed and the number of
 * the sequence. A call has random numbers as its arguments. Its function takes
 * what it needs from the tables of the sequence: descriptors of a type,
 * devices, keys. So the list does not depend on results, and any call may fail.
 * Some arguments are wrong on purpose.
 *
 * A process of its own plays a sequence, in a network namespace of its own. Two
 * threads play some of the sequences, with the same tables.
 */
#ifndef SEQ_SEQ_H
#define SEQ_SEQ_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

#define SLOTS 8
#define DEVS 12
/* Random numbers of a call. */
#define ARGS 6
#define CALLS_MAX 160
#define PLAYERS 2

/* In frames: the number of programs that they may still come through. */
#define FRAME_TTL 22

/* Types of descriptors. */
enum table {
	DEV_MAPS,
	SOCK_MAPS,
	OUTERS,
	PROGS,		/* XDP programs of devices */
	EGRESS,		/* XDP programs of entries */
	SOCK_PROGS,
	LINKS,
	NETS,
	SOCKS,
	GENLS,
	TABLES
};

/**
 * struct dev - a device
 * @ifindex: its number in the network namespace that it was made in, or 0
 * @peer: the device that its frames arrive at
 */
struct dev {
	int ifindex;
	int peer;
};

/**
 * struct options - the command line
 * @seed: the seed of all sequences
 * @first: the number of the first sequence
 * @count: number of sequences; 0 with @minutes
 * @minutes: play for so long
 * @verbose: print all calls
 * @marks: let scripts/lab/profile-plugin.c examine all rounds
 * @symbols: file for the kernel's symbols, or NULL
 * @in_place: see live_frames_in_place()
 */
struct options {
	__u64 seed;
	unsigned int first;
	unsigned int count;
	unsigned int minutes;
	bool verbose;
	bool marks;
	const char *symbols;
	bool in_place;
};

extern struct options opt;

struct seq;

/**
 * struct player - a thread that plays calls
 * @s: its sequence
 * @nr: its number in the sequence
 * @sender: a packet socket, or -1
 * @at_home: the thread is in the network namespace of the sequence
 * @text: the arguments of the present call
 * @len: length of @text
 */
struct player {
	struct seq *s;
	int nr;
	int sender;
	bool at_home;
	char text[400];
	int len;
};

/**
 * struct call - a call of a list
 * @what: its place in the table of calls
 * @a: random numbers
 */
struct call {
	__u8 what;
	__u32 a[ARGS];
};

/**
 * struct seq - a sequence
 * @nr: its number
 * @players: number of threads
 * @kill_at: the process is killed in or after this call of the first thread, or
 *	-1
 * @leave: at the end, descriptors are closed one by one, in random order
 * @calls: the lists of the threads
 * @n: their lengths
 * @fds: descriptors, or -1
 * @broadcasts: programs of @fds that broadcast
 * @msgs: programs of @fds for messages
 * @devs: devices
 * @home: the network namespace
 * @anchor: a map that all sockets are in, or -1
 * @anchored: number of sockets that were put into it
 * @cgroup: there is a memory cgroup
 */
struct seq {
	unsigned int nr;
	int players;
	int kill_at;
	bool leave;
	struct call calls[PLAYERS][CALLS_MAX];
	int n[PLAYERS];
	int fds[TABLES][SLOTS];
	bool broadcasts[SLOTS];
	bool msgs[SLOTS];
	struct dev devs[DEVS];
	int home;
	int anchor;
	__u32 anchored;
	bool cgroup;
};

/* seq.c: the state that the processes share. */
struct shared {
	int progress;		/* calls that the first thread has begun */
	unsigned long calls;	/* all calls of all sequences */
	unsigned long good;	/* those that have succeeded */
};

extern struct shared *shared;

/* gen.c */

/* Makes the list of sequence number @s->nr. */
void generate(struct seq *s);

/* Random numbers that follow from a number. */
__u64 mix(__u64 x);

/* calls.c: the table of calls. */

typedef int call_func(struct player *p, const __u32 *a);

/**
 * struct kind_of_call - a row of the table of calls
 * @name: for messages
 * @run: plays the call; 0 or larger, or -errno
 * @dev: its weight in sequences about devices
 * @sock: its weight in sequences about sockets
 */
struct kind_of_call {
	const char *name;
	call_func *run;
	__u8 dev;
	__u8 sock;
};

extern const struct kind_of_call kinds_of_calls[];
extern const int nr_kinds_of_calls;

/* The place of a call in the table. */
int call_named(const char *name);

/* play.c */

/* Plays a sequence in the calling process, which is new, and exits. */
void play(struct seq *s) __attribute__((noreturn));

/* Describes an argument of the present call. */
__attribute__((format(printf, 2, 3)))
void say(struct player *p, const char *fmt, ...);

/*
 * Arguments. The lowest bits of a random number select a slot, and the first
 * one from there that is in use is taken. Others make the argument wrong, in
 * one of 16 cases.
 */
int fd_of(struct player *p, enum table table, __u32 a);
int dev_of(struct player *p, __u32 a);

/* A slot that is in use, or -1. */
int slot_of(struct player *p, enum table table, __u32 a);

/* Stores a new descriptor, and closes the one before; returns 0 or -errno. */
int keep(struct player *p, enum table table, __u32 a, int fd);

void keep_dev(struct player *p, __u32 a, int ifindex, int peer);

/* The result of a system call: @ret, or -errno. */
int result(int ret);

/* Is this argument to be wrong? Uses other bits than the functions above. */
static inline bool is_wrong(__u32 a)
{
	return a >> 27 == 7;
}

/* devs.c: rtnetlink */

/* The network namespace of the player, for watch_namespace(). */
extern int base_net;

/* 0 or -errno. */
int set_link_up(int ifindex, bool up);

/* left.c: what has come back. */

/*
 * Sets aside what there is before the first sequence. In a network namespace of
 * the player.
 */
bool note_before(void);

/*
 * Makes a device by which the player notices the end of the caller's network
 * namespace: its other end is in the player's.
 */
bool watch_namespace(unsigned int nr);

/*
 * Waits until everything has come back. Prints what has not, and returns the
 * number of such things.
 */
int what_is_left(void);

/* reach.c: the functions of the module that were called. */

bool reach_begin(void);
void reach_collect(void);
/* Number of functions that were not reached, but have to be. */
int reach_end(int *reached, int *all);
void print_wanted(void);

/* genl.c */

/* The module's family; 0 if there is none. */
int genl_family(void);

/* Number of objects in a dump of all network namespaces, or -errno. */
int genl_count(int cmd);

#endif /* SEQ_SEQ_H */
