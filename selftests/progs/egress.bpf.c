// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP programs for dev_egress*.c: senders that number their frames and redirect
 * them through the map "targets", egress programs for its entries, and a
 * receiver that keeps a log. The test sets the variables, and reads the logs.
 */
#include "netlib.bpf.h"

/* As in egresslib.h. */
#define LOG_MAX 512
#define VERDICTS 32
#define GROW_AND_PASS 100

/*
 * The place of a frame's number, as in netlib.h; the next fields are set here.
 */
#define FRAME_NR 42
#define FRAME_MARK 46
#define FRAME_LEN_MIN 50

struct devmap8 targets SEC(".maps");
struct outer outer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 1);
} cpus SEC(".maps");

/* Runs of egress programs. */
struct run {
	__u32 ingress, egress, queue, nr, len;
} runs[LOG_MAX];
__u64 nr_runs;

/* Frames that have come; tail is their last four bytes. */
struct sight {
	__u32 ifindex, nr, len, mark, tail, meta;
} sights[LOG_MAX];
__u64 nr_sights;

/* The return values of verdicts(), in turn. */
__u64 verdict[VERDICTS];

/* The changes that reshape() makes, and the number of failures. */
__s64 head_by;
__s64 tail_by;
__u64 unshaped;

/* The key that looks_up() looks up. */
__u64 other_key;

/* redirect_by_inner() uses "targets" for every other frame. */
__u64 alternate;

struct frame {
	struct ethhdr eth;
	__u8 ip_udp[28];
	__u32 nr;
	__u32 mark;
} __attribute__((packed));

static __always_inline struct frame *frame_of(struct xdp_md *ctx)
{
	struct frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end || !is_ours(ctx))
		return NULL;
	return frame;
}

/* Frames have numbers before they get to senders. */
__u64 numbered;

/*
 * Senders. Pages of live frames are used again with their previous content, so
 * senders undo the changes of egress programs.
 */
static __always_inline bool number(struct xdp_md *ctx)
{
	struct frame *frame = frame_of(ctx);

	if (!frame)
		return false;
	if (!numbered)
		frame->nr = seen;
	frame->mark = 0;
	return true;
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	if (!number(ctx))
		return XDP_PASS;
	return bpf_redirect_map(&targets, next_key(), flags);
}

SEC("xdp")
int redirect_by_inner(struct xdp_md *ctx)
{
	__u32 key = first_key;
	void *inner;

	if (!number(ctx))
		return XDP_PASS;
	if (seen++ & alternate)
		return bpf_redirect_map(&targets, key, XDP_DROP);
	inner = bpf_map_lookup_elem(&outer, &key);
	return inner ? bpf_redirect_map(inner, 0, XDP_DROP) : XDP_DROP;
}

SEC("xdp")
int redirect_to_cpu(struct xdp_md *ctx)
{
	if (!number(ctx))
		return XDP_PASS;
	seen++;
	return bpf_redirect_map(&cpus, 0, XDP_DROP);
}

/* The senders of the packets have numbered them. */
SEC("xdp/cpumap")
int redirect_on_cpu(struct xdp_md *ctx)
{
	return bpf_redirect_map(&targets, first_key, flags);
}

