// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations. They depend on the maps that exist, so they follow from
 * the seed unless the kernel's results vary. Most operations are valid; most of
 * the others have one fault.
 */
#include "draw.h"
#include "gen.h"
#include "gensend.h"
#include "peek.h"
#include "sockprogs.h"

/*
 * The weight of each command. Device events take as long as a thousand other
 * operations.
 */
static const unsigned int weights[NR_CMDS] = {
	[CREATE] = 60, [CLOSE] = 8, [FREEZE] = 3, [INFO] = 40, [FDINFO] = 5, [BY_ID] = 15,
	[PIN] = 15, [GET] = 15, [UNPIN] = 4,
	[LOOKUP] = 900, [UPDATE] = 4000, [DELETE] = 1600, [NEXT] = 900, [TAKE] = 60, [NEST] = 15,
	[LOOKUP_BATCH] = 500, [TAKE_BATCH] = 250, [UPDATE_BATCH] = 500, [DELETE_BATCH] = 350,
	[BIND] = 4, [ATTACH] = 150, [DETACH] = 12, [QUERY] = 12, [LINK] = 6, [MMAP] = 4,
	[LOAD] = 8, [UNLOAD] = 3, [RUN] = 100,
	[DEV_ADD] = 5, [DEV_DEL] = 3, [DEV_RENAME] = 2, [DEV_MOVE] = 4, [DEV_UP] = 2,
	[DEV_MTU] = 2, [ENTER] = 4, [NET_DIE] = 1,
	[SOCK_RENEW] = 40, [SOCK_SHUT] = 8, [SEND] = 700,
};

static enum cmd draw_cmd(void)
{
	unsigned int i, at, sum = 0;

	for (i = 0; i < NR_CMDS; i++)
		sum += weights[i];
	at = below(sum);
	for (i = 0; at >= weights[i]; i++)
		at -= weights[i];
	return i;
}

/* Mostly a map that exists. */
static __u64 draw_pair(bool want_made)
{
	__u64 i = 0, tries;

	for (tries = 0; tries < 20; tries++) {
		i = below(NR_PAIRS);
		if (state.pairs[i].made == want_made)
			break;
	}
	return i;
}

static __u64 draw_fd(const struct pair *pair)
{
	if (one_in(100))
		return below(NR_FD_KINDS);
	return pair->fd[STOCK][FD_OTHER] >= 0 && one_in(4) ? FD_OTHER : FD_FIRST;
}

static __u64 draw_ifindex(void)
{
	static const __u32 odd[] = { 0, 0, 1, 9999, 0x7fffffff, 0x80000000, 0xffffffff };
	__u32 dev = below(5);

	if (one_in(12))
		return PICK(odd);
	if (one_in(5))
		return dev_ifindex(below(NR_DEVS), one_in(2));
	return dev_ifindex(dev, !(dev % 2) && one_in(2));
}

static __u64 draw_prog(const struct pair *pair)
{
	static const __u64 good[] = { PROG_NONE, PROG_NONE, PROG_A, PROG_B, PROG_A, PROG_FRAGS };

	if (pair->attr.value_size != 8)
		return PROG_NONE;
	return one_in(8) ? below(NR_PROG_KINDS) : PICK(good);
}

static __u64 draw_update_flags(void)
{
	static const __u64 odd[] = { 3, BPF_F_LOCK, 5, 8, 1ULL << 32, ~0ULL };
	__u32 draw = below(20);

	if (!draw)
		return PICK(odd);
	return draw < 5 ? BPF_EXIST : draw < 8 ? BPF_NOEXIST : BPF_ANY;
}

static __u64 draw_odd_flags(void)
{
	static const __u64 odd[] = { 1, 2, BPF_F_LOCK, 8, 1ULL << 32, ~0ULL };

	return one_in(40) ? PICK(odd) : 0;
}

/* Faults that any call can have. @end: offset of the attribute's end. */
static void draw_wrong(struct op *op, unsigned int end)
{
	static const __u64 sizes[] = { 1, 4, 8, 12, 16, 24, 32, 36, 40, 56, 64, 200, 4096, 5000 };

	switch (below(60)) {
	case 0:
		op->poke = end + below(300);
		break;
	case 1:
		op->size = PICK(sizes);
		break;
	case 2:
		op->ptr = below(NR_PTRS);
		break;
	}
}

