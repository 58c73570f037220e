// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks the layout of the kernel's private structures.
 *
 * Map families have tables of layouts, and insmod compares these tables with
 * the BTF of the running kernel. The tables are in a section of their own in
 * the module, so that scripts/lab/check-layout can compare them with the BTF of
 * the kernel that the module is built for.
 *
 * This file owns no data. It runs in insmod, in process context, before any
 * other part of the module.
 */
#include <linux/btf.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/vmalloc.h>

#include "layout.h"
#include "log.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

/*
 * BTF data from a file. Nothing has validated the file, so each access is
 * checked against the sizes.
 */
struct blob {
	const void *types;
	u32 types_len;
	const char *strings;
	u32 strings_len;
};

static const char *__init blob_string(const struct blob *blob, u32 off)
{
	return off < blob->strings_len ? blob->strings + off : "";
}

/* Bytes that follow a struct btf_type; -1 for an unknown kind. */
static int __init btf_trailer(u32 info)
{
	u32 vlen = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(u32);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return vlen * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return vlen * sizeof(struct btf_var_secinfo);
	case BTF_KIND_ENUM64:
		return vlen * sizeof(struct btf_enum64);
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	default:
		return -1;
	}
}

static const struct btf_type *__init blob_find_struct(const struct blob *blob,
						      const char *name)
{
	u32 off = 0;

	while (off + sizeof(struct btf_type) <= blob->types_len) {
		const struct btf_type *t = blob->types + off;
		int trailer = btf_trailer(t->info);

		off += sizeof(*t);
		if (trailer < 0 || trailer > blob->types_len - off)
			return NULL;
		if (BTF_INFO_KIND(t->info) == BTF_KIND_STRUCT &&
		    !strcmp(blob_string(blob, t->name_off), name))
			return t;
		off += trailer;
	}
	return NULL;
}

/* The kernel's offset or size for a row; negative when it lacks the member. */
static s64 __init blob_where(const struct blob *blob,
			     const struct layout_row *row)
{
	const struct btf_type *t = blob_find_struct(blob, row->type);
	const struct btf_member *m;
	u32 i, bits;

	if (!t)
		return -1;
	if (!row->member[0])
		return t->size;

	m = (const struct btf_member *)(t + 1);
	for (i = 0; i < BTF_INFO_VLEN(t->info); i++, m++) {
		if (strcmp(blob_string(blob, m->name_off), row->member))
			continue;
		bits = BTF_INFO_KFLAG(t->info) ?
		       BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset;
		return bits / BITS_PER_BYTE;
	}
	return -1;
}

static int __init blob_check(const struct blob *blob,
			     const struct layout_row *row)
{
	s64 where;

	for (; row->type[0]; row++) {
		where = blob_where(blob, row);
		if (where == row->where)
			continue;
		if (where < 0)
			pr_err("this kernel has no struct %s%s%s: the module is built for another kernel\n",
			       row->type, row->member[0] ? " member " : "",
			       row->member);
		else
			pr_err("struct %s%s%s: %lld in this kernel, %u in the module, which is built for another kernel\n",
			       row->type, row->member[0] ? " member " : "",
			       row->member, where, row->where);
		return -ENOEXEC;
	}
	return 0;
}

static int __init blob_open(struct blob *blob, const void *data, size_t len)
{
	const struct btf_header *hdr = data;
	u32 end;

	if (len < sizeof(*hdr) || hdr->magic != BTF_MAGIC ||
	    hdr->version != BTF_VERSION)
		return -EINVAL;
	if (check_add_overflow(hdr->hdr_len, hdr->type_off, &end) ||
	    check_add_overflow(end, hdr->type_len, &end) || end > len)
		return -EINVAL;
	if (check_add_overflow(hdr->hdr_len, hdr->str_off, &end) ||
	    check_add_overflow(end, hdr->str_len, &end) || end > len)
		return -EINVAL;

	blob->types = data + hdr->hdr_len + hdr->type_off;
	blob->types_len = hdr->type_len;
	blob->strings = data + hdr->hdr_len + hdr->str_off;
	blob->strings_len = hdr->str_len;
	/* Strings are read up to a NUL, so the last one must have a NUL. */
	if (!blob->strings_len || blob->strings[blob->strings_len - 1])
		return -EINVAL;
	return 0;
}

/*
 * Read the BTF file, into memory for vfree(). kernel_read_file() would need a
 * purpose for the security modules: no defined purpose fits, and IPE warns
 * about READING_UNKNOWN.
 */
static void *__init layout_read(size_t *len)
{
	struct file *file = filp_open(KERNEL_BTF, O_RDONLY, 0);
	loff_t size, pos = 0;
	ssize_t n = 0;
	void *data;

	if (IS_ERR(file))
		return ERR_CAST(file);

	size = i_size_read(file_inode(file));
	data = size > 0 && size <= INT_MAX ? vmalloc(size) : NULL;
	if (!data) {
		n = -ENOMEM;
		goto close_file;
	}
	while (pos < size) {
		n = kernel_read(file, data + pos, size - pos, &pos);
		if (n <= 0)
			break;
	}
	if (pos < size) {
		vfree(data);
		n = n ?: -EIO;
	} else {
		*len = size;
		n = 0;
	}

close_file:
	filp_close(file, NULL);
	return n < 0 ? ERR_PTR(n) : data;
}

/* Log why the BTF cannot be read. Returns the error of insmod. */
static int __init layout_unread(int err)
{
	if (err == -ENOMEM) {
		pr_err("no memory to read " KERNEL_BTF "\n");
		return err;
	}
	pr_err("cannot read " KERNEL_BTF
	       " (%pe): needs CONFIG_DEBUG_INFO_BTF and a mounted /sys\n",
	       ERR_PTR(err));
	return -EOPNOTSUPP;
}

/**
 * rmap_layout_check() - compare private layouts with the running kernel's BTF
 * @rows: table of offsets and sizes, ended by an empty row
 *
 * Context: insmod, sleeps; reads a file of some megabytes.
 * Return: 0 when all rows agree; -ENOMEM without memory to read the BTF,
 * -EOPNOTSUPP when it cannot be read for another reason, -EINVAL when it cannot
 * be parsed, -ENOEXEC when a row differs, each with a line in the log.
 */
int __init rmap_layout_check(const struct layout_row *rows)
{
	struct blob blob;
	size_t len;
	void *data;
	int err;

	data = layout_read(&len);
	if (IS_ERR(data))
		return layout_unread(PTR_ERR(data));

	err = blob_open(&blob, data, len);
	if (err)
		pr_err(KERNEL_BTF " has no BTF that this module can parse\n");
	else
		err = blob_check(&blob, rows);

	vfree(data);
	return err;
}
