// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links of programs to socket maps, which kernels have since 6.12, in all four
 * types of attachment: the sockets whose programs they are, what they exclude,
 * updates, and how long they keep the map. The kernel makes all of it, so the
 * tables hold for stock and claimed maps.
 */
#include "sockprog.h"

/* As in sock_links.bpf.c. */
enum program { MSG, PARSER, STREAM, SKB, PROGRAMS };

static const struct {
	const char *name;
	enum bpf_attach_type type;
} programs[PROGRAMS] = {
	[MSG] = { "msg", BPF_SK_MSG_VERDICT },
	[PARSER] = { "parser", BPF_SK_SKB_STREAM_PARSER },
	[STREAM] = { "stream", BPF_SK_SKB_STREAM_VERDICT },
	[SKB] = { "skb", BPF_SK_SKB_VERDICT },
};

FIXTURE(links) {
	int map;
	int used;
	struct bpf_object *obj;
	int prog[2][PROGRAMS];	/* two of each type */
};

FIXTURE_VARIANT(links) {
	struct kind kind;
};

SOCK_KINDS(links);

static int new_map(const struct kind *kind)
{
	return sock_map(kind->claimed, kind->type, 8, SOCK_ENTRIES);
}

static struct bpf_object *load_programs(void)
{
	struct bpf_object *obj = bpf_object__open(beside("sock_links.bpf.o"));
	static const char *const names[] = { "skb", "other_skb" };
	struct bpf_program *prog;
	unsigned int i;

	if (!obj)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		prog = bpf_object__find_program_by_name(obj, names[i]);
		bpf_program__set_expected_attach_type(prog, BPF_SK_SKB_VERDICT);
	}
	if (!bpf_object__load(obj))
		return obj;
	bpf_object__close(obj);
	return NULL;
}

FIXTURE_SETUP(links)
{
	struct bpf_program *prog;
	char name[32];
	int i, j;

	self->used = sockets_used();
	ASSERT_TRUE(module_refs_become(base_refs));
	self->map = new_map(&variant->kind);
	ASSERT_LE(0, self->map);
	ASSERT_EQ(variant->kind.claimed, is_claimed(self->map));
	self->obj = load_programs();
	ASSERT_NE(NULL, self->obj);
	for (i = 0; i < 2; i++)
		for (j = 0; j < PROGRAMS; j++) {
			snprintf(name, sizeof(name), "%s%s", i ? "other_" : "", programs[j].name);
			prog = bpf_object__find_program_by_name(self->obj, name);
			self->prog[i][j] = bpf_program__fd(prog);
			ASSERT_LE(0, self->prog[i][j]);
		}
}

FIXTURE_TEARDOWN(links)
{
	bpf_object__close(self->obj);
	close(self->map);
	EXPECT_TRUE(sockets_become(self->used));
	EXPECT_TRUE(module_refs_become(base_refs));
}

/* An fd or -errno. */
static int link_new(int prog, int map, enum program p)
{
	int link = bpf_link_create(prog, map, programs[p].type, NULL);

	return link < 0 ? -errno : link;
}

/* Older kernels refuse a link to a map. */
static bool has_links(int prog, int map)
{
	int link = link_new(prog, map, MSG);

	if (link >= 0)
		close(link);
	return link != -EINVAL;
}

#define NO_LINKS "this kernel has no links of socket maps"

/* How often the first or the second program of a type has run. */
static __u32 ran(struct bpf_object *obj, int which, enum program p)
{
	__u32 counts[2 * PROGRAMS] = {}, zero = 0;

	bpf_map_lookup_elem(sock_vars_fd(obj), &zero, counts);
	return counts[which * PROGRAMS + p];
}

/*
 * One message between sockets of the map: programs for messages run where it is
 * sent, the others where it arrives. So both sockets are in the map.
 */
static bool passes(const int pair[2])
{
	return send_text(pair[0], "a message") && gets(pair[1], "a message");
}

/* Both sockets of a new pair go into the map. */
static bool pair_in(int map, __u32 key, int pair[2])
{
	return !tcp_pair(AF_INET, pair) && !sock_put(map, key, pair[0], BPF_ANY) &&
	       !sock_put(map, key + 1, pair[1], BPF_ANY);
}

