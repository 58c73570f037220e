// SPDX-License-Identifier: GPL-2.0-only
/* Shared by the tests of broadcasts: see castlib.h. */
#include "castlib.h"
#include "faultylib.h"
#include "testlib.h"

bool cast_load(struct cast *c, const struct kind *kind, __u32 capacity)
{
	struct env *e = &c->e;
	struct bpf_program *prog;
	int map;

	if (!open_object(e, "broadcast.bpf.o"))
		return false;
	/*
	 * Either all programs that use a DEVMAP support fragments, or none
	 * does.
	 */
	bpf_object__for_each_program(prog, e->obj) {
		const char *name = bpf_program__name(prog);

		if (!strncmp(name, "broadcast", strlen("broadcast")))
			bpf_program__set_autoload(prog, !!strstr(name, "_frags") == c->frags);
	}
	map = make_map_flags(kind->claimed, kind->type, c->value_size ?: 4, capacity, 0);
	if (!use_map(e, "targets", map) || !load_object(e))
		return false;
	set_var(e, "flags", BPF_F_BROADCAST);
	set_var(e, "numbered_here", c->from == CAST_LIVE);
	return true;
}

bool cast_attach(struct cast *c, int members)
{
	char peer[16];
	int i;

	for (i = 0; i < members; i++) {
		snprintf(peer, sizeof(peer), "p%d", i);
		if (!cast_look(c, peer))
			return false;
	}
	return c->from == CAST_LIVE ||
	       attach(&c->e, "g1", c->frags ? "broadcast_frags" : "broadcast", c->e.generic);
}

bool cast_begin(struct cast *c, const struct kind *kind, enum cast_from from,
		__u32 capacity)
{
	struct env *e = &c->e;

	e->generic = kind->generic;
	c->from = from;
	if (kind->generic || (!kind->claimed && !live_frames_in_place()))
		c->from = CAST_WIRE;
	if (!module_refs_become(0) || !make_net(e) || !cast_load(c, kind, capacity) ||
	    !trace_start(e))
		return false;
	if (c->from == CAST_WIRE && !kind->generic && !make_veth("g0", "g1", "mtu 3300"))
		return false;
	if (c->frags && !ip("link set g0 mtu 9000\nlink set g1 mtu 9000\n"))
		return false;
	return cast_attach(c, 0);
}

bool cast_look(struct cast *c, const char *dev)
{
	return attach(&c->e, dev, c->frags ? "look_at_frags" : "look_at", c->e.generic);
}

bool cast_is_faulty(struct cast *c, int member)
{
	return !c->e.generic && !c->veths && member % 4 == 1;
}

static bool make_member(struct cast *c, int member)
{
	char dev[16], peer[16], mtu[16];

	snprintf(dev, sizeof(dev), "m%d", member);
	snprintf(peer, sizeof(peer), "p%d", member);
	snprintf(mtu, sizeof(mtu), "mtu %d", c->frags ? 9000 : 3300);
	return (cast_is_faulty(c, member) ? make_faulty_pair(dev, peer, mtu) :
		make_veth(dev, peer, mtu)) && cast_look(c, peer);
}

bool cast_members(struct cast *c, int first, int n)
{
	int i;

	for (i = first; i < first + n; i++)
		if (!make_member(c, i))
			return false;
	return true;
}

bool cast_put(struct cast *c, __u32 key, __u32 step, int first, int n)
{
	char dev[16];
	int i;

	for (i = 0; i < n; i++) {
		snprintf(dev, sizeof(dev), "m%d", first + i);
		if (!put(&c->e, key + i * step, dev))
			return false;
	}
	return true;
}

void cast_forget(struct cast *c)
{
	struct env *e = &c->e;

	forget_received(e);
	memset(global(e, "got"), 0, sizeof(__u32) * DEVICES * NUMBERS);
	memset(global(e, "bad"), 0, sizeof(__u64) * DEVICES);
	memset(global(e, "with_meta"), 0, sizeof(__u64) * DEVICES);
	memset(global(e, "with_room"), 0, sizeof(__u64) * DEVICES);
}

int cast_send(struct cast *c, int n, int len)
{
	cast_forget(c);
	set_var(&c->e, "want_len", len);
	if (c->from == CAST_LIVE)
		return send_live(&c->e, "broadcast", n, len);
	return send_packets(&c->e, n, len);
}

/* No further frames have come for a while. */
static bool got_so_far(struct cast *c, const char *dev, int n, int times)
{
	__u32 device = if_nametoindex(dev) % DEVICES;
	__u32 (*got)[NUMBERS] = global(&c->e, "got");
	__u64 *bad = global(&c->e, "bad"), all;
	int i, wrong = 0, first = -1;

	all = received(&c->e, dev);
	for (i = 0; i < NUMBERS; i++) {
		if (got[device][i] == (n / NUMBERS + (i < n % NUMBERS)) * times)
			continue;
		first = wrong++ ? first : i;
	}
	if (all == n * times && !wrong && !bad[device])
		return true;
	fprintf(stderr, "# %s got %llu frames, not %d x %d; %llu with wrong bytes", dev, all,
		n, times, bad[device]);
	if (wrong)
		fprintf(stderr, "; %d numbers not so often, first number %d: %u times",
			wrong, first, got[device][first]);
	fprintf(stderr, "\n");
	return false;
}

bool cast_got(struct cast *c, const char *dev, int n, int times)
{
	settled(&c->e, dev, n * times);
	return got_so_far(c, dev, n, times);
}

bool cast_all_got(struct cast *c, int first, int members, int n, int times)
{
	bool ok = true, waits = true;
	char dev[16];
	int i;

	/* If some frames have not come, the others have had enough time. */
	for (i = first; i < first + members && waits; i++) {
		snprintf(dev, sizeof(dev), "p%d", i);
		waits = arrive_at(&c->e, dev, n * times);
	}
	/* Surplus frames would come now. One wait is enough for all members. */
	usleep(10000);
	for (i = first; i < first + members; i++) {
		snprintf(dev, sizeof(dev), "p%d", i);
		ok = got_so_far(c, dev, n, times) && ok;
	}
	return ok;
}

__u64 cast_counted(struct cast *c, const char *what, const char *dev)
{
	return ((__u64 *)global(&c->e, what))[if_nametoindex(dev) % DEVICES];
}

int cast_drops(struct cast *c, const char *dev, int err)
{
	static char text[TRACE_MAX];
	int to, n, error, sum = 0;
	char *line, *save = NULL;

	if (!trace_read(&c->e, text))
		return -1;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		line = strstr(line, " to_ifindex=");
		if (line && sscanf(line, " to_ifindex=%d action=REDIRECT sent=%*d drops=%d err=%d",
				   &to, &n, &error) == 3 &&
		    to == (int)if_nametoindex(dev) && error == err)
			sum += n;
	}
	return sum;
}
