// SPDX-License-Identifier: GPL-2.0-only
/*
 * Early data: bytes that a socket has received before it is inserted. With the
 * parameter "early", the insert into a claimed map runs the verdict program on
 * them. A stock map, and a claimed map that the parameter does not select,
 * leaves them in the receive queue until more bytes arrive, or the user reads.
 */
#include <poll.h>
#include <pthread.h>

#include "genlib.h"
#include "holdlib.h"
#include "sockearly.h"
#include "sockpage.h"

#define EARLY MODULE_DIR "/parameters/early"

/*
 * The peer sends 5 bytes and then nothing: the program sees them before the
 * update returns, or not before the peer sends more.
 */
static void redirect(struct __test_metadata *_metadata, FIXTURE_DATA(early) *self)
{
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	if (self->runs) {
		EXPECT_TRUE(gets(self->target[0], "abcde"));
	}
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->target[0], self->runs ? "fghi" : "abcdefghi"));
}

TEST_F(early, redirected)
{
	redirect(_metadata, self);
}

TEST_F(early, default_is_none)
{
	ASSERT_TRUE(set_policy("early", ""));
	self->runs = false;
	redirect(_metadata, self);
}

TEST_F(early, other_names)
{
	ASSERT_TRUE(set_policy("early", "rm_soc,rm_socks,rm_bell,[!r]m_sock"));
	self->runs = false;
	redirect(_metadata, self);
}

/* Bytes that the program passes stay in front of those that follow. */
TEST_F(early, passed)
{
	ASSERT_TRUE(attach(self, TO_READER));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->source[1], "abcdefghi"));
	ASSERT_TRUE(send_text(self->source[0], "jk"));
	EXPECT_TRUE(gets(self->source[1], "jk"));
}

/* A program attached with BPF_SK_SKB_VERDICT is started in another branch. */
TEST_F(early, skb_verdict)
{
	int prog = sock_prog(self->obj, "skb", self->is_hash);

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_EQ(0, bpf_prog_attach(prog, self->map, BPF_SK_SKB_VERDICT, 0));
	ASSERT_TRUE(sock_set(self->obj, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	if (!self->runs) {
		ASSERT_TRUE(send_text(self->source[0], "fghi"));
	}
	EXPECT_TRUE(gets(self->target[0], self->runs ? "abcde" : "abcdefghi"));
}

/* A replaced socket does not matter, only the new one. */
TEST_F(early, replaced)
{
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->target[1], BPF_ANY));
	redirect(_metadata, self);
}

/*
 * The program is attached too late. A delete and another insert give it to the
 * socket; an update of the same key does not, because the kernel stops the
 * program when it removes the former entry.
 */
TEST_F(early, inserted_again)
{
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_EXIST));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_NOEXIST));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->target[0], "abcdefghi"));
}

/* An insert that fails does nothing. */
TEST_F(early, refused)
{
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->target[1], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	EXPECT_EQ(-EEXIST, sock_put(self->map, SOURCE, self->source[1], BPF_NOEXIST));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(self->source[1], "abcde"));
}

/*
 * The target is inserted after the source: the program has no target for the
 * early bytes, so they are lost. If all sockets are inserted first, and then
 * the sources into a second map that the parameter selects, no byte is lost.
 */
TEST_F(early, pair_at_once)
{
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	EXPECT_EQ(0, sock_vars(self->obj).passed);
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->target[0], self->runs ? "fghi" : "abcdefghi"));
}