/* Parsers run only with a verdict program. */
static int partner(int prog, int map, enum program p)
{
	return p == PARSER ? sock_attach(prog, map, BPF_SK_SKB_STREAM_VERDICT) : 0;
}

static int end_partner(int prog, int map, enum program p)
{
	return p == PARSER ? sock_detach(prog, map, BPF_SK_SKB_STREAM_VERDICT) : 0;
}

/* Sockets that go in while the link exists have its program. */
TEST_F(links, run)
{
	int before[2], with[2], after[2], link, p;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	for (p = 0; p < PROGRAMS; p++) {
		EXPECT_EQ(0, sock_query(self->map, programs[p].type));
		ASSERT_TRUE(pair_in(self->map, 0, before));
		ASSERT_EQ(0, partner(self->prog[1][STREAM], self->map, p));
		link = link_new(self->prog[0][p], self->map, p);
		ASSERT_LE(0, link);
		EXPECT_EQ(sock_prog_id(self->prog[0][p]),
			  sock_query(self->map, programs[p].type));
		ASSERT_TRUE(pair_in(self->map, 2, with));
		EXPECT_TRUE(passes(before));
		EXPECT_EQ(0, ran(self->obj, 0, p));
		EXPECT_TRUE(passes(with));
		EXPECT_EQ(1, ran(self->obj, 0, p)) {
			TH_LOG("%s", programs[p].name);
		}
		close(link);
		EXPECT_EQ(0, sock_query(self->map, programs[p].type));
		ASSERT_TRUE(pair_in(self->map, 4, after));
		EXPECT_TRUE(passes(after));
		EXPECT_EQ(1, ran(self->obj, 0, p));
		/* The socket keeps the program. */
		EXPECT_TRUE(passes(with));
		EXPECT_EQ(2, ran(self->obj, 0, p));
		ASSERT_EQ(0, end_partner(self->prog[1][STREAM], self->map, p));
		close_pair(before);
		close_pair(with);
		close_pair(after);
	}
}

/* What is done first, and then; each with the program @which of a type. */
enum how { NONE, ATTACH, DETACH, LINK };

struct act {
	enum how how;
	enum program p;
	int which;
};

static const struct {
	struct act first, then;
	int err;	/* of the second */
} acts[] = {
	{ { LINK, MSG }, { LINK, MSG, 0 }, -EBUSY },
	{ { LINK, MSG }, { LINK, MSG, 1 }, -EBUSY },
	{ { LINK, MSG }, { ATTACH, MSG, 0 }, -EBUSY },
	{ { LINK, MSG }, { ATTACH, MSG, 1 }, -EBUSY },
	{ { LINK, MSG }, { DETACH, MSG, 0 }, -EBUSY },
	{ { LINK, MSG }, { DETACH, MSG, 1 }, -EBUSY },
	{ { LINK, PARSER }, { LINK, PARSER, 1 }, -EBUSY },
	{ { LINK, PARSER }, { ATTACH, PARSER, 1 }, -EBUSY },
	{ { LINK, PARSER }, { DETACH, PARSER, 0 }, -EBUSY },
	{ { LINK, STREAM }, { LINK, STREAM, 1 }, -EBUSY },
	{ { LINK, STREAM }, { ATTACH, STREAM, 1 }, -EBUSY },
	{ { LINK, STREAM }, { DETACH, STREAM, 0 }, -EBUSY },
	{ { LINK, SKB }, { LINK, SKB, 1 }, -EBUSY },
	{ { LINK, SKB }, { ATTACH, SKB, 1 }, -EBUSY },
	{ { LINK, SKB }, { DETACH, SKB, 0 }, -EBUSY },
	/* One verdict program or the other. */
	{ { LINK, STREAM }, { LINK, SKB }, -EBUSY },
	{ { LINK, STREAM }, { ATTACH, SKB }, -EBUSY },
	{ { LINK, STREAM }, { DETACH, SKB }, -EBUSY },
	{ { LINK, SKB }, { LINK, STREAM }, -EBUSY },
	{ { LINK, SKB }, { ATTACH, STREAM }, -EBUSY },
	{ { LINK, SKB }, { DETACH, STREAM }, -EBUSY },
	{ { ATTACH, STREAM }, { LINK, SKB }, -EBUSY },
	{ { ATTACH, SKB }, { LINK, STREAM }, -EBUSY },
	/* Others stand side by side. */
	{ { LINK, MSG }, { LINK, STREAM }, 0 },
	{ { LINK, MSG }, { LINK, SKB }, 0 },
	{ { LINK, PARSER }, { LINK, STREAM }, 0 },
	{ { LINK, PARSER }, { LINK, SKB }, 0 },
	{ { LINK, STREAM }, { ATTACH, PARSER }, 0 },
	{ { LINK, STREAM }, { ATTACH, MSG }, 0 },
	/* A link takes the place of an attached program. */
	{ { ATTACH, MSG }, { LINK, MSG, 0 }, 0 },
	{ { ATTACH, MSG }, { LINK, MSG, 1 }, 0 },
	{ { ATTACH, PARSER }, { LINK, PARSER, 1 }, 0 },
	{ { ATTACH, STREAM }, { LINK, STREAM, 1 }, 0 },
	{ { ATTACH, SKB }, { LINK, SKB, 1 }, 0 },
};

