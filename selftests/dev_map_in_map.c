// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device maps inside maps of maps.
 *
 * Programs call the operations of the map that they were verified with, the
 * template of the outer map. So an outer map with a stock template refuses
 * claimed maps, and the other way round; and an outer map with a claimed
 * template keeps the module as long as it exists. All else is the same for
 * stock and claimed inner maps.
 */
#include <pthread.h>

#include "holdlib.h"
#include "inner_map.h"

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

TEST_F(inner, matching)
{
	int other = make_map(variant->claimed, variant->type, 4);

	ASSERT_LE(0, other);
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	EXPECT_EQ(0, set_elem(self->outer, 1, other, BPF_ANY));
	EXPECT_EQ(map_id(self->template), get_elem(self->outer, 0));
	EXPECT_EQ(map_id(other), get_elem(self->outer, 1));
	EXPECT_EQ(0, set_elem(self->outer, 0, other, BPF_ANY));
	EXPECT_EQ(map_id(other), get_elem(self->outer, 0));
	EXPECT_EQ(0, del_elem(self->outer, 0));
	EXPECT_EQ(-ENOENT, get_elem(self->outer, 0));
	close(other);
}

TEST_F(inner, other_kind)
{
	int other = make_map(!variant->claimed, variant->type, 4);

	ASSERT_LE(0, other);
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, other, BPF_ANY));
	EXPECT_EQ(-ENOENT, get_elem(self->outer, 0));
	/* Existing entries stay. */
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, other, BPF_ANY));
	EXPECT_EQ(map_id(self->template), get_elem(self->outer, 0));
	close(other);
	EXPECT_TRUE(module_refs_become(base_refs + 2 * variant->claimed));
}

TEST_F(inner, other_type)
{
	int other = make_map(variant->claimed, self->other_type, 4);
	int different = make_map(!variant->claimed, self->other_type, 4);
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "rm_array", 4, 4, 4, NULL);

	ASSERT_LE(0, other);
	ASSERT_LE(0, different);
	ASSERT_LE(0, array);
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, other, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, different, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, array, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, self->outer, BPF_ANY));
	EXPECT_EQ(-EBADF, set_elem(self->outer, 0, 999, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, 0, BPF_ANY));
	close(array);
	close(different);
	close(other);
}

TEST_F(inner, attributes)
{
	int larger = make_map(variant->claimed, variant->type, 1000);
	int value8 = make_map_flags(variant->claimed, variant->type, 8, 4, 0);
	int numa = make_map_flags(variant->claimed, variant->type, 4, 4, BPF_F_NUMA_NODE);
	int write_only = make_map_flags(variant->claimed, variant->type, 4, 4, BPF_F_WRONLY);

	ASSERT_LE(0, larger);
	ASSERT_LE(0, value8);
	ASSERT_LE(0, numa);
	ASSERT_LE(0, write_only);
	EXPECT_EQ(0, set_elem(self->outer, 0, larger, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, value8, BPF_ANY));
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, numa, BPF_ANY));
	/* That flag applies to the descriptor. */
	EXPECT_EQ(0, set_elem(self->outer, 0, write_only, BPF_ANY));
	close(larger);
	close(value8);
	close(numa);
	close(write_only);
}

