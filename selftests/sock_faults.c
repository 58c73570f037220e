// SPDX-License-Identifier: GPL-2.0-only
/*
 * No memory, once for each allocation of an operation on a socket map: the
 * first allocation fails, then the second one, and so on until none is left.
 * Each time the operation either fails with ENOMEM and changes nothing, or
 * succeeds. After a failure the socket runs no program, passes its bytes, and
 * can be inserted. That holds for sockets that are in no other map, and for
 * maps without programs: see "A socket keeps the programs of a map after a
 * failed insert" in Documentation/known_from_stock.rst. A claimed map counts
 * each update that has failed.
 *
 * An insert fails at the kernel's copies of key and value, at the link, at the
 * psock and, in a hash, at the entry: nothing can replace these allocations.
 * The first two belong to bpf(2), which does not call the map then, so a
 * claimed map does not count them. The creation of a map goes on without two
 * allocations: tables come from vmalloc() then, and a claimed map without a
 * record is neither listed nor counted.
 *
 * Needs a kernel with fault injection: see Documentation/testing.rst.
 */
#include "faultlib.h"
#include "socklib.h"
#include "sockcount.h"

/* Keys of the operations, of a socket that stays, and of no socket. */
#define KEY 3
#define STAYS 1
#define NOBODY 7

/* The copies of key and value. */
#define COPIES 2

enum programs { NONE, MSG, SKB, PARSER };

static int tcp4_pair(int fds[2])
{
	return tcp_pair(AF_INET, fds);
}

static int tcp6_pair(int fds[2])
{
	return tcp_pair(AF_INET6, fds);
}

static int udp4_pair(int fds[2])
{
	return udp_pair(AF_INET, fds);
}

/* Sockets, and the programs of the map that they are inserted into. */
static const struct row {
	const char *name;
	int (*make)(int fds[2]);
	enum programs programs;
} rows[] = {
	{ "TCP", tcp4_pair, NONE },
	{ "TCP, sk_msg", tcp6_pair, MSG },
	{ "TCP, sk_skb", tcp4_pair, SKB },
	{ "TCP, sk_skb and parser", tcp6_pair, PARSER },
	{ "UDP", udp4_pair, NONE },
	{ "UDP, sk_skb", udp4_pair, SKB },
	{ "Unix", unix_pair, NONE },
	{ "Unix, sk_skb", unix_pair, SKB },
};

FIXTURE(faults) {
	struct sock_maps maps;
	struct bpf_object *obj;
	int map;	/* that of the variant */
	int second;	/* another one of this type, without programs */
	__u32 id;	/* of the map that is counted; 0 for none */
	bool is_hash;
	int pair[2];	/* the socket of the operation, and its peer */
	int former[2];	/* the socket that is replaced, and its peer */
	int stays[2];	/* the socket that stays in the map, and its peer */
};

FIXTURE_VARIANT(faults) {
	struct kind kind;
};

SOCK_KINDS(faults);

FIXTURE_SETUP(faults)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	self->is_hash = variant->kind.type == BPF_MAP_TYPE_SOCKHASH;
	self->obj = sock_load_new(&self->maps, variant->kind.claimed);
	ASSERT_NE(NULL, self->obj);
	self->map = self->is_hash ? self->maps.hash : self->maps.array;
	self->second = sock_map(variant->kind.claimed, variant->kind.type, 8, SOCK_ENTRIES);
	ASSERT_LE(0, self->second);
	self->id = variant->kind.claimed ? sock_map_id(self->map) : 0;
	ASSERT_EQ(0, tcp_pair(AF_INET, self->stays));
	ASSERT_EQ(0, sock_put(self->map, STAYS, self->stays[0], BPF_ANY));
}

/* A psock that is left keeps the program, and so the maps and the module. */
FIXTURE_TEARDOWN(faults)
{
	close(self->second);
	sock_unload(&self->obj, &self->maps);
	EXPECT_TRUE(module_refs_become(base_refs));
	close_pair(self->stays);
}

static bool passes(int from, int to)
{
	char byte;

	return send(from, "x", 1, 0) == 1 && recv(to, &byte, 1, 0) == 1 && byte == 'x';
}