/* A link is left in @link. */
static int do_act(const int progs[2][PROGRAMS], int map, const struct act *act, int *link)
{
	int prog = progs[act->which][act->p];

	switch (act->how) {
	case ATTACH:
		return sock_attach(prog, map, programs[act->p].type);
	case DETACH:
		return sock_detach(prog, map, programs[act->p].type);
	case LINK:
		*link = link_new(prog, map, act->p);
		return *link < 0 ? *link : 0;
	default:
		return 0;
	}
}

TEST_F(links, exclusions)
{
	const struct act *first, *then;
	int links[2], map, left;
	unsigned int i;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	for (i = 0; i < ARRAY_SIZE(acts); i++) {
		first = &acts[i].first;
		then = &acts[i].then;
		map = new_map(&variant->kind);
		ASSERT_LE(0, map);
		links[0] = -1;
		links[1] = -1;
		ASSERT_EQ(0, do_act(self->prog, map, first, &links[0]));
		EXPECT_EQ(acts[i].err, do_act(self->prog, map, then, &links[1])) {
			TH_LOG("row %u", i);
		}
		left = acts[i].err ? 0 : then->which;
		if (first->p == then->p || acts[i].err) {
			EXPECT_EQ(sock_prog_id(self->prog[left][first->p]),
				  sock_query(map, programs[first->p].type));
		} else {
			EXPECT_EQ(sock_prog_id(self->prog[0][then->p]),
				  sock_query(map, programs[then->p].type));
		}
		close(links[0]);
		close(links[1]);
		/* Without its link the program has left the map. */
		if (first->how == LINK)
			EXPECT_EQ(0, sock_query(map, programs[first->p].type));
		if (links[1] >= 0)
			EXPECT_EQ(0, sock_query(map, programs[then->p].type));
		close(map);
	}
}

TEST_F(links, refused)
{
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 8, 8, NULL);
	LIBBPF_OPTS(bpf_link_create_opts, flags, .flags = BPF_F_REPLACE);
	const struct {
		enum program p;
		int target;
		enum bpf_attach_type type;
		const struct bpf_link_create_opts *opts;
		int err;
	} rows[] = {
		{ MSG, self->map, BPF_SK_MSG_VERDICT, &flags, -EINVAL },
		{ MSG, array, BPF_SK_MSG_VERDICT, NULL, -EINVAL },
		{ MSG, self->prog[0][MSG], BPF_SK_MSG_VERDICT, NULL, -EINVAL },
		{ MSG, 1000, BPF_SK_MSG_VERDICT, NULL, -EBADF },
		{ MSG, self->map, BPF_SK_SKB_VERDICT, NULL, -EINVAL },
		{ SKB, self->map, BPF_SK_MSG_VERDICT, NULL, -EINVAL },
		{ SKB, self->map, BPF_SK_LOOKUP, NULL, -EINVAL },
		{ SKB, array, BPF_SK_SKB_VERDICT, NULL, -EINVAL },
	};
	unsigned int i;
	int link;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	ASSERT_LE(0, array);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		link = bpf_link_create(self->prog[0][rows[i].p], rows[i].target, rows[i].type,
				       rows[i].opts);
		EXPECT_EQ(rows[i].err, link < 0 ? -errno : link) {
			TH_LOG("row %u", i);
		}
		EXPECT_EQ(0, sock_query(self->map, BPF_SK_MSG_VERDICT));
		EXPECT_EQ(0, sock_query(self->map, BPF_SK_SKB_VERDICT));
	}
	close(array);
}

