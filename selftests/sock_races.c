// SPDX-License-Identifier: GPL-2.0-only
/*
 * Races of all pairs of actions on a socket map: changes of the map, its
 * sockets and its programs, freed maps, reads in every way, data for which the
 * programs run, also early data, and rmmod. The actions are in lib/sockacts.h.
 *
 * For each pair, two tasks on two CPUs perform their action again and again on
 * the same few keys and sockets, in several episodes. A table lists the results
 * that each call may have in the pair. After an episode the map has to be
 * consistent: all ways to read it agree, each entry can be deleted once, and
 * the counters of a claimed map are exact. At the end no socket is left, so no
 * psock either, because a psock keeps its socket; and no reference to the
 * module.
 *
 * The name of a task is that of its pair, so the kernel's log shows it. LONG=1
 * repeats each pair for 30 seconds. For the soak see lib/sockpairs.h.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>

#include "sockacts.h"
#include "sockerrs.h"
#include "sockpairs.h"
#include "sockrace.h"

/* Of one action in an episode. */
#define ROUNDS 8
/* With LONG=1: seconds for each pair. */
#define LONG_PAIR 30
/* Seconds after which a pair hangs; more than all pairs of a map may take. */
#define HANGS 120
#define LONG_MAP (14 * 24 * 3600)
/* Further episodes of a pair whose actions have not overlapped yet. */
#define MORE_EPISODES 50

FIXTURE(races) {
	struct world w;
	struct task main;	/* what happens between the episodes */
	struct bpf_link *iterator;
	struct bpf_link *works;	/* counts work items */
	int base_sockets;
	__u64 results[NR_CALLS][2];
	int pairs, apart;	/* all, and those that have not overlapped */
};

FIXTURE_VARIANT(races) {
	struct kind kind;
};

SOCK_KINDS(races);

/* Loads the programs over both maps of the world. */
static bool load(struct world *w)
{
	struct bpf_program *prog;

	w->obj = bpf_object__open(beside("sock_races.bpf.o"));
	if (!w->obj)
		return false;
	/* Those of the other kind of map are not needed. */
	bpf_object__for_each_program(prog, w->obj)
		if (strstr(bpf_program__name(prog), w->hash ? "_array" : "_hash"))
			bpf_program__set_autoload(prog, false);
	if (bpf_map__reuse_fd(bpf_object__find_map_by_name(w->obj, "array"),
			      w->hash ? w->second : w->map) ||
	    bpf_map__reuse_fd(bpf_object__find_map_by_name(w->obj, "hash"),
			      w->hash ? w->map : w->second) ||
	    bpf_object__load(w->obj))
		return false;
	w->msg = sock_prog(w->obj, "msg", w->hash);
	w->skb = sock_prog(w->obj, "skb", w->hash);
	w->program = sock_prog(w->obj, "insert", w->hash);
	w->parser = bpf_program__fd(bpf_object__find_program_by_name(w->obj, "parser"));
	w->addresses = bpf_map__fd(bpf_object__find_map_by_name(w->obj, "addresses"));
	return true;
}

static bool has_links(struct world *w)
{
	int link = bpf_link_create(w->msg, w->map, BPF_SK_MSG_VERDICT, NULL);

	if (link < 0)
		return false;
	close(link);
	return true;
}

