// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that the life of sockets in socket maps had upstream, on stock and
 * claimed maps: sockets that are closed while their key is replaced, their map
 * is freed, or an iterator walks over them; callbacks of a socket's protocol
 * that are swapped twice. Documentation/map_sockmap.rst lists the faults and
 * their tests.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "sockcase.h"

FIXTURE(life) {
	struct sock_case c;
};

FIXTURE_VARIANT(life) {
	struct kind kind;
};

SOCK_KINDS(life);

FIXTURE_SETUP(life)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(life)
{
	EXPECT_TRUE(case_end(&self->c));
}

/* For a program that lets everything pass. */
static const struct sock_vars passes = { .key = NOBODY, .always = 1 + SK_PASS };

/* Do both ends of a connection deliver? */
static bool delivers(const int fds[2])
{
	return send_text(fds[0], "there") && gets(fds[1], "there") &&
	       send_text(fds[1], "back") && gets(fds[0], "back");
}

/* Inserts a socket whose psock is being freed, which refuses the insert. */
static void put_patiently(int map, __u32 key, int fd)
{
	int i;

	for (i = 0; i < 20000 && sock_put(map, key, fd, BPF_ANY) == -EBUSY; i++)
		usleep(1000);
}

/* --- a socket is closed while its key is replaced ------------------------- */

/*
 * Upstream removed the new socket together with the old one, or kept a socket
 * that was closed.
 */
TEST_F(life, replaced_and_closed)
{
	struct sock_case *c = &self->c;
	int fds[2];
	__u64 cookie;

	ASSERT_EQ(0, tcp_pair(AF_INET, fds));
	/* First replaced, then closed. */
	ASSERT_EQ(0, sock_put(c->map, 0, c->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->map, 1, c->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_put(c->map, 0, c->target[0], BPF_EXIST));
	case_close(&c->source[0]);
	EXPECT_TRUE(sock_is_at(c->map, 0, c->target[0]));
	EXPECT_EQ(-ENOENT, sock_get(c->map, 1, &cookie));
	/* First closed, then replaced. */
	case_close(&c->target[0]);
	EXPECT_EQ(-ENOENT, sock_put(c->map, 0, fds[0], BPF_EXIST));
	EXPECT_EQ(0, sock_put(c->map, 0, fds[0], BPF_NOEXIST));
	EXPECT_TRUE(sock_is_at(c->map, 0, fds[0]));
	close_pair(fds);
}

struct replacer {
	int map, fd;
	atomic_bool stop;
	__u64 done;
	int err;
};

static void *replace(void *arg)
{
	struct replacer *replacer = arg;

	int err;

	/* The socket's psock is being freed while EBUSY is returned. */
	while (!replacer->stop && !replacer->err) {
		err = sock_put(replacer->map, 0, replacer->fd, BPF_ANY);
		if (!err)
			replacer->done++;
		else if (err != -EBUSY)
			replacer->err = err;
	}
	return NULL;
}

/* Both at once. */
TEST_F(life, replaced_while_closing)
{
	struct sock_case *c = &self->c;
	struct replacer replacer = { .map = c->map, .fd = c->target[0] };
	int fds[2], i, rounds = longer(300, 5000);
	struct sock_counts counts = {};
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, replace, &replacer));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, i % 2 ? tcp_pair(AF_INET, fds) : unix_pair(fds));
		EXPECT_EQ(0, sock_put(c->map, 0, fds[0], BPF_ANY));
		close_pair(fds);
	}
	replacer.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, replacer.err);
	EXPECT_LT(0, replacer.done);
	put_patiently(c->map, 0, c->target[0]);
	EXPECT_TRUE(sock_is_at(c->map, 0, c->target[0]));
	EXPECT_TRUE(delivers(c->target));
	if (c->claimed) {
		EXPECT_EQ(0, sock_counts(sock_map_id(c->map), &counts));
		EXPECT_EQ(rounds + replacer.done + 1, counts.inserts);
		EXPECT_EQ(1, counts.present);
	}
}

