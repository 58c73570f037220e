/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations, pairs of maps, and the state that all parts of the fuzzer share.
 * The layers of the parts are in Documentation/testing.rst.
 *
 * A sequence of operations is run on pairs of maps, one stock and one claimed,
 * with the same attributes. After each operation the two must have said the
 * same and must hold the same, but for the differences that diffs.c lists.
 *
 * An operation is plain numbers, and all that it does follows from these and
 * from the operations before it. So a sequence can be run again, without some
 * of its operations, and as text. In every field 0 is what is simplest: that is
 * where shrinking leads to, and what text leaves out.
 */
#ifndef REDIRMAP_FUZZ_STATE_H
#define REDIRMAP_FUZZ_STATE_H

#include <linux/redirmap.h>

#include "testlib.h"

#define NR_PAIRS 6
#define NR_DEVS 6
#define NR_NETS 2
/* Descriptors of a map: the one that it was made with, and another one. */
#define NR_FDS 2

/* An episode begins with no maps, and with the same devices. */
#define EPISODE_OPS 2000

enum side { STOCK, CLAIMED, NR_SIDES };

enum cmd {
	CREATE, CLOSE, FREEZE, INFO, FDINFO, BY_ID, PIN, GET, UNPIN,
	LOOKUP, UPDATE, DELETE, NEXT, TAKE, NEST,
	LOOKUP_BATCH, TAKE_BATCH, UPDATE_BATCH, DELETE_BATCH,
	BIND, ATTACH, DETACH, QUERY, LINK, MMAP,
	LOAD, UNLOAD, RUN,
	DEV_ADD, DEV_DEL, DEV_RENAME, DEV_MOVE, DEV_UP, DEV_MTU, ENTER, NET_DIE,
	NR_CMDS
};

/**
 * struct op - an operation; ops.c has the fields that each command uses
 * @cmd: enum cmd
 * @map: which pair
 * @fd: which descriptor of it: enum fd
 * @ptr: which addresses are bad: enum ptr
 * @size: of union bpf_attr, as told to the kernel; 0 is the truth
 * @poke: a byte of the attribute that is 1, at this offset
 *
 * @type: map type
 * @key_size: of a map that is to be made; also the other attributes below
 * @template: the pair whose maps an outer map is made for, + 1
 * @name: enum name
 * @btf: with BTF; values have this type
 * @fail: CREATE comes so far, and then fails: enum fail
 * @times: and does it so often again on the claimed side
 *
 * @key: of an element; the first one of a batch
 * @ifindex: of a value; also a device event's
 * @prog: of a value: enum prog
 * @flags: of the command
 * @inner: the pair that goes into an outer map
 * @mix: the other side's one
 *
 * @count: of a batch
 * @step: from one key of a batch to the next
 * @ifindex2: of every other value in a batch
 * @at: this element, + 1, is another: @key2 and @ifindex3
 * @eflags: elem_flags
 * @token: where a lookup goes on: enum token
 * @keys: how many keys there is memory for, + 1
 * @values: the same for values
 *
 * @mode: RUN: redirects instead of looking up, or 2: and so do @count + 1 frames of
 *	64 + @step bytes; other commands: see other.c
 * @frags: RUN: the program takes fragments
 * @dev: which device
 * @end: of a veth, the other end
 * @kind: of a device
 * @net: which network namespace
 * @on: up, not down
 */
struct op {
	__u64 cmd;

	__u64 map, fd, ptr, size, poke;
	__u64 type, key_size, value_size, max_entries, numa_node, map_ifindex, extra, template,
	      name, btf, fail, times;
	__u64 key, ifindex, prog, flags, inner, mix;
	__u64 count, step, ifindex2, at, key2, ifindex3, eflags, token, keys, values;
	__u64 mode, frags, dev, end, kind, net, on, mtu;
};

