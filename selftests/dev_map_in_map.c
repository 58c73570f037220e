// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device maps inside maps of maps.
 *
 * Programs call the operations of the map they were verified against, the
 * outer map's template. So a claimed map may not get into an outer map that
 * was made for stock ones, nor the other way round; and an outer map that was
 * made with a claimed template keeps the module, as long as it lives. All else
 * is the same for stock and claimed inner maps.
 */
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "harness.h"
#include "maplib.h"

/* Pairs of veth: a0 and b0, a1 and b1. */
static __u32 a[2], b[2];

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int try_outer(enum bpf_map_type type, int template, const char *name,
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

/* The outer maps' names do not matter; so be them such as would be claimed. */
static int make_outer(enum bpf_map_type type, int template)
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
	/* Present entries stay. */
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
	/* That one is of the descriptor. */
	EXPECT_EQ(0, set_elem(self->outer, 0, write_only, BPF_ANY));
	close(larger);
	close(value8);
	close(numa);
	close(write_only);
}

/* The template has to stay until the outer map goes. */
TEST_F(inner, pins_module)
{
	int other = make_map(variant->claimed, variant->type, 4);

	ASSERT_LE(0, other);
	EXPECT_EQ(0, set_elem(self->outer, 0, other, BPF_ANY));
	close(other);
	close(self->template);
	self->template = -1;
	/* The one inside, and the description. */
	EXPECT_TRUE(module_refs_become(base_refs + 2 * variant->claimed));
	EXPECT_EQ(0, del_elem(self->outer, 0));
	EXPECT_TRUE(module_refs_become(base_refs + variant->claimed));
	usleep(200000);
	EXPECT_EQ(base_refs + variant->claimed, module_refs());
	if (variant->claimed) {
		EXPECT_FALSE(sh("rmmod redirmap 2>/dev/null"));
	}

	/* A map made now still goes in. */
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
	EXPECT_EQ(0, set_elem(self->template, 1, a[0], BPF_ANY));
	close(self->outer);
	self->outer = -1;
	EXPECT_TRUE(module_refs_become(base_refs + variant->claimed));
	EXPECT_EQ(a[0], get_elem(self->template, 1));
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

		/* For the last one the kernel has one of several errnos. */
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

struct swap {
	int outer;
	int inner[2];
	volatile bool *stop;
	unsigned long done, failed;
};

static void *swap_inner(void *arg)
{
	struct swap *s = arg;
	unsigned int state = 1;

	/* At random: turns in order may come in step with the packets'. */
	while (!*s->stop) {
		s->failed += !!set_elem(s->outer, 0, s->inner[rand_r(&state) % 2], BPF_ANY);
		s->done++;
	}
	return NULL;
}

static struct bpf_object *load_programs(int outer)
{
	struct bpf_object *obj = bpf_object__open(beside("map_in_map.bpf.o"));

	if (!obj)
		return NULL;
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "outer"), outer) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static int program_fd(struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

/* The program's return value for a packet. */
static int run_once(int prog)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = 1,
	);
	int err = bpf_prog_test_run_opts(prog, &opts);

	return err ?: (int)opts.retval;
}

/* Packets that are really sent where the program redirects them. */
static int run_live(int prog, int packets)
{
	/* A local experiment's Ethertype. */
	char packet[64] = { [12] = 0x88, [13] = 0xb5 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = packets,
		.batch_size = 64,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	);

	return bpf_prog_test_run_opts(prog, &opts);
}

/* Packets that have come out of b0 or b1. */
static unsigned long counted(struct bpf_object *obj, int i)
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "counts"));
	__u64 n = 0;

	bpf_map_lookup_elem(fd, &b[i], &n);
	return n;
}

/* The same, since the last time. */
static unsigned long arrived(struct bpf_object *obj, int i)
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(obj, "counts"));
	unsigned long n = counted(obj, i);
	__u64 zero = 0;

	bpf_map_update_elem(fd, &b[i], &zero, BPF_ANY);
	return n;
}

/* Wait for the last ones. */
static void settle(void)
{
	usleep(100000);
}

