// SPDX-License-Identifier: GPL-2.0-only
/* Operations on maps as a whole: their making, descriptors, information. */
#include <linux/capability.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <bpf/btf.h>

#include "fuzz.h"
#include "netlib.h"

#define PINS "/sys/fs/bpf/redirmap_fuzz"
#define MAX_SERIALS 4096

static __u32 serials[MAX_SERIALS][NR_SIDES];
static __u32 nr_serials;
static int base_refs;

static const char *pin_path(const struct pair *pair, enum side side)
{
	static char path[NR_SIDES][64];

	snprintf(path[side], sizeof(path[side]), PINS "/%s%td", side == STOCK ? "st" : "rm",
		 pair - state.pairs);
	return path[side];
}

__u32 serial_of(enum side side, __u32 id)
{
	__u32 i;

	for (i = nr_serials; i--;)
		if (serials[i][side] == id)
			return i;
	return -1;
}

bool have_mem_usage(void)
{
	static int have = -1;

	if (have < 0)
		have = kernel_has_member("bpf_map_ops", "map_mem_usage");
	return have;
}

static void set_fd(int *fd, int new)
{
	if (*fd >= 0)
		close(*fd);
	*fd = new;
}

static void close_all(struct pair *pair)
{
	int side, i;

	for (side = 0; side < NR_SIDES; side++) {
		for (i = 0; i < NR_FDS; i++)
			set_fd(&pair->fd[side][i], -1);
		set_fd(&pair->peek[side], -1);
	}
	pair->made = false;
}

static void unpin(struct pair *pair)
{
	unlink(pin_path(pair, STOCK));
	unlink(pin_path(pair, CLAIMED));
	pair->pinned = false;
}

void maps_reset(void)
{
	static bool begun;
	int i, side;

	if (!begun) {
		memset(state.pairs, 0, sizeof(state.pairs));
		for (i = 0; i < NR_PAIRS; i++) {
			for (side = 0; side < NR_SIDES; side++) {
				memset(state.pairs[i].fd[side], -1, NR_FDS * sizeof(int));
				state.pairs[i].peek[side] = -1;
			}
		}
		mkdir(PINS, 0700);
		base_refs = module_refs();
		begun = true;
	}
	for (i = 0; i < NR_PAIRS; i++) {
		close_all(&state.pairs[i]);
		unpin(&state.pairs[i]);
		memset(&state.pairs[i].attr, 0, sizeof(state.pairs[i].attr));
	}
	nr_serials = 0;
}

bool maps_are_gone(void)
{
	return module_refs_become(base_refs);
}

/* Sizes of values that the types of our BTF, 1, 2 and 3, have; the first one is keys'. */
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

/* The type that an 8 bytes' value has instead: right where the other one is, or wrong. */
static __u64 btf_instead(__u64 type)
{
	return !type ? 0 : type == ARRAY_SIZE(btf_sizes) ? 2 : 1;
}

/* What the caller may do; what it has lost so it can take again. */
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

/* No descriptor is left, or as many as there were before. */
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

/* BTF of the kernel's, which is no map's. */
static int kernel_btf_fd(void)
{
	static int fd = -1;

	/* The first one that there was. */
	if (fd < 0)
		fd = bpf_btf_get_fd_by_id(1);
	if (fd < 0)
		failed("no BTF of the kernel's");
	return fd;
}

/* An attribute that map_create() is to stumble over. */
static void spoil(union bpf_attr *attr, __u64 fail)
{
	if (fail == FAIL_TOKEN)
		/* BPF_F_TOKEN_FD, and 0 is no token. */
		attr->map_flags |= 1U << 16;
	if (fail < FAIL_BTF_CLOSED || fail > FAIL_BTF_KEY)
		return;
	attr->btf_fd = fail == FAIL_BTF_CLOSED ? (__u32)-1 :
		       fail == FAIL_BTF_KERNEL ? kernel_btf_fd() : btf_fd();
	/* The wrong type for a key. */
	attr->btf_key_type_id = fail == FAIL_BTF_KEY ? 2 : 1;
	attr->btf_value_type_id = 1;
}

/* The call, by somebody who may not make maps, or has no room for them. */
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
	return op->fail ? create_failing(&attr, op) : bpf_call(BPF_MAP_CREATE, &attr, op);
}

static bool has_counters(const struct op *op)
{
	return (op->type == BPF_MAP_TYPE_DEVMAP || op->type == BPF_MAP_TYPE_DEVMAP_HASH) &&
	       op->value_size == sizeof(struct redirmap_val) && is_let_pass("counters");
}

/* The stock map gets values of 8 bytes, once it has refused larger ones. */
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

static int fd_by_id(__u32 id, __u32 flags, const struct op *op)
{
	union bpf_attr attr = { .map_id = id, .open_flags = flags };

	return bpf_call(BPF_MAP_GET_FD_BY_ID, &attr, op);
}