/* 0 or -errno. @old is an fd, or 0. */
static int update(int link, int prog, int old, __u32 flags)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = flags, .old_prog_fd = old);

	return bpf_link_update(link, prog, &opts) ? -errno : 0;
}

/* In order: the link has the first program, and later that which is left. */
TEST_F(links, update_errors)
{
	int link, p, wrong, also;
	unsigned int i;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	for (p = 0; p < PROGRAMS; p++) {
		int a = self->prog[0][p], b = self->prog[1][p];
		/* Of another type, and of the same type for another use. */
		int strange = self->prog[0][p == MSG ? SKB : MSG];
		int unlike = self->prog[0][p == PARSER ? STREAM : PARSER];
		const struct {
			int prog, old;
			__u32 flags;
			int err;
			int left;
		} rows[] = {
			{ b, b, BPF_F_REPLACE, -EPERM, a },
			{ b, a, 0, -EINVAL, a },
			{ b, 0, BPF_F_ALLOW_MULTI, -EINVAL, a },
			{ b, 1000, BPF_F_REPLACE, -EBADF, a },
			{ 1000, 0, 0, -EBADF, a },
			{ strange, 0, 0, -EINVAL, a },
			{ unlike, a, BPF_F_REPLACE, -EINVAL, a },
			{ b, a, BPF_F_REPLACE, 0, b },
			{ a, a, BPF_F_REPLACE, -EPERM, b },
			{ a, 0, 0, 0, a },
			{ a, 0, 0, 0, a },
			{ a, a, BPF_F_REPLACE, 0, a },
		};

		link = link_new(a, self->map, p);
		ASSERT_LE(0, link);
		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			EXPECT_EQ(rows[i].err,
				  update(link, rows[i].prog, rows[i].old, rows[i].flags)) {
				TH_LOG("%s, row %u", programs[p].name, i);
			}
			EXPECT_EQ(sock_prog_id(rows[i].left),
				  sock_query(self->map, programs[p].type)) {
				TH_LOG("%s, row %u", programs[p].name, i);
			}
		}
		wrong = bpf_link_detach(link) ? -errno : 0;
		EXPECT_EQ(0, wrong);
		EXPECT_EQ(0, sock_query(self->map, programs[p].type));
		EXPECT_EQ(-ENOLINK, update(link, b, 0, 0));
		EXPECT_EQ(-EPERM, update(link, b, b, BPF_F_REPLACE));
		/* The old link does not end the new one. */
		also = link_new(b, self->map, p);
		EXPECT_LE(0, also);
		EXPECT_EQ(0, bpf_link_detach(link));
		close(link);
		EXPECT_EQ(sock_prog_id(b), sock_query(self->map, programs[p].type));
		close(also);
	}
}

/* Sockets take the program that the link has when they go in. */
TEST_F(links, update_runs)
{
	int first[2], second[2], third[2], link, p;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	for (p = 0; p < PROGRAMS; p++) {
		int a = self->prog[0][p], b = self->prog[1][p];

		ASSERT_EQ(0, partner(self->prog[1][STREAM], self->map, p));
		link = link_new(a, self->map, p);
		ASSERT_LE(0, link);
		ASSERT_TRUE(pair_in(self->map, 0, first));
		ASSERT_EQ(0, update(link, b, 0, 0));
		ASSERT_TRUE(pair_in(self->map, 2, second));
		ASSERT_EQ(0, update(link, a, b, BPF_F_REPLACE));
		ASSERT_TRUE(pair_in(self->map, 4, third));
		EXPECT_TRUE(passes(first));
		EXPECT_EQ(1, ran(self->obj, 0, p));
		EXPECT_TRUE(passes(second));
		EXPECT_EQ(1, ran(self->obj, 0, p));
		EXPECT_TRUE(passes(third));
		EXPECT_EQ(2, ran(self->obj, 0, p));
		if (p != STREAM)
			EXPECT_EQ(1, ran(self->obj, 1, p));
		close(link);
		ASSERT_EQ(0, end_partner(self->prog[1][STREAM], self->map, p));
		close_pair(first);
		close_pair(second);
		close_pair(third);
	}
}