/*
 * The step at which a creation fails. No caller gets the map, so it may be
 * large.
 */
static void draw_fail(struct op *op)
{
	op->fail = 1 + below(NR_FAILS);
	if (op->fail == NR_FAILS) {
		op->fail = FAIL_NOT;
		op->name = NAME_BAD;
	}
	if (op->type == BPF_MAP_TYPE_DEVMAP || op->type == BPF_MAP_TYPE_DEVMAP_HASH) {
		if (one_in(2))
			op->value_size = sizeof(struct redirmap_val);
		op->max_entries = 1 + below(2048);
		/* So that leaks of each step can be seen. */
		if (one_in(2))
			op->times = 16 + below(48);
	}
}

static void draw_create(struct op *op)
{
	static const __u64 types[] = {
		BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_DEVMAP,
		BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH,
		BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH, BPF_MAP_TYPE_SOCKMAP,
		BPF_MAP_TYPE_SOCKHASH, BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
	};
	static const __u64 max[] = { 1, 2, 3, 4, 4, 5, 7, 8, 8, 8, 12, 16, 16, 16 };
	static const __u64 large[] = { 17, 64, 70, 130, 200, 300, 1500, 5000 };
	static const __u64 odd[] = { 0, 1U << 31, (1U << 31) + 1, 0xffffffff };
	static const __u64 sizes[] = { 0, 1, 2, 3, 5, 6, 7, 8, 9, 12, 16, 0x10004, 0xffffffff };
	static const __u64 nodes[] = { 0, 0, 1, 1023, 0x7fffffff, 0xffffffff };

	op->map = draw_pair(one_in(4));
	op->type = PICK(types);
	op->key_size = 4;
	op->value_size = one_in(2) ? 4 : one_in(4) ? sizeof(struct redirmap_val) : 8;
	op->max_entries = one_in(12) && op->value_size <= 8 ? PICK(large) : PICK(max);
	if (op->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || op->type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		op->value_size = 4;
		op->max_entries = 1 + below(6);
		op->template = 1 + draw_pair(true);
	}
	/* Only then the sockets of a socket map can be compared. */
	if ((op->type == BPF_MAP_TYPE_SOCKMAP || op->type == BPF_MAP_TYPE_SOCKHASH) && one_in(2))
		op->value_size = 8;
	if (one_in(20))
		op->flags = one_in(2) ? BPF_F_RDONLY : BPF_F_WRONLY;
	if (one_in(4))
		op->packets = below(NR_PACKETS);
	if (!one_in(4))
		return;
	switch (below(14)) {
	case 0:
		op->key_size = PICK(sizes);
		break;
	case 1:
		op->value_size = PICK(sizes);
		break;
	case 2:
		op->max_entries = PICK(odd);
		break;
	case 3:
		op->flags |= 1U << below(32);
		break;
	case 4:
		op->flags |= BPF_F_NUMA_NODE;
		op->numa_node = PICK(nodes);
		break;
	case 5:
		op->map_ifindex = 1;
		break;
	case 6:
		op->extra = 1ULL << below(64);
		break;
	case 7:
		op->type = one_in(2) ? 0 : 1000;
		break;
	case 8:
		op->name = below(NR_NAMES);
		break;
	case 9:
		op->template = below(NR_PAIRS + 1);
		break;
	case 10:
		op->btf = one_in(4) ? below(5) : op->value_size == 4 ? 1 :
			  op->value_size == 8 ? 2 : 3;
		break;
	case 11:
	case 12:
		draw_fail(op);
		break;
	default:
		draw_wrong(op, 44);
	}
}

static __u64 draw_count(const struct pair *pair)
{
	__u64 max = pair->attr.max_entries;

	if (one_in(50))
		return one_in(2) ? 0xffffffff : 0;
	if (max > 16 && one_in(2))
		return 1 + below(2 * max < 700 ? 2 * max : 700);
	return 1 + below(one_in(3) ? 12 : 4);
}