TEST_F(early, pair_first)
{
	ASSERT_TRUE(set_policy("early", "rm_bell"));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_EQ(0, sock_put(self->bell, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	EXPECT_EQ(self->runs, sock_vars(self->obj).passed);
	if (self->runs) {
		EXPECT_TRUE(gets(self->target[0], "abcde"));
	}
	/* Nothing is there for another insert. */
	ASSERT_EQ(0, sock_put(self->bell, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->target[0], self->runs ? "fghi" : "abcdefghi"));
}

/*
 * A reader has 3 of the 8 bytes of the first packet. The kernel would hand the
 * whole packet to the program, so the insert leaves the rest in the queue: the
 * reader gets it when the socket leaves the map, each byte once.
 */
TEST_F(early, partly_read)
{
	char buffer[4] = "";

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcdefgh"));
	ASSERT_EQ(3, recv(self->source[1], buffer, 3, 0));
	EXPECT_STREQ("abc", buffer);
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_EQ(0, sock_del(self->map, SOURCE));
	EXPECT_TRUE(gets(self->source[1], "defgh"));
	ASSERT_TRUE(send_text(self->source[0], "ijk"));
	EXPECT_TRUE(gets(self->source[1], "ijk"));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
}

/*
 * A problem of the kernel: when more bytes arrive, the program gets the bytes
 * that the reader has.
 */
TEST_F(early, partly_read_twice)
{
	char buffer[4] = "";

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcdefgh"));
	ASSERT_EQ(3, recv(self->source[1], buffer, 3, 0));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	ASSERT_TRUE(send_text(self->source[0], "ijk"));
	EXPECT_TRUE(gets(self->target[0], "abcdefghijk"));
}

/* A reader that has looked at bytes, without taking them. */
TEST_F(early, peeked)
{
	char buffer[4] = "";

	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abcdefgh"));
	ASSERT_EQ(3, recv(self->source[1], buffer, 3, MSG_PEEK));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	/* The kernel also runs the program when the user reads. */
	EXPECT_EQ(-1, recv(self->source[1], buffer, 3, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(1, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(self->target[0], "abcdefgh"));
}

/* With a parser, the program runs soon after the update. */
TEST_F(early, parsed)
{
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(attach_parser(self, "parser"));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->map, SOURCE, self->source[1], BPF_ANY));
	if (self->runs) {
		EXPECT_TRUE(gets(self->target[0], "abcde"));
	}
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->target[0], self->runs ? "fghi" : "abcdefghi"));
}

/* Only claimed maps have batches. */
TEST_F(early, batch)
{
	__u32 keys[2] = { SOURCE, 3 }, count = 2;
	__u64 values[2];
	int second[2];

	if (!variant->kind.claimed)
		return;
	ASSERT_EQ(0, tcp_pair(AF_INET6, second));
	ASSERT_EQ(0, sock_put(self->map, TARGET, self->target[0], BPF_ANY));
	ASSERT_TRUE(attach(self, TO_TARGET));
	ASSERT_TRUE(send_early(self->source, "abc"));
	ASSERT_TRUE(send_early(second, "de"));
	values[0] = self->source[1];
	values[1] = second[1];
	ASSERT_EQ(0, bpf_map_update_batch(self->map, keys, values, &count, NULL));
	EXPECT_EQ(2, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(self->target[0], "abcde"));
	close_pair(second);
}

/*
 * A program inserts a socket that it holds: the verdict program runs from a
 * work item, once. The source is also the target of its redirects, because the
 * insert and the redirects have the same key.
 */
TEST_F(early, program)
{
	ASSERT_EQ(0, sock_put(self->maps.from, 0, self->source[1], BPF_ANY));
	ASSERT_TRUE(attach(self, (struct sock_vars){}));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_run(self->obj, "update", self->is_hash, SOURCE, BPF_NOEXIST));
	if (self->runs) {
		EXPECT_TRUE(sock_calls_become(self->obj, 1));
		EXPECT_TRUE(gets(self->source[1], "abcde"));
	}
	ASSERT_TRUE(send_text(self->source[0], "fghi"));
	EXPECT_TRUE(gets(self->source[1], self->runs ? "fghi" : "abcdefghi"));
	EXPECT_LE(1 + self->runs, sock_vars(self->obj).calls);
}

/*
 * A sock_ops program inserts a socket before it can have received a byte. The
 * kernel hands bytes to the program only if the socket has been accepted, so
 * bytes that come before stay in the queue, in stock and claimed maps alike. An
 * insert into a second map runs the program on them, or the user's recv().
 */