/* --- a map is freed while sockets are in it ------------------------------- */

/*
 * Sockets outlive their map. Upstream had no reference to them while it freed
 * the map, and used sockets that were closed at that moment.
 */
TEST_F(life, map_freed)
{
	struct sock_case *c = &self->c;
	int refs = module_refs(), pairs[3][2], map, i;

	ASSERT_EQ(0, tcp_pair(AF_INET6, pairs[0]));
	ASSERT_EQ(0, unix_pair(pairs[1]));
	ASSERT_EQ(0, udp_pair(AF_INET, pairs[2]));
	map = sock_map(c->claimed, variant->kind.type, 8, SOCK_ENTRIES);
	ASSERT_LE(0, map);
	for (i = 0; i < 6; i++)
		ASSERT_EQ(0, sock_put(map, i, pairs[i / 2][i % 2], BPF_ANY));
	case_close(&map);
	EXPECT_TRUE(module_refs_become(refs));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(delivers(pairs[i]));
		put_patiently(c->map, i, pairs[i][0]);
		EXPECT_TRUE(sock_is_at(c->map, i, pairs[i][0]));
		EXPECT_TRUE(delivers(pairs[i]));
		close_pair(pairs[i]);
	}
}

/* A map with sockets in it, or -errno. */
static int full_map(bool claimed, enum bpf_map_type type, int pairs[SOCK_ENTRIES][2])
{
	int map = sock_map(claimed, type, 8, SOCK_ENTRIES), err = 0, i;

	for (i = 0; i < SOCK_ENTRIES && map >= 0 && !err; i++) {
		err = i % 4 ? unix_pair(pairs[i]) : tcp_pair(AF_INET, pairs[i]);
		err = err ?: sock_put(map, i, pairs[i][0], BPF_ANY);
	}
	return err ?: map;
}

/* Microseconds from the close of a claimed map until it has been freed. */
static unsigned int time_to_free(enum bpf_map_type type)
{
	int refs = module_refs(), pairs[SOCK_ENTRIES][2], i;
	double begin;

	close(full_map(true, type, pairs));
	begin = now();
	module_refs_become(refs);
	begin = now() - begin;
	for (i = 0; i < SOCK_ENTRIES; i++)
		close_pair(pairs[i]);
	return begin * 1e6 + 1;
}

/*
 * The kernel empties a map some grace periods after its close. So in each round
 * the sockets are closed from another moment on, one after the other.
 */
TEST_F(life, map_freed_while_closing)
{
	int pairs[SOCK_ENTRIES][2], refs = module_refs(), round, map, i, left, between = 0;
	unsigned int time = time_to_free(variant->kind.type);
	struct sock_case *c = &self->c;
	__u64 dice = 1;

	for (round = 0; round < longer(100, 2000) || (c->claimed && !between && round < 2000);
	     round++) {
		map = full_map(c->claimed, variant->kind.type, pairs);
		ASSERT_LE(0, map);
		close(map);
		usleep(rnd(&dice) % time);
		left = 0;
		for (i = 0; i < SOCK_ENTRIES; i++) {
			left += module_refs() > refs;
			close_pair(pairs[i]);
			usleep(time / 64);
		}
		/* The map has gone between the first and the last close. */
		between += left && left < SOCK_ENTRIES;
		ASSERT_TRUE(module_refs_become(refs));
	}
	TH_LOG("closed in %u us; in %d of %d rounds while sockets were closed", time, between,
	       round);
	if (c->claimed)
		EXPECT_LT(0, between);
}

/* --- callbacks of the protocol -------------------------------------------- */

/*
 * A socket is in several maps, with programs of both kinds, and is closed.
 * Upstream took the replaced close(), destroy() or unhash() for the original
 * one, and called it from itself, until the stack was full.
 */
