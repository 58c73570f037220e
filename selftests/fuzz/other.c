// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that take the descriptor of any map, also those for maps of other
 * types: claimed maps must refuse them like stock maps. To socket maps programs
 * are attached indeed. And mmap().
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "acts.h"
#include "call.h"
#include "fds.h"
#include "other.h"
#include "sockprogs.h"

/* Newer than some headers: BPF_STRUCT_OPS. */
#define STRUCT_OPS ((enum bpf_attach_type)44)

static const int bpf_cmds[NR_CMDS] = {
	[BIND] = BPF_PROG_BIND_MAP,
	[ATTACH] = BPF_PROG_ATTACH,
	[DETACH] = BPF_PROG_DETACH,
	[QUERY] = BPF_PROG_QUERY,
	[LINK] = BPF_LINK_CREATE,
};

/* Attachments to maps: of socket maps, of struct_ops; and iterators. */
static const enum bpf_attach_type attach_types[] = {
	BPF_SK_SKB_STREAM_VERDICT, BPF_SK_MSG_VERDICT, STRUCT_OPS, BPF_TRACE_ITER,
};

static enum bpf_attach_type type_for(const struct op *op, const struct pair *pair)
{
	return is_sock(pair) ? sock_attach_type(op->mode) :
			       attach_types[op->mode % ARRAY_SIZE(attach_types)];
}

static int load(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static int iter_id;
	int fd;

	if (attach == BPF_TRACE_ITER) {
		if (!iter_id)
			iter_id = libbpf_find_vmlinux_btf_id("bpf_map_elem", attach);
		opts.attach_btf_id = iter_id;
	}
	fd = bpf_prog_load(type, "fuzz_other", "GPL", insns, ARRAY_SIZE(insns), &opts);
	return fd < 0 ? -errno : fd;
}

/*
 * A program of the type that is attached in this way; for binding, of any type.
 */
static int load_for(const struct op *op, const struct pair *pair, enum side side,
		    enum bpf_attach_type attach)
{
	if (is_sock(pair) && op->cmd != BIND)
		return dup(sock_prog(op, side));
	if (op->cmd == BIND || attach == STRUCT_OPS)
		return load(BPF_PROG_TYPE_XDP, 0);
	if (attach == BPF_TRACE_ITER)
		return load(BPF_PROG_TYPE_TRACING, attach);
	return load(attach == BPF_SK_MSG_VERDICT ? BPF_PROG_TYPE_SK_MSG :
						   BPF_PROG_TYPE_SK_SKB, attach);
}

static int map_pages(int fd, const struct op *op)
{
	void *at = mmap(NULL, 4096, op->mode & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
			op->mode & 2 ? MAP_PRIVATE : MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	munmap(at, 4096);
	return 0;
}

void other_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	enum bpf_attach_type type = type_for(op, pair);
	union bpf_iter_link_info iter = {};
	/*
	 * A map exists as long as the program that it is bound to, so the
	 * program is closed afterwards.
	 */
	bool other = op->prog && (op->cmd != BIND || op->prog >= NR_PROGS);
	int prog, fd = pair_fd(pair, side, op->fd);
	__u32 ids[4] = {};
	union bpf_attr attr = {};
	unsigned int i;

	if (op->cmd == MMAP) {
		r->ret = map_pages(fd, op);
		return;
	}
	prog = other ? prog_fd(op, pair, side) : load_for(op, pair, side, type);
	switch (op->cmd) {
	case BIND:
		attr.prog_bind_map.prog_fd = prog;
		attr.prog_bind_map.map_fd = fd;
		attr.prog_bind_map.flags = op->flags;
		break;
	case ATTACH:
	case DETACH:
		attr.target_fd = fd;
		attr.attach_bpf_fd = prog;
		attr.attach_type = type;
		attr.attach_flags = op->flags;
		break;
	case QUERY:
		attr.query.target_fd = fd;
		attr.query.attach_type = type;
		attr.query.query_flags = op->flags;
		attr.query.prog_ids = (unsigned long)(op->ptr ? place_value(op, NULL) : ids);
		attr.query.prog_cnt = ARRAY_SIZE(ids);
		break;
	case LINK:
		/* A struct_ops map replaces a program. */
		attr.link_create.prog_fd = type == STRUCT_OPS ? fd : prog;
		attr.link_create.attach_type = type;
		attr.link_create.flags = op->flags;
		if (type == BPF_TRACE_ITER) {
			iter.map.map_fd = fd;
			attr.link_create.iter_info = (unsigned long)&iter;
			attr.link_create.iter_info_len = sizeof(iter);
		} else if (type != STRUCT_OPS) {
			attr.link_create.target_fd = fd;
		}
		break;
	}
	r->ret = bpf_call(bpf_cmds[op->cmd], &attr, op);
	if (op->cmd == ATTACH && !r->ret && type == BPF_SK_SKB_STREAM_PARSER)
		state.parser = true;
	if (op->cmd == LINK && r->ret >= 0) {
		close(r->ret);
		r->ret = 0;
	} else if (op->cmd == QUERY) {
		for (i = 0; i < ARRAY_SIZE(ids); i++)
			ids[i] = act_number(ids[i], side);
		memcpy(r->out, &attr.query.prog_cnt, sizeof(__u32));
		memcpy(r->out + 4, ids, sizeof(ids));
		r->len = 4 + sizeof(ids);
	}
	if (!other && prog >= 0)
		close(prog);
}