TEST_F(early, not_accepted)
{
	int cgroup, link, client, server, accepted[2] = { -1, -1 }, i, n;
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	struct sock_vars vars = { .key = 0, .flags = BPF_F_INGRESS };

	if (access("/sys/fs/cgroup/cgroup.procs", F_OK)) {
		ASSERT_TRUE(sh("mount -t cgroup2 none /sys/fs/cgroup"));
	}
	cgroup = open("/sys/fs/cgroup", O_RDONLY);
	ASSERT_LE(0, cgroup);
	/* Ends with the process. */
	link = bpf_link_create(sock_prog(self->obj, "ops", self->is_hash), cgroup,
			       BPF_CGROUP_SOCK_OPS, NULL);
	ASSERT_LE(0, link);
	server = sock_server(AF_INET, SOCK_STREAM);
	ASSERT_LE(0, server);
	ASSERT_EQ(0, getsockname(server, (struct sockaddr *)&at, &len));
	vars.port = ntohs(at.sin_port);
	vars.result = -ENODATA;
	/* The helper gets BPF_NOEXIST, which is also BPF_F_INGRESS. */
	ASSERT_TRUE(attach(self, vars));
	client = sock_limit(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_EQ(0, sock_connect(client, server));
	ASSERT_TRUE(send_text(client, "abcde"));
	/* Acknowledged bytes are in the queue of the other end. */
	for (i = 0, n = 1; i < 20000 && n; i++) {
		ASSERT_EQ(0, ioctl(client, SIOCOUTQ, &n));
		if (n)
			usleep(1000);
	}
	ASSERT_EQ(0, n);
	accepted[0] = client;
	accepted[1] = sock_limit(accept(server, NULL, NULL));
	ASSERT_LE(0, accepted[1]);
	EXPECT_EQ(0, sock_vars(self->obj).result);
	EXPECT_TRUE(sock_is_at(self->map, 0, accepted[1]));

	EXPECT_EQ(0, sock_vars(self->obj).calls);
	ASSERT_TRUE(set_policy("early", "rm_bell"));
	ASSERT_EQ(0, sock_put(self->bell, 0, accepted[1], BPF_ANY));
	EXPECT_EQ(self->runs, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(accepted[1], "abcde"));

	close(link);
	close(cgroup);
	close(server);
	close_pair(accepted);
}

/* Sockets that are not connected, or not of TCP, are inserted as usual. */
TEST_F(early, other_sockets)
{
	int udp[2], local[2], listener, client;
	char buffer[8];

	ASSERT_EQ(0, udp_pair(AF_INET, udp));
	ASSERT_EQ(0, unix_pair(local));
	listener = sock_server(AF_INET, SOCK_STREAM);
	client = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, sock_connect(client, listener));
	ASSERT_TRUE(send_early(udp, "u"));
	ASSERT_TRUE(send_early(local, "l"));
	ASSERT_EQ(0, bpf_prog_attach(sock_prog(self->obj, "skb", self->is_hash), self->map,
				     BPF_SK_SKB_VERDICT, 0));
	ASSERT_TRUE(sock_set(self->obj, TO_READER));
	ASSERT_EQ(0, sock_put(self->map, 1, udp[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 2, local[1], BPF_ANY));
	ASSERT_EQ(0, sock_put(self->map, 3, listener, BPF_ANY));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	EXPECT_EQ(1, recv(udp[1], buffer, sizeof(buffer), 0));
	EXPECT_EQ(1, recv(local[1], buffer, sizeof(buffer), 0));
	close_pair(udp);
	close_pair(local);
	close(listener);
	close(client);
}

/* --- the parameter -------------------------------------------------------- */

TEST(values)
{
	static const char *const bad[] = {
		"rm_,,x", ",", "rm_[", "rm_\\", "rm a", "rm_-",
		"0123456789012345678901234567890123456789012345678901234567890123",
	};
	char line[512], longest[300];
	unsigned int i;
	int fd;

	memset(longest, 'a', sizeof(longest));
	for (i = 9; i < sizeof(longest); i += 10)
		longest[i] = ',';
	longest[256] = '\0';
	ASSERT_TRUE(set_policy("early", "rm_a,rm_b*"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_FALSE(set_policy("early", bad[i])) {
			TH_LOG("%s", bad[i]);
		}
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_FALSE(set_policy("early", longest));
	EXPECT_EQ(EINVAL, errno);
	fd = open(EARLY, O_RDONLY);
	memset(line, 0, sizeof(line));
	EXPECT_LT(0, read(fd, line, sizeof(line) - 1));
	EXPECT_STREQ("rm_a,rm_b*\n", line);
	close(fd);
	EXPECT_TRUE(set_policy("early", ""));
}

/* --- a socket that stays locked ------------------------------------------- */

/*
 * A task keeps the socket locked, so the work item waits. There is one item
 * for two inserts. It keeps the module, and it runs no program if the socket
 * has left the maps meanwhile.
 */
TEST_F(early, waits)
{
	struct sender sender = { .sock = self->source[1] };
	int maps[2] = { self->maps.array, self->maps.hash };
	pthread_t thread;
	int refs, i;

	ASSERT_TRUE(page_make(&sender.page));
	ASSERT_EQ(0, sock_put(self->maps.from, 0, self->source[1], BPF_ANY));
	ASSERT_TRUE(attach(self, (struct sock_vars){}));
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_page, &sender));
	ASSERT_TRUE(page_is_awaited(&sender.page));

	refs = module_refs();
	/* The map with the program first. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, sock_run(self->obj, "update", i ? !self->is_hash : self->is_hash,
				      SOURCE, BPF_NOEXIST));
		EXPECT_EQ(refs + self->runs, module_refs());
	}
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	/* Deletes do not lock the socket; freeing a map does. */
	ASSERT_EQ(0, sock_del(self->maps.from, 0));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, sock_del(maps[i], SOURCE));
	EXPECT_EQ(refs + self->runs, module_refs());

	ASSERT_TRUE(page_give(&sender.page));
	pthread_join(thread, NULL);
	EXPECT_EQ(100, sender.sent);
	EXPECT_TRUE(module_refs_become(refs));
	EXPECT_EQ(0, sock_vars(self->obj).calls);
	EXPECT_TRUE(gets(self->source[1], "abcde"));
	close(sender.page.fd);
	munmap(sender.page.at, sender.page.size);
}

