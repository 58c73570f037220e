// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands in batches. The stock map has none. So the claimed map must behave
 * as map_devmap.rst and map_sockmap.rst in Documentation say, and the stock map
 * gets single operations that lead to the same contents.
 */
#include <stddef.h>
#include <sys/mman.h>

#include "batch.h"
#include "call.h"
#include "compare.h"
#include "elems.h"
#include "fds.h"
#include "ops.h"
#include "outcome.h"
#include "peek.h"

/* Elements that there is memory for; large values are slow to compare. */
#define ROOM 1024
#define ROOM_COUNTS 64
/* Elements by which a lookup may stop too early at a bad address. */
#define CHUNK 64
#define MAX_WALK 8192
/* Of an update; the kernel looks at the socket first. */
#define UNKNOWN_FLAG 8
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static const int bpf_cmds[NR_CMDS] = {
	[LOOKUP_BATCH] = BPF_MAP_LOOKUP_BATCH,
	[TAKE_BATCH] = BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	[UPDATE_BATCH] = BPF_MAP_UPDATE_BATCH,
	[DELETE_BATCH] = BPF_MAP_DELETE_BATCH,
};

/* Ends of the memory for keys and for values. */
static __u8 *keys_end, *values_end;

struct batch {
	const struct op *op;
	struct pair *pair;
	__u8 *keys, *values;
	/*
	 * Number of elements that fit into the memory, and of requested ones.
	 */
	__u32 have_keys, have_values, count;
	/* Size of a value. */
	__u32 size;
	__u32 token_in, token_out;
	bool reads, takes;
	/* Result of the claimed map. */
	int ret;
	__u32 n;
};

static __u8 *make_area(size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	__u8 *area;

	size = (size + page - 1) / page * page;
	area = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || mprotect(area + size, page, PROT_NONE))
		return NULL;
	return area + size;
}

bool batch_init(void)
{
	keys_end = make_area(ROOM * sizeof(__u32));
	values_end = make_area(MAX(ROOM * sizeof(__u64),
				   ROOM_COUNTS * sizeof(struct redirmap_val)));
	return keys_end && values_end;
}

static __u32 key_at(const struct op *op, __u32 i)
{
	return i + 1 == op->at ? op->key2 : op->key + i * op->step;
}

/* The device or the socket of an element. */
static __u32 what_at(const struct op *op, const struct pair *pair, __u32 i)
{
	if (is_sock(pair))
		return i + 1 == op->at ? op->sock3 : i % 2 && op->sock2 ? op->sock2 : op->sock;
	if (i + 1 == op->at)
		return op->ifindex3;
	return i % 2 && op->ifindex2 ? op->ifindex2 : op->ifindex;
}

/*
 * Prepares the memory that the operation requests, with the content of the
 * batch.
 */
static void make_batch(struct batch *b, const struct op *op, struct pair *pair, enum side side)
{
	const __u32 room = pair->counts ? ROOM_COUNTS : ROOM;
	bool short_key = op->ptr == PTR_KEY_SHORT;
	__u32 i, key, size = value_size(pair, side);
	__u64 value;

	memset(b, 0, sizeof(*b));
	b->op = op;
	b->pair = pair;
	b->count = op->count;
	b->size = size;
	b->reads = op->cmd == LOOKUP_BATCH || op->cmd == TAKE_BATCH;
	b->takes = op->cmd == TAKE_BATCH;
	b->have_keys = op->keys ? (op->keys - 1) % room : room - 1;
	b->have_values = op->values ? (op->values - 1) % room : room - 1;
	b->keys = keys_end - b->have_keys * sizeof(__u32) - 2 * short_key;
	b->values = values_end - b->have_values * size;
	memset(keys_end - room * sizeof(__u32), 0xee, room * sizeof(__u32));
	memset(values_end - room * size, 0xee, room * size);

	for (i = 0; !b->reads && i < MIN(b->count, room); i++) {
		key = key_at(op, i);
		value = value_of(op, pair, side, what_at(op, pair, i));
		if (i < b->have_keys)
			memcpy(b->keys + i * sizeof(key), &key, sizeof(key));
		if (i < b->have_values)
			memcpy(b->values + i * size, &value, pair->attr.value_size);
	}
	if (op->ptr >= PTR_KEY_NULL && op->ptr <= PTR_KEY_KERNEL) {
		b->keys = place_key(op, 0);
		b->have_keys = 0;
	} else if (op->ptr >= PTR_VALUE_NULL && op->ptr <= PTR_VALUE_READ_ONLY) {
		b->values = op->ptr == PTR_VALUE_READ_ONLY ? (void *)8 : place_value(op, NULL);
		b->have_values = 0;
	}
	b->token_in = op->token == TOKEN_LAST ? pair->token : op->key;
	b->token_out = 0xeeeeeeee;
}

