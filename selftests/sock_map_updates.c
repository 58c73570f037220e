// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that insert sockets into socket maps: of type sock_ops, in each of
 * their callbacks, and of types tc, action and XDP, which look a socket up. The
 * kernel decides, so the tables hold for stock and claimed maps, and a claimed
 * map counts each insert, and each refused one by its errno.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "sockmake.h"

/* As in sock_updates.bpf.c. */
#define ENTRIES 16
#define OPS 16
#define UNSEEN 1

enum look { LOOK_TCP, LOOK_TCP6, LOOK_UDP, LOOK_ANY_TCP };

struct put_vars {
	__u32 key;
	__u32 look;
	__u64 flags;
	struct bpf_sock_tuple tuple;
	__u32 calls[OPS];
	__u32 unlike[OPS];
	__s64 result[OPS];
};

FIXTURE(updates) {
	int array, hash;
	int map;	/* that of the variant */
	bool is_hash;
	int group;	/* a BPF_MAP_TYPE_REUSEPORT_SOCKARRAY */
	int used;
};

FIXTURE_VARIANT(updates) {
	struct kind kind;
};

SOCK_KINDS(updates);

FIXTURE_SETUP(updates)
{
	self->used = sockets_used();
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->array = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKMAP, 8, ENTRIES);
	self->hash = sock_map(variant->kind.claimed, BPF_MAP_TYPE_SOCKHASH, 8, ENTRIES);
	self->map = self->is_hash ? self->hash : self->array;
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->group = bpf_map_create(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, "group", 4, 8, 4, NULL);
	ASSERT_LE(0, self->group);
}

FIXTURE_TEARDOWN(updates)
{
	close(self->group);
	close(self->array);
	close(self->hash);
	EXPECT_TRUE(sockets_become(self->used));
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* sock_updates.bpf.c with the maps of the test, and its variables. */
static struct bpf_object *load_programs(int array, int hash, struct put_vars **vars)
{
	struct bpf_object *obj = bpf_object__open(beside("sock_updates.bpf.o"));
	int bss;

	if (!obj)
		return NULL;
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "socks"), array) ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "hash"), hash) ||
	    bpf_object__load(obj)) {
		bpf_object__close(obj);
		return NULL;
	}
	bss = bpf_map__fd(bpf_object__find_map_by_name(obj, ".bss"));
	*vars = mmap(NULL, sizeof(**vars), PROT_READ | PROT_WRITE, MAP_SHARED, bss, 0);
	if (*vars == MAP_FAILED) {
		bpf_object__close(obj);
		return NULL;
	}
	return obj;
}

static int program(struct bpf_object *obj, const char *name, bool is_hash)
{
	char full[32];

	snprintf(full, sizeof(full), "%s_%s", name, is_hash ? "hash" : "socks");
	return bpf_program__fd(bpf_object__find_program_by_name(obj, full));
}

/* Before 6.4, operations return an int; its upper half is zeroes. */
static int result(const struct put_vars *vars, int i)
{
	return (int)vars->result[i];
}

#define CGROUP "/sys/fs/cgroup/sock_map_updates"

/* The programs run for sockets of this process alone. */
static int cgroup_enter(void)
{
	if (access("/sys/fs/cgroup/cgroup.procs", F_OK) &&
	    !sh("mount -t cgroup2 none /sys/fs/cgroup"))
		return -errno;
	if ((mkdir(CGROUP, 0755) && errno != EEXIST) || !write_str(CGROUP "/cgroup.procs", "0"))
		return -errno;
	return open(CGROUP, O_RDONLY);
}

static bool cgroup_leave(int fd)
{
	close(fd);
	return write_str("/sys/fs/cgroup/cgroup.procs", "0") && !rmdir(CGROUP);
}

static bool op_updates(int op)
{
	return op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	       op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_TCP_LISTEN_CB;
}

/*
 * The program has updated the map in each of these callbacks, and in others of
 * the same kind.
 */
static const int ops_seen[] = {
	BPF_SOCK_OPS_TIMEOUT_INIT, BPF_SOCK_OPS_RWND_INIT, BPF_SOCK_OPS_TCP_CONNECT_CB,
	BPF_SOCK_OPS_NEEDS_ECN, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_TCP_LISTEN_CB,
	BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
};