TEST_F(life, several_maps)
{
	struct sock_case *c = &self->c;
	int maps[] = { c->maps.array, c->maps.hash, c->maps.from }, i, key;
	struct sock_counts counts = {};
	__u64 cookie;
	char byte;

	ASSERT_EQ(0, case_attach(c, "msg", BPF_SK_MSG_VERDICT));
	ASSERT_EQ(0, case_attach(c, "skb", BPF_SK_SKB_STREAM_VERDICT));
	ASSERT_TRUE(sock_set(c->obj, passes));
	ASSERT_EQ(0, sock_put(c->map, 0, c->source[0], BPF_ANY));
	for (i = 0; i < (int)ARRAY_SIZE(maps); i++)
		for (key = 1; maps[i] != c->map && key < 3; key++)
			ASSERT_EQ(0, sock_put(maps[i], key, c->source[0], BPF_ANY));
	EXPECT_TRUE(delivers(c->source));
	EXPECT_EQ(2, sock_vars(c->obj).calls);
	EXPECT_TRUE(case_counted(c, (struct sock_counts){ .refused = 2 }));
	case_close(&c->source[0]);
	EXPECT_EQ(0, recv(c->source[1], &byte, 1, 0));
	for (i = 0; i < (int)ARRAY_SIZE(maps); i++) {
		for (key = 0; key < 3; key++)
			EXPECT_EQ(-ENOENT, sock_get(maps[i], key, &cookie));
		if (c->claimed) {
			EXPECT_EQ(0, sock_counts(sock_map_id(maps[i]), &counts));
			EXPECT_EQ(0, counts.present);
		}
	}
}

/* The child of a listening socket has none of the parent's callbacks. */
TEST_F(life, listener)
{
	struct sock_case *c = &self->c;
	int listener = sock_server(AF_INET6, SOCK_STREAM), fds[2], round;
	__u64 cookie;
	char byte;

	ASSERT_LE(0, listener);
	ASSERT_EQ(0, case_attach(c, "msg", BPF_SK_MSG_VERDICT));
	ASSERT_TRUE(sock_set(c->obj, passes));
	ASSERT_EQ(0, sock_put(c->map, 0, listener, BPF_ANY));
	ASSERT_EQ(0, sock_put(c->plain, 0, listener, BPF_ANY));
	for (round = 0; round < 4; round++) {
		fds[0] = sock_limit(socket(AF_INET6, SOCK_STREAM, 0));
		ASSERT_EQ(0, sock_connect(fds[0], listener));
		/* The listener leaves the maps while a child waits. */
		if (round == 2) {
			ASSERT_EQ(0, sock_del(c->map, 0));
			ASSERT_EQ(0, sock_del(c->plain, 0));
		}
		fds[1] = sock_limit(accept(listener, NULL, NULL));
		ASSERT_LE(0, fds[1]);
		EXPECT_TRUE(delivers(fds));
		EXPECT_EQ(0, sock_vars(c->obj).calls);
		if (round & 1) {
			ASSERT_EQ(0, sock_put(c->map, 1, fds[1], BPF_ANY));
			EXPECT_TRUE(delivers(fds));
			EXPECT_EQ(1, sock_vars(c->obj).calls);
			ASSERT_TRUE(sock_set(c->obj, passes));
		}
		close(fds[1]);
		EXPECT_EQ(0, recv(fds[0], &byte, 1, 0));
		EXPECT_EQ(-ENOENT, sock_get(c->map, 1, &cookie));
		EXPECT_EQ(round < 2, sock_is_at(c->map, 0, listener));
		close(fds[0]);
	}
	ASSERT_EQ(0, sock_put(c->map, 0, listener, BPF_ANY));
	close(listener);
	EXPECT_EQ(-ENOENT, sock_get(c->map, 0, &cookie));
}

