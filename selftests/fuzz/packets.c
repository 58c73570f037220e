// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that a claimed map sends as packets, while a stock map loses them:
 * redirect.rst, "To a device that takes no XDP frames", and "Shaping".
 *
 * The expected number follows from the contents of the map, which are the same
 * on both sides, from the flags of the redirect, and from the state of each
 * device. A stock map must send nothing to a device that takes no frames. To a
 * device that takes frames, both maps must send the same number, unless all
 * frames of the claimed map leave as packets.
 */
#include "compare.h"
#include "devs.h"
#include "frames.h"
#include "packets.h"
#include "peek.h"
#include "sides.h"

#define ACTIONS (XDP_ABORTED | XDP_DROP | XDP_PASS | XDP_TX)
/*
 * The backlog of a CPU takes 1000 packets; more may be lost. It is empty before
 * and after each operation.
 */
#define BACKLOG 900

bool packets_applies(const struct op *op, const struct pair *pair)
{
	return op->cmd == RUN && op->mode == 2 && is_devmap(pair);
}

/*
 * The number of packets that each target gets if it takes packets of this
 * length. Ingress is lo, which is no target here, and below none.
 */
static bool expect(const struct op *op, const struct pair *pair, __u32 want[NR_TARGETS])
{
	static __u32 keys[8192];
	int n = 1, i;

	memset(want, 0, NR_TARGETS * sizeof(*want));
	keys[0] = op->key;
	if (op->flags & ~(__u64)(ACTIONS | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS))
		n = 0;
	else if (op->flags & BPF_F_BROADCAST)
		n = walk_keys(pair, CLAIMED, keys, ARRAY_SIZE(keys));
	for (i = 0; i < n; i++) {
		__u64 value;
		__u32 target;

		if (peek(pair, CLAIMED, keys[i], &value))
			continue;
		target = target_of(value);
		if (target < NR_TARGETS)
			want[target] += frames_count(op);
	}
	return n >= 0;
}

/*
 * Compares the frames and packets that a target has sent. For the claimed map
 * the number is known.
 */
static bool compare_sent(const struct op *op, unsigned int target, __u32 want, bool may_lose,
			 const struct sent *stock, const struct sent *claimed)
{
	if (!dev_takes_frames(target) && stock->packets)
		return failed("run: target %u: stock sends %u packets", target, stock->packets);
	if (!dev_sends_packets(target, frames_len(op)))
		want = 0;
	if (claimed->packets > want || (claimed->packets < want && !may_lose) ||
	    claimed->bytes != claimed->packets * frames_len(op))
		return failed("run: target %u: claimed sends %u packets of %u bytes, not %u of %u",
			      target, claimed->packets, claimed->bytes, want,
			      want * frames_len(op));
	return true;
}

bool packets_step(const struct op *op, struct pair *pair)
{
	bool always = pair->attr.packets % NR_PACKETS == PACKETS_ALWAYS;
	bool never = pair->attr.packets % NR_PACKETS == PACKETS_NEVER;
	struct sent sent[NR_SIDES][NR_TARGETS];
	struct result r[NR_SIDES] = {};
	__u32 want[NR_TARGETS], backlog = 0;
	unsigned int i;

	if (!expect(op, pair, want))
		return false;
	for (i = 0; i < NR_TARGETS; i++)
		backlog += dev_fills_backlog(i) ? want[i] : 0;
	/*
	 * A carrier that has just changed takes effect before the frames come.
	 */
	for (i = 0; i < NR_TARGETS; i++)
		dev_sends_packets(i, LEN_MIN);
	run_both(op, pair, r);
	memcpy(sent[STOCK], r[STOCK].out, sizeof(sent[STOCK]));
	memcpy(sent[CLAIMED], r[CLAIMED].out, sizeof(sent[CLAIMED]));
	for (i = 0; i < NR_TARGETS && !never && !r[STOCK].ret && !r[CLAIMED].ret; i++) {
		if (!always && dev_takes_frames(i))
			continue;
		if (!compare_sent(op, i, want[i], dev_fills_backlog(i) && backlog > BACKLOG,
				  &sent[STOCK][i], &sent[CLAIMED][i]))
			return false;
		state.packets += sent[CLAIMED][i].packets;
		sent[CLAIMED][i] = sent[STOCK][i];
	}
	memcpy(r[CLAIMED].out, sent[CLAIMED], sizeof(sent[CLAIMED]));
	return compare_results(op, r) && !*state.failure;
}
