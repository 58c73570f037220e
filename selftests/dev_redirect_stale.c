// SPDX-License-Identifier: GPL-2.0-only
/*
 * A redirect that was looked up and not used, and then, after its entry was
 * freed, a program that returns XDP_REDIRECT without calling the helper.
 *
 * Until 6.11 the kernel keeps the result of a lookup per CPU, and clears it
 * before each run of a program. If it did not, the second program would use
 * freed memory, and the module would have to clear it. The redirect must fail
 * with EBADRQC.
 */

#include "harness.h"
#include "netlib.h"
#include "testlib.h"

#define FRAMES 64

FIXTURE(stale) {
	struct bpf_object *obj;
	struct bpf_link *link;
	int map, look_up, blind;
};

FIXTURE_VARIANT(stale) {
	bool claimed;
};

FIXTURE_VARIANT_ADD(stale, stock) { .claimed = false };
FIXTURE_VARIANT_ADD(stale, claimed) { .claimed = true };

static int run_frames(int prog, const char *ingress)
{
	char frame[64] = {};
	struct xdp_md ctx = {
		.data_end = sizeof(frame),
		.ingress_ifindex = if_nametoindex(ingress),
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		    .data_in = frame, .data_size_in = sizeof(frame),
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
		    .repeat = FRAMES, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(prog, &opts);
}

FIXTURE_SETUP(stale)
{
	struct bpf_map *map;

	if (geteuid() || module_refs() < 0)
		SKIP(return, "not root, or the module is not loaded");

	/* The result of the lookup is kept per CPU. */
	run_on_cpu(0);

	ASSERT_TRUE(make_veth("stale0", "stale1", ""));
	ASSERT_TRUE(make_veth("stale2", "stale3", ""));

	self->obj = bpf_object__open(beside("redirect_stale.bpf.o"));
	ASSERT_NE(NULL, self->obj);

	self->map = make_map(variant->claimed, BPF_MAP_TYPE_DEVMAP, 4);
	ASSERT_GE(self->map, 0);
	map = bpf_object__find_map_by_name(self->obj, "targets");
	ASSERT_EQ(0, bpf_map__reuse_fd(map, self->map));
	ASSERT_EQ(0, bpf_object__load(self->obj));

	self->look_up = bpf_program__fd(bpf_object__find_program_by_name(self->obj,
									 "look_up_only"));
	self->blind = bpf_program__fd(bpf_object__find_program_by_name(self->obj,
								       "redirect_blindly"));
	self->link = bpf_program__attach(bpf_object__find_program_by_name(self->obj,
									  "on_redirect_err"));
	ASSERT_NE(NULL, self->link);
}

FIXTURE_TEARDOWN(stale)
{
	bpf_link__destroy(self->link);
	bpf_object__close(self->obj);
	close(self->map);
	ip("link del stale0\nlink del stale2\n");
}

struct errors {
	unsigned long long no_target, others;
};

static struct errors errors_seen(struct bpf_object *obj)
{
	struct bpf_map *bss = bpf_object__find_map_by_name(obj, ".bss");
	struct errors seen = {};
	__u32 key = 0;

	bpf_map_lookup_elem(bpf_map__fd(bss), &key, &seen);
	return seen;
}

static void use_up(struct __test_metadata *_metadata,
		   FIXTURE_DATA(stale) *self, bool all_fail)
{
	struct errors before, after;

	before = errors_seen(self->obj);
	ASSERT_EQ(0, run_frames(self->blind, "stale0"));
	after = errors_seen(self->obj);
	if (!all_fail)
		return;
	/* Only the first frame could meet the kept result. */
	EXPECT_EQ(before.no_target + FRAMES, after.no_target);
	EXPECT_EQ(before.others, after.others);
}

TEST_F(stale, device_gone)
{
	__u32 key = 0, ifindex = if_nametoindex("stale2");

	ASSERT_EQ(0, bpf_map_update_elem(self->map, &key, &ifindex, BPF_ANY));
	ASSERT_EQ(0, run_frames(self->look_up, "stale0"));
	ASSERT_TRUE(ip("link del stale2\n"));
	/* Longer than a grace period and a work item. */
	sleep(1);
	use_up(_metadata, self, true);
}

TEST_F(stale, entry_deleted)
{
	__u32 key = 0, ifindex = if_nametoindex("stale2");

	ASSERT_EQ(0, bpf_map_update_elem(self->map, &key, &ifindex, BPF_ANY));
	ASSERT_EQ(0, run_frames(self->look_up, "stale0"));
	ASSERT_EQ(0, bpf_map_delete_elem(self->map, &key));
	sleep(1);
	use_up(_metadata, self, true);
}

TEST_F(stale, used_while_the_target_goes)
{
	__u32 key = 0, ifindex;
	int i;

	for (i = 0; i < 10; i++) {
		ifindex = if_nametoindex("stale2");
		ASSERT_EQ(0, bpf_map_update_elem(self->map, &key, &ifindex, BPF_ANY));
		ASSERT_EQ(0, run_frames(self->look_up, "stale0"));
		ASSERT_TRUE(sh("ip link del stale2 &"));
		use_up(_metadata, self, false);
		sh("while ip link show stale2 >/dev/null 2>&1; do sleep 0.01; done");
		use_up(_metadata, self, false);
		ASSERT_TRUE(make_veth("stale2", "stale3", ""));
	}
}

TEST_HARNESS_MAIN
