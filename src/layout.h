/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private layouts of the kernel that the module depends on.
 *
 * Each family lists which member has to be where, in the section
 * redirmap_layout; both the build (scripts/lab/check-layout, against the BTF of the
 * kernel that is built for) and insmod (layout.c, against the BTF of the
 * running kernel) refuse a kernel where it is not so.
 */
#ifndef REDIRMAP_LAYOUT_H
#define REDIRMAP_LAYOUT_H

#include <linux/compiler_attributes.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define LAYOUT_NAME_LEN 32

/**
 * struct layout_row - what is believed of a structure
 * @type: struct, as the kernel calls it
 * @member: a member of it; empty: the struct's own size
 * @where: offset, or size, in bytes
 */
struct layout_row {
	char type[LAYOUT_NAME_LEN];
	char member[LAYOUT_NAME_LEN];
	u32 where;
};

/*
 * Where tables of rows are, each ended by an empty one: scripts/lab/check-layout finds
 * them there. They are __aligned(4), and so follow each other without a gap.
 */
#define LAYOUT_SECTION __section("redirmap_layout")

/* Rows, of what the kernel and we call a struct. */
#define LAYOUT_SIZE(kernel, ours) \
	{ #kernel, "", sizeof(struct ours) }
#define LAYOUT_ROW(kernel, ours, member) \
	{ #kernel, #member, offsetof(struct ours, member) }

int rmap_layout_check(const struct layout_row *rows);

#endif /* REDIRMAP_LAYOUT_H */
