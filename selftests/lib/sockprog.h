/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of programs of socket maps: how they are attached, which
 * helper they call, and outer maps that they use.
 */
#ifndef REDIRMAP_SOCKPROG_H
#define REDIRMAP_SOCKPROG_H

#include "socklib.h"

/* 0 or -errno. */
static inline int sock_attach(int prog, int map, enum bpf_attach_type type)
{
	return bpf_prog_attach(prog, map, type, 0) ? -errno : 0;
}

static inline int sock_detach(int prog, int map, enum bpf_attach_type type)
{
	return bpf_prog_detach2(prog, map, type) ? -errno : 0;
}

static inline __u32 sock_prog_id(int prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog, &info, &len) ? 0 : info.id;
}

/* The id of the attached program, 0 for none. */
static inline int sock_query(int map, enum bpf_attach_type type)
{
	__u32 id = 0, count = 1, flags = 0;

	if (bpf_prog_query(map, type, 0, &flags, &id, &count))
		return -errno;
	return count ? id : 0;
}

/* The helper that a program calls, as the kernel reports it. */
static inline int sock_helper_of(int prog)
{
	struct bpf_insn insns[256];
	struct bpf_prog_info info = {
		.xlated_prog_insns = (__u64)(unsigned long)insns,
		.xlated_prog_len = sizeof(insns),
	};
	__u32 len = sizeof(info), i;
	int helper = 0;

	if (bpf_obj_get_info_by_fd(prog, &info, &len))
		return -errno;
	for (i = 0; i < info.xlated_prog_len / sizeof(*insns); i++)
		if (insns[i].code == (BPF_JMP | BPF_CALL) && !insns[i].src_reg)
			helper = insns[i].imm;
	return helper;
}

/* An outer map with two entries; an fd or -errno. */
static inline int sock_outer(enum bpf_map_type type, int template)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = template);
	int fd = bpf_map_create(type, "outer", 4, 4, 2, &opts);

	return fd < 0 ? -errno : fd;
}

#endif /* REDIRMAP_SOCKPROG_H */