FIXTURE_SETUP(races)
{
	union bpf_iter_link_info info = {};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct world *w = &self->w;
	int fds[2];
	__u32 key;

	ASSERT_TRUE(module_refs_become(base_refs));
	self->base_sockets = sockets_used();
	ASSERT_LE(0, self->base_sockets);
	w->kind = &variant->kind;
	w->hash = w->kind->type == BPF_MAP_TYPE_SOCKHASH;
	w->map = sock_map(w->kind->claimed, w->kind->type, 8, SOCK_ENTRIES);
	w->second = sock_map(w->kind->claimed, w->hash ? BPF_MAP_TYPE_SOCKMAP :
			     BPF_MAP_TYPE_SOCKHASH, 8, SOCK_ENTRIES);
	w->keep = sock_map(w->kind->claimed, w->kind->type, 8, 2 * KEYS);
	ASSERT_LE(0, w->map);
	ASSERT_LE(0, w->second);
	ASSERT_LE(0, w->keep);
	ASSERT_EQ(w->kind->claimed, is_claimed(w->map));
	w->id = sock_map_id(w->map);
	ASSERT_TRUE(load(w));
	w->links = has_links(w);
	if (!w->links)
		TH_LOG("link is left out: this kernel has no links of socket maps");
	info.map.map_fd = w->map;
	self->iterator = bpf_program__attach_iter(bpf_object__find_program_by_name(w->obj,
										   "iterate"),
						  &opts);
	ASSERT_NE(NULL, self->iterator);
	w->iterator = bpf_link__fd(self->iterator);
	self->works = bpf_program__attach_kprobe(bpf_object__find_program_by_name(w->obj,
										  "count_work"),
						 false, "early_work");
	ASSERT_NE(NULL, self->works);
	for (key = 0; key < KEYS; key++) {
		ASSERT_EQ(0, open_pair(key, fds));
		w->socks[key] = fds[0];
		w->peers[key] = fds[1];
		ASSERT_EQ(0, publish(w, key));
	}
	self->main = (struct task){ .w = w, .dice = 1 + soak_dice(), .netlink = genl_open() };
	ASSERT_LE(0, self->main.netlink);
}

FIXTURE_TEARDOWN(races)
{
	struct world *w = &self->w;
	__u32 key;

	for (key = 0; key < KEYS; key++) {
		close(w->socks[key]);
		close(w->peers[key]);
	}
	EXPECT_TRUE(set_policy("early", ""));
	bpf_link__destroy(self->works);
	bpf_link__destroy(self->iterator);
	bpf_object__close(w->obj);
	close(w->map);
	close(w->second);
	close(w->keep);
	close(self->main.netlink);
	EXPECT_TRUE(module_refs_become(base_refs));
	EXPECT_TRUE(sockets_become(self->base_sockets)) {
		TH_LOG("%d sockets, and %d before", sockets_used(), self->base_sockets);
	}
}

/* --- a pair --------------------------------------------------------------- */

/* The kernel's work item may keep a psock, and its programs, for a while. */
static int fill(struct task *t, __u32 key, int fd)
{
	int left = 20000, err;

	do {
		err = sock_put(t->w->map, key, fd, BPF_ANY);
		t->inserts += !err;
		t->failed += !!err;
	} while (err == -EBUSY && left-- && !usleep(1000));
	return err;
}

/*
 * The state in which an episode begins: mostly with sockets, which have the
 * programs of the pair. If the map keeps its programs, it refuses sockets that
 * have them already.
 */
static void prepare(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self, __u32 pair)
{
	bool msg = pair & BIT(MSG), skb = pair & PACKETS, parser;
	struct task *t = &self->main;
	struct world *w = &self->w;
	__u32 key, shift = dice(t, KEYS);
	bool keep = must_keep(pair);

	t->pair = pair;
	for (key = 0; key < KEYS; key++) {
		if (w->shut[key] || keep || pair & EARLY)
			ASSERT_EQ(0, renew(t, key, keep));
		w->shut[key] = false;
	}
	ASSERT_TRUE(set_policy("early", pair & EARLY ? "rm_sock" : ""));
	if (pair & BIT(ATTACH)) {
		msg |= !dice(t, 2);
		skb |= !dice(t, 2);
	}
	parser = skb && may_parse(pair) && !dice(t, 4);
	if (msg)
		ASSERT_EQ(0, bpf_prog_attach(w->msg, w->map, BPF_SK_MSG_VERDICT, 0));
	if (skb)
		ASSERT_EQ(0, bpf_prog_attach(w->skb, w->map, BPF_SK_SKB_STREAM_VERDICT, 0));
	if (parser)
		ASSERT_EQ(0, bpf_prog_attach(w->parser, w->map, BPF_SK_SKB_STREAM_PARSER, 0));
	w->lasting = 0;
	w->filled = 0;
	for (key = dice(t, 4) ? 0 : KEYS; key < KEYS; key++) {
		if (parser && key > TCP6)
			continue;
		ASSERT_EQ(0, fill(t, (key + shift) % KEYS, w->socks[key])) {
			TH_LOG("socket %u, before pair %#x", key, pair);
		}
		w->lasting++;
		w->filled |= BIT((key + shift) % KEYS);
	}
	if (pair & ~(BIT(REPLACE) | BIT(LOOKUP) | BIT(WALK) | BIT(ITERATE) | BIT(DUMP) | EARLY))
		w->lasting = -1;
	/* Mostly, a program gets early data. */
	if (pair & BIT(LINK) || !dice(t, pair & EARLY ? 4 : 2))
		detach_all(w);
}

