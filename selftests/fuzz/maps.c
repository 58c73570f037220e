// SPDX-License-Identifier: GPL-2.0-only
/* Operations on maps as a whole: descriptors, information, closing. */
#include <stddef.h>
#include <sys/stat.h>

#include "acts.h"
#include "call.h"
#include "fds.h"
#include "maps.h"
#include "netlib.h"
#include "outcome.h"
#include "peek.h"
#include "sockprogs.h"

#define MAX_WALK 8192
#define PINS "/sys/fs/bpf/redirmap_fuzz"

static int base_refs;

static const char *pin_path(const struct pair *pair, enum side side)
{
	static char path[NR_SIDES][64];

	snprintf(path[side], sizeof(path[side]), PINS "/%s%td", side == STOCK ? "st" : "rm",
		 pair - state.pairs);
	return path[side];
}

bool have_mem_usage(void)
{
	static int have = -1;

	if (have < 0)
		have = kernel_has_member("bpf_map_ops", "map_mem_usage");
	return have;
}

static void set_fd(int *fd, int new)
{
	if (*fd >= 0)
		close(*fd);
	*fd = new;
}

/*
 * A socket map is freed some time after it was closed. Until then its sockets
 * run its programs, which refuse other inserts. Only programs can change a
 * frozen map.
 */
static void empty(struct pair *pair, enum side side)
{
	static __u32 keys[MAX_WALK];
	struct result r = {};
	int n, i;

	n = walk_keys(pair, side, keys, MAX_WALK);
	for (i = 0; i < n; i++) {
		struct op op = { .cmd = RUN, .mode = 1, .key = keys[i],
				 .fd = pair->fd[side][FD_FIRST] < 0 ? FD_OTHER : FD_FIRST };

		if (bpf_map_delete_elem(pair->peek[side], &keys[i]) == -EPERM)
			sock_prog_run(&op, pair, side, &r);
	}
}

void map_close_all(struct pair *pair)
{
	int side, i;

	for (side = 0; side < NR_SIDES; side++) {
		if (pair->made && is_sock(pair))
			empty(pair, side);
		for (i = 0; i < NR_FDS; i++)
			set_fd(&pair->fd[side][i], -1);
		set_fd(&pair->peek[side], -1);
	}
	acts_close(pair);
	pair->made = false;
}

void map_unpin(struct pair *pair)
{
	unlink(pin_path(pair, STOCK));
	unlink(pin_path(pair, CLAIMED));
	pair->pinned = false;
}

void maps_reset(void)
{
	static bool begun;
	int i, side;

	if (!begun) {
		memset(state.pairs, 0, sizeof(state.pairs));
		for (i = 0; i < NR_PAIRS; i++) {
			for (side = 0; side < NR_SIDES; side++) {
				memset(state.pairs[i].fd[side], -1, NR_FDS * sizeof(int));
				state.pairs[i].peek[side] = -1;
			}
		}
		mkdir(PINS, 0700);
		base_refs = module_refs();
		begun = true;
	}
	for (i = 0; i < NR_PAIRS; i++) {
		map_close_all(&state.pairs[i]);
		map_unpin(&state.pairs[i]);
		memset(&state.pairs[i].attr, 0, sizeof(state.pairs[i].attr));
	}
	serials_reset();
}

bool maps_are_gone(void)
{
	return module_refs_become(base_refs);
}

static int fd_by_id(__u32 id, __u32 flags, const struct op *op)
{
	union bpf_attr attr = { .map_id = id, .open_flags = flags };

	return bpf_call(BPF_MAP_GET_FD_BY_ID, &attr, op);
}

static __u32 id_of(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

bool map_open_peeks(struct pair *pair, enum fd fd)
{
	const struct op plain = {};
	int side;

	for (side = 0; side < NR_SIDES; side++) {
		pair->id[side] = id_of(pair->fd[side][fd]);
		set_fd(&pair->peek[side], fd_by_id(pair->id[side], 0, &plain));
		if (pair->peek[side] < 0)
			return failed("%s: no descriptor by id: %s",
				      side == STOCK ? "stock" : "claimed",
				      strerror(-pair->peek[side]));
	}
	if (!is_outer(pair) &&
	    (is_claimed(pair->peek[STOCK]) || !is_claimed(pair->peek[CLAIMED])))
		return failed("create: the wrong map is claimed, or none");
	pair->made = true;
	pair->unseen = 0;
	return true;
}

void maps_close(const struct op *op, struct pair *pair)
{
	int side;

	note_outcome(op->cmd, 0);
	if (op->cmd == UNPIN) {
		map_unpin(pair);
		return;
	}
	if (op->fd != FD_OTHER) {
		map_close_all(pair);
		return;
	}
	for (side = 0; side < NR_SIDES; side++)
		set_fd(&pair->fd[side][FD_OTHER], -1);
}

static void info(const struct op *op, int fd, struct result *r)
{
	union bpf_attr attr = {};
	__u8 *buf = r->out;

	memset(buf, 0, 512);
	if (op->key)
		buf[op->key % 512] = 1;
	attr.info.bpf_fd = fd;
	attr.info.info_len = op->count ?: sizeof(struct bpf_map_info);
	attr.info.info = (unsigned long)(op->ptr ? place_value(op, NULL) : (void *)buf);
	r->ret = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr, op);
	memset(buf + offsetof(struct bpf_map_info, id), 0, sizeof(__u32));
	memset(buf + offsetof(struct bpf_map_info, name), 0, BPF_OBJ_NAME_LEN);
	/* The name has "rm_" and "st_" only at its beginning. */
	memcpy(buf + 512, &attr.info.info_len, sizeof(__u32));
	r->len = 516;
}

static void fdinfo(int fd, struct result *r)
{
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	r->ret = f ? 0 : -errno;
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "map_id:", 7) && r->len + strlen(line) < sizeof(r->out)) {
			memcpy(r->out + r->len, line, strlen(line));
			r->len += strlen(line);
		}
	}
	if (f)
		fclose(f);
}

static void keep_other(struct pair *pair, enum side side, struct result *r)
{
	if (r->ret >= 0) {
		set_fd(&pair->fd[side][FD_OTHER], r->ret);
		r->ret = 0;
	}
}

void map_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	int fd = pair_fd(pair, side, op->fd);
	union bpf_attr attr = {};

	switch (op->cmd) {
	case FREEZE:
		attr.map_fd = fd;
		r->ret = bpf_call(BPF_MAP_FREEZE, &attr, op);
		break;
	case INFO:
		info(op, fd, r);
		break;
	case FDINFO:
		fdinfo(fd, r);
		break;
	case BY_ID:
		r->ret = pair->made ? fd_by_id(pair->id[side], op->flags, op) : -ENOENT;
		keep_other(pair, side, r);
		break;
	case PIN:
		attr.pathname = (unsigned long)pin_path(pair, side);
		attr.bpf_fd = fd;
		attr.file_flags = op->flags;
		r->ret = bpf_call(BPF_OBJ_PIN, &attr, op);
		pair->pinned |= !r->ret;
		break;
	case GET:
		attr.pathname = (unsigned long)pin_path(pair, side);
		attr.file_flags = op->flags;
		r->ret = bpf_call(BPF_OBJ_GET, &attr, op);
		keep_other(pair, side, r);
		/* The map may have had no other descriptor. */
		if (!r->ret && side == CLAIMED && !pair->made)
			map_open_peeks(pair, FD_OTHER);
		break;
	}
}
