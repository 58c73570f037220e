// SPDX-License-Identifier: GPL-2.0-only
/* Programs for dev_redirect_stale.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

#define EBADRQC 56

unsigned long long no_target;	/* redirects that failed with EBADRQC */
unsigned long long others;	/* with another errno */

SEC("xdp")
int look_up_only(struct xdp_md *ctx)
{
	bpf_redirect_map(&targets, 0, 0);
	return XDP_DROP;
}

SEC("xdp")
int redirect_blindly(struct xdp_md *ctx)
{
	return XDP_REDIRECT;
}

SEC("tp_btf/xdp_redirect_err")
int on_redirect_err(unsigned long long *ctx)
{
	if ((int)ctx[3] == -EBADRQC)
		__sync_fetch_and_add(&no_target, 1);
	else
		__sync_fetch_and_add(&others, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