/* All counters of a claimed map are exact, soon after the last redirect. */
static void check_counters(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
			   const struct race *race, __u32 present)
{
	const struct task *a = &race->tasks[0], *b = &race->tasks[1], *main = &self->main;
	struct sock_counts counts;
	struct calls calls;
	__u32 zero = 0;
	int i;

	for (i = 0; i < 20000; i++) {
		ASSERT_EQ(0, bpf_map_lookup_elem(sock_vars_fd(self->w.obj), &zero, &calls));
		ASSERT_EQ(0, genl_sock_counts(main->netlink, self->w.id, &counts));
		if (sock_accepted(&counts) == calls.accepted &&
		    sock_accepted(&counts) + counts.refused == calls.all)
			break;
		usleep(1000);
	}
	EXPECT_EQ(calls.accepted, sock_accepted(&counts));
	EXPECT_EQ(calls.all, sock_accepted(&counts) + counts.refused);
	EXPECT_EQ(main->inserts + a->inserts + b->inserts, counts.inserts);
	EXPECT_EQ(main->deletes + a->deletes + b->deletes, counts.deletes);
	EXPECT_EQ(main->failed + a->failed + b->failed, counts.failed);
	EXPECT_EQ(present, counts.present);
	EXPECT_LE(counts.deletes + counts.present, counts.inserts);
}

/* The keys that get_next_key returns, as bits. */
static __u32 walked_keys(struct world *w)
{
	__u32 key, *prev = NULL, found = 0, n = 0;

	while (n++ <= SOCK_ENTRIES && !bpf_map_get_next_key(w->map, prev, &key)) {
		if (key >= SOCK_ENTRIES || found & BIT(key))
			return ~0;
		found |= BIT(key);
		prev = &key;
	}
	return found;
}

static __u32 iterated_keys(struct world *w)
{
	__u32 keys[SOCK_ENTRIES + 1], found = 0;
	int fd = bpf_iter_create(w->iterator), i, n;

	n = read(fd, keys, sizeof(keys));
	for (i = 0; i < n / (int)sizeof(*keys); i++)
		found |= BIT(keys[i]);
	close(fd);
	return n < 0 ? ~0 : found;
}

/*
 * If nothing but batches has changed the map: each entry is there, or one of
 * the tasks has taken it, once.
 */
static void check_taken(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
			const struct race *race, __u32 found)
{
	const struct task *a = &race->tasks[0], *b = &race->tasks[1];
	__u32 key;

	if (a->pair & ~(BIT(BTAKE) | STAYS))
		return;
	for (key = 0; key < KEYS; key++)
		EXPECT_EQ(!!(self->w.filled & BIT(key)),
			  a->taken[key] + b->taken[key] + !!(found & BIT(key)));
}