/* The module must stay as long as the outer map exists. */
TEST_F(inner, pins_module)
{
	int other = make_map(variant->claimed, variant->type, 4);

	ASSERT_LE(0, other);
	EXPECT_EQ(0, set_elem(self->outer, 0, other, BPF_ANY));
	close(other);
	close(self->template);
	self->template = -1;
	/* The inner map, and the description of the template. */
	EXPECT_TRUE(module_refs_become(base_refs + 2 * variant->claimed));
	EXPECT_EQ(0, del_elem(self->outer, 0));
	EXPECT_TRUE(module_refs_become(base_refs + variant->claimed));
	usleep(200000);
	EXPECT_EQ(base_refs + variant->claimed, module_refs());
	if (variant->claimed) {
		EXPECT_FALSE(sh("rmmod redirmap 2>/dev/null"));
	}

	/* A new map can still be an inner map. */
	other = make_map(variant->claimed, variant->type, 4);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, set_elem(self->outer, 3, other, BPF_ANY));
	close(other);

	close(self->outer);
	self->outer = -1;
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* Inner maps are freed with the outer map. */
TEST_F(inner, outer_goes_first)
{
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	EXPECT_EQ(0, set_elem(self->outer, 1, self->template, BPF_ANY));
	EXPECT_EQ(0, set_elem(self->template, 1, devs[0], BPF_ANY));
	close(self->outer);
	self->outer = -1;
	EXPECT_TRUE(module_refs_become(base_refs + variant->claimed));
	EXPECT_EQ(devs[0], get_elem(self->template, 1));
}

TEST_F(inner, policy_changes_meanwhile)
{
	int other, outer;

	/* The template's name is not claimed by the new policy. */
	ASSERT_TRUE(write_str(MODULE_DIR "/parameters/claim", "st_*\n"));
	other = bpf_map_create(variant->type, variant->claimed ? "rm_test" : "st_test", 4, 4, 4,
			       NULL);
	EXPECT_LE(0, other);
	EXPECT_EQ(-EINVAL, set_elem(self->outer, 0, other, BPF_ANY));
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	outer = make_outer(variant->outer_type, self->template);
	EXPECT_LE(0, outer);
	EXPECT_EQ(-EINVAL, set_elem(outer, 0, other, BPF_ANY));
	EXPECT_EQ(0, set_elem(outer, 0, self->template, BPF_ANY));
	EXPECT_TRUE(write_str(MODULE_DIR "/parameters/claim", "rm_*\n"));
	close(outer);
	close(other);
}

TEST_F(inner, failing_creations)
{
	int refs = module_refs(), i;
	const struct {
		int want, template;
		const char *name;
		__u32 max_entries, key_size, flags;
	} cases[] = {
		{ -EINVAL, self->template, "rm_outer", 0, 4, 0 },
		{ -EINVAL, self->template, "rm_!", 4, 4, 0 },
		{ -EINVAL, self->template, "rm_too_long_name", 4, 4, 0 },
		{ -EINVAL, self->template, "rm_outer", 4, 0, 0 },
		{ -EINVAL, self->template, "rm_outer", 4, 4, 1U << 31 },
		{ -EBADF, 999, "rm_outer", 4, 4, 0 },
		{ -EINVAL, 0, "rm_outer", 4, 4, 0 },
		{ -EINVAL, self->outer, "rm_outer", 4, 4, 0 },
		/* 16 GiB: fails after the template was described. */
		{ -ENOMEM, self->template, "rm_outer", 1U << 31, 4, 0 },
	};

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int err = try_outer(variant->outer_type, cases[i].template, cases[i].name,
				    cases[i].max_entries, cases[i].key_size, cases[i].flags);

		/*
		 * For the last case the kernel returns one of several errnos.
		 */
		if (cases[i].want == -ENOMEM && err < 0)
			err = -ENOMEM;
		EXPECT_EQ(cases[i].want, err) {
			TH_LOG("case %d", i);
		}
		if (err >= 0)
			close(err);
		EXPECT_TRUE(module_refs_become(refs)) {
			TH_LOG("case %d: %d references, not %d", i, module_refs(), refs);
		}
	}
}

struct maker {
	int template;
	enum bpf_map_type outer_type;
	volatile bool *stop;
	volatile unsigned long done, failed;
};

static void *make_outers(void *arg)
{
	struct maker *m = arg;
	int fd, nested;

	while (!*m->stop) {
		fd = make_outer(m->outer_type, m->template);
		m->failed += fd < 0;
		m->failed += !!set_elem(fd, 0, m->template, BPF_ANY);
		/* A creation that fails in between. */
		nested = make_outer(m->outer_type, fd);
		m->failed += nested != -EINVAL;
		close(fd);
		m->done++;
	}
	return NULL;
}

