// SPDX-License-Identifier: GPL-2.0-only
/* Creation of maps, successful or not: see create.h. */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <bpf/btf.h>

#include "call.h"
#include "compare.h"
#include "create.h"
#include "diffs.h"
#include "fds.h"
#include "maps.h"
#include "memory.h"
#include "peek.h"

/*
 * Sizes of values of the types of our BTF, 1, 2 and 3; type 1 is that of keys.
 */
static const __u32 btf_sizes[] = { 4, 8, sizeof(struct redirmap_val) };

static int btf_fd(void)
{
	static struct btf *btf;
	unsigned int i;

	if (!btf) {
		btf = btf__new_empty();
		btf__add_int(btf, "index", btf_sizes[0], 0);
		for (i = 1; i < ARRAY_SIZE(btf_sizes); i++)
			btf__add_struct(btf, "value", btf_sizes[i]);
		if (btf__load_into_kernel(btf))
			failed("cannot load BTF");
	}
	return btf__fd(btf);
}

/*
 * The type of a value of 8 bytes in place of another type: right if the other
 * one is right, or wrong.
 */
static __u64 btf_instead(__u64 type)
{
	return !type ? 0 : type == ARRAY_SIZE(btf_sizes) ? 2 : 1;
}

/*
 * The caller's capabilities. The caller can restore them after it has dropped
 * them.
 */
static void set_caps(bool all)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int i;

	if (syscall(__NR_capget, &head, data))
		failed("capget");
	for (i = 0; i < 2; i++)
		data[i].effective = all ? data[i].permitted : 0;
	if (syscall(__NR_capset, &head, data))
		failed("capset");
}

/* No free descriptor is left, or as many as before. */
static void limit_fds(bool none)
{
	static struct rlimit old;
	struct rlimit now;

	if (none)
		getrlimit(RLIMIT_NOFILE, &old);
	now = old;
	if (none)
		now.rlim_cur = 0;
	if (setrlimit(RLIMIT_NOFILE, &now))
		failed("setrlimit");
}

/* BTF of the kernel, which is not that of a map. */
static int kernel_btf_fd(void)
{
	static int fd = -1;

	/* The lowest id. */
	if (fd < 0)
		fd = bpf_btf_get_fd_by_id(1);
	if (fd < 0)
		failed("no BTF of the kernel's");
	return fd;
}

/* An attribute that map_create() must refuse. */
static void spoil(union bpf_attr *attr, __u64 fail)
{
	if (fail == FAIL_TOKEN)
		/* BPF_F_TOKEN_FD; 0 is not a token. */
		attr->map_flags |= 1U << 16;
	if (fail < FAIL_BTF_CLOSED || fail > FAIL_BTF_KEY)
		return;
	attr->btf_fd = fail == FAIL_BTF_CLOSED ? (__u32)-1 :
		       fail == FAIL_BTF_KERNEL ? kernel_btf_fd() : btf_fd();
	/* The type is wrong for a key. */
	attr->btf_key_type_id = fail == FAIL_BTF_KEY ? 2 : 1;
	attr->btf_value_type_id = 1;
}

/*
 * The call, by a caller without the right to make maps, or without memory for
 * them.
 */
static int create_failing(union bpf_attr *attr, const struct op *op)
{
	int fd;

	spoil(attr, op->fail);
	if (op->fail == FAIL_CAPABLE)
		set_caps(false);
	if (op->fail == FAIL_NO_FD)
		limit_fds(true);
	fd = bpf_call(BPF_MAP_CREATE, attr, op);
	if (op->fail == FAIL_CAPABLE)
		set_caps(true);
	if (op->fail == FAIL_NO_FD)
		limit_fds(false);
	return fd;
}

/*
 * Frames of claimed maps that are made from now on leave as packets if a device
 * takes no frames, never, or always. Stock maps know nothing of it.
 */
static void set_packets(__u64 packets)
{
	if (!set_policy("packets", packets % NR_PACKETS == PACKETS_NEVER ? "" : "*") ||
	    !set_policy("qdisc", packets % NR_PACKETS == PACKETS_ALWAYS ? "rm_*" : ""))
		failed("cannot set the parameters packets and qdisc");
}

/* Insmod or run-tests may have set other values. */
bool create_init(void)
{
	set_packets(PACKETS_FALLBACK);
	return !*state.failure;
}