static void draw_batch(struct op *op, const struct pair *pair)
{
	static const __u64 tokens[] = {
		TOKEN_NONE, TOKEN_NONE, TOKEN_LAST, TOKEN_LAST, TOKEN_LAST, TOKEN_KEY,
	};
	static const __u64 steps[] = { 1, 1, 1, 1, 2, 3, 0, 16, 0x9e3779b1 };

	op->count = draw_count(pair);
	op->key = draw_key(pair);
	op->flags = draw_odd_flags();
	op->eflags = draw_odd_flags();
	if (op->cmd == UPDATE_BATCH || op->cmd == DELETE_BATCH) {
		op->step = is_array(pair) ? 1 : PICK(steps);
		if (one_in(2))
			op->key = below(4);
		if (one_in(4)) {
			op->at = 1 + below(op->count < 100 ? op->count + 1 : 100);
			op->key2 = draw_key(pair);
			if (is_sock(pair))
				op->sock3 = draw_sock();
			else
				op->ifindex3 = draw_ifindex();
		}
	} else {
		op->token = one_in(50) ? TOKEN_BAD : PICK(tokens);
	}
	if (op->cmd == UPDATE_BATCH && is_sock(pair)) {
		op->sock = draw_sock();
		op->sock2 = draw_sock();
		op->eflags = draw_update_flags();
	} else if (op->cmd == UPDATE_BATCH) {
		op->ifindex = draw_ifindex();
		op->ifindex2 = one_in(2) ? draw_ifindex() : 0;
		op->prog = draw_prog(pair);
		op->eflags = draw_update_flags();
	}
	if (one_in(10) || op->count > 1000)
		op->keys = 1 + below(op->count < 300 ? op->count + 3 : 300);
	if (one_in(10))
		op->values = 1 + below(op->count < 300 ? op->count + 3 : 300);
	draw_wrong(op, 56);
}

static void draw_elem(struct op *op, const struct pair *pair)
{
	op->key = draw_key(pair);
	op->flags = draw_odd_flags();
	if (op->cmd == UPDATE && is_sock(pair)) {
		op->sock = draw_sock();
		op->flags = draw_update_flags();
	} else if (op->cmd == UPDATE) {
		op->ifindex = draw_ifindex();
		op->prog = draw_prog(pair);
		op->flags = draw_update_flags();
	} else if (op->cmd == NEST) {
		op->inner = draw_pair(true);
		op->mix = one_in(4);
		op->flags = draw_update_flags();
		return;
	}
	draw_wrong(op, 32);
	/* The first operation. */
	if (op->cmd == NEXT && one_in(8))
		op->ptr = PTR_KEY_NULL;
}

static void draw_other(struct op *op, const struct pair *pair)
{
	op->mode = below(is_sock(pair) ? NR_SOCK_MODES : 4);
	/* Mostly acting programs; most of them redirect by their own map. */
	if (is_sock(pair) && op->cmd == ATTACH && one_in(2))
		op->mode = FIRST_ACTING_MODE + below(NR_SOCK_MODES - FIRST_ACTING_MODE);
	if (one_in(6))
		op->inner = below(NR_PAIRS);
	/* In half of the episodes no parser: see streams.c. */
	while (is_sock(pair) && op->cmd == ATTACH && !one_in(16) &&
	       sock_attach_type(op->mode) == BPF_SK_SKB_STREAM_PARSER)
		op->mode = below(NR_SOCK_MODES);
	op->flags = draw_odd_flags();
	op->prog = one_in(10) ? below(NR_PROG_KINDS) : PROG_NONE;
	draw_wrong(op, 20);
}

static void draw_sock_run(struct op *op, const struct pair *pair)
{
	op->mode = below(3);
	op->key = draw_key(pair);
	if (op->mode == 2) {
		op->key2 = draw_key(pair);
		op->flags = draw_update_flags();
	}
}