/*
 * Have all callbacks given their errno? @err is that of the three callbacks in
 * which a program may update the map.
 */
static bool ops_gave(const struct put_vars *vars, int err)
{
	bool same = true;
	unsigned int i;
	int want;

	for (i = 0; i < ARRAY_SIZE(ops_seen); i++) {
		if (result(vars, ops_seen[i]) != UNSEEN)
			continue;
		printf("# no callback %d\n", ops_seen[i]);
		same = false;
	}
	for (i = 0; i < OPS; i++) {
		want = op_updates(i) ? err : -EOPNOTSUPP;
		if (result(vars, i) == UNSEEN || (result(vars, i) == want && !vars->unlike[i]))
			continue;
		printf("# callback %u: %d, not %d; %u others\n", i, result(vars, i), want,
		       vars->unlike[i]);
		same = false;
	}
	return same;
}

/* Sockets that were closed may still have callbacks: waits for their end. */
static bool ops_tallied(int map, const struct put_vars *vars, const struct tally *allowed)
{
	struct tally tally;
	int i, op;

	for (i = 0; i < 20000; i++) {
		tally = *allowed;
		for (op = 0; op < OPS; op++)
			if (!op_updates(op))
				tally_add(&tally, -EOPNOTSUPP, vars->calls[op]);
		if (tallied(map, &tally))
			return true;
		usleep(1000);
	}
	return tally_check(map, &tally);
}

static void ops_begin(struct put_vars *vars, __u32 key, __u64 flags)
{
	int i;

	vars->key = key;
	vars->flags = flags;
	for (i = 0; i < OPS; i++)
		vars->result[i] = UNSEEN;
}

static const struct {
	__u32 key;	/* that of a socket: this and the number of the callback */
	__u64 flags;
	int array;
	int hash;
} callbacks[] = {
	{ 0, BPF_ANY, 0, 0 },
	{ 0, BPF_NOEXIST, 0, 0 },
	{ 0, BPF_EXIST, -ENOENT, -ENOENT },
	{ 0, BPF_EXIST + 1, -EINVAL, -EINVAL },
	{ ENTRIES, BPF_ANY, -E2BIG, 0 },
};

/* A program may update the map in three callbacks, and in no other. */
TEST_F(updates, callbacks)
{
	int cgroup, link, client, server, accepted, err;
	struct tally tally = {};
	struct bpf_object *obj;
	struct put_vars *vars;
	unsigned int i;
	__u32 key;

	obj = load_programs(self->array, self->hash, &vars);
	ASSERT_NE(NULL, obj);
	cgroup = cgroup_enter();
	ASSERT_LE(0, cgroup);
	link = bpf_link_create(program(obj, "ops", self->is_hash), cgroup, BPF_CGROUP_SOCK_OPS,
			       NULL);
	ASSERT_LE(0, link);
	for (i = 0; i < ARRAY_SIZE(callbacks); i++) {
		key = callbacks[i].key;
		err = self->is_hash ? callbacks[i].hash : callbacks[i].array;
		ops_begin(vars, key, callbacks[i].flags);
		server = sock_server(AF_INET, SOCK_STREAM);
		ASSERT_LE(0, server);
		client = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_EQ(0, sock_connect(client, server));
		accepted = accept(server, NULL, NULL);
		ASSERT_LE(0, accepted);
		EXPECT_TRUE(ops_gave(vars, err)) {
			TH_LOG("row %u", i);
		}
		EXPECT_EQ(!err, sock_is_at(self->map, key + BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB,
					   client));
		EXPECT_EQ(!err, sock_is_at(self->map, key + BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
					   accepted));
		EXPECT_EQ(!err, sock_is_at(self->map, key + BPF_SOCK_OPS_TCP_LISTEN_CB, server));
		tally_add(&tally, err, 3);
		close(client);
		close(accepted);
		close(server);
	}
	close(link);
	EXPECT_TRUE(ops_tallied(self->map, vars, &tally));
	EXPECT_TRUE(cgroup_leave(cgroup));
	munmap(vars, sizeof(*vars));
	bpf_object__close(obj);
}

