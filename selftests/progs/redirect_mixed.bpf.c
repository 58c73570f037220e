// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for dev_redirect_mixed.c: one that sends frames, in turn by their
 * number, in each way that XDP can redirect; and one that counts flushes.
 */
#include "sinklib.bpf.h"

/* As in dev_redirect_mixed.c. */
enum way { FIRST, SECOND, CPU, SOCKET, DIRECT, WAYS };

/* The test replaces these two by maps of the kinds under test. */
struct devmap first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 8);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1);
} sockets SEC(".maps");

/* The device for bpf_redirect(). */
__u64 direct_to;

/* The CPU for the CPUMAP. */
__u64 cpu;

/*
 * Calls of ndo_xdp_xmit by the kernel, and the number of frames that were
 * taken.
 */
__u64 flushes[DEVICES];
__u64 flushed[DEVICES];

static __always_inline int spread_by_number(struct xdp_md *ctx)
{
	__u32 *nr = number_of(ctx);

	if (!nr)
		return XDP_ABORTED;
	__sync_fetch_and_add(&seen, 1);
	switch (*nr % WAYS) {
	case FIRST:
		return bpf_redirect_map(&first, 0, XDP_ABORTED);
	case SECOND:
		return bpf_redirect_map(&second, 0, XDP_ABORTED);
	case CPU:
		return bpf_redirect_map(&cpus, cpu, XDP_ABORTED);
	case SOCKET:
		return bpf_redirect_map(&sockets, 0, XDP_ABORTED);
	default:
		return bpf_redirect(direct_to, 0);
	}
}

SEC("xdp")
int spread(struct xdp_md *ctx)
{
	return is_ours(ctx) ? spread_by_number(ctx) : XDP_PASS;
}

/* The same for frames that have no number yet. */
SEC("xdp")
int spread_new(struct xdp_md *ctx)
{
	return stamp(ctx) ? spread_by_number(ctx) : XDP_ABORTED;
}

/* Runs in the CPUMAP's thread, and redirects through the two maps in turn. */
SEC("xdp/cpumap")
int on_cpu(struct xdp_md *ctx)
{
	__u32 *nr = number_of(ctx);

	if (!nr)
		return XDP_ABORTED;
	if (*nr / WAYS % 2)
		return bpf_redirect_map(&first, 1, XDP_ABORTED);
	return bpf_redirect_map(&second, 1, XDP_ABORTED);
}

struct net_device {
	int ifindex;
} __attribute__((preserve_access_index));

SEC("tp_btf/xdp_devmap_xmit")
int flush(__u64 *ctx)
{
	__u32 to = (__u32)((struct net_device *)ctx[1])->ifindex % DEVICES;

	__sync_fetch_and_add(&flushes[to], 1);
	__sync_fetch_and_add(&flushed[to], (int)ctx[2]);
	return 0;
}
