// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data that sockets send: see streams.h.
 *
 * A send of one side is complete, and everything was received, before the other
 * side sends, and before the next operation: no byte waits anywhere, except for
 * corked ones, and no work item of the kernel uses a socket. So the result does
 * not depend on the time.
 *
 * Nor does it depend on the sizes of the packets that the kernel makes of a
 * send, except for the fault of stream parsers in known_from_stock.rst: after
 * two packets at once, later bytes are late. A task copies data that it sends
 * to pages of its own, one send after the other, and a message at the end of
 * these pages becomes two packets. So each side has a thread that sends, and
 * the sends of both sides mostly have the same places. If a socket receives
 * other bytes on one side nevertheless, this is no failure in an episode that
 * has attached a parser; all sockets are replaced then.
 *
 * Packets can go in circles: a socket redirects what it receives to the egress
 * of its peer. Such a send ends with the limit of runs, somewhere; so the bytes
 * are not compared, and all sockets are replaced.
 */
#include <linux/sockios.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "acts.h"
#include "outcome.h"
#include "settle.h"
#include "socks.h"
#include "streams.h"

#define MAX_SEND 8000
/* Enough for all copies, and for data that goes in circles. */
#define ROOM (1 << 20)
/* Time until no byte is on its way, in seconds. */
#define MAX_WAIT 30

/**
 * struct received - what a socket has received of a SEND
 * @len: number of bytes
 * @data: the bytes
 * @err: the last result of recv() that was no data: -errno; 0: the end of the
 *	stream; 1: none yet
 */
static struct received {
	__u32 len;
	int err;
	__u8 data[ROOM];
} received[NR_SIDES][NR_SOCKS];

static struct totals {
	__u64 sends, sent, received, circles, parsers;
	__u64 msg_runs, skb_runs, msg[2], skb[2], refused;
} totals;

static const char * const side_names[] = { "stock", "claimed" };

/**
 * struct sender - a thread that sends
 * @request: a send is requested
 * @done: it has returned @ret
 * @fd: arguments of send(), as the following ones
 */
static struct sender {
	sem_t request, done;
	int fd, flags;
	const __u8 *data;
	__u32 len;
	int ret;
} senders[NR_SIDES];

static void *send_always(void *arg)
{
	struct sender *sender = arg;

	for (;;) {
		sem_wait(&sender->request);
		sender->ret = send(sender->fd, sender->data, sender->len, sender->flags);
		if (sender->ret < 0)
			sender->ret = -errno;
		sem_post(&sender->done);
	}
	return NULL;
}

bool streams_init(void)
{
	pthread_t thread;
	int side;

	for (side = 0; side < NR_SIDES; side++)
		if (sem_init(&senders[side].request, 0, 0) ||
		    sem_init(&senders[side].done, 0, 0) ||
		    pthread_create(&thread, NULL, send_always, &senders[side]))
			return false;
	return true;
}

static void set_rule(struct rule *rule, __u64 act, __u64 key, __u64 flags, __u64 limit)
{
	memset(rule, 0, sizeof(*rule));
	act %= NR_ACTS;
	rule->redirect = act >= ACT_REDIRECT;
	rule->and = act == ACT_REDIRECT || act == ACT_OR_PASS;
	rule->or = act == ACT_PASS || act == ACT_OR_PASS;
	rule->key = key;
	rule->flags = flags;
	rule->limit = limit;
}

static void set_rules(const struct op *op, enum side side, __u32 len)
{
	struct rules *rules = acts_rules(side);
	unsigned int receiver = op->sock2 % NR_SOCKS;
	/*
	 * More than data needs that visits some sockets once, if a parser makes
	 * each byte a message.
	 */
	const __u64 limit = 64 + 4 * len;

	set_rule(&rules->msg, op->msg, op->key, op->msg_flags, limit);
	rules->msg.apply = op->apply;
	rules->msg.cork = op->cork;
	set_rule(&rules->skb, op->skb, op->key2, op->skb_flags, limit);
	if (!rules->skb.redirect || op->skb_flags & BPF_F_INGRESS)
		return;
	/* A packet of a Unix socket belongs to the sender. */
	if (is_end(receiver) && !is_tcp(receiver))
		receiver ^= 1;
	rules->skb.cookie = sock_cookie(receiver, side);
}

/* The same bytes for both sides, others than those of former sends. */
static void fill(__u8 *data, __u32 len)
{
	__u64 seed = state.sends * 0x9e3779b97f4a7c15ULL + 1;
	__u32 i;

	for (i = 0; i < len; i++)
		data[i] = rnd(&seed);
}