static void draw_map(struct op *op, const struct pair *pair)
{
	static const __u64 modes[] = { 0, 0, BPF_F_RDONLY, BPF_F_WRONLY, 24, 1, 1 << 31 };

	switch (op->cmd) {
	case CLOSE:
		op->fd = one_in(2) ? FD_OTHER : FD_FIRST;
		break;
	case INFO:
		if (one_in(3))
			op->count = below(200);
		if (one_in(8))
			op->key = 80 + below(200);
		if (one_in(20))
			op->ptr = PTR_VALUE_NULL + below(3);
		break;
	case BY_ID:
	case GET:
		op->flags = PICK(modes);
		break;
	case PIN:
		op->flags = draw_odd_flags();
		break;
	case RUN:
		if (is_sock(pair)) {
			draw_sock_run(op, pair);
			return;
		}
		op->mode = one_in(2) ? 2 : below(2);
		op->count = one_in(2) ? 0 : below(64);
		op->step = one_in(2) ? 0 : below(400);
		op->key = draw_key(pair);
		op->frags = one_in(6);
		/*
		 * Flags of the redirect: an action, broadcast, exclude ingress.
		 */
		op->flags = one_in(10) ? draw_number() :
					 (below(4) | (one_in(3) ? below(4) << 3 : 0));
		return;
	}
	if (op->cmd >= BIND && op->cmd <= MMAP)
		draw_other(op, pair);
	else if (op->cmd != FDINFO && op->cmd != CLOSE && op->cmd != UNPIN && op->cmd != INFO)
		draw_wrong(op, 16);
}

static void draw_event(struct op *op)
{
	static const __u64 mtus[] = { 1500, 1400, 9000, 68, 67, 0, 65536, 0xffffffff };

	op->dev = below(NR_DEVS);
	op->end = one_in(3);
	op->kind = below(4);
	op->net = below(NR_NETS);
	op->on = below(2);
	op->mtu = PICK(mtus);
	if (op->cmd == ENTER && state.net)
		op->net = 0;
}

void generate(struct op *op, __u64 *from)
{
	const struct pair *pair;
	unsigned int i, made;
	bool want_outer, want_sock;
	__u32 key;

	draw_from(from);
	memset(op, 0, sizeof(*op));
	op->cmd = draw_cmd();
	for (i = 0, made = 0; i < NR_PAIRS; i++)
		made += state.pairs[i].made;
	/*
	 * Enough devices for the other operations. The other namespace has few.
	 */
	if (made < 4 && (!made || one_in(10)))
		op->cmd = CREATE;
	else if (state.net && one_in(20))
		op->cmd = ENTER;
	if (op->cmd == CREATE) {
		draw_create(op);
		return;
	}
	/*
	 * Elements of outer maps are handled by the kernel, and operations on
	 * them wait for RCU.
	 */
	want_outer = op->cmd == NEST || one_in(100);
	/* Programs are attached mostly to socket maps. */
	want_sock = op->cmd == ATTACH && !one_in(4);
	for (i = 0; !i || (i < 8 && (is_outer(pair_of(op)) != want_outer ||
				     (want_sock && !is_sock(pair_of(op))))); i++)
		op->map = draw_pair(true);
	/* Also maps without another descriptor. */
	for (i = 0; op->cmd == GET && i < 8 && !pair_of(op)->pinned; i++)
		op->map = below(NR_PAIRS);
	pair = pair_of(op);
	/* Sockets get the programs that a map has when they are inserted. */
	if (op->cmd == UPDATE && pair->made && is_sock(pair) && one_in(3) &&
	    peek_next(pair, STOCK, NULL, &key))
		op->cmd = ATTACH;
	op->fd = draw_fd(pair);
	switch (op->cmd) {
	case LOOKUP ... NEST:
		draw_elem(op, pair);
		break;
	case LOOKUP_BATCH ... DELETE_BATCH:
		draw_batch(op, pair);
		break;
	case LOAD:
	case UNLOAD:
		op->prog = PROG_A + below(NR_PROGS - PROG_A);
		break;
	case DEV_ADD ... NET_DIE:
		draw_event(op);
		break;
	case SEND:
		draw_send(op);
		break;
	case SOCK_RENEW:
	case SOCK_SHUT:
		op->sock = below(op->cmd == SOCK_SHUT ? SOCK_TCP6_PEER + 1 : NR_SOCKS);
		break;
	default:
		draw_map(op, pair);
	}
}