/* Reads an entry into the packet. */
SEC("xdp")
int read_entry(struct xdp_md *ctx)
{
	struct bpf_devmap_val *val, *to = (void *)(long)ctx->data;
	__u32 key = first_key;

	if ((void *)(to + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	val = bpf_map_lookup_elem(&targets, &key);
	if (!val)
		return XDP_DROP;
	to->ifindex = val->ifindex;
	to->bpf_prog.id = val->bpf_prog.id;
	return XDP_PASS;
}

/* Egress programs. */
static __always_inline __u64 note_run(struct xdp_md *ctx, struct frame *frame)
{
	__u64 n = __sync_fetch_and_add(&nr_runs, 1);

	if (n < LOG_MAX) {
		runs[n].ingress = ctx->ingress_ifindex;
		runs[n].egress = ctx->egress_ifindex;
		runs[n].queue = ctx->rx_queue_index;
		runs[n].nr = frame->nr;
		runs[n].len = ctx->data_end - ctx->data;
	}
	return n;
}

static __always_inline int mark(struct xdp_md *ctx, char c)
{
	struct frame *frame = frame_of(ctx);

	if (!frame)
		return XDP_PASS;
	note_run(ctx, frame);
	/* more than one: the first one remains visible */
	frame->mark = frame->mark << 8 | c;
	return XDP_PASS;
}

SEC("xdp/devmap")
int mark_a(struct xdp_md *ctx)
{
	return mark(ctx, 'A');
}

SEC("xdp/devmap")
int mark_b(struct xdp_md *ctx)
{
	return mark(ctx, 'B');
}

/* Longer than any device here accepts. */
static __always_inline int grow(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_tail(ctx, 1600))
		__sync_fetch_and_add(&unshaped, 1);
	return XDP_PASS;
}

SEC("xdp/devmap")
int verdicts(struct xdp_md *ctx)
{
	struct frame *frame = frame_of(ctx);
	__u64 n;

	if (!frame)
		return XDP_PASS;
	n = note_run(ctx, frame) % VERDICTS;
	return verdict[n] == GROW_AND_PASS ? grow(ctx) : verdict[n];
}

/*
 * Changes head and tail of a frame, and restores the address that marks frames
 * of the test.
 */
SEC("xdp/devmap")
int reshape(struct xdp_md *ctx)
{
	struct frame *frame = frame_of(ctx), copy;
	__u32 tail = 0x7a117a11;

	if (!frame)
		return XDP_PASS;
	note_run(ctx, frame);
	copy = *frame;
	copy.mark = 'R';
	if ((head_by && bpf_xdp_adjust_head(ctx, head_by)) ||
	    (tail_by && bpf_xdp_adjust_tail(ctx, tail_by)))
		__sync_fetch_and_add(&unshaped, 1);
	frame = (void *)(long)ctx->data;
	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	*frame = copy;
	if (bpf_xdp_store_bytes(ctx, ctx->data_end - ctx->data - 4, &tail, 4))
		return XDP_ABORTED;
	return XDP_PASS;
}

/* Puts a value in front of the frame, for the next program. */
SEC("xdp/devmap")
int prepend(struct xdp_md *ctx)
{
	__u32 *meta;

	if (!frame_of(ctx) || bpf_xdp_adjust_meta(ctx, -4))
		return XDP_DROP;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return XDP_DROP;
	*meta = 0x3e7a3e7a;
	return XDP_PASS;
}

/* Makes a redirect that is not used. */
SEC("xdp/devmap")
int looks_up(struct xdp_md *ctx)
{
	struct frame *frame = frame_of(ctx);

	if (!frame)
		return XDP_PASS;
	note_run(ctx, frame);
	bpf_redirect_map(&targets, other_key, 0);
	return XDP_PASS;
}

/* The lookup of asks_fib(), and its result. */
__u64 fib_from;
__u64 fib_told[16];

/* Sockets at the address that asks_fib() looks up. */
__u64 sockets_found;

/* Looks up the route of a frame, and a socket, in the frame's namespace. */
SEC("xdp/devmap")
int asks_fib(struct xdp_md *ctx)
{
	struct bpf_fib_lookup fib = {
		.family = 2,	/* AF_INET */
		.ifindex = fib_from,
		.ipv4_dst = __builtin_bswap32(0x0a090001),
	};
	struct frame *frame = frame_of(ctx);
	struct bpf_sock_tuple tuple = {
		.ipv4.saddr = __builtin_bswap32(0x0a090001),
		.ipv4.daddr = __builtin_bswap32(0x0a090002),
		.ipv4.dport = __builtin_bswap16(7),
	};
	struct bpf_sock *sock;
	long told;

	if (!frame)
		return XDP_PASS;
	note_run(ctx, frame);
	told = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	__sync_fetch_and_add(&fib_told[told & 15], 1);
	sock = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (sock) {
		__sync_fetch_and_add(&sockets_found, 1);
		bpf_sk_release(sock);
	}
	return XDP_PASS;
}

/* Packets that have come, with and without the bytes of prepend(). */
__u64 tc_metas;
__u64 tc_others;

SEC("tc")
int look_tc(struct __sk_buff *skb)
{
	__u32 *meta = (void *)(long)skb->data_meta;

	if ((void *)(meta + 1) <= (void *)(long)skb->data && *meta == 0x3e7a3e7a)
		__sync_fetch_and_add(&tc_metas, 1);
	else
		__sync_fetch_and_add(&tc_others, 1);
	return 2;	/* TC_ACT_SHOT */
}

/* The receiver. */
SEC("xdp")
int look(struct xdp_md *ctx)
{
	__u32 *meta = (void *)(long)ctx->data_meta;
	struct frame *frame = frame_of(ctx);
	struct sight *sight;
	__u64 n;

	if (!frame)
		return XDP_PASS;
	n = __sync_fetch_and_add(&nr_sights, 1);
	if (n < LOG_MAX) {
		sight = &sights[n];
		sight->ifindex = ctx->ingress_ifindex;
		sight->nr = frame->nr;
		sight->len = ctx->data_end - ctx->data;
		sight->mark = frame->mark;
		if ((void *)(meta + 1) <= (void *)(long)ctx->data)
			sight->meta = *meta;
		bpf_xdp_load_bytes(ctx, sight->len - 4, &sight->tail, 4);
	}
	count(ctx);
	return XDP_DROP;
}
