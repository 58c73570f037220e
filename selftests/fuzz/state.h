/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations, pairs of maps, and the state that all parts of the fuzzer share.
 * Documentation/testing.rst lists the layers of the parts.
 *
 * A sequence of operations is executed on pairs of maps, one stock and one
 * claimed, with the same attributes. After each operation both maps must have
 * returned the same result and must have the same contents, except for the
 * differences that diffs.c lists.
 *
 * An operation consists of numbers, and its effect follows from these and from
 * the operations before it. So a sequence can be executed again, without some
 * of its operations, and as text. In every field 0 is the simplest value:
 * shrinking leads to it, and text omits it.
 */
#ifndef REDIRMAP_FUZZ_STATE_H
#define REDIRMAP_FUZZ_STATE_H

#include <linux/redirmap.h>

#include "testlib.h"

#define NR_PAIRS 6
#define NR_DEVS 7
/* Either end of a device may be a target. */
#define NR_TARGETS (2 * NR_DEVS)
#define NR_NETS 2
/* Descriptors of a map: the one that created it, and another one. */
#define NR_FDS 2

/* An episode begins without maps, and with the same devices. */
#define EPISODE_OPS 2000

enum side { STOCK, CLAIMED, NR_SIDES };

enum cmd {
	CREATE, CLOSE, FREEZE, INFO, FDINFO, BY_ID, PIN, GET, UNPIN,
	LOOKUP, UPDATE, DELETE, NEXT, TAKE, NEST,
	LOOKUP_BATCH, TAKE_BATCH, UPDATE_BATCH, DELETE_BATCH,
	BIND, ATTACH, DETACH, QUERY, LINK, MMAP,
	LOAD, UNLOAD, RUN,
	DEV_ADD, DEV_DEL, DEV_RENAME, DEV_MOVE, DEV_UP, DEV_MTU, ENTER, NET_DIE,
	SOCK_RENEW, SOCK_SHUT, SEND,
	NR_CMDS
};

/**
 * struct op - an operation; ops.c has the fields that each command uses
 * @cmd: enum cmd
 * @map: number of the pair
 * @fd: which of its descriptors: enum fd
 * @ptr: which addresses are invalid: enum ptr
 * @size: size of union bpf_attr that the kernel is given; 0: the correct one
 * @poke: offset of a byte of the attribute that is set to 1
 *
 * @type: map type
 * @key_size: attribute of a map to create, like the following ones
 * @template: number of the pair that is the outer map's template, + 1
 * @name: enum name
 * @btf: with BTF; values have this type
 * @fail: step at which CREATE fails: enum fail
 * @times: number of further failures on the claimed side
 * @packets: whether frames of the claimed map leave as packets: enum packets
 *
 * @key: key of an element; the first one of a batch
 * @ifindex: device in a value; also that of a device event
 * @prog: program in a value: enum prog
 * @sock: socket in a value of a socket map: enum sock; also that of an event,
 *	and the one that sends
 * @flags: flags of the command
 * @inner: number of the pair that is put into an outer map; ATTACH: the program
 *	redirects by the map of the pair that is so many behind @map
 * @mix: use the map of the other side
 *
 * @count: size of a batch, or of a SEND
 * @step: distance of the keys of a batch
 * @ifindex2: device in every other value of a batch; @sock2: socket
 * @at: this element, + 1, differs: it has @key2, and @ifindex3 or @sock3
 * @eflags: elem_flags
 * @token: place at which a lookup continues: enum token
 * @keys: number of keys that there is memory for, + 1
 * @values: the same for values
 *
 * @mode: RUN: 1 redirects instead of looking up; 2 redirects @count + 1 frames
 *	of 64 + @step bytes; socket maps: see sockprogs.c. Other commands: see
 *	other.c
 * @frags: RUN: the program supports fragments
 * @dev: number of the device
 * @end: end of a veth
 * @kind: kind of a device
 * @net: number of the network namespace
 * @on: up, not down
 *
 * @send_flags: SEND: flags of send()
 * @msg: what acting programs (sockprogs.h) do with messages: enum act
 * @msg_flags: flags of their redirects, to @key
 * @skb: what they do with packets
 * @skb_flags: flags of their redirects, to @key2; packets are redirected to
 *	the egress of a socket only if @sock2 has received them
 * @apply: a verdict on messages holds for so many bytes
 * @cork: messages wait until there are so many bytes
 */
struct op {
	__u64 cmd;

	__u64 map, fd, ptr, size, poke;
	__u64 type, key_size, value_size, max_entries, numa_node, map_ifindex, extra, template,
	      name, btf, fail, times, packets;
	__u64 key, ifindex, prog, flags, inner, mix;
	__u64 count, step, ifindex2, at, key2, ifindex3, eflags, token, keys, values;
	__u64 mode, frags, dev, end, kind, net, on, mtu;
	__u64 sock, sock2, sock3;
	__u64 send_flags, msg, msg_flags, skb, skb_flags, apply, cork;
};