static __u32 id_of(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* An unlimited descriptor of each, and what they are. */
static bool open_peeks(struct pair *pair, enum fd fd)
{
	const struct op plain = {};
	int side;

	for (side = 0; side < NR_SIDES; side++) {
		pair->id[side] = id_of(pair->fd[side][fd]);
		set_fd(&pair->peek[side], fd_by_id(pair->id[side], 0, &plain));
		if (pair->peek[side] < 0)
			return failed("%s: no descriptor by id: %s",
				      side == STOCK ? "stock" : "claimed",
				      strerror(-pair->peek[side]));
	}
	if (!is_outer(pair) &&
	    (is_claimed(pair->peek[STOCK]) || !is_claimed(pair->peek[CLAIMED])))
		return failed("create: the wrong map is claimed, or none");
	pair->made = true;
	pair->unseen = 0;
	return true;
}

static bool is_wanted(const struct op *op)
{
	switch (op->type) {
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return op->key_size == 4;
	}
	return false;
}

/* Failing in a loop: it goes on as it has begun, and takes no memory. */
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

	close_all(pair);
	unpin(pair);
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
		/* Nobody is to look at what no map has. */
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
	if (!compare_results(op, r) || !open_peeks(pair, FD_FIRST))
		return false;
	pair->serial = nr_serials;
	if (nr_serials == MAX_SERIALS)
		return failed("too many maps");
	memcpy(serials[nr_serials++], pair->id, sizeof(pair->id));
	pair->token = 0;
	return true;
}

void maps_close(const struct op *op, struct pair *pair)
{
	int side;

	note_outcome(op->cmd, 0);
	if (op->cmd == UNPIN) {
		unpin(pair);
		return;
	}
	if (op->fd != FD_OTHER) {
		close_all(pair);
		return;
	}
	for (side = 0; side < NR_SIDES; side++)
		set_fd(&pair->fd[side][FD_OTHER], -1);
}

/* --- one side ---------------------------------------------------------------- */

static void info(const struct op *op, int fd, struct result *r)
{
	union bpf_attr attr = {};
	__u8 *buf = r->out;

	memset(buf, 0, 512);
	if (op->key)
		buf[op->key % 512] = 1;
	attr.info.bpf_fd = fd;
	attr.info.info_len = op->count ?: sizeof(struct bpf_map_info);
	attr.info.info = (unsigned long)(op->ptr ? place_value(op, NULL) : (void *)buf);
	r->ret = bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr, op);
	memset(buf + offsetof(struct bpf_map_info, id), 0, sizeof(__u32));
	memset(buf + offsetof(struct bpf_map_info, name), 0, BPF_OBJ_NAME_LEN);
	/* "rm_" and "st_" are in no other way in it. */
	memcpy(buf + 512, &attr.info.info_len, sizeof(__u32));
	r->len = 516;
}

static void fdinfo(int fd, struct result *r)
{
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	r->ret = f ? 0 : -errno;
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "map_id:", 7) && r->len + strlen(line) < sizeof(r->out)) {
			memcpy(r->out + r->len, line, strlen(line));
			r->len += strlen(line);
		}
	}
	if (f)
		fclose(f);
}

static void keep_other(struct pair *pair, enum side side, struct result *r)
{
	if (r->ret >= 0) {
		set_fd(&pair->fd[side][FD_OTHER], r->ret);
		r->ret = 0;
	}
}

void map_run(const struct op *op, struct pair *pair, enum side side, struct result *r)
{
	int fd = pair_fd(pair, side, op->fd);
	union bpf_attr attr = {};

	switch (op->cmd) {
	case FREEZE:
		attr.map_fd = fd;
		r->ret = bpf_call(BPF_MAP_FREEZE, &attr, op);
		break;
	case INFO:
		info(op, fd, r);
		break;
	case FDINFO:
		fdinfo(fd, r);
		break;
	case BY_ID:
		r->ret = pair->made ? fd_by_id(pair->id[side], op->flags, op) : -ENOENT;
		keep_other(pair, side, r);
		break;
	case PIN:
		attr.pathname = (unsigned long)pin_path(pair, side);
		attr.bpf_fd = fd;
		attr.file_flags = op->flags;
		r->ret = bpf_call(BPF_OBJ_PIN, &attr, op);
		pair->pinned |= !r->ret;
		break;
	case GET:
		attr.pathname = (unsigned long)pin_path(pair, side);
		attr.file_flags = op->flags;
		r->ret = bpf_call(BPF_OBJ_GET, &attr, op);
		keep_other(pair, side, r);
		/* It may have had no other descriptor. */
		if (!r->ret && side == CLAIMED && !pair->made)
			open_peeks(pair, FD_OTHER);
		break;
	}
}