/* What the kernel says about a link; 0 if it says nothing. */
static unsigned int link_field(int fd, const char *field)
{
	char path[64], line[128], format[32];
	unsigned int value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(format, sizeof(format), "%s:\t%%u", field);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &value) == 1)
			break;
	if (f)
		fclose(f);
	return value;
}

static bool map_ends(__u32 id)
{
	int i, fd;

	for (i = 0; i < 20000; i++) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			return errno == ENOENT;
		close(fd);
		usleep(1000);
	}
	return false;
}

/* A link is a user of its map, until it is detached or closed. */
TEST_F(links, keep)
{
	int detaches, map, link, p;
	__u32 id;

	if (!has_links(self->prog[0][MSG], self->map))
		SKIP(return, NO_LINKS);
	for (p = 0; p < PROGRAMS; p++)
		for (detaches = 0; detaches < 2; detaches++) {
			map = new_map(&variant->kind);
			ASSERT_LE(0, map);
			id = sock_map_id(map);
			link = link_new(self->prog[0][p], map, p);
			ASSERT_LE(0, link);
			EXPECT_EQ(id, link_field(link, "map_id"));
			EXPECT_EQ(programs[p].type, link_field(link, "attach_type"));
			close(map);
			map = bpf_map_get_fd_by_id(id);
			ASSERT_LE(0, map);
			EXPECT_EQ(sock_prog_id(self->prog[0][p]),
				  sock_query(map, programs[p].type));
			close(map);
			/* The map of the fixture is the other one. */
			EXPECT_EQ(base_refs + 2 * variant->kind.claimed, module_refs());
			if (detaches) {
				EXPECT_EQ(0, bpf_link_detach(link));
				EXPECT_EQ(0, link_field(link, "map_id"));
			} else {
				close(link);
			}
			EXPECT_TRUE(map_ends(id));
			EXPECT_TRUE(module_refs_become(base_refs + variant->kind.claimed));
			if (detaches)
				close(link);
		}
}

/*
 * An attached program leaves the map with its last user. A linked one stays,
 * because the link is a user. An outer map keeps the map, but is no user.
 */
TEST_F(links, last_user)
{
	bool links = has_links(self->prog[0][MSG], self->map);
	int outer, map, link, p, linked, pair[2];
	__u32 zero = 0, id, value;

	for (p = 0; p < PROGRAMS; p++)
		for (linked = 0; linked <= links; linked++) {
			map = new_map(&variant->kind);
			ASSERT_LE(0, map);
			id = sock_map_id(map);
			value = map;
			outer = sock_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, map);
			ASSERT_LE(0, outer);
			ASSERT_EQ(0, bpf_map_update_elem(outer, &zero, &value, 0));
			link = -1;
			if (linked)
				link = link_new(self->prog[1][p], map, p);
			else
				ASSERT_EQ(0, sock_attach(self->prog[1][p], map, programs[p].type));
			close(map);
			map = bpf_map_get_fd_by_id(id);
			ASSERT_LE(0, map);
			EXPECT_EQ(linked ? sock_prog_id(self->prog[1][p]) : 0,
				  sock_query(map, programs[p].type));
			ASSERT_EQ(0, partner(self->prog[0][STREAM], map, p));
			ASSERT_TRUE(pair_in(map, 0, pair));
			EXPECT_TRUE(passes(pair));
			EXPECT_EQ(linked, ran(self->obj, 1, p)) {
				TH_LOG("%s", programs[p].name);
			}
			close_pair(pair);
			close(link);
			close(map);
			close(outer);
			EXPECT_TRUE(map_ends(id));
		}
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