/*
 * Bytes pass in both directions, and programs see so many of them: a program
 * lets all pass.
 */
static bool passes_with(FIXTURE_DATA(faults) *self, __u64 calls)
{
	return sock_set(self->obj, (struct sock_vars){ .key = NOBODY, .always = 1 + SK_PASS }) &&
	       passes(self->pair[0], self->pair[1]) && passes(self->pair[1], self->pair[0]) &&
	       sock_vars(self->obj).calls == calls;
}

/* No descriptor of the socket is left: the peer notices that it is closed. */
static bool closes(int pair[2])
{
	char byte;
	bool gone;

	close(pair[0]);
	errno = 0;
	/* A datagram socket learns it by a packet that nobody takes. */
	send(pair[1], "x", 1, MSG_NOSIGNAL);
	gone = recv(pair[1], &byte, 1, 0) <= 0 && errno != EAGAIN;
	close(pair[1]);
	return gone;
}

static int attach_one(FIXTURE_DATA(faults) *self, int prog, enum bpf_attach_type type, bool on)
{
	return on ? bpf_prog_attach(prog, self->map, type, 0) :
		    bpf_prog_detach2(prog, self->map, type);
}

/* Attaches the programs of a row, or detaches them. */
static int attach(FIXTURE_DATA(faults) *self, enum programs programs, bool on)
{
	int msg = sock_prog(self->obj, "msg", self->is_hash);
	int skb = sock_prog(self->obj, "skb", self->is_hash);
	int parser = bpf_program__fd(bpf_object__find_program_by_name(self->obj, "parser"));

	switch (programs) {
	case MSG:
		return attach_one(self, msg, BPF_SK_MSG_VERDICT, on);
	case SKB:
		return attach_one(self, skb, BPF_SK_SKB_VERDICT, on);
	case PARSER:
		return attach_one(self, parser, BPF_SK_SKB_STREAM_PARSER, on) ?:
		       attach_one(self, skb, BPF_SK_SKB_STREAM_VERDICT, on);
	default:
		return 0;
	}
}

/* An operation that inserts a socket. */
struct insert {
	__u64 flags;
	bool replaces;	/* a socket of the map */
	bool second;	/* the socket is in a map already */
};

/* The state before and after each attempt, but for the socket of a success. */
static bool prepare(FIXTURE_DATA(faults) *self, const struct insert *insert)
{
	if (insert->second)
		return !sock_put(self->map, KEY, self->pair[0], BPF_NOEXIST);
	return !insert->replaces || !sock_put(self->map, KEY, self->former[0], BPF_ANY);
}

/* Nothing has changed: in the maps, and at the socket. */
static void is_as_before(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			 const struct insert *insert, int to, enum programs programs)
{
	__u64 cookie;

	EXPECT_TRUE(sock_is_at(self->map, STAYS, self->stays[0]));
	if (insert->replaces) {
		EXPECT_TRUE(sock_is_at(to, KEY, self->former[0]));
	} else {
		EXPECT_EQ(-ENOENT, sock_get(to, KEY, &cookie));
	}
	EXPECT_TRUE(passes_with(self, insert->second && programs));
}

/* Returns the number of failures that are not counted, because bpf(2) fails. */
static int insert_with(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
		       const struct insert *insert, enum programs programs,
		       struct faults *faults)
{
	int to = insert->second ? self->second : self->map, err, uncounted = 0, nomem;
	__u32 id = self->id && insert->second ? sock_map_id(to) : self->id;
	struct sock_counts counts = {};

