// SPDX-License-Identifier: GPL-2.0-only
/*
 * Redirects between sockets: to each family and direction the same verdicts,
 * errnos and bytes with stock and claimed maps.
 */
#include "socklib.h"
#include "sockstream.h"

FIXTURE(redirect) {
	struct sock_maps maps;
	int map;	/* that of the variant */
	bool is_hash;
	struct bpf_object *obj;
};

FIXTURE_VARIANT(redirect) {
	struct kind kind;
};

SOCK_KINDS(redirect);

FIXTURE_SETUP(redirect)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->obj = sock_load_new(&self->maps, variant->kind.claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
}

FIXTURE_TEARDOWN(redirect)
{
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs));
}

enum target {
	TCP4, TCP6, UDP4, UNIX, VSOCK, LISTENER, UDP_UNCONNECTED, UNIX_UNCONNECTED, NOBODY, OUTSIDE,
};

static int target_pair(enum target target, int fds[2])
{
	fds[0] = -1;
	fds[1] = -1;
	switch (target) {
	case TCP4:
		return tcp_pair(AF_INET, fds);
	case TCP6:
		return tcp_pair(AF_INET6, fds);
	case UDP4:
		return udp_pair(AF_INET, fds);
	case UNIX:
		return unix_pair(fds);
	case VSOCK:
		return vsock_pair(fds);
	case LISTENER:
		fds[0] = sock_server(AF_INET, SOCK_STREAM);
		return fds[0] < 0 ? fds[0] : 0;
	case UDP_UNCONNECTED:
		fds[0] = sock_server(AF_INET, SOCK_DGRAM);
		return fds[0] < 0 ? fds[0] : 0;
	case UNIX_UNCONNECTED:
		fds[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
		return fds[0] < 0 ? -errno : 0;
	default:
		return 0;
	}
}

/*
 * The verdicts that the test expects. A redirected message arrives at the
 * target, or, with egress, at the target's peer. The sender of a refused
 * message gets EACCES.
 */
static const struct row {
	enum target target;
	__u64 flags;
	bool msg;	/* is accepted from sk_msg */
	bool skb;	/* is accepted from sk_skb */
} rows[] = {
	{ TCP4, BPF_F_INGRESS, true, true },
	{ TCP4, 0, true, true },
	{ TCP6, BPF_F_INGRESS, true, true },
	{ TCP6, 0, true, true },
	{ UDP4, BPF_F_INGRESS, true, true },
	{ UDP4, 0, false, true },
	{ UNIX, BPF_F_INGRESS, true, true },
	{ UNIX, 0, false, true },
	{ VSOCK, BPF_F_INGRESS, false, false },
	{ VSOCK, 0, false, true },
	{ LISTENER, BPF_F_INGRESS, false, false },
	{ UDP_UNCONNECTED, BPF_F_INGRESS, false, false },
	{ UDP_UNCONNECTED, 0, false, false },
	{ UNIX_UNCONNECTED, BPF_F_INGRESS, false, false },
	{ UNIX_UNCONNECTED, 0, false, false },
	{ NOBODY, BPF_F_INGRESS, false, false },
	{ OUTSIDE, BPF_F_INGRESS, false, false },
	{ TCP4, 2, false, false },
	{ TCP4, 1ULL << 40, false, false },
};

#define TEXT "once upon a time"

/*
 * A receive that blocks may return EAGAIN: the kernel wakes a receiver of a
 * unix socket for data that are not there yet.
 */
static bool arrives(int fd)
{
	char text[64] = "";
	ssize_t n = -1;
	int i;

	for (i = 0; i < 20000 && n < 0; i++) {
		n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			usleep(1000);
	}
	return n == sizeof(TEXT) && !strcmp(text, TEXT);
}

/* Uses keys 1 (the source) and 2 (the target). */
#define SOURCE 1
#define TARGET 2

/* Does the map take vsock? Kernels do since 6.4, if they have it. */
static bool takes_vsock(int map)
{
	int fds[2], err;

	if (vsock_pair(fds))
		return false;
	err = sock_put(map, TARGET, fds[0], BPF_ANY);
	close_pair(fds);
	return err != -EOPNOTSUPP;
}

static void run_rows(struct __test_metadata *_metadata, FIXTURE_DATA(redirect) *self, bool msg)
{
	enum bpf_attach_type type = msg ? BPF_SK_MSG_VERDICT : BPF_SK_SKB_STREAM_VERDICT;
	const char *name = msg ? "msg" : "skb";
	int prog = sock_prog(self->obj, name, self->is_hash);
	int source[2], target[2];
	struct sock_vars vars;
	unsigned int i;
	bool passes;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		passes = msg ? rows[i].msg : rows[i].skb;
		if (rows[i].target == VSOCK && !takes_vsock(self->map)) {
			TH_LOG("# no vsock in socket maps of this machine");
			continue;
		}
		/* The source has the program, targets have none. */
		ASSERT_EQ(0, tcp_pair(AF_INET, source));
		ASSERT_EQ(0, bpf_prog_attach(prog, self->map, type, 0));
		ASSERT_EQ(0, sock_put(self->map, SOURCE, source[!msg], BPF_ANY));
		ASSERT_EQ(0, bpf_prog_detach2(prog, self->map, type));
		ASSERT_EQ(0, target_pair(rows[i].target, target));
		if (target[0] >= 0)
			ASSERT_EQ(0, sock_put(self->map, TARGET, target[0], BPF_ANY));
		ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){
			.key = rows[i].target == OUTSIDE ? SOCK_ENTRIES : TARGET,
			.flags = rows[i].flags,
		}));
		if (msg && !passes) {
			EXPECT_EQ(-1, send(source[0], TEXT, sizeof(TEXT), 0));
			EXPECT_EQ(EACCES, errno);
		} else {
			EXPECT_EQ(sizeof(TEXT), send(source[0], TEXT, sizeof(TEXT), 0)) {
				TH_LOG("%s, row %u: %s", name, i, strerror(errno));
			}
		}
		EXPECT_TRUE(sock_calls_become(self->obj, 1)) {
			TH_LOG("%s, row %u: %llu calls", name, i, sock_vars(self->obj).calls);
		}
		vars = sock_vars(self->obj);
		EXPECT_EQ(passes, vars.passed) {
			TH_LOG("%s, row %u", name, i);
		}
		if (passes) {
			EXPECT_TRUE(arrives(target[rows[i].flags != BPF_F_INGRESS])) {
				TH_LOG("%s, row %u: %s", name, i, strerror(errno));
			}
		}
		close_pair(target);
		close_pair(source);
	}
}