static void call_batch(struct batch *b, enum side side)
{
	const struct op *op = b->op;
	struct op how = *op;
	int tries = MAX_TRIES;
	union bpf_attr attr = {
		.batch.out_batch = op->ptr == PTR_TOKEN_BAD ? 8 : (unsigned long)&b->token_out,
		.batch.keys = (unsigned long)b->keys,
		.batch.values = (unsigned long)b->values,
		.batch.count = b->count,
		.batch.map_fd = pair_fd(b->pair, side, op->fd),
		.batch.elem_flags = op->eflags,
		.batch.flags = op->flags,
	};

	if (op->token)
		attr.batch.in_batch = op->token == TOKEN_BAD ? 8 : (unsigned long)&b->token_in;
	/* Fields of the command must have the expected values. */
	if (how.poke && how.poke < sizeof(attr.batch))
		how.poke = sizeof(attr.batch);
	if (how.size > offsetof(union bpf_attr, batch.map_fd) && how.size < sizeof(attr.batch))
		how.size = sizeof(attr.batch);
	b->ret = bpf_call(bpf_cmds[op->cmd], &attr, &how);
	b->n = attr.batch.count;
	/* Continues with the element after the last updated one. */
	while (op->cmd == UPDATE_BATCH && memory_comes(b->pair, side, b->ret, &tries)) {
		attr.batch.keys = (unsigned long)(b->keys + b->n * sizeof(__u32));
		attr.batch.values = (unsigned long)(b->values + b->n * b->size);
		attr.batch.count = b->count - b->n;
		b->ret = bpf_call(bpf_cmds[op->cmd], &attr, &how);
		b->n += attr.batch.count;
	}
}

/* --- updates and deletes -------------------------------------------------- */

static int update_one(const struct batch *b, __u32 key, __u32 what)
{
	const struct op *op = b->op;
	__u64 old, value = value_of(op, b->pair, STOCK, what), flags = op->eflags;

	/* See "exist" in diffs.c. */
	if (op->eflags == BPF_EXIST && is_devmap(b->pair) && is_hash(b->pair) && what &&
	    peek(b->pair, STOCK, key, &old) == -ENOENT)
		return -ENOENT;
	/* bpf(2) refuses this flag before it looks at the socket. */
	if (is_sock(b->pair) && flags & BPF_F_LOCK)
		flags = UNKNOWN_FLAG;
	return bpf_map_update_elem(b->pair->peek[STOCK], &key, &value, flags);
}

/* Element by element, up to the first error. */
static int expect_write(struct batch *b, __u32 *n)
{
	const struct op *op = b->op;
	__u32 i, key;
	int err;

	*n = b->count;
	if (op->flags || (op->cmd == DELETE_BATCH && op->eflags) ||
	    (!is_sock(b->pair) && op->eflags > BPF_EXIST))
		return -EINVAL;
	for (i = 0; i < b->count; i++) {
		*n = i;
		if (i >= b->have_keys || (op->cmd == UPDATE_BATCH && i >= b->have_values))
			return -EFAULT;
		key = key_at(op, i);
		touch(key);
		err = op->cmd == UPDATE_BATCH ?
			update_one(b, key, what_at(op, b->pair, i)) :
			bpf_map_delete_elem(b->pair->peek[STOCK], &key);
		if (err)
			return err;
	}
	*n = b->count;
	return 0;
}

/* --- lookups -------------------------------------------------------------- */

/* All keys with an entry, in the order in which the claimed map has them. */
static int list_keys(const struct pair *pair, __u32 *keys)
{
	__u64 value;
	__u32 i;
	int n = 0;

	if (is_hash(pair))
		return walk_keys(pair, CLAIMED, keys, MAX_WALK);
	for (i = 0; i < pair->attr.max_entries && n < MAX_WALK; i++)
		if (!peek(pair, STOCK, i, &value))
			keys[n++] = i;
	return n;
}

/* The index in the list at which a lookup continues; -1: an unknown place. */
static int find_start(const struct batch *b, const __u32 *keys, int n)
{
	int i = 0;

	if (b->op->token == TOKEN_NONE)
		return 0;
	if (!is_hash(b->pair)) {
		while (i < n && keys[i] <= b->token_in)
			i++;
		return i;
	}
	while (i < n && keys[i] != b->token_in)
		i++;
	return i < n ? i + 1 : -1;
}

/* A deleted key leads to some place, which the result shows. */
static int guess_start(const struct batch *b, const __u32 *keys, int n)
{
	__u32 key;
	int i = 0;

	if (!b->n)
		return b->ret == -EFAULT ? 0 : n;
	memcpy(&key, b->keys, sizeof(key));
	while (i < n && keys[i] != key)
		i++;
	return i;
}

static __u32 delivered(const struct batch *b, __u32 i)
{
	__u32 key;

	memcpy(&key, b->keys + i * sizeof(key), sizeof(key));
	return key;
}