/* A program of type sock_ops sees subflows of MPTCP, which no map takes. */
TEST_F(updates, subflows)
{
	int cgroup, link, fd, other;
	struct tally tally = {};
	struct bpf_object *obj;
	struct put_vars *vars;
	__u64 cookie;
	__u32 key;

	fd = mptcp_closed(NULL);
	if (protocol_lacks(fd))
		SKIP(return, "this kernel has no MPTCP");
	close(fd);
	obj = load_programs(self->array, self->hash, &vars);
	ASSERT_NE(NULL, obj);
	cgroup = cgroup_enter();
	ASSERT_LE(0, cgroup);
	link = bpf_link_create(program(obj, "ops", self->is_hash), cgroup, BPF_CGROUP_SOCK_OPS,
			       NULL);
	ASSERT_LE(0, link);
	ops_begin(vars, 0, BPF_ANY);
	fd = mptcp(&other);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(ops_gave(vars, -EOPNOTSUPP));
	for (key = 0; key < ENTRIES; key++)
		EXPECT_EQ(-ENOENT, sock_get(self->map, key, &cookie));
	close(fd);
	close(other);
	close(link);
	tally_add(&tally, -EOPNOTSUPP, vars->calls[BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB]);
	tally_add(&tally, -EOPNOTSUPP, vars->calls[BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB]);
	tally_add(&tally, -EOPNOTSUPP, vars->calls[BPF_SOCK_OPS_TCP_LISTEN_CB]);
	EXPECT_TRUE(ops_tallied(self->map, vars, &tally));
	EXPECT_TRUE(cgroup_leave(cgroup));
	munmap(vars, sizeof(*vars));
	bpf_object__close(obj);
}

/* The sockets that programs look up. */
enum found { TCP, TCP6, LISTENER, UDP, HALF_CLOSED, TIME_WAIT, GROUPED, MPTCP, NOTHING, FOUND };

/* Waits until a closed socket is in TIME_WAIT. */
static bool waits(const struct bpf_sock_tuple *tuple)
{
	unsigned int here, there, state;
	char line[256];
	int i, found = 0;
	FILE *f;

	for (i = 0; i < 20000 && !found; i++) {
		f = fopen("/proc/net/tcp", "r");
		while (f && !found && fgets(line, sizeof(line), f))
			found = sscanf(line, " %*d: %*x:%x %*x:%x %x", &here, &there,
				       &state) == 3 &&
				here == ntohs(tuple->ipv4.dport) &&
				there == ntohs(tuple->ipv4.sport) && state == TCP_TIME_WAIT;
		if (f)
			fclose(f);
		if (!found)
			usleep(1000);
	}
	return found;
}

/* Key 0 has another socket. */
static const struct {
	enum found found;
	enum look look;
	__u32 key;
	__u64 flags;
	int array;
	int hash;
} lookups[] = {
	{ TCP, LOOK_TCP, 1, BPF_ANY, 0, 0 },
	{ TCP, LOOK_ANY_TCP, 1, BPF_ANY, 0, 0 },
	{ TCP, LOOK_TCP, 1, BPF_NOEXIST, 0, 0 },
	{ TCP, LOOK_TCP, 1, BPF_EXIST, -ENOENT, -ENOENT },
	{ TCP, LOOK_TCP, 0, BPF_ANY, 0, 0 },
	{ TCP, LOOK_TCP, 0, BPF_NOEXIST, -EEXIST, -EEXIST },
	{ TCP, LOOK_TCP, 0, BPF_EXIST, 0, 0 },
	{ TCP, LOOK_TCP, 1, BPF_EXIST + 1, -EINVAL, -EINVAL },
	{ TCP, LOOK_TCP, ENTRIES, BPF_ANY, -E2BIG, 0 },
	{ TCP6, LOOK_TCP6, 1, BPF_ANY, 0, 0 },
	{ LISTENER, LOOK_TCP, 1, BPF_ANY, 0, 0 },
	{ UDP, LOOK_UDP, 1, BPF_ANY, 0, 0 },
	{ HALF_CLOSED, LOOK_TCP, 1, BPF_ANY, -EOPNOTSUPP, -EOPNOTSUPP },
	{ TIME_WAIT, LOOK_TCP, 1, BPF_ANY, UNSEEN, UNSEEN },
	{ TIME_WAIT, LOOK_ANY_TCP, 1, BPF_ANY, -EINVAL, -EINVAL },
	{ GROUPED, LOOK_TCP, 1, BPF_ANY, -EBUSY, -EBUSY },
	{ MPTCP, LOOK_TCP, 1, BPF_ANY, -EOPNOTSUPP, -EOPNOTSUPP },
	{ NOTHING, LOOK_TCP, 1, BPF_ANY, UNSEEN, UNSEEN },
};

