// SPDX-License-Identifier: GPL-2.0-only
/* Contents of maps, by unlimited descriptors: see peek.h. */
#include <stddef.h>
#include <sys/syscall.h>

#include "outcome.h"
#include "peek.h"
#include "socks.h"

#define MAX_SERIALS 4096

static __u32 serials[MAX_SERIALS][NR_SIDES];
static __u32 nr_serials;

void serials_reset(void)
{
	nr_serials = 0;
}

bool add_serial(struct pair *pair)
{
	pair->serial = nr_serials;
	if (nr_serials == MAX_SERIALS)
		return failed("too many maps");
	memcpy(serials[nr_serials++], pair->id, sizeof(pair->id));
	return true;
}

static __u32 serial_of(enum side side, __u32 id)
{
	__u32 i;

	for (i = nr_serials; i--;)
		if (serials[i][side] == id)
			return i;
	return -1;
}

/* An outer map has ids of maps, a socket map has cookies. */
void read_value(const struct pair *pair, enum side side, void *value)
{
	__u64 cookie;
	__u32 id;

	if (is_sock(pair)) {
		memcpy(&cookie, value, sizeof(cookie));
		cookie = sock_number(cookie, side);
		memcpy(value, &cookie, sizeof(cookie));
	}
	if (!is_outer(pair))
		return;
	memcpy(&id, value, sizeof(id));
	id = serial_of(side, id);
	memcpy(value, &id, sizeof(id));
}

static bool is_zero(const void *from, const void *to)
{
	const __u8 *byte;

	for (byte = from; byte < (const __u8 *)to; byte++)
		if (*byte)
			return false;
	return true;
}

bool counters_are_right(const void *value)
{
	struct redirmap_stats stats;
	__u64 n;
	int i;

	if (is_zero(value + offsetof(struct redirmap_val, stats),
		    value + sizeof(struct redirmap_val)))
		return true;
	memcpy(&stats, value + offsetof(struct redirmap_val, stats), sizeof(stats));
	for (i = 0, n = stats.packets; i < REDIRMAP_DROP_ROOM; i++)
		n += stats.drops[i];
	return n && n <= state.frames && stats.bytes >= stats.packets * LEN_MIN &&
	       stats.bytes <= stats.packets * LEN_MAX;
}

static int peek_call(int cmd, int fd, const __u32 *key, void *value)
{
	/* Shorter than libbpf's function, because most calls are these. */
	struct {
		__u32 map_fd;
		__u64 key, value, flags;
	} attr = { .map_fd = fd, .key = (unsigned long)key, .value = (unsigned long)value };

	return syscall(__NR_bpf, cmd, &attr, sizeof(attr)) ? -errno : 0;
}

int peek(const struct pair *pair, enum side side, __u32 key, __u64 *value)
{
	struct redirmap_val val;
	int err;

	*value = 0;
	err = peek_call(BPF_MAP_LOOKUP_ELEM, pair->peek[side], &key, &val);
	if (err)
		return err;
	memcpy(value, &val, pair->attr.value_size);
	read_value(pair, side, value);
	if (value_size(pair, side) > sizeof(*value) && !counters_are_right(&val))
		failed("contents: map %td, key %u: counters that cannot be", pair - state.pairs,
		       key);
	return 0;
}

int peek_next(const struct pair *pair, enum side side, const __u32 *key, __u32 *next)
{
	return peek_call(BPF_MAP_GET_NEXT_KEY, pair->peek[side], key, next);
}

int walk_keys(const struct pair *pair, enum side side, __u32 *keys, int max)
{
	const __u32 *prev = NULL;
	int n = 0, err;

	while (!(err = peek_next(pair, side, prev, &keys[n]))) {
		prev = &keys[n++];
		if (n == max) {
			failed("iteration: map %td: %s does not end", pair - state.pairs,
			       side == STOCK ? "stock" : "claimed");
			return -1;
		}
	}
	if (err != -ENOENT) {
		failed("iteration: map %td: %s ends with %s", pair - state.pairs,
		       side == STOCK ? "stock" : "claimed", outcome(err));
		return -1;
	}
	return n;
}