enum fd { FD_FIRST, FD_OTHER, FD_CLOSED, FD_PROG, FD_FILE, FD_GARBAGE, NR_FD_KINDS };
enum ptr {
	PTR_GOOD, PTR_KEY_NULL, PTR_KEY_BAD, PTR_KEY_KERNEL, PTR_KEY_SHORT,
	PTR_VALUE_NULL, PTR_VALUE_BAD, PTR_VALUE_KERNEL, PTR_VALUE_READ_ONLY,
	PTR_TOKEN_BAD, NR_PTRS
};
enum name { NAME_GOOD, NAME_LONG, NAME_BAD, NAME_ENDLESS, NR_NAMES };
/* In the order in which map_create() gets there. */
enum fail {
	FAIL_NOT, FAIL_TOKEN, FAIL_CAPABLE, FAIL_BTF_CLOSED, FAIL_BTF_KERNEL, FAIL_BTF_KEY,
	FAIL_NO_FD, NR_FAILS
};
enum token { TOKEN_NONE, TOKEN_LAST, TOKEN_KEY, TOKEN_BAD, NR_TOKENS };
enum prog {
	PROG_NONE, PROG_A, PROG_B, PROG_FRAGS, PROG_NO_ATTACH, PROG_CPUMAP, PROG_SOCKET,
	PROG_BOUND, NR_PROGS,
	PROG_CLOSED = NR_PROGS, PROG_MINUS_1, PROG_MIN, PROG_GARBAGE, PROG_MAP, PROG_FILE,
	NR_PROG_KINDS
};

/**
 * struct pair - a stock and a claimed map
 * @made: there are some
 * @attr: the CREATE that has made them
 * @counts: the claimed one's values have counters, the stock one's are of 8 bytes
 * @inner_counts: so it is with maps that go into this one
 * @pinned: there are files that stand for them
 * @fd: -1 is none
 * @peek: another descriptor, without limits, to look at the contents
 * @id: as the kernel knows the map
 * @serial: as outer maps' contents are compared
 * @token: out_batch of the last lookup in batches
 * @unseen: steps since all of the contents were compared
 */
struct pair {
	bool made;
	struct op attr;
	bool counts, inner_counts, pinned;
	int fd[NR_SIDES][NR_FDS];
	int peek[NR_SIDES];
	__u32 id[NR_SIDES];
	__u32 serial;
	__u32 token;
	unsigned int unseen;
};

/*
 * The result of an operation on one side: its return value, and the bytes that
 * it has written.
 */
struct result {
	int ret;
	unsigned int len;
	__u8 out[1024];
};

/**
 * struct state - all there is while operations run
 * @pairs: maps
 * @net: the caller's network namespace
 * @thorough: compare all of the contents after every step
 * @verbose: print each operation and its results
 * @strict: the name of a documented difference that is to be a failure
 * @frames: that have run through maps in this episode
 * @failure: what has gone wrong, or empty
 * @touched: keys that a step has to do with
 */
struct state {
	struct pair pairs[NR_PAIRS];
	unsigned int net;
	bool thorough, verbose;
	const char *strict;
	__u64 frames;
	char failure[400];
	__u32 touched[1024];
	unsigned int nr_touched;
};

extern struct state state;

static inline bool is_hash(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_DEVMAP_HASH;
}

static inline bool is_outer(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       pair->attr.type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static inline bool is_devmap(const struct pair *pair)
{
	return pair->made && !is_outer(pair);
}

static inline __u32 value_size(const struct pair *pair, enum side side)
{
	return pair->counts && side == CLAIMED ? sizeof(struct redirmap_val) :
						 pair->attr.value_size;
}

static inline struct pair *pair_of(const struct op *op)
{
	return &state.pairs[op->map % NR_PAIRS];
}

/* Lengths of the frames that run through maps. */
#define LEN_MIN 64
#define LEN_MAX 499

/* The devices' ifindexes begin here, each with its other end's behind it. */
#define FIRST_IFINDEX 200

static inline __u32 dev_ifindex(unsigned int dev, bool end)
{
	return FIRST_IFINDEX + dev * 2 + end;
}

static inline void touch(__u32 key)
{
	if (state.nr_touched < ARRAY_SIZE(state.touched))
		state.touched[state.nr_touched++] = key;
}

/* The operation has gone wrong; false. The first reason counts. */
__attribute__((format(printf, 1, 2)))
bool failed(const char *fmt, ...);

#endif /* REDIRMAP_FUZZ_STATE_H */