/* Out-of-band data of streams would not be in the order of the others. */
static int send_flags(const struct op *op)
{
	int flags = op->send_flags;

	if (is_end(op->sock))
		flags &= ~MSG_OOB;
	return (flags & (MSG_OOB | MSG_DONTROUTE | MSG_EOR | MSG_MORE)) | MSG_DONTWAIT |
	       MSG_NOSIGNAL;
}

/* Receives what there is; returns true if anything has changed. */
static bool receive(unsigned int sock, enum side side)
{
	struct received *to = &received[side][sock];
	bool changed = false;
	int ret;

	for (;;) {
		ret = recv(sock_fd(sock, side), to->data + to->len, ROOM - to->len, MSG_DONTWAIT);
		/* A datagram may be empty. */
		if (ret < 0 || (!ret && sock != SOCK_UDP) || to->len + ret == ROOM)
			break;
		to->len += ret;
		changed = true;
	}
	ret = ret < 0 ? -errno : 0;
	if (to->len == ROOM)
		failed("send: a socket receives without an end");
	/* Not the first time. */
	changed |= to->err <= 0 && ret != to->err;
	to->err = ret;
	return changed;
}

static bool receives(unsigned int sock)
{
	return is_end(sock) || sock == SOCK_UDP;
}

static bool is_busy(enum side side)
{
	unsigned int sock;

	for (sock = 0; is_tcp(sock); sock++)
		if (in_flight(sock_fd(sock, side), sock_fd(sock ^ 1, side)))
			return true;
	return false;
}

static int slowness(void)
{
	const char *slow = getenv("REDIRMAP_SLOW");

	return slow ? atoi(slow) : 1;
}

/*
 * Until nothing happens any more. A work item may send without another visible
 * effect, so a round must follow in which the packet would arrive.
 */
static bool receive_all(enum side side)
{
	double end = now() + MAX_WAIT * slowness();
	const struct rules *rules = acts_rules(side);
	unsigned int quiet = 0, sock;
	__u64 runs = 0, before;
	bool busy;

	while (quiet < 2) {
		before = runs;
		settle();
		busy = false;
		for (sock = 0; sock < NR_SOCKS; sock++)
			if (receives(sock))
				busy |= receive(sock, side);
		runs = rules->msg.runs + rules->skb.runs;
		busy |= runs != before;
		if (!busy && is_busy(side)) {
			busy = true;
			usleep(1000);
		}
		quiet = busy ? 0 : quiet + 1;
		if (*state.failure)
			return false;
		if (now() > end)
			return failed("send: data of %s is still on its way after %d s",
				      side_names[side], MAX_WAIT * slowness());
	}
	return true;
}

static bool send_side(const struct op *op, enum side side, const __u8 *data, __u32 len, int *ret)
{
	struct sender *sender = &senders[side];
	unsigned int sock;

	set_rules(op, side, len);
	for (sock = 0; sock < NR_SOCKS; sock++) {
		received[side][sock].len = 0;
		received[side][sock].err = 1;
	}
	sender->fd = sock_value(op->sock, side);
	sender->flags = send_flags(op);
	sender->data = data;
	sender->len = len;
	sem_post(&sender->request);
	while (sem_wait(&sender->done))
		;
	*ret = sender->ret;
	return receive_all(side);
}

static bool in_circles(enum side side)
{
	const struct rules *rules = acts_rules(side);

	return rules->msg.runs > rules->msg.limit || rules->skb.runs > rules->skb.limit;
}

static void print_side(enum side side, int ret)
{
	const struct rules *rules = acts_rules(side);
	unsigned int sock;

	printf("#   %s: %s; msg %llu runs, %llu redirects, %llu refused; skb %llu, %llu, %llu;",
	       side_names[side], outcome(ret), rules->msg.runs, rules->msg.redirected,
	       rules->msg.refused, rules->skb.runs, rules->skb.redirected, rules->skb.refused);
	for (sock = 0; sock < NR_SOCKS; sock++)
		if (receives(sock))
			printf(" %u", received[side][sock].len);
	/* What the kernel says that TCP sockets still have. */
	for (sock = 0; is_tcp(sock); sock++) {
		int waiting = -1;

		ioctl(sock_fd(sock, side), SIOCINQ, &waiting);
		printf(" %d", waiting);
	}
	printf("\n");
}