/* The map is consistent. Empties both maps. */
static void check(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
		  const struct race *race)
{
	__u32 key, found = 0, pair = race->tasks[0].pair;
	struct task *main = &self->main;
	struct world *w = &self->w;
	__u64 cookie;

	detach_all(w);
	for (key = 0; key < SOCK_ENTRIES; key++)
		if (!sock_get(w->map, key, &cookie))
			found |= BIT(key);
	EXPECT_EQ(0, found >> KEYS);
	EXPECT_EQ(w->hash ? found : BIT(SOCK_ENTRIES) - 1, walked_keys(w));
	EXPECT_EQ(found, iterated_keys(w));
	check_taken(_metadata, self, race, found);
	if (w->kind->claimed) {
		EXPECT_EQ(__builtin_popcount(found), genl_sock_dump(main->netlink, w->id));
		check_counters(_metadata, self, race, __builtin_popcount(found));
	}
	for (key = 0; key < KEYS; key++) {
		if (found & BIT(key))
			EXPECT_EQ(0, delete(main, key));
		EXPECT_EQ(w->hash ? -ENOENT : -EINVAL, sock_del(w->map, key));
		sock_del(w->second, key);
	}
	EXPECT_EQ(0, iterated_keys(w));
	/*
	 * Other maps may be freed later, and their sockets leave them then. For
	 * packets that have not been read, see may_read(). If both tasks close
	 * sockets, a socket and its peer may be halves of two connections.
	 */
	if (pair & (BIT(FREE) | PACKETS | BIT(ATTACH) | BIT(LINK) | BIT(CLOSE)))
		memset(w->shut, true, sizeof(w->shut));
}

static void check_task(struct __test_metadata *_metadata, const struct task *t)
{
	EXPECT_FALSE(t->bad) {
		TH_LOG("%s returned %d (%s)", call_names[t->bad_call], t->bad_err,
		       strerror(-t->bad_err));
	}
}

static void add_results(FIXTURE_DATA(races) *self, const struct race *race)
{
	int i, call;

	for (i = 0; i < 2; i++) {
		const struct task *t = &race->tasks[i];

		self->main.inserts += t->inserts;
		self->main.deletes += t->deletes;
		self->main.failed += t->failed;
		for (call = 0; call < NR_CALLS; call++) {
			self->results[call][0] += t->results[call][0];
			self->results[call][1] += t->results[call][1];
		}
	}
}

/* The pair that runs, for hangs(). */
static char pair_name[64];

static void hangs(int sig)
{
	dprintf(STDERR_FILENO, "# the race of %s hangs\n", pair_name);
	_exit(KSFT_FAIL);
}

/*
 * A fault of the kernel, in stock maps as well: see known_from_stock.rst. Work
 * items of psocks change the memory that a socket has reserved, without the
 * socket's lock, and inet_sock_destruct() warns if the sum is wrong at the end.
 */
static void accept_warnings(__u32 pair)
{
	static bool printed;

	if (printed || !(pair & PACKETS))
		return;
	printed = true;
	printf("# allow-warning: inet_sock_destruct\n");
	fflush(stdout);
}

/* @seconds: the time for the pair; 0: a few episodes */
static void run_pair(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self,
		     enum action first, enum action second, double seconds)
{
	struct race race = { .rounds = seconds ? fewer(10 * ROUNDS) : ROUNDS };
	struct runner runners[2] = { { &race, 0 }, { &race, 1 } };
	int i, episode, episodes = fewer(4) ?: 1;
	double begin = now();

	for (i = 0; i < 2; i++) {
		race.tasks[i] = (struct task){
			.w = &self->w,
			.action = i ? second : first,
			.dice = 100 * first + 10 * second + i + soak_dice(),
			.netlink = genl_open(),
		};
		ASSERT_LE(0, race.tasks[i].netlink);
	}
	snprintf(pair_name, sizeof(pair_name), "%s and %s", actions[first].name,
		 actions[second].name);
	alarm(HANGS + seconds);
	pthread_barrier_init(&race.barrier, NULL, 3);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&race.threads[i], NULL, run_task, &runners[i]));
	for (episode = 0; seconds ? now() < begin + seconds : episode < episodes ||
	     (!race.overlaps && episode < MORE_EPISODES); episode++) {
		__u32 pair = BIT(first) | BIT(second);

		/* Slow kernels have one episode of each pair. */
		if ((episode + first + second) & 1)
			pair |= EARLY;
		accept_warnings(pair);
		for (i = 0; i < 2; i++) {
			race.tasks[i].pair = pair;
			memset(race.tasks[i].taken, 0, sizeof(race.tasks[i].taken));
		}
		prepare(_metadata, self, pair);
		pthread_barrier_wait(&race.barrier);
		pthread_barrier_wait(&race.barrier);
		check(_metadata, self, &race);
	}
	race.end = true;
	pthread_barrier_wait(&race.barrier);
	for (i = 0; i < 2; i++) {
		pthread_join(race.threads[i], NULL);
		check_task(_metadata, &race.tasks[i]);
		close(race.tasks[i].netlink);
	}
	check_task(_metadata, &self->main);
	self->main.bad = false;
	pthread_barrier_destroy(&race.barrier);
	alarm(0);
	self->pairs++;
	if (seconds)
		TH_LOG("%s: %.1f s, %d episodes, %lu overlaps", pair_name, now() - begin, episode,
		       race.overlaps);
	if (!race.overlaps) {
		self->apart++;
		TH_LOG("%s never overlapped", pair_name);
	}
	add_results(self, &race);
}

