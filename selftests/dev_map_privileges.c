// SPDX-License-Identifier: GPL-2.0-only
/*
 * Permissions for device maps: unprivileged users, users with one capability,
 * and root of a user and network namespace of its own, with maps that they open
 * themselves and with descriptors that they got from others.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 * For root, the namespaces of devices are in dev_device_leaves.c.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"
#include "maplib.h"
#include "userlib.h"

#define BPFFS "/mnt"
#define PIN BPFFS "/map"
#define SYSCTL "/proc/sys/kernel/unprivileged_bpf_disabled"

/*
 * Ifindexes that exist in one namespace only: first in the test's, in the
 * container's, in the machine's.
 */
#define OURS 77
#define THEIRS 78
#define FIRST 79

#define IN_FIRST "nsenter --net=/proc/1/ns/net "

/* 0 or 2: may users without CAP_BPF create anything? */
static bool set_disabled(int value)
{
	return write_str(SYSCTL, value ? "2" : "0") && read_int(SYSCTL) == value;
}

FIXTURE(privileges) {
	int fd;
	int disabled;
};

FIXTURE_VARIANT(privileges) {
	struct kind kind;
};

MAP_KINDS(privileges);

FIXTURE_SETUP(privileges)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->disabled = read_int(SYSCTL);
	self->fd = make_map_flags(variant->kind.claimed, variant->kind.type, 8, 8, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, set_elem8(self->fd, 0, devs[0], -1));
}

FIXTURE_TEARDOWN(privileges)
{
	close(self->fd);
	if (self->disabled >= 0 && self->disabled != read_int(SYSCTL))
		EXPECT_TRUE(set_disabled(self->disabled));
	/* No other process holds a map, even if requests were refused. */
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* --- creation ------------------------------------------------------------- */

static int do_create(const void *arg)
{
	int fd = syscall(__NR_bpf, BPF_MAP_CREATE, arg, sizeof(union bpf_attr));

	return fd < 0 ? -errno : 0;
}

TEST_F(privileges, create)
{
	union bpf_attr attr = {
		.map_type = variant->kind.type, .key_size = 4, .max_entries = 4,
	};
	int disabled, want, who;

	strcpy(attr.map_name, variant->kind.claimed ? "rm_test" : "st_test");
	for (disabled = 0; disabled <= 2; disabled += 2) {
		/* The value 1 is permanent: then there is no choice. */
		if (!set_disabled(disabled)) {
			TH_LOG("%s stays %d", SYSCTL, read_int(SYSCTL));
			continue;
		}
		for (who = 0; who < WHO_COUNT; who++) {
			want = who == BPF_NET_ADMIN || (who == ONLY_NET_ADMIN && !disabled) ?
			       0 : -EPERM;
			attr.value_size = 4;
			EXPECT_EQ(want, as(who, do_create, &attr)) {
				TH_LOG("%s, disabled %d", who_names[who], disabled);
			}
			/*
			 * Values with counters, of claimed maps, need the same
			 * permissions.
			 */
			attr.value_size = 160;
			if (!variant->kind.claimed)
				continue;
			EXPECT_EQ(want, as(who, do_create, &attr)) {
				TH_LOG("%s, disabled %d, counters", who_names[who], disabled);
			}
		}
	}
}

/* --- maps of others ------------------------------------------------------- */

static int do_get_by_id(const void *arg)
{
	int fd = bpf_map_get_fd_by_id(*(const __u32 *)arg);

	return fd < 0 ? fd : 0;
}

static int do_next_id(const void *arg)
{
	__u32 next;

	return bpf_map_get_next_id(*(const __u32 *)arg - 1, &next);
}

TEST_F(privileges, by_id)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int who;

	ASSERT_EQ(0, bpf_obj_get_info_by_fd(self->fd, &info, &len));
	for (who = 0; who < WHO_COUNT; who++) {
		EXPECT_EQ(-EPERM, as(who, do_get_by_id, &info.id)) {
			TH_LOG("%s", who_names[who]);
		}
		EXPECT_EQ(-EPERM, as(who, do_next_id, &info.id)) {
			TH_LOG("%s", who_names[who]);
		}
	}
}

