/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of dev_map_in_map*.c: a map of each kind, and an outer map of
 * each type that was created with this map as its template.
 */
#ifndef REDIRMAP_INNER_MAP_H
#define REDIRMAP_INNER_MAP_H

#include <linux/bpf.h>
#include <sys/syscall.h>

#include "harness.h"
#include "maplib.h"

static inline int try_outer(enum bpf_map_type type, int template, const char *name,
			    __u32 max_entries, __u32 key_size, __u32 flags)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = key_size,
		.value_size = 4,
		.max_entries = max_entries,
		.map_flags = flags,
		.inner_map_fd = template,
	};
	int fd;

	memcpy(attr.map_name, name, strnlen(name, sizeof(attr.map_name)));
	fd = syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

/* The module ignores names of outer maps; this one would match the policy. */
static inline int make_outer(enum bpf_map_type type, int template)
{
	return try_outer(type, template, "rm_outer", 4, 4, 0);
}

FIXTURE(inner) {
	int template;
	int outer;
	enum bpf_map_type other_type;
};

FIXTURE_VARIANT(inner) {
	bool claimed;
	enum bpf_map_type type;
	enum bpf_map_type outer_type;
};

FIXTURE_VARIANT_ADD(inner, stock_array_in_array) {
	false, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_ARRAY_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, stock_array_in_hash) {
	false, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_HASH_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, stock_hash_in_array) {
	false, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_ARRAY_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, stock_hash_in_hash) {
	false, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_HASH_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, claimed_array_in_array) {
	true, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_ARRAY_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, claimed_array_in_hash) {
	true, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_HASH_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, claimed_hash_in_array) {
	true, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_ARRAY_OF_MAPS,
};

FIXTURE_VARIANT_ADD(inner, claimed_hash_in_hash) {
	true, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_HASH_OF_MAPS,
};

FIXTURE_SETUP(inner)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->other_type = BPF_MAP_TYPE_DEVMAP + BPF_MAP_TYPE_DEVMAP_HASH - variant->type;
	self->template = make_map(variant->claimed, variant->type, 4);
	ASSERT_LE(0, self->template);
	ASSERT_EQ(base_refs + variant->claimed, module_refs());
	self->outer = make_outer(variant->outer_type, self->template);
	ASSERT_LE(0, self->outer);
	/* The map, and its description in the outer map. */
	ASSERT_EQ(base_refs + 2 * variant->claimed, module_refs());
}

FIXTURE_TEARDOWN(inner)
{
	close(self->outer);
	close(self->template);
}

#endif /* REDIRMAP_INNER_MAP_H */