TEST_F(inner, redirect)
{
	volatile bool stop = false;
	struct swap s = { .outer = self->outer, .stop = &stop };
	unsigned long sent = 0, got[2] = {};
	struct bpf_object *obj;
	pthread_t thread;
	double end;
	int i, prog;

	for (i = 0; i < 2; i++) {
		s.inner[i] = make_map(variant->claimed, variant->type, 4);
		ASSERT_LE(0, s.inner[i]);
		ASSERT_EQ(0, set_elem(s.inner[i], 1, a[i], BPF_ANY));
	}
	obj = load_programs(self->outer);
	ASSERT_NE(NULL, obj);
	prog = program_fd(obj, "redirect");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, bpf_xdp_attach(b[i], program_fd(obj, "count"),
					    XDP_FLAGS_DRV_MODE, NULL));

	EXPECT_EQ(XDP_DROP, run_once(prog));
	EXPECT_EQ(0, set_elem(self->outer, 0, self->template, BPF_ANY));
	EXPECT_EQ(XDP_ABORTED, run_once(prog));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, set_elem(self->outer, 0, s.inner[i], BPF_ANY));
		EXPECT_EQ(XDP_REDIRECT, run_once(prog));
		EXPECT_EQ(0, run_live(prog, 100));
		settle();
		EXPECT_EQ(i ? 0 : 100, arrived(obj, 0));
		EXPECT_EQ(i ? 100 : 0, arrived(obj, 1));
	}
	/* Changes inside an inner map do not concern the outer one. */
	EXPECT_EQ(0, del_elem(s.inner[1], 1));
	EXPECT_EQ(XDP_ABORTED, run_once(prog));
	EXPECT_EQ(0, set_elem(s.inner[1], 1, a[1], BPF_ANY));
	EXPECT_EQ(XDP_REDIRECT, run_once(prog));

	ASSERT_EQ(0, pthread_create(&thread, NULL, swap_inner, &s));
	end = now() + 1;
	/* A busy machine may take longer to use both maps. */
	while (now() < end || !counted(obj, 0) || !counted(obj, 1)) {
		/* Not more than fit into the veth's ring. */
		EXPECT_EQ(0, run_live(prog, 128));
		sent += 128;
		sched_yield();
	}
	stop = true;
	pthread_join(thread, NULL);
	settle();
	for (i = 0; i < 2; i++)
		got[i] = arrived(obj, i);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(1, s.done);
	EXPECT_LT(0, got[0]);
	EXPECT_LT(0, got[1]);
	EXPECT_GE(sent, got[0] + got[1]);
	EXPECT_LE(sent / 2, got[0] + got[1]);
	TH_LOG("%lu swaps; %lu packets sent, %lu and %lu arrived", s.done, sent, got[0], got[1]);

	for (i = 0; i < 2; i++) {
		bpf_xdp_attach(b[i], -1, XDP_FLAGS_DRV_MODE, NULL);
		close(s.inner[i]);
	}

	/* The program alone keeps all of it. */
	prog = dup(prog);
	bpf_object__close(obj);
	close(self->outer);
	close(self->template);
	self->outer = -1;
	self->template = -1;
	settle();
	EXPECT_EQ(XDP_REDIRECT, run_once(prog));
	EXPECT_LE(base_refs + 2 * variant->claimed, module_refs());
	close(prog);
	EXPECT_TRUE(module_refs_become(base_refs));
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
		/* One that fails in between. */
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

/* Templates that are none of our business. */
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
		/* Not all types can be inside. */
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
	int i, ret;

	ret = maps_begin();
	if (ret)
		return ret;
	for (i = 0; i < 2; i++) {
		if (!sh("ip link add a%d type veth peer name b%d", i, i) ||
		    !sh("ip link set a%d up && ip link set b%d up", i, i)) {
			printf("Bail out! cannot make devices\n");
			return KSFT_FAIL;
		}
		a[i] = if_nametoindex(i ? "a1" : "a0");
		b[i] = if_nametoindex(i ? "b1" : "b0");
	}
	return test_harness_run(argc, argv);
}