	while (faults_next(faults)) {
		EXPECT_TRUE(prepare(self, insert));
		EXPECT_TRUE(sock_counts_begin(id, &counts));
		faults_begin(faults);
		err = sock_put(to, KEY, self->pair[0], insert->flags);
		faults_end(faults, err);
		if (err) {
			EXPECT_TRUE(faults->hit);
			EXPECT_EQ(-ENOMEM, err);
			/* The first failures are those of bpf(2). */
			nomem = !sock_counted(id, &counts, 0, 0, 0);
			uncounted += !nomem;
			EXPECT_EQ(id && faults->failures > uncounted, nomem);
			EXPECT_TRUE(sock_counted(id, &counts, 0, 0, nomem));
			is_as_before(_metadata, self, insert, to, programs);
			/* The next one succeeds. */
			EXPECT_EQ(0, sock_put(to, KEY, self->pair[0], insert->flags));
			EXPECT_TRUE(sock_counted(id, &counts, 1, 0, nomem));
		} else {
			EXPECT_TRUE(sock_counted(id, &counts, 1, 0, 0));
		}
		EXPECT_TRUE(sock_is_at(to, KEY, self->pair[0]));
		EXPECT_TRUE(sock_is_at(self->map, STAYS, self->stays[0]));
		EXPECT_TRUE(passes_with(self, !!programs));
		EXPECT_EQ(0, sock_del(to, KEY));
		if (insert->second) {
			EXPECT_TRUE(passes_with(self, !!programs));
			EXPECT_EQ(0, sock_del(self->map, KEY));
		}
		EXPECT_TRUE(passes_with(self, 0));
	}
	return uncounted;
}

/*
 * A page for a slab is an allocation as well, and there is not one in each
 * attempt. So the numbers of the others may differ between attempts, and one of
 * them may never fail. The attempts are then made again.
 */
static void insert_each(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
			const struct insert *insert, enum programs programs)
{
	/* The link, a psock if there is none, the entry of a hash. */
	int least = 2 - insert->second + self->is_hash, uncounted, round = 0;
	struct faults faults;

	do {
		faults = (struct faults){};
		uncounted = insert_with(_metadata, self, insert, programs, &faults);
	} while ((faults.failures < least + COPIES ||
		  (self->id && (uncounted < COPIES || faults.failures - uncounted < least))) &&
		 ++round < FAULTS_ROUNDS);
	EXPECT_FAULTS(&faults, least + COPIES);
	if (self->id) {
		EXPECT_LE(COPIES, uncounted);
		EXPECT_LE(least, faults.failures - uncounted);
	}
}

static void insert_all(struct __test_metadata *_metadata, FIXTURE_DATA(faults) *self,
		       const struct insert *insert)
{
	const struct row *row;

	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		TH_LOG("%s", row->name);
		ASSERT_EQ(0, row->make(self->pair));
		ASSERT_EQ(0, row->make(self->former));
		ASSERT_EQ(0, attach(self, row->programs, true));
		insert_each(_metadata, self, insert, row->programs);
		ASSERT_EQ(0, attach(self, row->programs, false));
		EXPECT_TRUE(closes(self->pair));
		close_pair(self->former);
	}
}

TEST_F(faults, insert)
{
	insert_all(_metadata, self, &(struct insert){ .flags = BPF_ANY });
}

TEST_F(faults, insert_new)
{
	insert_all(_metadata, self, &(struct insert){ .flags = BPF_NOEXIST });
}

TEST_F(faults, replace)
{
	insert_all(_metadata, self, &(struct insert){ .flags = BPF_EXIST, .replaces = true });
}

TEST_F(faults, second_map)
{
	insert_all(_metadata, self, &(struct insert){ .flags = BPF_ANY, .second = true });
}

TEST_F(faults, delete)
{
	struct sock_counts counts = {};
	struct faults faults = {};
	__u64 cookie;
	int err;

	ASSERT_EQ(0, tcp_pair(AF_INET, self->pair));
	ASSERT_EQ(0, attach(self, PARSER, true));
	ASSERT_EQ(0, sock_put(self->map, KEY, self->pair[0], BPF_ANY));
	while (faults_next(&faults)) {
		ASSERT_TRUE(sock_counts_begin(self->id, &counts));
		faults_begin(&faults);
		err = sock_del(self->map, KEY);
		faults_end(&faults, err);
		if (err) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(-ENOMEM, err);
			EXPECT_TRUE(sock_counted(self->id, &counts, 0, 0, 0));
			EXPECT_TRUE(sock_is_at(self->map, KEY, self->pair[0]));
			EXPECT_TRUE(passes_with(self, 1));
			continue;
		}
		EXPECT_TRUE(sock_counted(self->id, &counts, 0, 1, 0));
		EXPECT_EQ(-ENOENT, sock_get(self->map, KEY, &cookie));
		EXPECT_TRUE(passes_with(self, 0));
		ASSERT_EQ(0, sock_put(self->map, KEY, self->pair[0], BPF_NOEXIST));
	}
	EXPECT_TRUE(sock_is_at(self->map, STAYS, self->stays[0]));
	/* The copy of the key. */
	EXPECT_FAULTS(&faults, 1);
	ASSERT_EQ(0, sock_del(self->map, KEY));
	EXPECT_TRUE(closes(self->pair));
}

