// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes that socket maps are made with, and the users who may make
 * them. The kernel checks both, so the tables hold for stock and claimed maps.
 * A refused map leaves no reference to the module.
 */
#include <bpf/btf.h>
#include <limits.h>

#include "socklib.h"
#include "userlib.h"

FIXTURE(made) {
};

FIXTURE_VARIANT(made) {
	struct kind kind;
};

SOCK_KINDS(made);

FIXTURE_SETUP(made)
{
	ASSERT_TRUE(module_refs_become(base_refs));
}

FIXTURE_TEARDOWN(made)
{
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* One map with 8 slots of the usual sizes, but for what @opts and @name say. */
static int make_with(const struct kind *kind, const char *name,
		     const struct bpf_map_create_opts *opts)
{
	int fd = bpf_map_create(kind->type, name, 4, 8, 8, opts);

	return fd < 0 ? -errno : fd;
}

static const struct {
	__u32 key_size;
	__u32 value_size;
	__u32 entries;
	__u32 flags;
	int array;
	int hash;
} sizes[] = {
	{ 4, 8, 1, 0, 0, 0 },
	{ 4, 4, 1, 0, 0, 0 },
	{ 4, 0, 1, 0, -EINVAL, -EINVAL },
	{ 4, 1, 1, 0, -EINVAL, -EINVAL },
	{ 4, 5, 1, 0, -EINVAL, -EINVAL },
	{ 4, 12, 1, 0, -EINVAL, -EINVAL },
	{ 4, 16, 1, 0, -EINVAL, -EINVAL },
	{ 0, 8, 1, 0, -EINVAL, -EINVAL },
	{ 1, 8, 1, 0, -EINVAL, 0 },
	{ 3, 4, 1, 0, -EINVAL, 0 },
	{ 8, 8, 1, 0, -EINVAL, 0 },
	{ 512, 8, 1, 0, -EINVAL, 0 },
	{ 513, 8, 1, 0, -EINVAL, -E2BIG },
	{ -1U, 8, 1, 0, -EINVAL, -E2BIG },
	{ 513, 5, 1, 0, -EINVAL, -EINVAL },
	{ 4, 8, 0, 0, -EINVAL, -EINVAL },
	{ 4, 8, INT_MAX + 1U, 0, -EINVAL, -EINVAL },
	{ 4, 8, INT_MAX + 2U, 0, -EINVAL, -EINVAL },
	{ 4, 8, -1U, 0, -EINVAL, -EINVAL },
	{ 4, 8, 1, BPF_F_NUMA_NODE, 0, 0 },
	{ 4, 8, 1, BPF_F_RDONLY, 0, 0 },
	{ 4, 8, 1, BPF_F_WRONLY, 0, 0 },
	{ 4, 8, 1, BPF_F_RDONLY | BPF_F_WRONLY, -EINVAL, -EINVAL },
	{ 4, 8, 1, BPF_F_RDONLY | BPF_F_NO_PREALLOC, -EINVAL, -EINVAL },
};

TEST_F(made, sizes)
{
	bool is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	struct bpf_map_info info;
	__u32 len = sizeof(info);
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = sizes[i].flags);

		fd = bpf_map_create(variant->kind.type,
				    variant->kind.claimed ? "rm_sizes" : "st_sizes",
				    sizes[i].key_size, sizes[i].value_size, sizes[i].entries,
				    &opts);
		EXPECT_EQ(is_hash ? sizes[i].hash : sizes[i].array, fd < 0 ? -errno : 0) {
			TH_LOG("row %u", i);
		}
		EXPECT_EQ(base_refs + (fd >= 0 && variant->kind.claimed), module_refs());
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		EXPECT_EQ(0, bpf_obj_get_info_by_fd(fd, &info, &len));
		EXPECT_EQ(variant->kind.type, info.type);
		EXPECT_EQ(sizes[i].key_size, info.key_size);
		EXPECT_EQ(sizes[i].value_size, info.value_size);
		EXPECT_EQ(sizes[i].entries, info.max_entries);
		/* The flags of the descriptor are none of the map. */
		EXPECT_EQ(sizes[i].flags & BPF_F_NUMA_NODE, info.map_flags);
		close(fd);
		ASSERT_TRUE(module_refs_become(base_refs));
	}
}

/* Every other flag is refused. */
TEST_F(made, flags)
{
	const char *name = variant->kind.claimed ? "rm_flags" : "st_flags";
	__u32 allowed = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;
	int i;

	/* The kernel clears this flag itself: a field has a token. */
	allowed |= 1U << 16;
	for (i = 0; i < 32; i++) {
		LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = 1U << i);

		if (allowed & opts.map_flags)
			continue;
		EXPECT_EQ(-EINVAL, make_with(&variant->kind, name, &opts)) {
			TH_LOG("flag %#x", opts.map_flags);
		}
		EXPECT_EQ(base_refs, module_refs());
	}
}

/* The kernel checks some when it has the map already, which it frees then. */
TEST_F(made, attributes)
{
	const char *name = variant->kind.claimed ? "rm_attributes" : "st_attributes";
	LIBBPF_OPTS(bpf_map_create_opts, node, .map_flags = BPF_F_NUMA_NODE, .numa_node = 4096);
	LIBBPF_OPTS(bpf_map_create_opts, extra, .map_extra = 1);
	LIBBPF_OPTS(bpf_map_create_opts, device, .map_ifindex = 1);
	LIBBPF_OPTS(bpf_map_create_opts, types);
	LIBBPF_OPTS(bpf_map_create_opts, no_types);
	struct btf *btf = btf__new_empty();
	unsigned int i;
	const struct {
		const char *name;
		const struct bpf_map_create_opts *opts;
		int err;
	} rows[] = {
		{ name, &node, -EINVAL },
		{ name, &extra, -EINVAL },
		{ name, &device, -EINVAL },
		{ name, &types, -ENOTSUPP },
		{ name, &no_types, -EBADF },
		{ variant->kind.claimed ? "rm_bad!" : "st_bad!", NULL, -EINVAL },
	};

	ASSERT_NE(NULL, btf);
	types.btf_key_type_id = btf__add_int(btf, "int", 4, 0);
	types.btf_value_type_id = btf__add_int(btf, "long long", 8, 0);
	ASSERT_EQ(0, btf__load_into_kernel(btf));
	types.btf_fd = btf__fd(btf);
	no_types = types;
	no_types.btf_fd = 1000;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(rows[i].err, make_with(&variant->kind, rows[i].name, rows[i].opts)) {
			TH_LOG("row %u", i);
		}
		ASSERT_TRUE(module_refs_become(base_refs));
	}
	btf__free(btf);
}

static int do_make(const void *arg)
{
	const struct kind *kind = arg;
	int fd = make_with(kind, kind->claimed ? "rm_other" : "st_other", NULL);

	return fd < 0 ? fd : close(fd);
}

TEST_F(made, users)
{
	EXPECT_EQ(-EPERM, as(NOBODY, do_make, &variant->kind));
	EXPECT_EQ(-EPERM, as(CONTAINED, do_make, &variant->kind));
	EXPECT_EQ(-EPERM, as(ONLY_BPF, do_make, &variant->kind));
	EXPECT_EQ(0, as(BPF_NET_ADMIN, do_make, &variant->kind));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