static bool compare_received(unsigned int sock)
{
	const struct received *stock = &received[STOCK][sock], *claimed = &received[CLAIMED][sock];
	__u32 i;

	if (stock->len != claimed->len)
		return failed("send: socket %u: stock receives %u bytes, claimed %u", sock,
			      stock->len, claimed->len);
	for (i = 0; i < stock->len; i++)
		if (stock->data[i] != claimed->data[i])
			return failed("send: socket %u: byte %u of %u differs", sock, i,
				      stock->len);
	if (stock->err != claimed->err)
		return failed("send: socket %u: then stock says %s, claimed %s", sock,
			      outcome(stock->err), outcome(claimed->err));
	return true;
}

static bool replace_sockets(void)
{
	return socks_reset() || failed("cannot open sockets: %s", strerror(errno));
}

static bool same_lengths(void)
{
	unsigned int sock;

	for (sock = 0; sock < NR_SOCKS; sock++)
		if (received[STOCK][sock].len != received[CLAIMED][sock].len)
			return false;
	return true;
}

/*
 * Both sides are at rest. Should a byte come later nevertheless, it is no
 * difference.
 */
static bool receive_late(void)
{
	double end = now() + (state.thorough ? 1 : MAX_WAIT) * slowness();
	int side;

	while (!same_lengths() && !state.parser && now() < end) {
		for (side = 0; side < NR_SIDES; side++)
			if (!receive_all(side))
				return false;
		usleep(1000);
	}
	return true;
}

static void add_totals(const struct op *op, int ret)
{
	const struct rules *rules = acts_rules(CLAIMED);
	unsigned int sock;

	totals.sends++;
	totals.sent += ret > 0 ? ret : 0;
	for (sock = 0; sock < NR_SOCKS; sock++)
		if (receives(sock))
			totals.received += received[CLAIMED][sock].len;
	totals.msg_runs += rules->msg.runs;
	totals.skb_runs += rules->skb.runs;
	totals.msg[op->msg_flags & BPF_F_INGRESS] += rules->msg.redirected;
	totals.skb[op->skb_flags & BPF_F_INGRESS] += rules->skb.redirected;
	totals.refused += rules->msg.refused + rules->skb.refused;
}

bool streams_step(const struct op *op, struct pair *pair)
{
	static __u8 data[MAX_SEND];
	const __u32 len = op->count % (MAX_SEND + 1);
	const struct rules *rules[NR_SIDES];
	int ret[NR_SIDES], side;
	unsigned int sock;

	state.sends++;
	fill(data, len);
	for (side = 0; side < NR_SIDES; side++) {
		rules[side] = acts_rules(side);
		if (!send_side(op, side, data, len, &ret[side]))
			return false;
		if (state.verbose)
			print_side(side, ret[side]);
	}
	if (in_circles(STOCK) != in_circles(CLAIMED))
		return failed("send: data of one side goes in circles: %llu and %llu runs",
			      rules[STOCK]->msg.runs + rules[STOCK]->skb.runs,
			      rules[CLAIMED]->msg.runs + rules[CLAIMED]->skb.runs);
	if (in_circles(STOCK)) {
		totals.circles++;
		return replace_sockets();
	}
	if (!receive_late())
		return false;
	note_outcome(op->cmd, ret[CLAIMED]);
	if (ret[STOCK] != ret[CLAIMED])
		return failed("send: stock %s, claimed %s", outcome(ret[STOCK]),
			      outcome(ret[CLAIMED]));
	for (sock = 0; sock < NR_SOCKS; sock++) {
		if (!receives(sock) || compare_received(sock))
			continue;
		if (state.parser) {
			*state.failure = '\0';
			totals.parsers++;
			return replace_sockets();
		}
		/* Not for each attempt to shrink it. */
		for (side = 0; side < NR_SIDES && !state.thorough; side++)
			print_side(side, ret[side]);
		return false;
	}
	add_totals(op, ret[CLAIMED]);
	return true;
}

void streams_print(void)
{
	printf("# %llu sends of %llu bytes, %llu bytes received; %llu more in circles, %llu late\n",
	       totals.sends, totals.sent, totals.received, totals.circles, totals.parsers);
	printf("# programs ran %llu times for messages: %llu went to egress, %llu to ingress;\n",
	       totals.msg_runs, totals.msg[0], totals.msg[1]);
	printf("# %llu times for packets: %llu to egress, %llu to ingress; %llu refused\n",
	       totals.skb_runs, totals.skb[0], totals.skb[1], totals.refused);
}

bool streams_redirected(void)
{
	return totals.msg[0] && totals.msg[1] && totals.skb[0] && totals.skb[1];
}