enum op { LOOKUP, NEXT_KEY, INFO, UPDATE, DELETE, OP_COUNT };

static const char *const op_names[] = { "lookup", "next key", "info", "update", "delete" };

struct request {
	int fd;
	__u32 flags;		/* of BPF_OBJ_GET */
	enum op op;
	__u32 key;
	__u32 ifindex;		/* of an update */
};

static int do_op(const void *arg)
{
	const struct request *req = arg;
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), next;
	int ret;

	switch (req->op) {
	case LOOKUP:
		ret = get_elem(req->fd, req->key);
		return ret < 0 ? ret : 0;
	case NEXT_KEY:
		return next_key(req->fd, NULL, &next);
	case INFO:
		return bpf_obj_get_info_by_fd(req->fd, &info, &len);
	case UPDATE:
		return set_elem8(req->fd, req->key, req->ifindex, -1);
	default:
		return del_elem(req->fd, req->key);
	}
}

static int do_op_on_pin(const void *arg)
{
	struct request req = *(const struct request *)arg;
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = req.flags);

	req.fd = bpf_obj_get_opts(PIN, &opts);
	return req.fd < 0 ? req.fd : do_op(&req);
}

/* The result of an operation through a descriptor with these flags. */
static int permitted(__u32 flags, enum op op)
{
	if (op == INFO)
		return 0;
	return flags == (op == UPDATE || op == DELETE ? BPF_F_RDONLY : BPF_F_WRONLY) ? -EPERM : 0;
}

static const __u32 fd_flags[] = { 0, BPF_F_RDONLY, BPF_F_WRONLY };

/*
 * The holder of a descriptor may do all that the descriptor permits, and needs
 * no capability.
 */
TEST_F(privileges, passed_descriptors)
{
	struct request req = { .key = 5, .ifindex = 1 };
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	int i, who;

	ASSERT_EQ(0, bpf_obj_get_info_by_fd(self->fd, &info, &len));
	for (i = 0; i < ARRAY_SIZE(fd_flags); i++) {
		LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = fd_flags[i]);

		req.fd = bpf_map_get_fd_by_id_opts(info.id, &opts);
		ASSERT_LE(0, req.fd);
		for (who = 0; who < WHO_COUNT; who++) {
			for (req.op = 0; req.op < OP_COUNT; req.op++) {
				ASSERT_EQ(0, set_elem8(self->fd, req.key, devs[1], -1));
				EXPECT_EQ(permitted(fd_flags[i], req.op), as(who, do_op, &req)) {
					TH_LOG("%s, flags 0x%x: %s", who_names[who], fd_flags[i],
					       op_names[req.op]);
				}
			}
		}
		close(req.fd);
	}
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
}

TEST_F(privileges, pinned)
{
	static const struct {
		mode_t mode;
		__u32 flags;
		bool opens;
	} cases[] = {
		{ 0600, 0 }, { 0600, BPF_F_RDONLY }, { 0600, BPF_F_WRONLY },
		{ 0644, 0 }, { 0644, BPF_F_RDONLY, true }, { 0644, BPF_F_WRONLY },
		{ 0622, 0 }, { 0622, BPF_F_RDONLY }, { 0622, BPF_F_WRONLY, true },
		{ 0666, 0, true },
	};
	struct request req = { .key = 5, .ifindex = 1 };
	int i, want, who;

	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("bpf", BPFFS, "bpf", 0, "mode=0777"));
	ASSERT_EQ(0, bpf_obj_pin(self->fd, PIN));

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_EQ(0, chmod(PIN, cases[i].mode));
		req.flags = cases[i].flags;
		for (who = 0; who < WHO_COUNT; who++) {
			for (req.op = 0; req.op < OP_COUNT; req.op++) {
				ASSERT_EQ(0, set_elem8(self->fd, req.key, devs[1], -1));
				want = cases[i].opens ? permitted(req.flags, req.op) : -EACCES;
				EXPECT_EQ(want, as(who, do_op_on_pin, &req)) {
					TH_LOG("%s, mode 0%o, flags 0x%x: %s", who_names[who],
					       cases[i].mode, req.flags, op_names[req.op]);
				}
			}
		}
	}
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
	umount(BPFFS);
}