static bool check_element(const struct batch *b, __u32 i, __u32 key)
{
	const __u8 *written = b->values + i * b->size;
	__u64 value = 0, want;

	if (delivered(b, i) != key)
		return failed("%s: element %u is of key %u, and should be of %u",
			      cmd_name(b->op->cmd), i, delivered(b, i), key);
	memcpy(&value, written, b->pair->attr.value_size);
	read_value(b->pair, CLAIMED, &value);
	if (b->size > sizeof(value) && !counters_are_right(written))
		return failed("%s: key %u: counters that cannot be", cmd_name(b->op->cmd), key);
	if (peek(b->pair, STOCK, key, &want) || value != want)
		return failed("%s: key %u: stock 0x%llx, claimed 0x%llx", cmd_name(b->op->cmd),
			      key, want, value);
	if (b->takes)
		bpf_map_delete_elem(b->pair->peek[STOCK], &key);
	touch(key);
	return true;
}

/* No byte after the last element was written. */
static bool check_rest(const struct batch *b)
{
	__u8 *rest_keys = b->keys + b->n * sizeof(__u32);
	__u8 *rest = b->values + b->n * b->size;

	if (!b->have_keys || !b->have_values)
		return true;
	for (; rest_keys < keys_end; rest_keys++)
		if (*rest_keys != 0xee)
			return failed("%s: keys behind the last one", cmd_name(b->op->cmd));
	for (; rest < values_end; rest++)
		if (*rest != 0xee)
			return failed("%s: values behind the last one", cmd_name(b->op->cmd));
	return true;
}

static bool wrong(const struct batch *b, int ret, __u32 n)
{
	return failed("%s: should say %d with %u elements, and says %d with %u",
		      cmd_name(b->op->cmd), ret, n, b->ret, b->n);
}

static bool check_read(struct batch *b, const __u32 *keys, int len)
{
	const struct op *op = b->op;
	__u32 i, n, memory = MIN(b->have_keys, b->have_values);
	int start, ret;

	if (op->flags || op->eflags)
		return (b->ret == -EINVAL && b->n == b->count) || wrong(b, -EINVAL, b->count);
	if (!b->count)
		return (!b->ret && !b->n) || wrong(b, 0, 0);
	/* As a single lookup: a cookie has 8 bytes. */
	if (is_sock(b->pair) && b->size != sizeof(__u64))
		return (b->ret == -ENOSPC && !b->n) || wrong(b, -ENOSPC, 0);
	if (op->token == TOKEN_BAD)
		return (b->ret == -EFAULT && !b->n) || wrong(b, -EFAULT, 0);
	if (b->n > b->count || b->n > memory)
		return wrong(b, 0, MIN(b->count, memory));

	start = find_start(b, keys, len);
	if (start < 0)
		start = guess_start(b, keys, len);
	n = MIN(b->count, (__u32)(len - start));
	ret = n < b->count ? -ENOENT : 0;
	/* A socket map may report its end with the last element. */
	if (is_sock(b->pair) && start + n == (__u32)len && b->ret == -ENOENT)
		ret = -ENOENT;
	if (op->ptr == PTR_TOKEN_BAD)
		memory = 0;
	if (n > memory) {
		if (b->ret != -EFAULT || b->n > memory || b->n + CHUNK < memory)
			return wrong(b, -EFAULT, memory);
	} else if (b->ret != ret || b->n != n) {
		return wrong(b, ret, n);
	}
	for (i = 0; i < b->n; i++)
		if (!check_element(b, i, keys[start + i]))
			return false;
	if (b->token_out != (b->n ? delivered(b, b->n - 1) : 0xeeeeeeee) && b->ret != -EFAULT)
		return failed("%s: out_batch is %u", cmd_name(op->cmd), b->token_out);
	if (b->n)
		b->pair->token = delivered(b, b->n - 1);
	return b->ret == -EFAULT || check_rest(b);
}

/*
 * The same batch on both sides, with --strict batch: no difference is
 * permitted.
 */
bool batch_plain(const struct op *op, struct pair *pair)
{
	struct result r[NR_SIDES] = {};
	struct batch b;
	int side;

	/* Batches of outer maps are the kernel's, of ids that differ. */
	if (is_outer(pair))
		return true;
	for (side = 0; side < NR_SIDES; side++) {
		make_batch(&b, op, pair, side);
		call_batch(&b, side);
		r[side].ret = b.ret;
	}
	return compare_results(op, r);
}

bool batch_step(const struct op *op, struct pair *pair)
{
	static __u32 keys[MAX_WALK];
	struct result r[NR_SIDES] = {};
	struct batch b;
	int len = 0, ret;
	__u32 n;

	make_batch(&b, op, pair, STOCK);
	call_batch(&b, STOCK);
	ret = b.ret;
	n = b.n;
	if (ret == -ENOTSUPP && b.reads) {
		len = list_keys(pair, keys);
		if (len < 0)
			return false;
	}
	make_batch(&b, op, pair, CLAIMED);
	call_batch(&b, CLAIMED);
	if (state.verbose)
		printf("#   claimed: %d, count %u\n", b.ret, b.n);
	if (ret == -ENOTSUPP && b.reads) {
		note_outcome(op->cmd, b.ret);
		return check_read(&b, keys, len);
	}
	if (ret == -ENOTSUPP)
		ret = expect_write(&b, &n);
	if (b.n != n)
		return wrong(&b, ret, n);
	r[STOCK].ret = ret;
	r[CLAIMED].ret = b.ret;
	return compare_results(op, r);
}