static int create(const struct op *op, enum side side)
{
	const char *prefix = side == STOCK ? "st_" : "rm_";
	const struct pair *template;
	union bpf_attr attr = {
		.map_type = op->type,
		.key_size = op->key_size,
		.value_size = op->value_size,
		.max_entries = op->max_entries,
		.map_flags = op->flags,
		.numa_node = op->numa_node,
		.map_ifindex = op->map_ifindex,
		.map_extra = op->extra,
	};
	int fd;

	if (op->btf) {
		attr.btf_fd = btf_fd();
		attr.btf_key_type_id = 1;
		attr.btf_value_type_id = op->btf;
	}
	if (op->template) {
		template = &state.pairs[(op->template - 1) % NR_PAIRS];
		attr.inner_map_fd = pair_fd(template, side, FD_FIRST);
	}
	snprintf(attr.map_name, sizeof(attr.map_name), "%s%s", prefix,
		 op->name == NAME_LONG ? "0123456789.a" : op->name == NAME_BAD ? "a-b" : "fuzz");
	if (op->name == NAME_ENDLESS)
		memset(attr.map_name + 3, 'x', sizeof(attr.map_name) - 3);
	if (op->packets)
		set_packets(op->packets);
	fd = op->fail ? create_failing(&attr, op) : bpf_call(BPF_MAP_CREATE, &attr, op);
	if (op->packets)
		set_packets(PACKETS_FALLBACK);
	return fd;
}

static bool has_counters(const struct op *op)
{
	return (op->type == BPF_MAP_TYPE_DEVMAP || op->type == BPF_MAP_TYPE_DEVMAP_HASH) &&
	       op->value_size == sizeof(struct redirmap_val) && is_let_pass("counters");
}

/* The stock map has values of 8 bytes, after it has refused larger ones. */
static int create_stock(const struct op *op)
{
	struct op plain = *op;
	int fd;

	fd = create(op, STOCK);
	if (!has_counters(op))
		return fd;
	if (fd >= 0) {
		close(fd);
		failed("create: stock has values with counters");
		return -EINVAL;
	}
	plain.value_size = sizeof(struct bpf_devmap_val);
	plain.btf = btf_instead(op->btf);
	return create(&plain, STOCK);
}

static bool is_wanted(const struct op *op)
{
	switch (op->type) {
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_SOCKHASH:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return op->key_size == 4;
	}
	return false;
}

/* Failures in a loop: each must be like the first, and none may take memory. */
static bool create_again(const struct op *op, int ret)
{
	struct memory before;
	__u64 i;
	int fd;

	if (!memory_read(&before))
		return false;
	for (i = 0; i < op->times; i++) {
		fd = create(op, CLAIMED);
		if (fd >= 0)
			close(fd);
		if (fd != ret)
			return failed("create: %d the first time, then %d", ret, fd);
	}
	return memory_returns(&before, 1);
}

bool maps_create(const struct op *op, struct pair *pair)
{
	struct result r[NR_SIDES] = {};
	const struct difference *diff;
	int fd[NR_SIDES], side;

	map_close_all(pair);
	map_unpin(pair);
	pair->attr = *op;
	pair->counts = has_counters(op);
	if (pair->counts)
		pair->attr.value_size = sizeof(struct bpf_devmap_val);
	for (side = 0; side < NR_SIDES; side++) {
		fd[side] = side == STOCK ? create_stock(op) : create(op, side);
		r[side].ret = fd[side] < 0 ? fd[side] : 0;
	}
	diff = difference(op, pair);
	if (r[STOCK].ret != r[CLAIMED].ret || r[STOCK].ret || !is_wanted(op)) {
		for (side = 0; side < NR_SIDES; side++)
			if (fd[side] >= 0)
				close(fd[side]);
		/* No field may be read that no map has. */
		memset(&pair->attr, 0, sizeof(pair->attr));
		pair->counts = false;
		if (op->times && r[CLAIMED].ret && !create_again(op, r[CLAIMED].ret))
			return false;
		return (diff && r[CLAIMED].ret == -ENOMEM) || compare_results(op, r);
	}
	for (side = 0; side < NR_SIDES; side++) {
		pair->fd[side][FD_FIRST] = fd[side];
		pair->fd[side][FD_OTHER] = -1;
	}
	pair->inner_counts = is_outer(pair) && op->template &&
			     state.pairs[(op->template - 1) % NR_PAIRS].counts;
	if (!compare_results(op, r) || !map_open_peeks(pair, FD_FIRST))
		return false;
	if (!add_serial(pair))
		return false;
	pair->token = 0;
	return true;
}