enum fd { FD_FIRST, FD_OTHER, FD_CLOSED, FD_PROG, FD_FILE, FD_GARBAGE, NR_FD_KINDS };
enum ptr {
	PTR_GOOD, PTR_KEY_NULL, PTR_KEY_BAD, PTR_KEY_KERNEL, PTR_KEY_SHORT,
	PTR_VALUE_NULL, PTR_VALUE_BAD, PTR_VALUE_KERNEL, PTR_VALUE_READ_ONLY,
	PTR_TOKEN_BAD, NR_PTRS
};
enum name { NAME_GOOD, NAME_LONG, NAME_BAD, NAME_ENDLESS, NR_NAMES };
/* Failing steps of map_create(), in the order of the steps. */
enum fail {
	FAIL_NOT, FAIL_TOKEN, FAIL_CAPABLE, FAIL_BTF_CLOSED, FAIL_BTF_KERNEL, FAIL_BTF_KEY,
	FAIL_NO_FD, NR_FAILS
};
/* Where the device takes no frames: the module's default. */
enum packets { PACKETS_FALLBACK, PACKETS_NEVER, PACKETS_ALWAYS, NR_PACKETS };
enum token { TOKEN_NONE, TOKEN_LAST, TOKEN_KEY, TOKEN_BAD, NR_TOKENS };
enum prog {
	PROG_NONE, PROG_A, PROG_B, PROG_FRAGS, PROG_NO_ATTACH, PROG_CPUMAP, PROG_SOCKET,
	PROG_BOUND, NR_PROGS,
	PROG_CLOSED = NR_PROGS, PROG_MINUS_1, PROG_MIN, PROG_GARBAGE, PROG_MAP, PROG_FILE,
	NR_PROG_KINDS
};

/*
 * Sockets that values of socket maps name, and descriptors of none. The two
 * ends of a connection follow each other.
 */
enum sock {
	SOCK_TCP, SOCK_TCP_PEER, SOCK_TCP6, SOCK_TCP6_PEER, SOCK_UNIX, SOCK_UNIX_PEER,
	SOCK_LISTENER, SOCK_UDP, SOCK_UDP_UNBOUND, SOCK_CLOSED, SOCK_AF_PACKET, NR_SOCKS,
	SOCK_FILE = NR_SOCKS, SOCK_GARBAGE, SOCK_MINUS_1, SOCK_LARGE, NR_SOCK_KINDS
};

/*
 * What a program does with data: redirect it; redirect it, but let it pass if
 * there is no target; redirect it, and drop it nevertheless.
 */
enum act { ACT_PASS, ACT_DROP, ACT_REDIRECT, ACT_OR_PASS, ACT_AND_DROP, NR_ACTS };

/**
 * struct pair - a stock and a claimed map
 * @made: the maps exist
 * @attr: the CREATE that has made them
 * @counts: values of the claimed map have counters, those of the stock map have
 *	8 bytes
 * @inner_counts: the same for inner maps of this one
 * @pinned: the maps are pinned
 * @fd: descriptors; -1 is none
 * @peek: another descriptor, without limits, to read the contents
 * @id: the kernel's id of the map
 * @serial: the same for both maps, to compare contents of outer maps
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
 * struct state - state while operations run
 * @pairs: maps
 * @net: the caller's network namespace
 * @thorough: compare all of the contents after every step
 * @verbose: print each operation and its results
 * @strict: name of a documented difference that counts as a failure
 * @frames: frames that have run through maps in this episode
 * @sends: SENDs of this episode
 * @parser: a stream parser was attached in this episode
 * @packets: frames of claimed maps that have left as packets, in all episodes
 * @failure: description of the failure, or empty
 * @touched: keys that a step uses
 */
struct state {
	struct pair pairs[NR_PAIRS];
	unsigned int net;
	bool thorough, verbose, parser;
	const char *strict;
	__u64 frames, packets, sends;
	char failure[400];
	__u32 touched[1024];
	unsigned int nr_touched;
};

extern struct state state;

static inline bool is_hash(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_DEVMAP_HASH ||
	       pair->attr.type == BPF_MAP_TYPE_SOCKHASH;
}

static inline bool is_array(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_DEVMAP ||
	       pair->attr.type == BPF_MAP_TYPE_SOCKMAP;
}

static inline bool is_sock(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_SOCKMAP ||
	       pair->attr.type == BPF_MAP_TYPE_SOCKHASH;
}

static inline bool is_outer(const struct pair *pair)
{
	return pair->attr.type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       pair->attr.type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static inline bool is_devmap(const struct pair *pair)
{
	return pair->made && !is_outer(pair) && !is_sock(pair);
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

/* The first ifindex; the peer of each device has the next one. */
#define FIRST_IFINDEX 200

static inline __u32 dev_ifindex(unsigned int dev, bool end)
{
	return FIRST_IFINDEX + dev * 2 + end;
}

/* The number of a target; NR_TARGETS or more for other devices. */
static inline __u32 target_of(__u32 ifindex)
{
	return ifindex - FIRST_IFINDEX;
}

static inline void touch(__u32 key)
{
	if (state.nr_touched < ARRAY_SIZE(state.touched))
		state.touched[state.nr_touched++] = key;
}

/* Records a failure; returns false. The first one counts. */
__attribute__((format(printf, 1, 2)))
bool failed(const char *fmt, ...);

#endif /* REDIRMAP_FUZZ_STATE_H */