/* Looks the socket up once, and inserts it: the result of that, or UNSEEN. */
static int run(struct bpf_object *obj, const char *name, bool is_hash, struct put_vars *vars)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	vars->result[0] = UNSEEN;
	if (bpf_prog_test_run_opts(program(obj, name, is_hash), &opts))
		return -ENODATA;
	return result(vars, 0);
}

TEST_F(updates, by_packets)
{
	static const char *const names[] = { "tc", "action", "xdp" };
	int fds[FOUND], others[FOUND], resident, peer, err;
	struct bpf_sock_tuple tuples[FOUND];
	struct tally tally = {};
	struct bpf_object *obj;
	struct put_vars *vars;
	unsigned int i, n;

	obj = load_programs(self->array, self->hash, &vars);
	ASSERT_NE(NULL, obj);
	memset(others, -1, sizeof(others));
	resident = tcp(&peer);
	fds[TCP] = tcp(&others[TCP]);
	fds[TCP6] = tcp6(&others[TCP6]);
	fds[LISTENER] = tcp_listener(NULL);
	fds[UDP] = udp_bound(NULL);
	fds[HALF_CLOSED] = tcp_peer_half_closed(&others[HALF_CLOSED]);
	fds[TIME_WAIT] = tcp_half_closed(&others[TIME_WAIT]);
	fds[GROUPED] = tcp_grouped(NULL);
	fds[MPTCP] = mptcp(&others[MPTCP]);
	fds[NOTHING] = tcp_bound(NULL);
	for (i = 0; i < FOUND; i++) {
		if (i == MPTCP && protocol_lacks(fds[i])) {
			TH_LOG("# this kernel has no MPTCP");
			continue;
		}
		ASSERT_LE(0, fds[i]) {
			TH_LOG("socket %u", i);
		}
		sock_tuple(fds[i], &tuples[i]);
	}
	ASSERT_EQ(0, sock_put(self->group, 0, fds[GROUPED], BPF_ANY));
	close(fds[TIME_WAIT]);
	close(others[TIME_WAIT]);
	ASSERT_TRUE(waits(&tuples[TIME_WAIT]));

	for (n = 0; n < ARRAY_SIZE(names); n++) {
		for (i = 0; i < ARRAY_SIZE(lookups); i++) {
			if (fds[lookups[i].found] < 0)
				continue;
			ASSERT_EQ(0, sock_put(self->map, 0, resident, BPF_ANY));
			tally_add(&tally, 0, 1);
			vars->key = lookups[i].key;
			vars->flags = lookups[i].flags;
			vars->look = lookups[i].look;
			vars->tuple = tuples[lookups[i].found];
			err = run(obj, names[n], self->is_hash, vars);
			EXPECT_EQ(self->is_hash ? lookups[i].hash : lookups[i].array, err) {
				TH_LOG("%s, row %u", names[n], i);
			}
			if (err != UNSEEN)
				tally_add(&tally, self->is_hash ? lookups[i].hash :
								  lookups[i].array, 1);
			if (err) {
				EXPECT_TRUE(sock_is_at(self->map, 0, resident));
				continue;
			}
			EXPECT_TRUE(sock_is_at(self->map, lookups[i].key, fds[lookups[i].found]));
			EXPECT_EQ(0, sock_del(self->map, lookups[i].key));
		}
	}
	EXPECT_TRUE(tally_check(self->map, &tally));
	fds[TIME_WAIT] = -1;
	others[TIME_WAIT] = -1;
	for (i = 0; i < FOUND; i++) {
		close(fds[i]);
		close(others[i]);
	}
	close(resident);
	close(peer);
	munmap(vars, sizeof(*vars));
	bpf_object__close(obj);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