static int do_freeze(const void *arg)
{
	return bpf_map_freeze(*(const int *)arg);
}

/*
 * Kernels require different capabilities; a claimed map must require the same.
 */
TEST_F(privileges, freeze)
{
	int who, i, fd, got[2];

	for (who = 0; who < WHO_COUNT; who++) {
		for (i = 0; i < 2; i++) {
			fd = make_map(i && variant->kind.claimed, variant->kind.type, 4);
			ASSERT_LE(0, fd);
			got[i] = as(who, do_freeze, &fd);
			close(fd);
		}
		EXPECT_EQ(got[0], got[1]) {
			TH_LOG("%s", who_names[who]);
		}
		EXPECT_NE(NOT_WHO, got[0]);
	}
}

/* --- programs ------------------------------------------------------------- */

/* A socket filter, which any user may load, and its use of a value. */
struct filter {
	const char *does;
	struct bpf_insn insn;
	int err;
};

struct load {
	int fd;
	const struct bpf_insn *insn;
};

#define INSN(c, d, s, o, i) ((struct bpf_insn) {			\
	.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })

static int do_load(const void *arg)
{
	const struct load *load = arg;
	const struct bpf_insn prog[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, load->fd),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		*load->insn,
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	struct bpf_insn leak[ARRAY_SIZE(prog)];
	int fd;

	memcpy(leak, prog, sizeof(prog));
	/* The program that returns the address must not return 0 instead. */
	if (load->insn->code == (BPF_JMP | BPF_JA))
		leak[ARRAY_SIZE(prog) - 2] = leak[8];
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "trust", "GPL", leak, ARRAY_SIZE(leak),
			   NULL);
	return fd < 0 ? fd : 0;
}

TEST_F(privileges, programs)
{
	static const struct filter filters[] = {
		{ "reads it", INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0), 0 },
		{ "reads behind it", INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 0, 8, 0), -EACCES },
		{ "reads before it", INSN(BPF_LDX | BPF_MEM | BPF_W, 1, 0, -4, 0), -EACCES },
		{ "writes to it", INSN(BPF_ST | BPF_MEM | BPF_W, 0, 0, 0, 0), -EACCES },
		{ "reads the map itself", INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, 0, 0), -EPERM },
		{ "returns its address", INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0), -EACCES },
	};
	struct load load = { .fd = self->fd };
	int i, disabled;

	for (disabled = 0; disabled <= 2; disabled += 2) {
		if (!set_disabled(disabled))
			continue;
		for (i = 0; i < ARRAY_SIZE(filters); i++) {
			load.insn = &filters[i].insn;
			EXPECT_EQ(disabled ? -EPERM : filters[i].err,
				  as(NOBODY, do_load, &load)) {
				TH_LOG("disabled %d, %s", disabled, filters[i].does);
			}
		}
	}
}

/* --- namespaces ----------------------------------------------------------- */

/*
 * A container that performs actions one by one, by requests and results in
 * pipes.
 */
struct container {
	pid_t pid;
	int to, from;
};

