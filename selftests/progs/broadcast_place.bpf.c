// SPDX-License-Identifier: GPL-2.0-only
/*
 * For dev_broadcast_place.c: the namespaces of the devices that frames go to.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

struct net_device {
	int ifindex;
	struct {
		struct net *net;
	} nd_net;
} __attribute__((preserve_access_index));

/* Flushes, by inode: to devices, and to a map's group, which has no ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 64);
} devices SEC(".maps"), groups SEC(".maps");

SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(flush, const struct net_device *from, const struct net_device *to)
{
	void *map = to->ifindex ? (void *)&devices : (void *)&groups;
	__u32 inum = to->nd_net.net->ns.inum;
	__u64 none = 0, *count;

	bpf_map_update_elem(map, &inum, &none, BPF_NOEXIST);
	count = bpf_map_lookup_elem(map, &inum);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