TEST_F(inner, two_threads)
{
	volatile bool stop = false;
	struct maker makers[2];
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++) {
		makers[i] = (struct maker){ self->template, variant->outer_type, &stop };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, make_outers, &makers[i]));
	}
	while (makers[0].done < longer(20, 200) || makers[1].done < longer(20, 200))
		usleep(10000);
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, makers[i].failed);
	}
	EXPECT_TRUE(module_refs_become(base_refs + 2 * variant->claimed));
}

static void *make_one_outer(void *arg)
{
	return (void *)(long)make_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, *(int *)arg);
}

/*
 * While one creation is held up in bpf_map_meta_alloc(), after the hook on its
 * entry, another one goes all the way. Each finds its own reference at the
 * return: the one with the stock template drops it, the other one keeps it.
 */
TEST(one_creation_during_another)
{
	bool has_records = sh("grep -qw btf_record_dup /proc/kallsyms");
	/*
	 * the kernel's function that copies a part of the inner map's
	 * description
	 */
	const char *copies = has_records ? "btf_record_dup" : "bpf_map_copy_kptr_off_tab";
	int i, refs, other, templates[2];
	char params[64];
	pthread_t thread;
	void *outer;

	ASSERT_TRUE(module_refs_become(base_refs));
	templates[0] = make_map(false, BPF_MAP_TYPE_DEVMAP, 4);
	templates[1] = make_map(true, BPF_MAP_TYPE_DEVMAP, 4);
	ASSERT_LE(0, templates[0]);
	ASSERT_LE(0, templates[1]);
	refs = base_refs + 1;
	ASSERT_TRUE(module_refs_become(refs));
	snprintf(params, sizeof(params), "func=%s", copies);
	ASSERT_TRUE(load_holdup(params));
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(write_str(HOLDUP "hold", "1"));
		ASSERT_EQ(0, pthread_create(&thread, NULL, make_one_outer, &templates[i]));
		EXPECT_TRUE(becomes(HOLDUP "held", i + 1));
		other = make_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, templates[!i]);
		EXPECT_LE(0, other);
		EXPECT_TRUE(write_str(HOLDUP "hold", "0"));
		pthread_join(thread, &outer);
		EXPECT_LE(0, (long)outer);
		EXPECT_TRUE(module_refs_become(refs + 1));
		close(other);
		close((long)outer);
		EXPECT_TRUE(module_refs_become(refs));
	}
	EXPECT_TRUE(sh("rmmod holdup"));
	close(templates[0]);
	close(templates[1]);
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* Templates that are not device maps. */
TEST(other_templates)
{
	static const enum bpf_map_type outers[] = {
		BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS,
	};
	static const enum bpf_map_type types[] = {
		BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP,
	};
	int i, template, claimed, outer;

	ASSERT_TRUE(module_refs_become(base_refs));
	claimed = make_map(true, BPF_MAP_TYPE_DEVMAP, 4);
	ASSERT_LE(0, claimed);
	for (i = 0; i < 8; i++) {
		template = bpf_map_create(types[i % 4], "rm_template", 4, 4, 4, NULL);
		ASSERT_LE(0, template);
		outer = make_outer(outers[i / 4], template);
		/* Some types cannot be inner maps. */
		if (outer >= 0) {
			EXPECT_EQ(0, set_elem(outer, 0, template, BPF_ANY));
			EXPECT_EQ(-EINVAL, set_elem(outer, 0, claimed, BPF_ANY));
		} else {
			EXPECT_EQ(-ENOTSUPP, outer);
		}
		EXPECT_EQ(base_refs + 1, module_refs());
		close(outer);
		close(template);
	}
	close(claimed);
	EXPECT_TRUE(module_refs_become(base_refs));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: test_harness_run(argc, argv);
}
