// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks that wait for a locked socket inside of an operation of a map: they
 * keep the map, and so the module, also if nothing else does, and if they are
 * killed. The result is that of an operation that has not waited.
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "sockcase.h"
#include "sockpage.h"

FIXTURE(locked) {
	struct sock_case c;
	struct sender sender;	/* keeps source[0] locked */
	pthread_t thread;
};

FIXTURE_VARIANT(locked) {
	struct kind kind;
};

SOCK_KINDS(locked);

FIXTURE_SETUP(locked)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
	self->sender.sock = self->c.source[0];
	ASSERT_TRUE(page_make(&self->sender.page));
}

FIXTURE_TEARDOWN(locked)
{
	close(self->sender.page.fd);
	munmap(self->sender.page.at, self->sender.page.size);
	EXPECT_TRUE(case_end(&self->c));
}

/* The number of tasks that wait for the lock of a socket. */
static int waiting(void)
{
	FILE *f = popen("cat /proc/[0-9]*/task/[0-9]*/stack 2>&- | grep -c '__lock_sock'", "r");
	int n = -1;

	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

static bool waiting_become(int n)
{
	int i;

	for (i = 0; i < 1200; i++) {
		if (waiting() == n)
			return true;
		usleep(50000);
	}
	return false;
}

static bool lock(FIXTURE_DATA(locked) *self)
{
	return !pthread_create(&self->thread, NULL, send_page, &self->sender) &&
	       page_is_awaited(&self->sender.page) && waiting_become(0);
}

/* The sender ends, and all of its bytes arrive at the peer. */
static bool unlock(FIXTURE_DATA(locked) *self)
{
	char bytes[100];

	return page_give(&self->sender.page) && !pthread_join(self->thread, NULL) &&
	       self->sender.sent == sizeof(bytes) &&
	       recv(self->c.source[1], bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes);
}

/* Closes the last descriptors of the maps, and tries to remove the module. */
static bool is_kept(FIXTURE_DATA(locked) *self)
{
	sock_unload(&self->c.obj, &self->c.maps);
	if (!self->c.claimed)
		return module_refs_become(base_refs);
	/* The other maps are freed at some time; this one is not. */
	if (!module_refs_become(base_refs + 1))
		return false;
	return syscall(SYS_delete_module, "redirmap", O_NONBLOCK) == -1 && errno == EWOULDBLOCK;
}

struct update {
	int map, fd, err;
};

static void *update(void *arg)
{
	struct update *update = arg;

	update->err = sock_put(update->map, SOURCE, update->fd, BPF_NOEXIST);
	return NULL;
}

TEST_F(locked, update)
{
	struct update running = { .map = self->c.map, .fd = self->c.source[0], .err = 1 };
	pthread_t thread;

	ASSERT_TRUE(lock(self));
	ASSERT_EQ(0, pthread_create(&thread, NULL, update, &running));
	EXPECT_TRUE(waiting_become(1));
	EXPECT_TRUE(is_kept(self));
	EXPECT_EQ(1, waiting());
	EXPECT_TRUE(unlock(self));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, running.err);
	EXPECT_EQ(0, waiting());
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* A stock map has no batches, so its task is killed in a single update. */
static void update_two(const struct sock_case *c)
{
	__u64 socks[2] = { c->source[0], c->target[0] };
	__u32 keys[2] = { SOURCE, TARGET }, n = 2;

	if (c->claimed)
		bpf_map_update_batch(c->map, keys, socks, &n, NULL);
	else
		sock_put(c->map, SOURCE, c->source[0], BPF_ANY);
}

/* The socket that the task waits for is inserted, and no other one. */
TEST_F(locked, update_is_killed)
{
	int status = 0;
	pid_t child;

	ASSERT_TRUE(lock(self));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		update_two(&self->c);
		pause();
		_exit(1);
	}
	EXPECT_TRUE(waiting_become(1));
	kill(child, SIGKILL);
	EXPECT_EQ(1, waiting());
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
	EXPECT_EQ(-ENOENT, sock_get(self->c.map, SOURCE, &(__u64){ 0 }));
	EXPECT_TRUE(unlock(self));
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_TRUE(sock_is_at(self->c.map, SOURCE, self->c.source[0]));
	EXPECT_EQ(-ENOENT, sock_get(self->c.map, TARGET, &(__u64){ 0 }));
}

/* The work item that frees a map takes each socket's lock. */
TEST_F(locked, free)
{
	ASSERT_EQ(0, sock_put(self->c.map, SOURCE, self->c.source[0], BPF_NOEXIST));
	ASSERT_TRUE(lock(self));
	EXPECT_TRUE(is_kept(self));
	EXPECT_TRUE(waiting_become(1));
	EXPECT_TRUE(unlock(self));
	EXPECT_TRUE(module_refs_become(base_refs));
	/* The socket goes on as a plain one. */
	EXPECT_EQ(1, send(self->c.source[0], "a", 1, 0));
	EXPECT_EQ(1, recv(self->c.source[1], &(char){ 0 }, 1, 0));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