#define MANY 40

/*
 * Many sockets are locked, by tasks that wait for the same page. Their items
 * occupy no kworkers, so the data of another socket are processed; and once the
 * page is there, all items end.
 */
TEST_F(early, many_wait)
{
	int fds[MANY][2], refs, i;
	struct sender senders[MANY] = {};
	pthread_t threads[MANY];
	struct page page;

	if (!self->runs)
		SKIP(return, "stock maps have no work items");
	refs = module_refs();
	ASSERT_TRUE(page_make(&page));
	ASSERT_TRUE(attach(self, (struct sock_vars){}));
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(0, tcp_pair(AF_INET, fds[i]));
		ASSERT_TRUE(send_early(fds[i], "abcde"));
		senders[i] = (struct sender){ .sock = fds[i][1], .page = page };
		/* Takes the lock of the socket, so it comes first. */
		ASSERT_EQ(0, sock_put(self->maps.from, 0, fds[i][1], BPF_ANY));
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, send_page, &senders[i]));
		ASSERT_TRUE(page_is_awaited(&page));
		/* No other event until the next task waits. */
		ASSERT_LT(0, read(page.fd, &(struct uffd_msg){}, sizeof(struct uffd_msg)));
		ASSERT_EQ(0, sock_run(self->obj, "update", self->is_hash, SOURCE, BPF_ANY));
	}
	EXPECT_EQ(refs + MANY, module_refs());
	ASSERT_TRUE(send_early(self->source, "abcde"));
	ASSERT_EQ(0, sock_put(self->maps.from, 0, self->source[1], BPF_ANY));
	ASSERT_EQ(0, sock_run(self->obj, "update", self->is_hash, SOURCE, BPF_ANY));
	for (i = 0; i < 2000 && !sock_vars(self->obj).calls; i++)
		usleep(10000);
	EXPECT_EQ(1, sock_vars(self->obj).calls);
	ASSERT_TRUE(page_give(&page));
	for (i = 0; i < MANY; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(100, senders[i].sent);
		close_pair(fds[i]);
	}
	EXPECT_TRUE(module_refs_become(refs));
	close(page.fd);
	munmap(page.at, page.size);
}

struct update {
	int map, fd, err;
};

static void *update(void *arg)
{
	struct update *update = arg;

	update->err = sock_put(update->map, SOURCE, update->fd, BPF_ANY);
	return NULL;
}

/*
 * An update has changed the map, but is not counted yet: a dump of the map is
 * marked.
 */
TEST_F(early, update_is_running)
{
	struct update running = { .map = self->map, .fd = self->source[1] };
	__u32 id = sock_map_id(self->map);
	pthread_t updates;
	int netlink;

	if (!variant->kind.claimed)
		SKIP(return, "stock maps have no such dump");
	netlink = genl_open();
	ASSERT_LE(0, netlink);
	ASSERT_TRUE(load_holdup("func=rmap_sock_early_run"));
	ASSERT_TRUE(write_str(HOLDUP "hold", "1"));
	ASSERT_EQ(0, pthread_create(&updates, NULL, update, &running));
	ASSERT_TRUE(becomes(HOLDUP "held", 1));
	EXPECT_EQ(-EAGAIN, genl_sock_dump(netlink, id));

	ASSERT_TRUE(write_str(HOLDUP "hold", "0"));
	pthread_join(updates, NULL);
	EXPECT_EQ(0, running.err);
	EXPECT_EQ(1, genl_sock_dump(netlink, id));
	close(netlink);
	EXPECT_TRUE(sh("rmmod holdup"));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
