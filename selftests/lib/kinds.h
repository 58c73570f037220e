/* SPDX-License-Identifier: GPL-2.0-only */
/* Kinds of maps, stock and claimed: each test runs on several of them. */
#ifndef REDIRMAP_KINDS_H
#define REDIRMAP_KINDS_H

#include <linux/bpf.h>
#include <stdbool.h>

/* A kind of map. Variants of a fixture have one. */
struct kind {
	bool claimed;
	enum bpf_map_type type;
	bool generic;
	bool faulty;
};

/*
 * The variants of a fixture whose FIXTURE_VARIANT() has a "struct kind kind".
 */
#define KINDS_OF_TYPES(fixture, array_type, hash_type)				\
	FIXTURE_VARIANT_ADD(fixture, stock_array) {				\
		.kind = { false, array_type },					\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_array) {				\
		.kind = { true, array_type },					\
	};									\
	FIXTURE_VARIANT_ADD(fixture, stock_hash) {				\
		.kind = { false, hash_type },					\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_hash) {				\
		.kind = { true, hash_type },					\
	}

#define MAP_KINDS(fixture)							\
	KINDS_OF_TYPES(fixture, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH)

#define SOCK_KINDS(fixture)							\
	KINDS_OF_TYPES(fixture, BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH)

/* Variants for tests of what only claimed maps have. */
#define CLAIMED_KINDS(fixture)							\
	FIXTURE_VARIANT_ADD(fixture, claimed_array) {				\
		.kind = { true, BPF_MAP_TYPE_DEVMAP },				\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_hash) {				\
		.kind = { true, BPF_MAP_TYPE_DEVMAP_HASH },			\
	}

#define CLAIMED_KINDS_OF_MODE(fixture, mode, is_generic)			\
	FIXTURE_VARIANT_ADD(fixture, claimed_array_##mode) {			\
		.kind = { true, BPF_MAP_TYPE_DEVMAP, is_generic },		\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_hash_##mode) {			\
		.kind = { true, BPF_MAP_TYPE_DEVMAP_HASH, is_generic },		\
	}

#define ALL_CLAIMED_KINDS(fixture)						\
	CLAIMED_KINDS_OF_MODE(fixture, native, false);				\
	CLAIMED_KINDS_OF_MODE(fixture, generic, true)

#define KINDS_OF_MODE(fixture, mode, is_generic)				\
	FIXTURE_VARIANT_ADD(fixture, stock_array_##mode) {			\
		.kind = { false, BPF_MAP_TYPE_DEVMAP, is_generic },		\
	};									\
	FIXTURE_VARIANT_ADD(fixture, stock_hash_##mode) {			\
		.kind = { false, BPF_MAP_TYPE_DEVMAP_HASH, is_generic },	\
	};									\
	CLAIMED_KINDS_OF_MODE(fixture, mode, is_generic)

#define NATIVE_KINDS(fixture) KINDS_OF_MODE(fixture, native, false)
#define GENERIC_KINDS(fixture) KINDS_OF_MODE(fixture, generic, true)

/* Targets of native XDP are devices that check each frame: see faultylib.h. */
#define FAULTY_KINDS(fixture)							\
	FIXTURE_VARIANT_ADD(fixture, stock_faulty) {				\
		.kind = { false, BPF_MAP_TYPE_DEVMAP, .faulty = true },		\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_faulty) {				\
		.kind = { true, BPF_MAP_TYPE_DEVMAP, .faulty = true },		\
	}

#define ALL_KINDS(fixture)							\
	NATIVE_KINDS(fixture);							\
	GENERIC_KINDS(fixture)

/* Variants for tests that use an array and a hash at once. */
#define MODE_KINDS(fixture)							\
	FIXTURE_VARIANT_ADD(fixture, stock_native) {				\
		.kind = { .claimed = false },					\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_native) {				\
		.kind = { .claimed = true },					\
	};									\
	FIXTURE_VARIANT_ADD(fixture, stock_generic) {				\
		.kind = { .claimed = false, .generic = true },			\
	};									\
	FIXTURE_VARIANT_ADD(fixture, claimed_generic) {				\
		.kind = { .claimed = true, .generic = true },			\
	}

#endif /* REDIRMAP_KINDS_H */