/* A socket that disconnects stays in the map, and connects again. */
TEST_F(life, disconnected)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sock_case *c = &self->c;
	int listener = sock_server(AF_INET, SOCK_STREAM), child;
	__u64 cookie;
	char byte;

	ASSERT_LE(0, listener);
	ASSERT_EQ(0, sock_put(c->map, 0, c->source[0], BPF_ANY));
	ASSERT_EQ(0, connect(c->source[0], &none, sizeof(none)));
	EXPECT_TRUE(sock_is_at(c->map, 0, c->source[0]));
	EXPECT_EQ(-EOPNOTSUPP, sock_put(c->map, 1, c->source[0], BPF_ANY));
	ASSERT_EQ(0, sock_connect(c->source[0], listener));
	child = sock_limit(accept(listener, NULL, NULL));
	EXPECT_TRUE(delivers((int[]){ c->source[0], child }));
	EXPECT_EQ(0, sock_put(c->map, 1, c->source[0], BPF_ANY));
	case_close(&c->source[0]);
	EXPECT_EQ(0, recv(child, &byte, 1, 0));
	EXPECT_EQ(-ENOENT, sock_get(c->map, 0, &cookie));
	EXPECT_EQ(-ENOENT, sock_get(c->map, 1, &cookie));
	close(child);
	close(listener);
}

/* --- iterators ------------------------------------------------------------ */

/* As in sock_iterate.bpf.c. */
struct iterate_vars {
	__u32 deletes, inserts;
	__u64 seen, states, done, failed;
};

struct iterator {
	struct bpf_object *obj;
	struct bpf_link *link;
	int vars;
};

/* An iterator over the map of the case, or over Unix sockets. */
static bool iterator_make(struct iterator *it, struct sock_case *c, const char *name,
			  struct iterate_vars vars)
{
	union bpf_iter_link_info info = { .map.map_fd = c->map };
	struct bpf_program *prog;
	__u32 zero = 0;

	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	it->link = NULL;
	it->obj = bpf_object__open(beside("sock_iterate.bpf.o"));
	if (!it->obj ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(it->obj, "walked"), c->map) ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(it->obj, "copies"), c->plain) ||
	    bpf_object__load(it->obj))
		return false;
	it->vars = bpf_map__fd(bpf_object__find_map_by_name(it->obj, ".bss"));
	prog = bpf_object__find_program_by_name(it->obj, name);
	it->link = bpf_program__attach_iter(prog, strcmp(name, "walk") ? NULL : &opts);
	return it->link && !bpf_map_update_elem(it->vars, &zero, &vars, 0);
}

static void iterator_free(struct iterator *it)
{
	bpf_link__destroy(it->link);
	bpf_object__close(it->obj);
}

/* Walks to the end; 0 or -errno. */
static int iterate(const struct iterator *it)
{
	int fd = bpf_iter_create(bpf_link__fd(it->link)), err;
	char buffer[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, buffer, sizeof(buffer));
	while (n > 0 || (n < 0 && errno == EAGAIN));
	err = n ? -errno : 0;
	close(fd);
	return err;
}

static struct iterate_vars iterated(const struct iterator *it)
{
	struct iterate_vars vars = {};
	__u32 zero = 0;

	bpf_map_lookup_elem(it->vars, &zero, &vars);
	return vars;
}

/* An iterator inserts each socket of a map into another one, and deletes it. */
TEST_F(life, iterator_moves)
{
	struct sock_case *c = &self->c;
	struct sock_counts counts = {};
	struct iterate_vars vars;
	struct iterator it;
	int pairs[3][2], i;
	__u64 cookie;

	ASSERT_EQ(0, unix_pair(pairs[0]));
	ASSERT_EQ(0, unix_pair(pairs[1]));
	ASSERT_EQ(0, tcp_pair(AF_INET, pairs[2]));
	for (i = 0; i < 6; i++)
		ASSERT_EQ(0, sock_put(c->map, i, pairs[i / 2][i % 2], BPF_ANY));
	ASSERT_TRUE(iterator_make(&it, c, "walk",
				  (struct iterate_vars){ .deletes = 1, .inserts = 1 }));
	EXPECT_EQ(0, iterate(&it));
	vars = iterated(&it);
	EXPECT_EQ(6, vars.seen);
	EXPECT_EQ(1 << TCP_ESTABLISHED, vars.states);
	EXPECT_EQ(12, vars.done);
	EXPECT_EQ(0, vars.failed);
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(-ENOENT, sock_get(c->map, i, &cookie));
		EXPECT_TRUE(sock_is_at(c->plain, i, pairs[i / 2][i % 2]));
	}
	if (c->claimed) {
		EXPECT_EQ(0, sock_counts(sock_map_id(c->map), &counts));
		EXPECT_EQ(6, counts.inserts);
		EXPECT_EQ(6, counts.deletes);
		EXPECT_EQ(0, sock_counts(sock_map_id(c->plain), &counts));
		EXPECT_EQ(6, counts.present);
	}
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(delivers(pairs[i]));
		close_pair(pairs[i]);
		EXPECT_EQ(-ENOENT, sock_get(c->plain, 2 * i, &cookie));
	}
	iterator_free(&it);
}