/* Interrupts one CPU, so that the emulator soon lets the other one run. */
static bool stop_ticks;

static void *tick(void *arg)
{
	struct timespec pause = { .tv_nsec = 200000 };

	while (!__atomic_load_n(&stop_ticks, __ATOMIC_RELAXED))
		nanosleep(&pause, NULL);
	return NULL;
}

/* Each kind of call has succeeded, or failed if it must, in some pair. */
static void check_results(struct __test_metadata *_metadata, FIXTURE_DATA(races) *self)
{
	bool claimed = self->w.kind->claimed;
	__u64 works = 0;
	__u32 zero = 0;
	int call;

	for (call = 0; call < NR_CALLS; call++) {
		TH_LOG("%s: %llu failed, %llu succeeded", call_names[call],
		       self->results[call][0], self->results[call][1]);
		if ((call == C_LINK && !self->w.links) || (call >= C_UPDATE_BATCH && !claimed))
			continue;
		EXPECT_LT(0, self->results[call][!must_fail(call)]) {
			TH_LOG("%s", call_names[call]);
		}
	}
	ASSERT_EQ(0, bpf_map__lookup_elem(bpf_object__find_map_by_name(self->w.obj, "works"),
					  &zero, sizeof(zero), &works, sizeof(works), 0));
	TH_LOG("%llu work items for early data", works);
	EXPECT_EQ(claimed, !!works);
}

TEST_F_TIMEOUT(races, all_pairs, LONG_MAP)
{
	struct pairs pairs = { .seconds = is_long() ? LONG_PAIR : 0 };
	__u32 left_out = variant->kind.claimed ? 0 : CLAIMED_ONLY;
	const enum action *pair;
	int failed = 0, i;
	pthread_t ticker;

	if (!self->w.links)
		left_out |= BIT(LINK);
	list_pairs(&pairs, left_out);
	select_pairs(&pairs);
	TH_LOG("%d of %d pairs", pairs.n, pairs.all);
	signal(SIGALRM, hangs);
	stop_ticks = false;
	ASSERT_EQ(0, pthread_create(&ticker, NULL, tick, NULL));
	for (i = 0; i < pairs.n; i++) {
		pair = pairs.actions[i];
		/* Each pair is judged for itself. */
		_metadata->exit_code = KSFT_PASS;
		run_pair(_metadata, self, pair[0], pair[1], pairs.seconds);
		if (__test_passed(_metadata))
			continue;
		TH_LOG("in the race of %s and %s", actions[pair[0]].name, actions[pair[1]].name);
		ASSERT_GT(20, ++failed);
	}
	__atomic_store_n(&stop_ticks, true, __ATOMIC_RELAXED);
	pthread_join(ticker, NULL);
	EXPECT_EQ(0, failed);
	if (pairs.n < pairs.all)
		return;
	/* Short actions may never be interrupted. */
	EXPECT_GT(self->pairs, 10 * self->apart);
	check_results(_metadata, self);
}

int main(int argc, char **argv)
{
	return sock_setup() ?: test_harness_run(argc, argv);
}