TEST_F(redirect, messages)
{
	run_rows(_metadata, self, true);
}

TEST_F(redirect, packets)
{
	run_rows(_metadata, self, false);
}

/*
 * A problem of the kernel: it keeps the verdict SK_DROP, and refuses all later
 * messages of the socket without running the program.
 */
TEST_F(redirect, refused_for_ever)
{
	int source[2], target[2];

	ASSERT_EQ(0, tcp_pair(AF_INET, source));
	ASSERT_EQ(0, tcp_pair(AF_INET, target));
	ASSERT_EQ(0, bpf_prog_attach(sock_prog(self->obj, "msg", self->is_hash), self->map,
				     BPF_SK_MSG_VERDICT, 0));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, source[0], BPF_ANY));
	ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){ .key = TARGET }));
	EXPECT_EQ(-1, send(source[0], TEXT, sizeof(TEXT), 0));
	EXPECT_EQ(EACCES, errno);
	ASSERT_EQ(0, sock_put(self->map, TARGET, target[0], BPF_ANY));
	EXPECT_EQ(-1, send(source[0], TEXT, sizeof(TEXT), 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(1, sock_vars(self->obj).calls);
	close_pair(source);
	close_pair(target);
}

/* --- bytes through a proxy ------------------------------------------------ */

#define PROXY_BYTES (512 * 1024)

/* Every byte once, in order, in both directions at once. */
TEST_F(redirect, proxy)
{
	int client[2], server[2], parser;
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	struct stream streams[2];
	pthread_t threads[4];
	struct sock_vars vars;
	int i, round;
	char byte;

	parser = bpf_program__fd(bpf_object__find_program_by_name(self->obj, "parser"));
	ASSERT_EQ(0, bpf_prog_attach(sock_prog(self->obj, "proxy", self->is_hash), self->map,
				     BPF_SK_SKB_STREAM_VERDICT, 0));
	/* Without a parser, and with one. */
	for (round = 0; round < 2; round++) {
		if (round)
			ASSERT_EQ(0, bpf_prog_attach(parser, self->map, BPF_SK_SKB_STREAM_PARSER,
						     0));
		ASSERT_EQ(0, tcp_pair(AF_INET, client));
		ASSERT_EQ(0, tcp_pair(AF_INET, server));
		ASSERT_EQ(0, getsockname(client[1], (struct sockaddr *)&at, &len));
		ASSERT_TRUE(sock_set(self->obj, (struct sock_vars){ .port = ntohs(at.sin_port) }));
		ASSERT_EQ(0, sock_put(self->map, 0, client[1], BPF_ANY));
		ASSERT_EQ(0, sock_put(self->map, 1, server[0], BPF_ANY));
		for (i = 0; i < 2; i++) {
			streams[i] = (struct stream){
				.from = i ? server[1] : client[0],
				.to = i ? client[0] : server[1],
				.number = i + 1,
				.bytes = fewer(PROXY_BYTES),
			};
			pthread_create(&threads[2 * i], NULL, write_stream, &streams[i]);
			pthread_create(&threads[2 * i + 1], NULL, read_stream, &streams[i]);
		}
		for (i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		for (i = 0; i < 2; i++) {
			EXPECT_EQ(streams[i].bytes, streams[i].got);
			EXPECT_EQ(0, streams[i].wrong);
			EXPECT_EQ(-1, recv(streams[i].to, &byte, 1, MSG_DONTWAIT));
			EXPECT_EQ(EAGAIN, errno);
		}
		vars = sock_vars(self->obj);
		EXPECT_LT(0, vars.calls);
		EXPECT_EQ(vars.calls, vars.passed);
		close_pair(client);
		close_pair(server);
	}
}

int main(int argc, char **argv)
{
	int ret = sock_setup();

	if (ret)
		return ret;
	/* Without it, rows with vsock are left out. */
	sh("modprobe -q vsock_loopback || :");
	return test_harness_run(argc, argv);
}