struct churn {
	struct sock_case *c;
	atomic_bool stop;
	/* Sockets are not closed meanwhile; NULL if they may be. */
	pthread_mutex_t *closing;
	bool inserts;
	__u64 done;
	int err;
};

/* Connects Unix sockets, inserts them, and closes them. */
static void *churn(void *arg)
{
	struct churn *churn = arg;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[2];

	/* The kernel chooses a name. */
	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 8))
		churn->err = -errno;
	for (; !churn->stop && !churn->err; churn->done++) {
		fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		churn->err = sock_connect(fds[0], listener);
		fds[1] = accept(listener, NULL, NULL);
		if (churn->inserts && !churn->err)
			churn->err = sock_put(churn->c->map, churn->done % SOCK_ENTRIES,
					      fds[churn->done & 1], BPF_ANY);
		if (churn->closing)
			pthread_mutex_lock(churn->closing);
		close_pair(fds);
		if (churn->closing)
			pthread_mutex_unlock(churn->closing);
	}
	close(listener);
	return NULL;
}

/*
 * An iterator reads and deletes Unix sockets that are closed meanwhile.
 * Upstream, iterators and the changes of socket maps did not agree about the
 * locks of a Unix socket.
 */
TEST_F(life, iterator_while_closing)
{
	struct churn task = { .c = &self->c, .inserts = true };
	int i, rounds = longer(300, 5000);
	struct iterator it;
	pthread_t thread;

	ASSERT_TRUE(iterator_make(&it, &self->c, "walk", (struct iterate_vars){ .deletes = 1 }));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &task));
	for (i = 0; i < rounds || (!iterated(&it).done && !task.err); i++)
		ASSERT_EQ(0, iterate(&it));
	task.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, task.err);
	EXPECT_EQ(0, iterated(&it).states & ~(1 << TCP_ESTABLISHED | 1 << TCP_CLOSE));
	iterator_free(&it);
}

/*
 * An iterator over Unix sockets inserts those that are being connected.
 * Upstream inserted a socket whose state was connected already, but which had
 * no peer yet, and followed the null pointer.
 */
TEST_F(life, iterator_while_connecting)
{
	pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;
	struct churn task = { .c = &self->c, .closing = &closing };
	int i, rounds = longer(300, 5000);
	struct iterator it;
	pthread_t thread;
	__u64 cookie;

	if (!kernel_mended(175, 91))
		SKIP(return, "this kernel may crash: it is mended in 6.1.175 and 6.12.91");
	ASSERT_TRUE(iterator_make(&it, &self->c, "unix_sockets", (struct iterate_vars){}));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &task));
	for (i = 0; i < rounds || (!iterated(&it).done && !task.err); i++) {
		pthread_mutex_lock(&closing);
		EXPECT_EQ(0, iterate(&it));
		pthread_mutex_unlock(&closing);
	}
	task.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, task.err);
	EXPECT_LT(0, iterated(&it).done);
	/* All of them were closed. */
	for (i = 0; i < SOCK_ENTRIES; i++)
		EXPECT_EQ(-ENOENT, sock_get(self->c.plain, i, &cookie));
	iterator_free(&it);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