static int container_loop(int from, int to)
{
	struct request req;
	int ret;

	while (read(from, &req, sizeof(req)) == sizeof(req)) {
		ret = do_op(&req);
		if (write(to, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	return 0;
}

static bool container_start(struct container *c)
{
	int to[2], from[2], ready = 0;

	if (pipe(to) || pipe(from))
		return false;
	c->pid = fork();
	if (!c->pid) {
		close(to[1]);
		ready = become(CONTAINED) &&
			ip("link add theirs index %d type dummy\n", THEIRS);
		if (write(from[1], &ready, sizeof(ready)) == sizeof(ready))
			container_loop(to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	c->to = to[1];
	c->from = from[0];
	return read(c->from, &ready, sizeof(ready)) == sizeof(ready) && ready;
}

static int container_does(struct container *c, int fd, enum op op, __u32 key, __u32 ifindex)
{
	const struct request req = { .fd = fd, .op = op, .key = key, .ifindex = ifindex };
	int ret = NOT_WHO;

	if (write(c->to, &req, sizeof(req)) != sizeof(req) ||
	    read(c->from, &ret, sizeof(ret)) != sizeof(ret))
		return NOT_WHO;
	return ret;
}

static void container_end(struct container *c)
{
	close(c->to);
	close(c->from);
	waitpid(c->pid, NULL, 0);
}

static bool becomes_empty(int fd, __u32 key)
{
	int i;

	/* A namespace ends in a work item. */
	for (i = 0; i < 20000 && get_elem(fd, key) != -ENOENT; i++)
		usleep(1000);
	return get_elem(fd, key) == -ENOENT;
}

/*
 * Root of a container, with a map of the test, can use its own devices and no
 * others.
 */
TEST_F(privileges, devices_of_others)
{
	struct container c;

	ASSERT_TRUE(ip("link add ours index %d type dummy\n", OURS));
	ASSERT_TRUE(sh(IN_FIRST "ip link add rm_first index %d type dummy", FIRST));
	ASSERT_TRUE(container_start(&c));
	ASSERT_EQ(0, set_elem8(self->fd, 1, OURS, -1));

	EXPECT_EQ(-EINVAL, container_does(&c, self->fd, UPDATE, 2, OURS));
	EXPECT_EQ(-EINVAL, container_does(&c, self->fd, UPDATE, 2, devs[0]));
	EXPECT_EQ(-EINVAL, container_does(&c, self->fd, UPDATE, 2, FIRST));
	EXPECT_EQ(-EINVAL, set_elem8(self->fd, 2, FIRST, -1));
	EXPECT_EQ(-ENOENT, get_elem(self->fd, 2));
	EXPECT_TRUE(sh(IN_FIRST "ip link del rm_first"));
	EXPECT_EQ(0, container_does(&c, self->fd, UPDATE, 3, 1));
	EXPECT_EQ(0, container_does(&c, self->fd, UPDATE, 4, THEIRS));
	EXPECT_EQ(THEIRS, get_elem(self->fd, 4));
	EXPECT_EQ(-EINVAL, set_elem8(self->fd, 5, THEIRS, -1));

	/*
	 * A device that moves away leaves the map; the container can then use
	 * it.
	 */
	ASSERT_TRUE(ip("link set ours netns %d\n", c.pid));
	EXPECT_EQ(-ENOENT, container_does(&c, self->fd, LOOKUP, 1, 0));
	EXPECT_EQ(-ENOENT, get_elem(self->fd, 1));
	EXPECT_EQ(-EINVAL, set_elem8(self->fd, 1, OURS, -1));
	EXPECT_EQ(0, container_does(&c, self->fd, UPDATE, 1, OURS));
	EXPECT_EQ(OURS, get_elem(self->fd, 1));

	/*
	 * The devices of its entries are deleted with it; the test's device
	 * stays.
	 */
	container_end(&c);
	EXPECT_TRUE(becomes_empty(self->fd, 1));
	EXPECT_TRUE(becomes_empty(self->fd, 3));
	EXPECT_TRUE(becomes_empty(self->fd, 4));
	EXPECT_EQ(devs[0], get_elem(self->fd, 0));
}

int main(int argc, char **argv)
{
	return maps_setup() ?: users_setup() ?: test_harness_run(argc, argv);
}