TEST_F(faults, lookup)
{
	struct sock_counts counts = {};
	struct faults faults = {};
	__u64 cookie;
	int err;

	ASSERT_TRUE(sock_counts_begin(self->id, &counts));
	while (faults_next(&faults)) {
		cookie = 0;
		faults_begin(&faults);
		err = sock_get(self->map, STAYS, &cookie);
		faults_end(&faults, err);
		EXPECT_EQ(err ? -ENOMEM : 0, err);
		EXPECT_EQ(err ? 0 : sock_cookie(self->stays[0]), cookie);
	}
	/* Copies of key and value. */
	EXPECT_FAULTS(&faults, 2);
	EXPECT_TRUE(sock_counted(self->id, &counts, 0, 0, 0));
}

/* All keys from the first one on; their number or -errno. */
static int walk(int map)
{
	__u32 key, *prev = NULL, n = 0;

	while (n <= SOCK_ENTRIES && !bpf_map_get_next_key(map, prev, &key)) {
		prev = &key;
		n++;
	}
	return errno == ENOENT ? (int)n : -errno;
}

TEST_F(faults, walk)
{
	struct faults faults = {};
	int n;

	while (faults_next(&faults)) {
		faults_begin(&faults);
		n = walk(self->map);
		faults_end(&faults, n < 0);
		EXPECT_EQ(n < 0 ? -ENOMEM : self->is_hash ? 1 : SOCK_ENTRIES, n);
		EXPECT_TRUE(n > 0 || faults.hit);
	}
	/* Two calls at least, with copies of the next key. */
	EXPECT_FAULTS(&faults, 2);
}

TEST_F(faults, create)
{
	int map, unlisted = 0, refs = module_refs();
	struct sock_counts counts = {};
	struct faults faults = {};

	ASSERT_EQ(0, tcp_pair(AF_INET, self->pair));
	while (faults_next(&faults)) {
		faults_begin(&faults);
		map = sock_map(variant->kind.claimed, variant->kind.type, 8, SOCK_ENTRIES);
		faults_end(&faults, map < 0);
		if (map < 0) {
			EXPECT_TRUE(faults.hit);
			EXPECT_EQ(-ENOMEM, map);
			EXPECT_TRUE(module_refs_become(refs));
			continue;
		}
		EXPECT_EQ(refs + variant->kind.claimed, module_refs());
		EXPECT_EQ(variant->kind.claimed, is_claimed(map));
		EXPECT_EQ(0, sock_put(map, KEY, self->pair[0], BPF_ANY));
		EXPECT_TRUE(sock_is_at(map, KEY, self->pair[0]));
		if (variant->kind.claimed && sock_counts(sock_map_id(map), &counts)) {
			/* There was no memory for the record. */
			EXPECT_TRUE(faults.hit);
			unlisted++;
		} else if (variant->kind.claimed) {
			EXPECT_EQ(1, counts.inserts);
			EXPECT_EQ(1, counts.present);
		}
		close(map);
		EXPECT_TRUE(module_refs_become(refs));
	}
	EXPECT_FAULTS(&faults, 1);
	if (variant->kind.claimed)
		TH_LOG("%d maps are not listed", unlisted);
	EXPECT_TRUE(passes_with(self, 0));
	EXPECT_TRUE(closes(self->pair));
}

int main(int argc, char **argv)
{
	return sock_setup() ?: can_fail() ?: test_harness_run(argc, argv);
}
