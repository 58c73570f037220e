/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private layouts of the kernel that the module depends on.
 *
 * Each family lists the offsets of members in a table in the section
 * redirmap_layout. Both the build (scripts/lab/check-layout, with the BTF of
 * the kernel that the module is built for) and insmod (layout.c, with the BTF
 * of the running kernel) refuse a kernel with other offsets.
 */
#ifndef REDIRMAP_LAYOUT_H
#define REDIRMAP_LAYOUT_H

#include <linux/compiler_attributes.h>
#include <linux/stddef.h>
#include <linux/types.h>

#define LAYOUT_NAME_LEN 32

/**
 * struct layout_row - an offset in a structure, or the size of one
 * @type: the kernel's name of the structure
 * @member: name of the member; empty for the size of the structure
 * @where: offset or size, in bytes
 */
struct layout_row {
	char type[LAYOUT_NAME_LEN];
	char member[LAYOUT_NAME_LEN];
	u32 where;
};

/*
 * The section of the tables, for scripts/lab/check-layout. Each table ends with
 * an empty row. Tables are __aligned(4), so that there is no gap between two.
 */
#define LAYOUT_SECTION __section("redirmap_layout")

/* Rows: the kernel's name of a structure, and this module's copy of it. */
#define LAYOUT_SIZE(kernel, ours) \
	{ #kernel, "", sizeof(struct ours) }
#define LAYOUT_ROW(kernel, ours, member) \
	{ #kernel, #member, offsetof(struct ours, member) }

int rmap_layout_check(const struct layout_row *rows);

#endif /* REDIRMAP_LAYOUT_H */
